"""What all annotation tools have in common: their exports give the same Docs, and Docs survive both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.annotations import (
    RELATIONS,
    Relation,
    get_relations,
    get_score,
    has_annotation,
    set_relations,
    set_score,
)
from spacy_luke.converters import CONVERTERS, EXPORTERS, ConversionReport, get_exporter
from spacy_luke.converters.texts import TextTokenizer
from spacy_luke.converters.tools import ANNOTATED, NOT_ANNOTATED
from spacy_luke.errors import LukeError
from spacy_luke.extensions import write_scored_spans

from .test_wrong_values import WRONG, places, replaced
from .util import entities, relations, through_docbin, write_json

DATA = Path(__file__).parents[1] / "data" / "annotation_tools"
FIXTURES = {
    "label_studio": DATA / "label_studio.json",
    "doccano": DATA / "doccano_relations.jsonl",
    "brat": DATA / "brat" / "17.ann",
    "inception": DATA / "inception" / "ann.json",
    "prodigy": DATA / "prodigy.jsonl",
}
FOLDERS = ("brat", "inception")
KINDS = [
    ("label_studio", {}),
    ("label_studio", {"results": "predictions"}),
    ("doccano", {}),
    ("brat", {}),
    ("inception", {}),
    ("inception", {"xmi": True}),
    ("prodigy", {}),
    ("prodigy", {"results": "predictions"}),
]
VOCAB = Vocab()


@pytest.mark.parametrize("path", [*FIXTURES.items(), ("inception", DATA / "inception" / "ann.xmi")], ids=str)
def test_exports_of_all_tools_give_the_same_doc(path, tmp_path):
    kind, file = path
    docs, report = CONVERTERS[kind](file)
    doc = through_docbin(docs, tmp_path)[0]
    assert doc.text == "\U0001f44d Ann Lee works\r\nfor Acme in New Rome."
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme", "ORG"), ("New Rome", "LOC")]
    assert relations(doc) == [("Ann Lee", "works_for", "Acme"), ("Acme", "based_in", "New Rome")]
    assert doc.user_data["id"] == ("17.txt" if kind == "inception" else "17")
    assert report.relations == {"works_for": 1, "based_in": 1}
    assert not report.expanded_spans.count


def test_a_text_without_relations_beside_others_has_none():
    for kind in ("label_studio", "doccano", "prodigy"):
        docs, report = CONVERTERS[kind](FIXTURES[kind])
        assert has_annotation(docs[1], RELATIONS)
        assert not get_relations(docs[1])
        assert report.unrelated == 1


@pytest.mark.parametrize("kind", ["label_studio", "doccano", "prodigy", "inception"])
def test_a_wrong_value_anywhere_is_read_or_a_coded_error_that_names_the_file(tmp_path, kind):
    first, _, _ = FIXTURES[kind].read_text(encoding="utf8").partition("\n" if kind in ("doccano", "prodigy") else "\0")
    content = json.loads(first)
    errors: list[LukeError] = []
    for number, path in enumerate(places(content)):
        for value in WRONG[number % 5 :: 5]:  # another few of them in each place
            changed = replaced(content, path, value)
            file = write_json(tmp_path / "a.json", [changed] if kind in ("doccano", "prodigy") else changed)
            try:
                docs, _ = CONVERTERS[kind](file, vocab=VOCAB)
                assert all(isinstance(doc, Doc) for doc in docs)
            except LukeError as error:
                errors.append(error)
    assert len(errors) > 50
    assert {error.code for error in errors} <= {"L060", "L064", "L177"}
    assert all("a.json" in str(error) for error in errors)


# Round trips


def example(text: str = "Ann Lee works for Acme Corp in New Rome.") -> Doc:
    """Two overlapping spans in doc.spans["nested"], three entities with scores and links, two relations."""
    doc = spacy.blank("en")(text)
    doc.set_ents([Span(doc, 0, 2, "PER", kb_id="Q1"), Span(doc, 4, 6, "ORG"), Span(doc, 7, 9, "LOC")])
    doc.spans["nested"] = [Span(doc, 0, 2, "PER"), Span(doc, 1, 2, "NAME"), Span(doc, 4, 6, "ORG")]
    return doc


def exported(kind: str, docs: list[Doc], folder: Path, **options: Any) -> tuple[list[Doc], ConversionReport]:
    """The Docs, written and read again, and what the writer said."""
    target = folder / (kind if kind in FOLDERS else f"{kind}.json")
    report = EXPORTERS[kind](docs, target, **options)
    known = {name: value for name, value in options.items() if name == "spans_key"}
    if kind == "label_studio" and "results" in options:
        known["results"] = options["results"]
    suffixes = (".ann", ".xmi") if options.get("xmi") else (".ann", ".json")
    files = sorted(path for path in target.iterdir() if path.suffix in suffixes) if kind in FOLDERS else [target]
    read = [doc for file in files for doc in CONVERTERS[kind](file, vocab=VOCAB, **known)[0]]
    return read, report


def holds_scores(kind: str, options: dict[str, Any]) -> bool:
    return kind in ("brat", "inception", "prodigy") or options.get("results") == "predictions"


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_entities_and_relations_survive_with_scores_where_the_format_has_them(tmp_path, kind, options):
    doc = example()
    set_score(doc.ents[0], 0.5)
    set_score(doc.ents[2], 0.25)
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "works", 0.75), Relation(doc.ents[2], doc.ents[1], "has")])
    (again,), report = exported(kind, [doc], tmp_path, **options)
    scored = holds_scores(kind, options)
    assert again.text == doc.text
    assert entities(again) == entities(doc)
    assert relations(again) == relations(doc)
    assert [get_score(span) for span in again.ents] == ([0.5, None, 0.25] if scored else [None] * 3)
    assert [relation.score for relation in get_relations(again)] == ([0.75, 1.0] if scored else [1.0, 1.0])
    assert (report.not_carried["scores of mentions"], report.not_carried["scores of relations"]) == (
        (0, 0) if scored else (2, 1)
    )
    linked = kind in ("brat", "inception", "prodigy")
    assert [span.kb_id_ for span in again.ents] == (["Q1", "", ""] if linked else ["", "", ""])
    assert report.not_carried["links"] == (0 if linked else 1)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_overlapping_spans_survive_under_their_key_with_relations_between_them(tmp_path, kind, options):
    doc = example()
    outer, inner, other = doc.spans["nested"]
    set_relations(doc, [Relation(inner, other, "works"), Relation(outer, inner, "named")])
    (again,), report = exported(kind, [doc], tmp_path, spans_key="nested", **options)
    spans = [(span.text, span.label_) for span in again.spans["nested"]]
    assert sorted(spans) == [("Acme Corp", "ORG"), ("Ann Lee", "PER"), ("Lee", "NAME")]
    assert sorted(relations(again)) == [("Ann Lee", "named", "Lee"), ("Lee", "works", "Acme Corp")]
    assert {relation.head.label_ for relation in get_relations(again)} == {"PER", "NAME"}
    assert report.not_carried["doc.ents"] == 1  # the others are in "nested", too


@pytest.mark.parametrize(("kind", "options"), [item for item in KINDS if holds_scores(*item)])
def test_two_labels_in_the_same_place_have_a_score_each(tmp_path, kind, options):
    doc = example()
    write_scored_spans(
        doc, "sc", [Span(doc, 0, 2, "PER"), Span(doc, 0, 2, "BOSS"), Span(doc, 4, 6, "ORG")], [0.5, 0.25, 1]
    )
    (again,), _ = exported(kind, [doc], tmp_path, spans_key="sc", **options)
    found = {
        span.label_: score for span, score in zip(again.spans["sc"], again.spans["sc"].attrs["scores"], strict=True)
    }
    assert found == {"PER": 0.5, "BOSS": 0.25, "ORG": 1.0}


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_what_no_tool_takes_is_told(tmp_path, kind, options):
    doc = example()
    doc._.questions = ["Who?"]
    doc._.answers = []
    doc._.choices = [("Who?", ["Ann", "Bo"])]
    doc._.chosen = [0]
    doc.ents[0]._.entity_types = ["person"]
    doc[0]._.luke_tag = "NN"
    _, report = exported(kind, [doc], tmp_path, **options)
    assert {name: count for name, count in report.not_carried.items() if name not in ("links", "meta")} == {
        "doc.spans['nested']": 1,  # the others are entities, too
        "questions": 1,
        "choices": 1,
        "chosen options": 1,
        "entities with types": 1,
        "tags of tokens": 1,
    }
    assert "Not carried over, for lack of a place: " in str(report)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_relation_of_what_is_not_written_is_told(tmp_path, kind, options):
    doc = example()
    set_relations(doc, [Relation(doc.ents[0], doc[2:3], "does")])
    (again,), report = exported(kind, [doc], tmp_path, **options)
    assert not get_relations(again)
    assert report.unknown_ends.first == ["Doc 1 does"]
    assert report.dropped_relations == {"does": 1}


@pytest.mark.parametrize(("kind", "options"), [item for item in KINDS if item[0] not in FOLDERS])
def test_categories_survive(tmp_path, kind, options):
    docs = [spacy.blank("en")(text) for text in ("Hello there", "Go away")]
    docs[0].cats, docs[1].cats = {"kind": 1.0, "rude": 0.0}, {"kind": 0.0, "rude": 1.0}
    again, report = exported(kind, docs, tmp_path, **options)
    assert [doc.cats for doc in again] == [{"kind": 1.0, "rude": 0.0}, {"kind": 0.0, "rude": 1.0}]
    assert report.cats == {"kind": 1, "rude": 1}
    assert not report.not_carried


@pytest.mark.parametrize("kind", ["label_studio", "doccano"])
def test_categories_that_cannot_be_held_are_told(tmp_path, kind):
    doc = spacy.blank("en")("Hello there")
    doc.cats = {"kind": 0.75, "long": 0.25, "rude": 0.0}
    (again,), report = exported(kind, [doc], tmp_path)
    assert again.cats == {"kind": 1.0}
    assert report.not_carried == {
        "scores of categories": 1,
        "scores of categories that are not chosen": 1,
        "categories that no text has": 2,
    }


@pytest.mark.parametrize(("kind", "options"), [item for item in KINDS if item[0] not in FOLDERS])
def test_ids_and_other_data_of_a_text_survive(tmp_path, kind, options):
    doc = example()
    doc.user_data["id"], doc.user_data["meta"] = "17", {"source": "letters", "page": 3}
    (again,), _ = exported(kind, [doc], tmp_path, **options)
    assert (again.user_data["id"], again.user_data["meta"]) == ("17", {"source": "letters", "page": 3})


@pytest.mark.parametrize(("kind", "name", "again"), [("brat", "a.b c", "a.b_c"), ("inception", "a.b c", "a.b c")])
def test_the_id_of_a_text_survives_in_a_folder_as_far_as_it_can_be_a_name(tmp_path, kind, name, again):
    doc = example()
    doc.user_data["id"], doc.user_data["meta"] = name, {"page": 3}
    (read,), report = exported(kind, [doc], tmp_path)
    assert read.user_data["id"] == again
    assert report.not_carried["meta"] == 1


@pytest.mark.parametrize("kind", FOLDERS)
def test_each_doc_gets_files_of_its_own_name(tmp_path, kind):
    docs = [example() for _ in range(4)]
    for doc, name in zip(docs, ("a b/../c", "A b/../c", "", ".."), strict=True):
        doc.user_data["id"] = name
    again, _ = exported(kind, docs, tmp_path)
    assert len(again) == 4
    names = sorted(path.name for path in (tmp_path / kind).rglob("*") if path.suffix in (".ann", ".json"))
    assert [name.partition(".")[0] for name in names] == ["A_b_", "a_b_", "doc00003", "doc00004"]
    assert all(path.parent == tmp_path / kind for path in tmp_path.rglob("*.*"))


def test_other_data_that_is_no_json_is_an_error(tmp_path):
    doc = example()
    doc.user_data["meta"] = {"x": {1, 2}}
    for kind in ("label_studio", "doccano", "prodigy"):
        with pytest.raises(LukeError, match=r"L179.*Doc 1 cannot be written: doc\.user_data\['meta'\]"):
            EXPORTERS[kind]([doc], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_kind_that_there_is_not_is_an_error():
    with pytest.raises(LukeError, match=r"L175.*'tsv'.*brat, doccano, inception, label_studio, prodigy"):
        get_exporter("tsv")


LABELS = st.sampled_from(["PER", "ORG", "works_for", "\u00e4\u00df", "a:b"])
WORDS = st.text(
    alphabet=st.one_of(
        st.sampled_from("aZ.,-'\u00e9\u4e2d\U0001f44d\U0001f469\u200d\u0301\u2028\ufeff\"<&;:|#*"),
        st.characters(categories=["L", "N", "So"]),
    ),
    min_size=1,
    max_size=6,
)
SPACES = st.sampled_from([" ", "\n", "\r\n", "  ", "\n\n", "\t", " \r\n ", "\x85", "\u00a0", "\r"])


@st.composite
def annotated(draw: Callable[..., Any]) -> Doc:
    parts = draw(st.lists(st.tuples(WORDS, SPACES), min_size=1, max_size=8))
    doc = TextTokenizer(VOCAB)("".join(word + space for word, space in parts))
    solid = [token.i for token in doc if token.text.strip()]
    spans, start = [], 0
    while start < len(solid) and len(spans) < 4:
        first = draw(st.integers(start, len(solid) - 1))
        last = draw(st.integers(first, min(first + 2, len(solid) - 1)))
        spans.append(Span(doc, solid[first], solid[last] + 1, label=draw(LABELS)))
        start = last + 1
    doc.set_ents(spans)
    for span in doc.ents:
        if draw(st.booleans()):
            set_score(span, draw(st.floats(0, 1)))
    if len(doc.ents) > 1 and draw(st.booleans()):
        pairs = st.tuples(st.sampled_from(doc.ents), st.sampled_from(doc.ents), LABELS, st.floats(0, 1))
        drawn = draw(st.lists(pairs, max_size=4, unique_by=lambda pair: (pair[0].start, pair[1].start, pair[2])))
        found = [item for item in drawn if item[0].start != item[1].start]
        set_relations(doc, found)
    return doc


def facts(doc: Doc, *, scores: bool) -> object:
    mentions = [(s.start_char, s.end_char, s.label_, get_score(s) if scores else None) for s in doc.ents]
    related = [(r.head.start_char, r.tail.start_char, r.label, r.score if scores else None) for r in get_relations(doc)]
    return doc.text, mentions, sorted(related)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(doc=annotated())
def test_any_doc_survives(tmp_path_factory, kind, options, doc):
    (again,), report = exported(kind, [doc], tmp_path_factory.mktemp("out"), **options)
    scored = holds_scores(kind, options)
    assert facts(again, scores=scored) == facts(doc, scores=scored)
    assert not report.lost_relations.count
    assert not report.unknown_ends.count
    told = bool(report.not_carried[ANNOTATED] or report.not_carried[NOT_ANNOTATED])
    assert (has_annotation(again, RELATIONS) != has_annotation(doc, RELATIONS)) == told
    assert not told or kind in ("label_studio", "brat")


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_texts_without_relations_and_texts_not_annotated_are_told_apart_or_reported(tmp_path, kind, options):
    docs = [example(f"Ann Lee works for Acme Corp in New {name}.") for name in ("Rome", "York", "Delhi")]
    for number, doc in enumerate(docs):
        doc.user_data["id"] = str(number)
    set_relations(docs[0], [Relation(docs[0].ents[0], docs[0].ents[1], "works")])
    set_relations(docs[1], [])
    again, report = exported(kind, docs, tmp_path, **options)
    known = [has_annotation(doc, RELATIONS) for doc in again]
    throughout = kind == "label_studio" or options.get("xmi", False)
    expected = [True, True, True] if throughout else [True, False, False] if kind == "brat" else [True, True, False]
    assert known == expected
    assert report.not_carried[NOT_ANNOTATED] == throughout
    assert report.not_carried[ANNOTATED] == (kind == "brat")
