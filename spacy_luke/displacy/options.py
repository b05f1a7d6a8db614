"""The options of `render`, checked, and the colours of labels."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
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
# Options of displaCy's styles (spacy/displacy/render.py) that mean nothing here: one dict may be for all views.
_OF_DISPLACY = (
    *("fine_grained", "add_lemma", "collapse_punct", "collapse_phrases", "compact", "word_spacing", "arrow_spacing"),
    *("arrow_width", "arrow_stroke", "offset_x", "template", "kb_url_template", "spans_key", "top_offset"),
    *("span_label_offset", "top_offset_step"),
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
    label_colors: Mapping[str, str] = field(default_factory=dict)
    line_colors: Mapping[str, str] = field(default_factory=dict)
    own_look: bool = False

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Options:
        """Check a dict of options."""
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
            label_colors=label_colors(options),
            line_colors=colors,
            own_look="bg" in options or "color" in options,
        )

    def shows(self, label: str, score: float | None) -> bool:
        """Whether a relation or type is to be seen."""
        return (self.labels is None or label in self.labels) and (score is None or score >= self.min_score)

    def label_color(self, label: str) -> str:
        """Background of an entity label."""
        return self.label_colors.get(label.upper(), "#ddd")


def label_colors(options: Mapping[str, Any]) -> dict[str, str]:
    """displaCy's colours with those of its registry and of the options, for more names."""
    colors: dict[str, str] = EntityRenderer(options={"colors": _colors(options)}).colors
    more = {name: colors[other] for name, other in SAME_COLOR.items() if other in DEFAULT_LABEL_COLORS}
    return {**more, **colors}


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
