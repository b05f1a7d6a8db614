"""Questions with their answers: the best one marked in its paragraph, the others listed with their scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spacy.displacy.render import EntityRenderer

from . import check
from .options import Options, score_text
from .page import Settings, document, fine_print
from .text import clean, escape, one_line

STYLE = "answers"
COLOR = "#ffeb80"  # displaCy's yellow
NO_ANSWER, NOT_ANSWERED = "no answer", "not answered yet"
# displaCy's TPL_ENT without a label, so that exactly the answer's characters are marked
TEMPLATE = (
    '<mark class="entity luke-answer" style="background: {bg}; color: #000; padding: 0.25em 0; border-radius: 0.2em; '
    '-webkit-box-decoration-break: clone; box-decoration-break: clone">{text}</mark>'
)
MARK = 'luke-answer"'
EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")
CELL = (
    "padding: 0.15em 1em 0.15em 0; border: 0; text-align: start; vertical-align: top; background: none; color: inherit"
)


def render_answers(parsed: Sequence[Mapping[str, Any]], options: Options) -> list[str]:
    """The markup of each parsed Doc."""
    return [_render(one, options) for one in parsed]


def _render(parsed: Mapping[str, Any], options: Options) -> str:
    text = check.string(STYLE, parsed, "text")
    settings = Settings.read(parsed, options)
    questions = check.items(STYLE, parsed, "questions")
    content = "".join(_question(question, text, settings, options) for question in questions)
    if MARK not in content:  # no paragraph is shown
        content = _context(text, None, settings, options) + content
    return document("luke-answers", content, settings)


def _question(question: Mapping[str, Any], text: str, settings: Settings, options: Options) -> str:
    asked = check.string(STYLE, question, "question")
    found = []
    for answer in check.items(STYLE, question, "answers"):
        found.append((answer_ends(answer, text), check.score(STYLE, answer)))
    shown = [(stretch, score) for stretch, score in found if score is None or score >= options.min_score]
    listed = shown[: options.n_best or None]
    best = listed[0][0] if listed else None
    heading = f'<div style="font-weight: bold; margin: 1em 0 0.2em"><bdi>{escape(one_line(asked))}</bdi></div>'
    rows = "".join(_row(i, stretch, score, text, options) for i, (stretch, score) in enumerate(listed, 1))
    table = f'<table style="border-collapse: collapse; border: 0; margin: 0.3em 0">{rows}</table>' if rows else ""
    if not found:
        table = f'<div style="opacity: 0.75; font-style: italic">{NOT_ANSWERED}</div>'
    print_ = fine_print(len(found) - len(shown), len(shown), options)
    context = _context(text, best, settings, options) if best else ""
    return f'<section class="luke-question">{heading}{context}{table}{print_}</section>'


def answer_ends(answer: Mapping[str, Any], text: str) -> tuple[int, int] | None:
    """Characters of one of "answers"; None for no answer."""
    if answer.get("start") is None:
        return None
    return check.ends(STYLE, answer, "start", "end", len(text), "characters")


def _context(text: str, best: tuple[int, int] | None, settings: Settings, options: Options) -> str:
    """The paragraph of the answer by displaCy's own renderer, as a text with an entity; the whole text without one."""
    start, end = (0, len(text)) if best is None else _paragraph(text, *best)
    renderer = EntityRenderer(options={"template": TEMPLATE})
    renderer.direction = settings.direction
    color = options.label_colors.get("ANSWER", COLOR)
    ents: list[dict[str, Any]] = []
    if best is not None:
        ents = [{"start": best[0] - start, "end": best[1] - start, "label": "", "params": {"bg": escape(color)}}]
    content = renderer.render_ents(clean(text[start:end]), ents, None).strip()
    # Line ends are in the text already, and every space counts
    content = content.replace("<br>", "\n")
    return content.replace("line-height: 2.5", "line-height: 1.7; white-space: pre-wrap", 1)


def _paragraph(text: str, start: int, end: int) -> tuple[int, int]:
    """The characters between the empty lines around an answer."""
    before = [found.end() for found in EMPTY_LINES.finditer(text) if found.end() <= start]
    after = [found.start() for found in EMPTY_LINES.finditer(text) if found.start() >= end]
    return before[-1] if before else 0, after[0] if after else len(text)


def _row(number: int, stretch: tuple[int, int] | None, score: float | None, text: str, options: Options) -> str:
    if stretch is None:
        answer = f'<span style="font-style: italic">{NO_ANSWER}</span>'
    else:
        answer = f"<bdi>{escape(one_line(text[slice(*stretch)]) or text[slice(*stretch)])}</bdi>"
    weight = "bold" if number == 1 else "normal"
    return (
        f'<tr class="luke-listed"><td style="{CELL}; opacity: 0.75">{number}</td>'
        f'<td style="{CELL}; font-weight: {weight}">{answer}</td>'
        f'<td style="{CELL}; font-variant-numeric: tabular-nums">{escape(score_text(score, options))}</td></tr>'
    )
