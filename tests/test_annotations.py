"""Gold and predicted annotation in a Doc: spans only, plain data, and carried wherever spaCy carries extension data."""

import pickle

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_luke import Answer, LukeError, Relation, has_annotation
from spacy_luke.annotations import ANNOTATIONS, typed_spans

TEXT = "Ana met Bo in Rome. Cy left them (1066)."


@pytest.fixture
def doc() -> Doc:
    doc = spacy.blank("en")(TEXT)
    doc._.relations = [
        Relation(doc[2:3], doc[0:1], "met", 0.5),
        (doc[0:1], doc[4:5], "in"),
        (doc[6:7], doc[8:9], "left"),
    ]
    doc[0:1]._.entity_types = ["person", "artist"]
    doc[0:1]._.entity_type_scores = {"person": 0.9, "artist": 0.8, "place": 0.1}
    doc._.questions = ["Who?", "When?"]
    doc._.answers = [Answer("Who?", doc[0:1], score=0.7, logit=3.5), Answer("When?", None)]
    return doc


def relations(doc: Doc) -> list[tuple[str, str, str, float]]:
    return [(r.head.text, r.tail.text, r.label, r.score) for r in doc._.relations]


IN_TEXT_ORDER = [("Ana", "Rome", "in", 1.0), ("Bo", "Ana", "met", 0.5), ("Cy", "them", "left", 1.0)]


def as_bytes(doc: Doc) -> Doc:
    return Doc(doc.vocab).from_bytes(doc.to_bytes())


def as_docbin(doc: Doc) -> Doc:
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    return next(DocBin().from_bytes(data).get_docs(doc.vocab))


@pytest.mark.parametrize(
    "copied", [lambda d: d, as_bytes, as_docbin, lambda d: d.copy(), lambda d: pickle.loads(pickle.dumps(d))]
)
def test_annotations_are_carried_by_every_copy_of_a_doc(doc, copied) -> None:
    copy = copied(doc)
    assert relations(copy) == IN_TEXT_ORDER
    assert copy[0:1]._.entity_types == ("person", "artist")
    assert copy[0:1]._.entity_type_scores == {"person": 0.9, "artist": 0.8, "place": 0.1}
    assert copy._.questions == ("Who?", "When?")
    who, when = copy._.answers
    assert (who.span.text, who.text, who.score, who.logit, who.start_char) == ("Ana", "Ana", 0.7, 3.5, 0)
    assert (when.span, when.text, when.start_char) == (None, "", -1)
    assert all(has_annotation(copy, name) for name in ANNOTATIONS)


def test_what_belongs_to_spans_moves_with_them(doc) -> None:
    before = Doc(doc.vocab, words=["Hello", "there"])
    joined = Doc.from_docs([before, doc])
    assert relations(joined) == IN_TEXT_ORDER
    assert [(s.text, s._.entity_types) for s in typed_spans(joined)] == [("Ana", ("person", "artist"))]
    part = doc[6:12].as_doc(copy_user_data=True)
    assert relations(part) == [("Cy", "them", "left", 1.0)]
    assert typed_spans(part) == []


def test_no_annotation_is_not_the_same_as_none_found() -> None:
    doc = spacy.blank("en")(TEXT)
    assert not any(has_annotation(doc, name) for name in ANNOTATIONS)
    doc._.relations, doc._.questions, doc._.answers, doc[0:1]._.entity_types = [], [], [], []
    assert all(has_annotation(doc, name) for name in ANNOTATIONS)
    assert doc._.relations == doc._.questions == doc._.answers == doc[0:1]._.entity_types == ()
    doc._.relations = doc._.questions = doc._.answers = doc[0:1]._.entity_types = None
    assert not any(has_annotation(doc, name) for name in ANNOTATIONS)
    with pytest.raises(LukeError, match=r"L073.*ents"):
        has_annotation(doc, "ents")


def test_writing_again_replaces(doc) -> None:
    doc._.relations = [(doc[6:7], doc[0:1], "saw")]
    assert relations(doc) == [("Cy", "Ana", "saw", 1.0)]
    doc._.relations = []
    assert relations(doc) == []
    doc[0:1]._.entity_types = ["place"]
    assert (doc[0:1]._.entity_types, doc[0:1]._.entity_type_scores) == (("place",), {})


def test_the_labels_of_the_spans_are_kept(doc) -> None:
    doc.set_ents([spacy.tokens.Span(doc, 0, 1, "PER"), spacy.tokens.Span(doc, 4, 5, "LOC")])
    doc._.relations = [(doc.ents[0], doc.ents[1], "in")]
    [found] = as_bytes(doc)._.relations
    assert (found.head.label_, found.tail.label_) == ("PER", "LOC")


def test_the_text_of_an_answer_may_be_less_than_its_tokens() -> None:
    doc = spacy.blank("en")("It is 42.5%ish.")
    token = next(t for t in doc if "42" in t.text)
    span = doc[token.i : token.i + 1]
    doc._.answers = [Answer("How much?", span, "2.5")]
    [answer] = doc._.answers
    assert (answer.text, answer.start_char, answer.span.text) == ("2.5", 7, span.text)
    with pytest.raises(LukeError, match=r"L072.*'43'"):
        doc._.answers = [Answer("How much?", span, "43")]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Ana in Rome", "L070"),
        (["Ana in Rome"], "L070"),
        ([(0, 3, "in")], "L071"),
        (7, "L070"),
    ],
)
def test_relations_take_nothing_but_spans_of_the_doc(doc, value, code) -> None:
    with pytest.raises(LukeError, match=code):
        doc._.relations = value
    assert relations(doc) == IN_TEXT_ORDER, "a refused value must leave the old one"


def test_spans_of_another_doc_empty_spans_and_bad_labels_and_scores_are_refused(doc) -> None:
    other = spacy.blank("en")(TEXT)
    for wrong, code in (
        ((other[0:1], doc[4:5], "in"), r"L071.*another Doc"),
        ((doc[0:0], doc[4:5], "in"), r"L071.*empty"),
        ((doc[0:1], doc[4:5], 3), "L070"),
        ((doc[0:1], doc[4:5], ""), "L070"),
        ((doc[0:1], doc[4:5], "in", 1.5), r"L070.*1\.5"),
        ((doc[0:1], doc[4:5], "in", True), "L070"),
    ):
        with pytest.raises(LukeError, match=code):
            doc._.relations = [wrong]


def test_types_questions_and_answers_are_checked_too(doc) -> None:
    span = doc[0:1]
    with pytest.raises(LukeError, match="L070"):
        span._.entity_types = "person"
    with pytest.raises(LukeError, match="L070"):
        span._.entity_types = [1]
    with pytest.raises(LukeError, match="L070"):
        span._.entity_type_scores = ["person"]
    with pytest.raises(LukeError, match="L070"):
        span._.entity_type_scores = {"person": 7}
    with pytest.raises(LukeError, match="L070"):
        doc._.questions = "Who?"
    with pytest.raises(LukeError, match="L070"):
        doc._.questions = [3]
    with pytest.raises(LukeError, match="L071"):
        doc._.answers = [("Who?", (0, 3))]
    with pytest.raises(LukeError, match="L070"):
        doc._.answers = [(3, doc[0:1])]
