"""Attention weights of a layer: the pieces and entities of a text on both sides, and a line for each weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from spacy.displacy import get_doc_settings

from ..errors import LukeError
from ..pipeline.encoder.states import DocStates, WindowStates
from . import check
from .options import LINE_COLORS, Options, score_text
from .page import Settings, document, fine_print, scroll
from .parse import Parsed
from .text import escape, isolated, one_line, text_width

STYLE = "attention"
FAINTEST = 0.01  # a line of less weight could not be seen, and there may be thousands
FADING = 0.7  # exponent from a weight to the opacity of its line: small ones can still be seen
LONGEST_NAME = 28
SIZE, LINE = 13, 18  # font and height of a row, px
SIDE, TOP, BETWEEN, LINES = 12, 24, 10, 240  # px beside and above the rows, before the entities, and for the lines
NUMBER = 40  # px for a weight beside a row
WHITE_SPACE = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})
_NO_OPTIONS: Mapping[str, Any] = {}
# A row under the pointer shows its own lines alone, with their weights; one on the right those that come to it
CSS = (
    ".luke-head path {{pointer-events: none}} "
    ".luke-head:has(.luke-from:hover) .luke-from:not(:hover) path {{opacity: 0}} "
    ".luke-from:hover .luke-numbers {{visibility: visible}} "
    ".luke-from:hover .luke-back, .luke-to:hover .luke-back {{fill-opacity: 0.15}} {column_rules}"
)
COLUMN_RULE = ".luke-head:has(.luke-to-{n}:hover) path:not(.luke-on-{n}) {{opacity: 0}}"


def parse_attention(states: DocStates, options: Mapping[str, Any] = _NO_OPTIONS) -> Parsed:
    """The attention weights of one layer in one window, from what `luke_encoder.states(docs, attentions=True)` gives.

    options: of `render`. layer: its number; default: the last that there is. head: from 0; default: the mean of all.
        window: from 0; default: the first, or the one that shows most of `tokens`. tokens: (start, end) of those whose
        pieces and entities are shown; default: all. special: whether the special pieces are shown; default: True.

        {"pieces": [{"text": "<s>", "token": None}, {"text": "Ada", "token": 0}, ...],
         "entities": [{"text": "Ada", "label": "PER"}],
         "weights": [[0.1, 0.7, 0.2], ...],           of each piece and entity to each; a row is the one that attends
         "layer": 12, "head": 3, "window": 0, "title": None, "settings": {...}}

    In a dict written by hand, all but the first three may be left out.
    """
    doc, frame = states.doc, {"title": states.doc.user_data.get("title"), "settings": get_doc_settings(states.doc)}
    if not states.windows:
        return {"pieces": [], "entities": [], "weights": [], **frame}
    if not states.windows[0].attentions:
        problem = "the states have no attention weights; ask for them: states(docs, attentions=True)"
        raise LukeError("L077", style=STYLE, problem=problem)
    layer = _choice(options, "layer", states.attention_layers, states.attention_layers[-1])
    tokens = _tokens(options, len(doc))
    window = _choice(options, "window", range(len(states.windows)), _window_of(states.windows, tokens))
    shown = states.windows[window]
    weights = shown.attention(states.attention_layers.index(layer))
    head = _choice(options, "head", range(len(weights)), None)
    special, ends = bool(options.get("special", True)), (0, len(shown.pieces) - 1)
    seen = [
        i
        for i, token in enumerate(shown.tokens.tolist())
        if (special if i in ends else _is_shown(token, token + 1, tokens))
    ]
    entities = [i for i, ent in enumerate(shown.entities) if _is_shown(ent.start, ent.end, tokens)]
    rows = [*seen, *(len(shown.pieces) + i for i in entities)]
    chosen = (weights.mean(axis=0) if head is None else weights[head])[np.ix_(rows, rows)]
    return {
        "pieces": [{"text": shown.pieces[i], "token": _or_none(int(shown.tokens[i]))} for i in seen],
        "entities": [{"text": shown.entities[i].text, "label": shown.entities[i].label_} for i in entities],
        "weights": chosen.tolist(),
        "layer": layer,
        "head": head,
        "window": window,
        **frame,
    }


def render_attention(parsed: Sequence[Mapping[str, Any]], options: Options) -> list[str]:
    """The markup of each parsed Doc."""
    return [_render(one, options) for one in parsed]


def _render(parsed: Mapping[str, Any], options: Options) -> str:
    settings = Settings.read(parsed, options)
    pieces = [
        Row(_visible(check.string(STYLE, piece, "text")), piece.get("token"), None)
        for piece in check.items(STYLE, parsed, "pieces")
    ]
    entities = [
        Row(_visible(check.string(STYLE, ent, "text")), None, check.string(STYLE, ent, "label"))
        for ent in check.items(STYLE, parsed, "entities")
    ]
    rows = [*pieces, *entities]
    weights = check.square(STYLE, parsed, "weights", len(rows))
    options = replace(options, min_score=max(options.min_score, FAINTEST), labels=None)
    content, count = "", 0
    if rows:
        drawing = _Drawing(rows, weights, options, settings)
        content, count = scroll(drawing.svg()), drawing.count
    nonzero = sum(weight > 0 for row in weights for weight in row)
    small = fine_print(nonzero - count, count, options, f"padding: 0 {SIDE}px 0.5em; ")
    return document("luke-attention", _caption(parsed) + content + small, settings, options)


def _caption(parsed: Mapping[str, Any]) -> str:
    parts = []
    if parsed.get("layer") is not None:
        parts.append(f"layer {parsed['layer']}")
        parts.append("mean of all heads" if parsed.get("head") is None else f"head {parsed['head']}")
    if parsed.get("window"):
        parts.append(f"window {parsed['window']}")
    if not parts:
        return ""
    style = f"padding: 0 {SIDE}px; font-size: 0.85em"
    return f'<div class="luke-caption" dir="ltr" style="{style}">{escape(", ".join(parts).capitalize())}</div>'


@dataclass(frozen=True)
class Row:
    """A piece or an entity.

    token: index of the token of a piece; None for a piece of no token, and for an entity.
    label: of an entity; None for a piece.
    """

    text: str
    token: int | None
    label: str | None

    @property
    def name(self) -> str:
        """Text as far as it is shown."""
        return self.text if len(self.text) <= LONGEST_NAME else f"{self.text[: LONGEST_NAME - 1]}…"


class _Drawing:
    """Rows that attend on the left, rows that are attended to on the right."""

    def __init__(self, rows: Sequence[Row], weights: list[list[float]], options: Options, settings: Settings):
        self.rows, self.options, self.settings = rows, options, settings
        self.weights = [[(j, w) for j, w in enumerate(row) if w >= options.min_score] for row in weights]
        self.count = sum(map(len, self.weights))
        self.room = max(text_width(row.name, SIZE) for row in rows) + 12
        self.left = SIDE + self.room
        self.right = self.left + LINES
        self.width = self.right + self.room + NUMBER + SIDE
        pieces = sum(row.label is None for row in rows)
        between = BETWEEN if 0 < pieces < len(rows) else 0
        self.middles = [TOP + LINE * (i + 0.5) + between * (i >= pieces) for i in range(len(rows))]
        self.height = self.middles[-1] + LINE / 2 + 8
        self.color = options.color if options.own_look else LINE_COLORS[0]

    def svg(self) -> str:
        options = self.options
        column_rules = " ".join(COLUMN_RULE.format(n=n) for n in range(len(self.rows)))
        content = [
            *self._headings(),
            *self._words(),
            *map(self._to, range(len(self.rows))),
            *map(self._from, range(len(self.rows))),
        ]
        style = (
            f"max-width: none; height: {self.height:g}px; color: {options.ink}; background: {options.ground}; "
            f"font-family: {options.font}; direction: ltr"
        )
        width, height = f"{self.width:.0f}", f"{self.height:g}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xml:lang="{escape(self.settings.lang)}" '
            f'class="displacy luke-head" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'style="{escape(style)}"><style>{CSS.format(column_rules=column_rules)}</style>{"".join(content)}</svg>'
        )

    def _from(self, i: int) -> str:
        """A row that attends, with its lines, and with numbers that stand on the other side under the pointer."""
        y = self.middles[i]
        lines = [
            f'<path class="luke-on-{j}" d="M{self.left:.0f},{y:g} L{self.right:.0f},{self.middles[j]:g}" '
            f'stroke-opacity="{w**FADING:.2f}"/>'
            for j, w in self.weights[i]
        ]
        numbers = ""
        if self.options.scores:
            x = self.right + self.room + NUMBER - 6
            texts = [
                f'<text x="{x:.0f}" y="{self.middles[j] + 4:g}">{escape(score_text(w, self.options))}</text>'
                for j, w in self.weights[i]
            ]
            numbers = (
                f'<g class="luke-numbers" visibility="hidden" font-size="11" text-anchor="end" fill="currentColor">'
                f"{''.join(texts)}</g>"
            )
        style = "" if self.options.own_look else f' style="--line: {escape(self.color)}"'
        stroke = (
            f'<g class="luke-weights" fill="none" stroke="{escape(self.color)}" stroke-width="2"{style}>'
            f"{''.join(lines)}</g>"
        )
        return f'<g class="luke-from">{self._name(i, self.left, left=True)}{stroke}{numbers}</g>'

    def _to(self, i: int) -> str:
        return f'<g class="luke-to luke-to-{i}">{self._name(i, self.right, left=False)}</g>'

    def _name(self, i: int, x: float, *, left: bool) -> str:
        """The name of a row beside the lines, which end at `x`."""
        row, y, width = self.rows[i], self.middles[i], text_width(self.rows[i].name, SIZE)
        start, end = (x - 6 - width, x - 6) if left else (x + 6, x + 6 + width)
        back = (
            f'<rect class="luke-back" x="{(x - self.room if left else x):.0f}" y="{y - LINE / 2:g}" '
            f'width="{self.room:.0f}" height="{LINE}" rx="3" fill="{escape(self.color)}" fill-opacity="0"/>'
        )
        fill, more = "currentColor", ""
        if row.label is not None:
            box = f'x="{start - 4:.1f}" y="{y - LINE / 2 + 1:g}" width="{end - start + 8:.1f}" height="{LINE - 2}"'
            back += f'<rect {box} rx="4" fill="{escape(self.options.label_color(row.label))}"/>'
            fill = "#000"
        elif row.token is None:
            more = ' opacity="0.6"'
        title = f"<title>{escape(row.text)}{escape(f' ({row.label})' if row.label else '')}</title>"
        return (
            f'{title}{back}<text class="luke-row" x="{(end if left else start):.1f}" y="{y + 4.5:g}" '
            f'font-size="{SIZE}" text-anchor="{"end" if left else "start"}" textLength="{width:.1f}" '
            f'lengthAdjust="spacingAndGlyphs" fill="{fill}"{more}>{escape(isolated(row.name))}</text>'
        )

    def _headings(self) -> Iterator[str]:
        for x, anchor, text in ((self.left - 6, "end", "from"), (self.right + 6, "start", "to")):
            yield (
                f'<text x="{x:.0f}" y="{TOP - 8}" font-size="11" text-anchor="{anchor}" fill="currentColor" '
                f'opacity="0.6">{text}</text>'
            )

    def _words(self) -> Iterator[str]:
        """A bar beside the pieces of a token that has several."""
        numbered = [(i, row.token) for i, row in enumerate(self.rows) if row.token is not None]
        for _, group in groupby(numbered, key=lambda pair: pair[1]):
            indices = [i for i, _ in group]
            if len(indices) > 1:
                top, bottom = self.middles[indices[0]] - LINE / 2 + 3, self.middles[indices[-1]] + LINE / 2 - 3
                for x in (self.left - 1.5, self.right + 1.5):
                    yield (
                        f'<line class="luke-token" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}" '
                        'stroke="currentColor" stroke-opacity="0.6"/>'
                    )


def _visible(text: str) -> str:
    """A piece without the space that it starts with; white space alone as signs."""
    return one_line(text) or text.translate(WHITE_SPACE)


def _or_none(token: int) -> int | None:
    return token if token >= 0 else None


def _choice(options: Mapping[str, Any], name: str, known: Sequence[int], default: Any) -> Any:
    """One of some numbers; L047 for another."""
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value not in known:
        reason = f"give one of {', '.join(map(str, known))}"
        raise LukeError("L047", setting=f'options["{name}"]', value=value, reason=reason)
    return value


def _tokens(options: Mapping[str, Any], length: int) -> range | None:
    """The tokens that are shown; L047 for what is no stretch of the Doc."""
    value = options.get("tokens")
    if value is None:
        return None
    whole = isinstance(value, tuple | list) and len(value) == 2 and all(type(end) is int for end in value)
    if not whole or not 0 <= value[0] < value[1] <= length:
        reason = f"give (start, end), a stretch of the {length} tokens"
        raise LukeError("L047", setting='options["tokens"]', value=value, reason=reason)
    return range(*value)


def _is_shown(start: int, end: int, tokens: range | None) -> bool:
    """Whether one of some tokens is among those that are shown."""
    return tokens is None or (start < tokens.stop and end > tokens.start)


def _window_of(windows: Sequence[WindowStates], tokens: range | None) -> int:
    """The window that shows most of some tokens, the first of equal ones."""
    counts = [0 if tokens is None else int(np.isin(window.tokens, tokens).sum()) for window in windows]
    return counts.index(max(counts))
