"""Frames around what the views draw. A page loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.displacy.render import DEFAULT_DIR, DEFAULT_LANG
from spacy.displacy.templates import TPL_FIGURE, TPL_PAGE, TPL_TITLE
from spacy.util import minify_html

from .options import Options
from .text import escape


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


def document(name: str, content: str, settings: Settings, style: str = "") -> str:
    """The markup of one Doc. name: its CSS class."""
    title = TPL_TITLE.strip().format(title=escape(settings.title)) if settings.title else ""
    style = f"direction: {settings.direction}; text-align: start; {style}".rstrip("; ")
    return f'<div class="{name}" lang="{escape(settings.lang)}" style="{escape(style)}">{title}{content}</div>'


def whole_page(rendered: Sequence[str], settings: Settings, *, minify: bool) -> str:
    """An HTML page in UTF-8 with the markup of each Doc as a figure."""
    figure, page = TPL_FIGURE, TPL_PAGE
    if minify:
        # Only templates: spaces and line ends within the text belong to it
        figure, page = minify_html(figure), minify_html(page)
    page = page.replace("<title>displaCy</title>", '<meta charset="utf-8"><title>spacy-luke</title>')
    content = "".join(figure.replace("6rem", "3rem").format(content=one) for one in rendered)
    return page.format(content=content, lang=escape(settings.lang), dir=settings.direction).strip()


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
