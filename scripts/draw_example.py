"""Draw what the bundled model finds in a short text, as the picture of README.md.

    python scripts/draw_example.py

writes docs/example.svg: entities with their types and links, arcs for relations, answers below. It loads nothing from
elsewhere, and follows the colours of the reader's system, light or dark.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import spacy
from spacy.tokens import Doc, Span

from spacy_luke.annotations import Relation, get_answers, get_entity_types, get_link, get_relations, set_questions

TARGET = Path(__file__).parents[1] / "docs" / "example.svg"
TEXT = (
    "Marie Curie was born in Warsaw in 1867 and studied at the Sorbonne in Paris. "
    "In 1903 she shared the Nobel Prize in Physics with Henri Becquerel."
)
QUESTIONS = ("Where was Marie Curie born?", "Who did she share the Nobel Prize with?")
COLORS = {"PER": "#aadfff", "ORG": "#ffd58a", "LOC": "#b8e6b0", "MISC": "#dcc6f2", "DATE": "#e4e7d2"}
MARGIN, SIZE, SMALL, PAD, LEVEL = 20, 17, 11, 5, 22  # px: around, of text, of labels, in a box, between levels of arcs
STYLE = """
text { font-family: Arial, Helvetica, "Liberation Sans", sans-serif; fill: #1d1d1f }
.in { fill: #1d1d1f } .small { fill: #57606a } .arc { stroke: #57606a; fill: none } .tip { fill: #57606a }
.page { fill: #fff } .behind { fill: #fff } .answer { font-weight: bold }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .in { fill: #1d1d1f } .small { fill: #9da7b3 } .arc { stroke: #9da7b3 } .tip { fill: #9da7b3 }
  .page { fill: #0d1117 } .behind { fill: #0d1117 }
}
"""
# Widths in Arial, in thousandths of the size; all other characters are as wide as a digit.
WIDTHS = {
    **dict.fromkeys("ijl'|", 222),
    **dict.fromkeys(" ,.:;!/ftIr()-", 300),
    **dict.fromkeys("ckszxvyJ", 500),
    **dict.fromkeys("ABEKPSVXY", 667),
    **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778),
    **dict.fromkeys("mMW", 833),
}


@dataclass
class Box:
    """An entity where it is drawn: left and right edge, in px."""

    ent: Span
    left: float
    right: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def width(text: str, size: float = SIZE) -> float:
    """About how wide a text is, in px."""
    return sum(WIDTHS.get(char, 556) for char in text) * size / 1000


def text_at(x: float, y: float, text: str, size: float = SIZE, kind: str = "", anchor: str = "start") -> str:
    """A text of exactly the width that was reckoned with, whatever the font."""
    length = f' textLength="{width(text, size):.1f}" lengthAdjust="spacingAndGlyphs"' if text else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" class="{kind}" text-anchor="{anchor}"{length}>'
        f"{escape(text)}</text>"
    )


def sentence(sent: Span, relations: Sequence[Relation], top: float, parts: list[str]) -> tuple[float, float]:
    """Draw a sentence on one line. RETURNS: its right edge and its lower edge."""
    arcs = sorted(relations, key=lambda r: abs(r.head.start - r.tail.start))
    base = top + LEVEL * (len(arcs) + 1) + SIZE
    boxes: dict[int, Box] = {}
    x = float(MARGIN)
    for piece in _pieces(sent):
        if isinstance(piece, Span):
            kinds = ", ".join(get_entity_types(piece)[:1])
            below = " · ".join(part for part in (piece.label_, kinds) if part)
            inner = max(width(piece.text), width(below, SMALL), width(_link(piece), SMALL)) + 2 * PAD
            box = Box(piece, x, x + inner)
            boxes[piece.start] = box
            color = COLORS.get(piece.label_, "#ddd")
            parts.append(
                f'<rect x="{x:.1f}" y="{base - SIZE - 1:.1f}" width="{inner:.1f}" height="{SIZE + 8}" rx="4" '
                f'fill="{color}"/>'
            )
            parts.append(text_at(box.middle, base, piece.text, kind="in", anchor="middle"))
            parts.append(text_at(box.middle, base + 22, below, SMALL, "small", "middle"))
            parts.append(text_at(box.middle, base + 36, _link(piece), SMALL, "small", "middle"))
            x = box.right + width(" ")
        else:
            x -= width(" ") if piece[:1] in ",.;:" and boxes else 0
            parts.append(text_at(x, base, piece))
            x += width(piece) + width(" ")
    for level, relation in enumerate(arcs, 1):
        head, tail = boxes[relation.head.start], boxes[relation.tail.start]
        parts += _arc(head, tail, f"{relation.label} {relation.score:.2f}", base - SIZE - 4, level)
    return x, base + 44


def _link(ent: Span) -> str:
    return f"→ {get_link(ent)}" if get_link(ent) else ""


def _pieces(sent: Span) -> Iterator[Span | str]:
    """The entities of a sentence, and the texts between them."""
    start = sent.start
    for ent in [*sent.ents, None]:
        between = sent.doc[start : ent.start if ent else sent.end].text.strip()
        if between:
            yield between
        if ent:
            yield ent
            start = ent.end


def _arc(head: Box, tail: Box, label: str, base: float, level: int) -> Iterator[str]:
    """An arc from head to tail: ends beside the middle of each, so that arcs at one entity stay apart."""
    side = 1 if tail.middle > head.middle else -1
    start, end, up = head.middle + side * 4 * level, tail.middle - side * 2 * level, base - LEVEL * level
    yield (
        f'<path class="arc" d="M{start:.1f},{base:.1f} V{up + 8:.1f} '
        f"Q{start:.1f},{up:.1f} {start + side * 8:.1f},{up:.1f} "
        f'H{end - side * 8:.1f} Q{end:.1f},{up:.1f} {end:.1f},{up + 8:.1f} V{base - 5:.1f}"/>'
    )
    yield f'<path class="tip" d="M{end - 4:.1f},{base - 6:.1f} h8 l-4,6 z"/>'
    middle, wide = (start + end) / 2, width(label, SMALL) + 8
    yield f'<rect class="behind" x="{middle - wide / 2:.1f}" y="{up - 7:.1f}" width="{wide:.1f}" height="14"/>'
    yield text_at(middle, up + 4, label, SMALL, "small", "middle")


def draw(doc: Doc) -> str:
    """The SVG of a Doc with entities, relations and answers."""
    parts: list[str] = []
    right, y = 0.0, float(MARGIN) / 2
    for sent in doc.sents:
        inside = [r for r in get_relations(doc) if sent.start <= r.head.start < sent.end and r.head.sent == r.tail.sent]
        edge, y = sentence(sent, inside, y, parts)
        right = max(right, edge)
    for answer in get_answers(doc):
        y += SIZE + 12
        parts.append(text_at(MARGIN, y, answer.question))
        x = MARGIN + width(answer.question + "  ")
        parts.append(text_at(x, y, f"→ {answer.text or 'no answer'}", kind="answer"))
    wide, high = right + MARGIN, y + MARGIN
    title = f"What en_luke_mini finds in: {doc.text}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" role="img">'
    page = '<rect class="page" width="100%" height="100%" rx="8"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", page, *parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_luke_mini", help="folder or name of a pipeline")
    parser.add_argument("--output", type=Path, default=TARGET, help="SVG file to write")
    given = parser.parse_args()
    nlp = spacy.load(given.model)
    doc = nlp.make_doc(TEXT)
    set_questions(doc, QUESTIONS)
    given.output.write_text(draw(nlp(doc)), encoding="utf8")


if __name__ == "__main__":
    main()
