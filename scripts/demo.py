"""Annotate a text with a pipeline, print its entities with their scores, and write them as a displaCy page.

    python scripts/demo.py
    python scripts/demo.py --model path/to/pipeline --text letter.txt --output letter.html

The text is cut into documents at blank lines.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import spacy
from spacy import displacy
from spacy.tokens import Doc, Span

TEXT = Path(__file__).with_name("demo_text.txt")
COLORS = {"PER": "#aadfff", "ORG": "#ffd58a", "LOC": "#b8e6b0", "MISC": "#dcc6f2"}
# displaCy's own template with the score beside the label
TEMPLATE = """<mark class="entity" style="background: {bg}; padding: 0.45em 0.6em; margin: 0 0.25em; line-height: 1;
 border-radius: 0.35em;">{text}<span style="font-size: 0.8em; font-weight: bold; line-height: 1;
 vertical-align: middle; margin-left: 0.5rem">{label}<span style="font-weight: normal"> {score}</span></span></mark>"""
HEADER = ("entity", "type", "score", "paragraph")


def paragraphs(text: str) -> list[str]:
    """The parts of a text between blank lines, each on one line."""
    parts = [" ".join(part.split()) for part in text.replace("\r\n", "\n").split("\n\n")]
    return [part for part in parts if part]


def show_score(ent: Span) -> str:
    """The probability of an entity; "-" if no component of spacy_luke found it."""
    score = ent._.score if Span.has_extension("score") else None
    return "-" if score is None else f"{score:.3f}"


def entity_rows(docs: Iterable[Doc]) -> list[tuple[str, str, str, str]]:
    """Text, type, score and number of the paragraph of every entity."""
    return [(ent.text, ent.label_, show_score(ent), str(i)) for i, doc in enumerate(docs, 1) for ent in doc.ents]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, in columns that fit their content."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = [HEADER, tuple("-" * width for width in widths), *rows]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def page(docs: Iterable[Doc], title: str) -> str:
    """An HTML page with the entities of the Docs marked. It loads nothing from elsewhere."""
    marked = [
        {
            "text": doc.text,
            "ents": [
                {
                    "start": ent.start_char,
                    "end": ent.end_char,
                    "label": ent.label_,
                    "params": {"score": show_score(ent)},
                }
                for ent in doc.ents
            ],
        }
        for doc in docs
    ]
    options: dict[str, Any] = {"colors": COLORS, "template": TEMPLATE}
    html = displacy.render(marked, style="ent", page=True, manual=True, jupyter=False, options=options)
    head = f'<meta charset="utf-8">\n        <title>{escape(title)}</title>'
    return html.replace("<title>displaCy</title>", head, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_luke_mini", help="package name or folder of the pipeline")
    parser.add_argument("--text", type=Path, default=TEXT, help="the text, in UTF-8")
    parser.add_argument("--output", type=Path, default=Path("demo.html"), help="the page to write")
    args = parser.parse_args()

    start = time.perf_counter()
    nlp = spacy.load(args.model)
    loaded = time.perf_counter()
    docs = list(nlp.pipe(paragraphs(args.text.read_text(encoding="utf8"))))
    annotated = time.perf_counter()
    args.output.write_text(page(docs, title=f"{args.text.name}, annotated by {args.model}"), encoding="utf8")

    rows = entity_rows(docs)
    words, sentences = sum(map(len, docs)), sum(len(list(doc.sents)) for doc in docs)
    print(f"{table(rows)}\n")
    print(f"{len(rows)} entities in {sentences} sentences, {words} tokens")
    print(f"{loaded - start:.1f} s to load {args.model}, {annotated - loaded:.1f} s to annotate")
    print(f"Open {args.output} in a browser to see them in the text.")


if __name__ == "__main__":
    main()
