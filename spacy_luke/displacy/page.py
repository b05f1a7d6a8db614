"""Frames around what the views draw. A page loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from spacy.displacy.render import DEFAULT_DIR, DEFAULT_LANG
from spacy.displacy.templates import TPL_FIGURE, TPL_TITLE
from spacy.util import minify_html

from .options import Options
from .text import escape

WIDTHS = {"wide": 880, "medium": 600, "narrow": 368}  # px; look.css says where each is shown
PAGE = """
<!DOCTYPE html>
<html lang="{lang}">
    <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{title}</title>
        <style>
{look}
        </style>
    </head>

    <body class="luke-page" style="direction: {dir}">{header}<main>{content}</main></body>
</html>
"""


@dataclass(frozen=True)
class Settings:
    """Settings of one Doc, as displaCy names them; the direction of the options goes before the language's."""

    title: str
    lang: str
    direction: str

    @classmethod
    def read(cls, parsed: Mapping[str, Any], options: Options) -> Settings:
        settings = parsed.get("settings") or {}
        direction = options.direction or settings.get("direction", DEFAULT_DIR)
        title = parsed.get("title")
        return cls(
            title=str(title) if title else "",
            lang=str(settings.get("lang", DEFAULT_LANG)),
            direction="rtl" if direction == "rtl" else "ltr",
        )


def document(name: str, content: str, settings: Settings, options: Options | None = None) -> str:
    """The markup of one Doc.

    name: its CSS class.
    options: with the colours and the font, unless the view leaves them to what is around it.
    """
    style = ""
    if options is not None:
        style = f"color: {options.ink}; background: {options.ground}; font-family: {options.font}"
        name += " luke-look" * (not options.own_look)
    title = TPL_TITLE.strip().format(title=escape(settings.title)) if settings.title else ""
    style = f"direction: {settings.direction}; text-align: start; {style}".rstrip("; ")
    return f'<div class="{name}" lang="{escape(settings.lang)}" style="{escape(style)}">{title}{content}</div>'


def whole_page(rendered: Sequence[str], settings: Settings, options: Options, *, legend: str, minify: bool) -> str:
    """An HTML page in UTF-8 with the markup of each Doc as a figure."""
    heading = f"<h1>{escape(options.title)}</h1>" if options.title else ""
    about = f'<p class="luke-about">{escape(options.about)}</p>' if options.about else ""
    figure, page, look = TPL_FIGURE, PAGE, stylesheet()
    if minify:
        # Only templates: spaces and line ends within the text belong to it
        figure, page, look = minify_html(figure), minify_html(page), minify_html(look)
    return page.format(
        lang=escape(settings.lang),
        dir=settings.direction,
        title=escape(options.title or "spacy-luke"),
        look=look,
        header=f"<header>{heading}{about}{legend}</header>" if heading or about or legend else "",
        content="".join(figure.format(content=one) for one in rendered),
    ).strip()


@lru_cache(maxsize=1)
def stylesheet() -> str:
    """CSS of the look, for a page with any views in an element of the class `luke-page`."""
    return files(__package__).joinpath("look.css").read_text(encoding="utf8")


def widths(draw: Callable[[Options], str], options: Options) -> str:
    """A drawing, or one for each width of WIDTHS, of which the look shows the one that fits."""
    if not options.responsive:
        return draw(options)
    drawn = [
        f'<div class="luke-{name}"{hidden}>{draw(replace(options, width=width))}</div>'
        for (name, width), hidden in zip(WIDTHS.items(), ["", " hidden", " hidden"], strict=True)
    ]
    return f'<div class="luke-widths">{"".join(drawn)}</div>'


def scroll(content: str) -> str:
    """Wrap markup that may be wider than the page."""
    return f'<div style="overflow-x: auto; overflow-y: hidden; margin: 0 0 0.5em">{content}</div>'


def pill(label: str, score: str, color: str) -> str:
    """A label on its colour, with its score."""
    shown = f' <span style="font-weight: normal">{escape(score)}</span>' if score else ""
    style = (
        f"background: {color}; color: #000; font-size: 0.75em; font-weight: bold; line-height: 1; white-space: nowrap; "
        "padding: 0.2em 0.4em; border-radius: 0.35em"
    )
    return f'<span class="luke-label" style="{escape(style)}"><bdi>{escape(label)}</bdi>{shown}</span>'


def fine_print(hidden: int, shown: int, options: Options, style: str = "") -> str:
    """Note on how much the options leave out."""
    if not hidden or not options.fine_print:
        return ""
    reasons = ["other labels"] * (options.labels is not None) + [f"score below {options.min_score:g}"] * (
        options.min_score > 0
    )
    text = escape(f"{hidden} of {hidden + shown} not shown: {' or '.join(reasons)}")
    style += "margin: 0.3em 0; font-size: 0.75em; opacity: 0.75"
    return f'<div class="luke-fine-print" dir="ltr" style="{style}">{text}</div>'
