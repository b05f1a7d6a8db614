"""The options of `render`, checked, and the colours of labels."""

from __future__ import annotations

import colorsys
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from spacy.displacy.render import DEFAULT_LABEL_COLORS, EntityRenderer

from ..errors import LukeError

# Names of CoNLL-2003, TACRED and OpenEntity for which displaCy has a colour under another name
SAME_COLOR = {
    "PER": "PERSON",
    "ORGANIZATION": "ORG",
    "LOCATION": "LOC",
    "CITY": "GPE",
    "COUNTRY": "GPE",
    "STATE_OR_PROVINCE": "GPE",
    "PLACE": "LOC",
    "TITLE": "WORK_OF_ART",
    "MISC": "WORK_OF_ART",
    "OBJECT": "PRODUCT",
    "NATIONALITY": "NORP",
}
# Lines on white that can be told apart; contrast 4.5:1 or better (WCAG 2.1, 1.4.3)
LINE_COLORS = ("#1f5fa8", "#a83232", "#2b7430", "#7b3fa0", "#87560a", "#006d77", "#a8306f", "#4a4a4a")
# Quieter backgrounds than displaCy's, for whole pages of text: options={"colors": QUIET_COLORS}
QUIET_COLORS = {
    **dict.fromkeys(("PER", "PERSON"), "#aadfff"),
    "ORG": "#ffd58a",
    **dict.fromkeys(("LOC", "GPE"), "#b8e6b0"),
    "MISC": "#dcc6f2",
    "DATE": "#e4e7d2",
}
# Backgrounds of labels for which displaCy has no colour, light enough for black text
LABEL_COLORS = ("#aadfff", "#ffd58a", "#b8e6b0", "#dcc6f2", "#ffc4c4", "#f3e58c", "#a8e6df", "#ffcfe6", "#d3d9e0")
NO_LABEL = "#ddd"
_GOLDEN = (math.sqrt(5) - 1) / 2  # hues at multiples of it keep apart, however many there are
# Options of displaCy's styles (spacy/displacy/render.py) that mean nothing here: one dict may be for all views.
_OF_DISPLACY = (
    *("fine_grained", "add_lemma", "collapse_punct", "collapse_phrases", "compact", "word_spacing", "arrow_spacing"),
    *("arrow_width", "arrow_stroke", "offset_x", "template", "spans_key", "top_offset", "span_label_offset"),
    "top_offset_step",
)
# Options of one style, which its parser reads.
_OF_ATTENTION = ("layer", "head", "tokens", "window", "special")


@dataclass(frozen=True)
class Options:
    """Options that the views read from displaCy's dict. displaCy's other keys mean nothing here; L047 for any other.

    min_score: what is less probable is left out; a line below says how much.
    labels: the relation labels or entity types that are shown; None = all.
    ents: labels of the entities that are shown beside those of relations; None = all.
    scores: show scores.
    fine_print: say below what is left out.
    width: px of a line of text in the view of relations; 0 = do not wrap, scroll.
    distance: px from one level of arcs to the next.
    join_sentences: relations across at most so many sentence boundaries are arcs, the others are listed.
    n_best: answers per question; 0 = all.
    kb_url_template: address of what an entity is linked to, with {} for its id, as in displaCy; None = no address.
    title, about: heading of a page, and a sentence below it.
    responsive: draw for several widths, of which a page with the look shows the one that fits; default: for a page,
        unless there is a `width`.
    color, bg, font: of the views of relations and attention, as CSS writes them.
    direction: "ltr" or "rtl"; None = that of the language.

    `colors` maps labels of entities, types and relations to colours.
    """

    min_score: float = 0.0
    labels: tuple[str, ...] | None = None
    ents: tuple[str, ...] | None = None
    scores: bool = True
    fine_print: bool = True
    width: float = 800
    distance: float = 24
    join_sentences: int = 1
    n_best: int = 5
    color: str = "#000000"
    bg: str = "#ffffff"
    font: str = "Arial, Helvetica, sans-serif"
    direction: str | None = None
    kb_url_template: str | None = None
    title: str = ""
    about: str = ""
    label_colors: Mapping[str, str] = field(default_factory=dict)
    line_colors: Mapping[str, str] = field(default_factory=dict)
    own_look: bool = False  # the user chose ground or ink, which then are no page's
    responsive: bool = False

    @classmethod
    def read(cls, options: Mapping[str, Any], *, page: bool = False) -> Options:
        """Check a dict of options. page: they are for a page."""
        own = {f.name for f in fields(cls)} - {"label_colors", "line_colors", "own_look"} | {"colors"}
        known = sorted({*own, *_OF_ATTENTION, *_OF_DISPLACY})
        for name, value in options.items():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                meant = f" (is {near[0]!r} meant?)" if near else ""
                reason = f"there is no such option{meant}; known: {', '.join(known)}"
                raise LukeError("L047", setting=f'options["{name}"]', value=value, reason=reason)
        colors = {str(label).upper(): color for label, color in _colors(options).items()}
        return cls(
            min_score=_number(options, "min_score", cls.min_score, most=1),
            labels=_labels(options, "labels"),
            ents=_labels(options, "ents"),
            scores=bool(options.get("scores", cls.scores)),
            fine_print=bool(options.get("fine_print", cls.fine_print)),
            width=_number(options, "width", cls.width),
            distance=max(18, _number(options, "distance", cls.distance)),  # the height of a label
            join_sentences=int(_number(options, "join_sentences", cls.join_sentences)),
            n_best=int(_number(options, "n_best", cls.n_best)),
            color=options.get("color", cls.color),
            bg=options.get("bg", cls.bg),
            font=options.get("font", cls.font),
            direction=_direction(options),
            kb_url_template=_template(options),
            title=str(options.get("title") or ""),
            about=str(options.get("about") or ""),
            label_colors=label_colors(options),
            line_colors=colors,
            own_look="bg" in options or "color" in options,
            responsive=bool(options.get("responsive", page and options.get("width") is None)),
        )

    @property
    def ground(self) -> str:
        """Background, in CSS: the user's own, or that of a page where there is one."""
        return self.bg if self.own_look else f"var(--luke-ground, {self.bg})"

    @property
    def ink(self) -> str:
        """Colour of text, in CSS: the user's own, or that of a page where there is one."""
        return self.color if self.own_look else f"var(--luke-ink, {self.color})"

    def tell_apart(self, labels: Iterable[str]) -> Options:
        """Give each of these entity labels a colour of its own; those of displaCy's names and of the user stay."""
        fixed = {**DEFAULT_LABEL_COLORS, **self.line_colors}
        colors, taken = dict(self.label_colors), set()
        free = _more_colors(LABEL_COLORS, lightness=0.85, saturation=0.7)
        for label in sorted({label.upper() for label in labels} - {""}, key=lambda label: (label not in fixed, label)):
            if label not in colors or (colors[label] in taken and label not in self.line_colors):
                colors[label] = next(color for color in free if color not in taken)
            taken.add(colors[label])
        return replace(self, label_colors=colors)

    def shows(self, label: str, score: float | None) -> bool:
        """Whether a relation or type is to be seen."""
        return (self.labels is None or label in self.labels) and (score is None or score >= self.min_score)

    def label_color(self, label: str) -> str:
        """Background of an entity label."""
        return self.label_colors.get(label.upper(), NO_LABEL)


def label_colors(options: Mapping[str, Any]) -> dict[str, str]:
    """displaCy's colours with those of its registry and of the options, for more names."""
    colors: dict[str, str] = EntityRenderer(options={"colors": _colors(options)}).colors
    more = {name: colors[other] for name, other in SAME_COLOR.items() if other in DEFAULT_LABEL_COLORS}
    return {**more, **colors}


def line_colors() -> Iterator[str]:
    """Colours of lines, as many as are asked for."""
    return _more_colors(LINE_COLORS, lightness=0.27, saturation=0.6)


def _more_colors(first: Iterable[str], *, lightness: float, saturation: float) -> Iterator[str]:
    yield from first
    hue = 0.0
    while True:
        hue = (hue + _GOLDEN) % 1
        red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, saturation))
        yield f"#{red:02x}{green:02x}{blue:02x}"


def score_text(score: float | None, options: Options) -> str:
    """A score as it is shown, not yet escaped; "" if there is none to show. Only a certain one is 0 or 1."""
    if score is None or not options.scores:
        return ""
    if 0 < score < 0.005:
        return "<0.01"
    return ">0.99" if 0.995 <= score < 1 else f"{score:.2f}"


def _colors(options: Mapping[str, Any]) -> Mapping[str, str]:
    value = options.get("colors") or {}
    if not isinstance(value, Mapping):
        raise LukeError("L047", setting='options["colors"]', value=value, reason="give a dict from labels to colours")
    return value


def _number(options: Mapping[str, Any], name: str, default: float, most: float = math.inf) -> float:
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        reason = "give a number in [0, 1]" if most == 1 else "give a number that is not negative"
        raise LukeError("L047", setting=f'options["{name}"]', value=value, reason=reason)
    return value


def _template(options: Mapping[str, Any]) -> str | None:
    value = options.get("kb_url_template")
    if value is not None and not (isinstance(value, str) and "{}" in value):
        reason = "give an address with {} in the place of the id"
        raise LukeError("L047", setting='options["kb_url_template"]', value=value, reason=reason)
    return value


def _labels(options: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise LukeError("L047", setting=f'options["{name}"]', value=value, reason="give a list of labels")
    return tuple(value)


def _direction(options: Mapping[str, Any]) -> str | None:
    value = options.get("direction")
    if value not in (None, "ltr", "rtl"):
        raise LukeError("L047", setting='options["direction"]', value=value, reason="give 'ltr' or 'rtl'")
    return value
