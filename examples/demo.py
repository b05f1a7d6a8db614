"""Annotate a text with a pipeline, print the best of what it finds, and write all of it as a page.

    python examples/demo.py
    python examples/demo.py --model path/to/pipeline --text letter.txt --question "Who wrote it?" --output letter.html

The text is cut into documents at blank lines. A question is asked of each, and the best answer is shown. Relations,
types, links and answers are those of a pipeline that has components for them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import spacy
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from spacy.tokens import Doc, Span

from spacy_luke import displacy
from spacy_luke.annotations import (
    Answer,
    get_answers,
    get_entity_types,
    get_link,
    get_relations,
    set_answers,
    set_questions,
)
from spacy_luke.files import write_file

TEXT = Path(__file__).with_name("demo_text.txt")
QUESTIONS = ("Who reached the South Pole?", "What did Marc Andreessen and Eric Bina write?")
HINT = (
    "Point at an entity for its types and score, at an arc for its score; an underlined entity leads to Wikipedia. "
    "The lists below the texts have all of it."
)
MIN_SCORE = 0.5  # of what the page shows
ENTITIES = ("entity", "type", "finer types", "Wikipedia", "score", "paragraph")
RELATIONS = ("from", "relation", "to", "score", "paragraph")
ANSWERS = ("question", "answer", "score", "paragraph")


def paragraphs(text: str) -> list[str]:
    """The parts of a text between blank lines, each on one line."""
    parts = [" ".join(part.split()) for part in text.replace("\r\n", "\n").split("\n\n")]
    return [part for part in parts if part]


def show_score(ent: Span) -> str:
    """The probability of an entity; "" if no component of spacy_luke found it."""
    score = ent._.score if Span.has_extension("score") else None
    return "" if score is None else f"{score:.2f}"


def entity_rows(docs: Iterable[Doc]) -> list[tuple[str, ...]]:
    """The cells of every entity, as `ENTITIES` names them."""
    return [
        (ent.text, ent.label_, ", ".join(get_entity_types(ent)), get_link(ent), show_score(ent), str(i))
        for i, doc in enumerate(docs, 1)
        for ent in doc.ents
    ]


def relation_rows(docs: Iterable[Doc]) -> list[tuple[str, ...]]:
    """The cells of every relation, as `RELATIONS` names them."""
    return [
        (relation.head.text, relation.label, relation.tail.text, f"{relation.score:.2f}", str(i))
        for i, doc in enumerate(docs, 1)
        for relation in get_relations(doc)
    ]


def best(header: Sequence[str], rows: Iterable[tuple[str, ...]], count: int) -> list[tuple[str, ...]]:
    """The most probable rows, each once, however many paragraphs it is found in."""
    score = header.index("score")
    different: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in sorted(rows, key=lambda row: row[score], reverse=True):  # "" is less than any number
        different.setdefault(row[:3], row)
    return list(different.values())[:count]


def best_answers(docs: Sequence[Doc], questions: Iterable[str]) -> dict[str, tuple[Answer, int] | None]:
    """Question -> best answer with the number of its paragraph, counted from 1; None where none answers it.

    Scores compare between Docs, for "no answer" has its share in each.
    """
    found = {question: [] for question in questions}
    for i, doc in enumerate(docs, 1):
        for answer in get_answers(doc):
            if answer.span is not None:
                found[answer.question].append((answer, i))
    return {question: max(of, key=lambda pair: pair[0].score, default=None) for question, of in found.items()}


def answer_rows(answers: Mapping[str, tuple[Answer, int] | None]) -> list[tuple[str, ...]]:
    """The cells of the best answer to each question, as `ANSWERS` names them."""
    return [
        (question, "no answer", "", "") if of is None else (question, of[0].text, f"{of[0].score:.2f}", str(of[1]))
        for question, of in answers.items()
    ]


def keep_answers(docs: Sequence[Doc], answers: Mapping[str, tuple[Answer, int] | None]) -> None:
    """Leave each question, and its best answer, to the paragraph that has it."""
    for i, doc in enumerate(docs, 1):
        kept = [of[0] for of in answers.values() if of is not None and of[1] == i]
        set_questions(doc, [answer.question for answer in kept])
        set_answers(doc, kept)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Rows under a header, without the columns in which there is nothing."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    filled = [i for i in range(len(header)) if not rows or any(row[i] for row in rows)]
    for i in filled:
        quiet = header[i] in ("score", "paragraph")
        # A label is not cut, however narrow the terminal is.
        shown.add_column(
            header[i],
            justify="right" if quiet else "left",
            style="dim" if quiet else None,
            no_wrap=header[i] == "relation",
        )
    for row in rows:
        shown.add_row(*(Text(row[i]) for i in filled))  # as Text, for a name may look like rich's markup
    return shown


def page(docs: Sequence[Doc], title: str, about: str = "") -> str:
    """An HTML page with all that was found in the Docs. It loads nothing from elsewhere."""
    language = docs[0].lang_ if docs else "en"
    options = {
        "title": title,
        "about": about,
        "colors": displacy.QUIET_COLORS,
        "min_score": MIN_SCORE,
        "kb_url_template": f"https://{language}.wikipedia.org/wiki/{{}}",
    }
    return displacy.render(docs, style="overview", page=True, jupyter=False, options=options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_luke_mini", help="package name or folder of the pipeline")
    parser.add_argument("--text", type=Path, default=TEXT, help="the text, in UTF-8")
    parser.add_argument("--question", action="append", help="a question about the text; may be repeated")
    parser.add_argument("--output", type=Path, default=Path("demo.html"), help="the page to write")
    parser.add_argument("--rows", type=int, default=10, help="most of a table in the terminal")
    args = parser.parse_args()

    start = time.perf_counter()
    nlp = spacy.load(args.model)
    loaded = time.perf_counter()
    docs = [nlp.make_doc(text) for text in paragraphs(args.text.read_text(encoding="utf8"))]
    answering = any(nlp.get_pipe_meta(name).factory == "luke_qa" for name in nlp.pipe_names)
    questions = args.question or (QUESTIONS if answering and args.text.resolve() == TEXT.resolve() else ())
    for doc in docs:
        set_questions(doc, questions)
    docs = list(nlp.pipe(docs))
    annotated = time.perf_counter()

    entities, relations, answers = entity_rows(docs), relation_rows(docs), best_answers(docs, questions)
    keep_answers(docs, answers)
    words, sentences = sum(map(len, docs)), sum(len(list(doc.sents)) for doc in docs)
    found = f"{len(entities)} entities and {len(relations)} relations in {sentences} sentences, {words} tokens"
    unanswered = [question for question, of in answers.items() if of is None]
    no_answer = f" No answer was found to: {' '.join(unanswered)}" if unanswered else ""
    about = f"{args.model} found {found}. {HINT}{no_answer}"
    write_file(args.output, page(docs, args.text.name, about))

    console = Console()
    for title, header, rows in (("Entities", ENTITIES, entities), ("Relations", RELATIONS, relations)):
        shown = best(header, rows, args.rows)
        if shown:
            best_of = f", the {len(shown)} most probable of {len(rows)}" if len(shown) < len(rows) else ""
            console.print(table(f"{title}{best_of}", header, shown))
    if answers:
        console.print(table("Answers", ANSWERS, answer_rows(answers)))
    console.print(Text(f"{found}: {loaded - start:.1f} s to load {args.model}, {annotated - loaded:.1f} s to annotate"))
    console.print(Text(f"Open {args.output} in a browser to see all of them in the text."))


if __name__ == "__main__":
    main()
