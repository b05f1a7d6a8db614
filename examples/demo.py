"""Annotate a text with a pipeline, print what it finds with scores, and write it as a page.

    python examples/demo.py
    python examples/demo.py --model path/to/pipeline --text letter.txt --question "Who wrote it?" --output letter.html

The text is cut into documents at blank lines. A question is asked of each, and the best answer is shown. Relations,
types, links and answers are those of a pipeline that has components for them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import spacy
from spacy.tokens import Doc, Span

from spacy_luke import displacy
from spacy_luke.annotations import Answer, get_answers, get_entity_types, get_link, get_relations, set_questions
from spacy_luke.files import write_file

TEXT = Path(__file__).with_name("demo_text.txt")
QUESTIONS = ("Who reached the South Pole?", "What did Marc Andreessen and Eric Bina write?")
COLORS = {"PER": "#aadfff", "ORG": "#ffd58a", "LOC": "#b8e6b0", "MISC": "#dcc6f2", "DATE": "#e4e7d2"}
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<title>{title}</title></head>
<body style="font-family: sans-serif; line-height: 2; max-width: 960px; margin: 2em auto">
{body}
</body></html>
"""
ENTITIES = ("entity", "type", "score", "finer types", "link", "paragraph")
RELATIONS = ("relation", "of", "to", "score", "paragraph")
ANSWERS = ("question", "answer", "score", "paragraph")


def paragraphs(text: str) -> list[str]:
    """The parts of a text between blank lines, each on one line."""
    parts = [" ".join(part.split()) for part in text.replace("\r\n", "\n").split("\n\n")]
    return [part for part in parts if part]


def show_score(ent: Span) -> str:
    """The probability of an entity; "-" if no component of spacy_luke found it."""
    score = ent._.score if Span.has_extension("score") else None
    return "-" if score is None else f"{score:.3f}"


def entity_rows(docs: Iterable[Doc]) -> list[tuple[str, ...]]:
    """The cells of every entity, as `ENTITIES` names them."""
    return [
        (ent.text, ent.label_, show_score(ent), ", ".join(get_entity_types(ent)), get_link(ent), str(i))
        for i, doc in enumerate(docs, 1)
        for ent in doc.ents
    ]


def relation_rows(docs: Iterable[Doc]) -> list[tuple[str, ...]]:
    """The cells of every relation, as `RELATIONS` names them."""
    return [
        (relation.label, relation.head.text, relation.tail.text, f"{relation.score:.3f}", str(i))
        for i, doc in enumerate(docs, 1)
        for relation in get_relations(doc)
    ]


def answer_rows(docs: Iterable[Doc], questions: Iterable[str]) -> list[tuple[str, ...]]:
    """The cells of the best answer to each question, as `ANSWERS` names them.

    A score is the share of an answer among those of its own Doc; between Docs, raw scores compare.
    """
    found: dict[str, list[tuple[Answer, int]]] = {question: [] for question in questions}
    for i, doc in enumerate(docs, 1):
        for answer in get_answers(doc):
            if answer.span is not None:
                found[answer.question].append((answer, i))
    rows = []
    for question, answers in found.items():
        if answers:
            answer, i = max(answers, key=lambda pair: pair[0].logit)
            rows.append((question, answer.text, f"{answer.score:.3f}", str(i)))
        else:
            rows.append((question, "no answer", "", ""))
    return rows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, in columns that fit their content, without those in which there is nothing."""
    filled = [i for i in range(len(header)) if not rows or any(row[i] for row in rows)]
    cells = [[line[i] for i in filled] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def page(docs: Iterable[Doc], title: str) -> str:
    """An HTML page with the entities of the Docs marked, and their relations below. It loads nothing from elsewhere."""
    options = {"colors": COLORS}
    parts = []
    for doc in docs:
        parts.append(displacy.render(doc, style="ent", jupyter=False, options=options))
        if get_relations(doc):
            parts.append(displacy.render(doc, style="relations", jupyter=False, options={**options, "width": 900}))
    return PAGE.format(title=escape(title), body="\n<hr>\n".join(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_luke_mini", help="package name or folder of the pipeline")
    parser.add_argument("--text", type=Path, default=TEXT, help="the text, in UTF-8")
    parser.add_argument("--question", action="append", help="a question about the text; may be repeated")
    parser.add_argument("--output", type=Path, default=Path("demo.html"), help="the page to write")
    args = parser.parse_args()

    start = time.perf_counter()
    nlp = spacy.load(args.model)
    loaded = time.perf_counter()
    docs = [nlp.make_doc(text) for text in paragraphs(args.text.read_text(encoding="utf8"))]
    questions = args.question or (QUESTIONS if args.text == TEXT else ())
    for doc in docs:
        set_questions(doc, questions)
    docs = list(nlp.pipe(docs))
    annotated = time.perf_counter()
    write_file(args.output, page(docs, title=f"{args.text.name}, annotated by {args.model}"))

    entities = entity_rows(docs)
    print(f"{table(ENTITIES, entities)}\n")
    for header, rows in ((RELATIONS, relation_rows(docs)), (ANSWERS, answer_rows(docs, questions))):
        if rows:
            print(f"{table(header, rows)}\n")
    words, sentences = sum(map(len, docs)), sum(len(list(doc.sents)) for doc in docs)
    print(f"{len(entities)} entities in {sentences} sentences, {words} tokens")
    print(f"{loaded - start:.1f} s to load {args.model}, {annotated - loaded:.1f} s to annotate")
    print(f"Open {args.output} in a browser to see them in the text.")


if __name__ == "__main__":
    main()
