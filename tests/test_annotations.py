"""Annotations are plain data in the Doc: they survive whatever a Doc survives, and nothing wrong gets in."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span

from spacy_luke import Answer, Relation, has_annotation
from spacy_luke.annotations import ANNOTATIONS, typed_spans
from spacy_luke.errors import LukeError

TEXT = "Ada Lovelace met Charles Babbage in London. She knew Bo."
NLP = spacy.blank("en")


def make_doc(text: str = TEXT) -> Doc:
    return NLP.make_doc(text)


@pytest.fixture
def doc() -> Doc:
    doc = make_doc()
    ada, babbage = Span(doc, 0, 2, label="PER"), Span(doc, 3, 5, label="PER")
    doc._.relations = [
        Relation(babbage, doc[6:7], "lives_in", 0.25),
        Relation(ada, babbage, "met"),
        (doc[8:9], doc[10:11], "knew", 0.5),
    ]
    doc[0:2]._.entity_types = ["person", "writer"]
    doc[6:7]._.entity_types = []
    doc[0]._.luke_tag, doc[6]._.luke_tag = "NNP", "NN"
    doc[0:2]._.entity_type_scores = {"person": 0.75, "writer": 0.5, "city": 0.125}
    ada._.score = 0.875
    doc._.questions = ["Who?"]
    doc._.answers = [Answer("Who?", doc[0:2], score=0.5), Answer("Who?", None)]
    doc._.choices = [("Who?", ["Bo", "Ada"])]
    doc._.chosen = [1]
    return doc


def relations(doc: Doc) -> list[tuple]:
    return [(r.head.text, r.head.label_, r.tail.text, r.tail.label_, r.label, r.score) for r in doc._.relations]


FACTS = [
    ("Ada Lovelace", "PER", "Charles Babbage", "PER", "met", 1.0),
    ("Charles Babbage", "PER", "London", "", "lives_in", 0.25),
    ("She", "", "Bo", "", "knew", 0.5),
]


def types(doc: Doc) -> list[tuple]:
    return [(span.text, span._.entity_types) for span in typed_spans(doc)]


def tags(doc: Doc) -> dict[str, str]:
    return {token.text: token._.luke_tag for token in doc if token._.luke_tag is not None}


TAGS = {"Ada": "NNP", "London": "NN"}
TYPES = [("Ada Lovelace", ("person", "writer")), ("London", ())]


def test_what_is_written_is_read(doc) -> None:
    assert relations(doc) == FACTS
    assert all(isinstance(r, Relation) and r.head.doc is doc for r in doc._.relations)
    assert types(doc) == TYPES
    assert tags(doc) == TAGS
    assert doc[0:2]._.entity_type_scores == {"person": 0.75, "writer": 0.5, "city": 0.125}
    assert doc[0:1]._.entity_types == ()
    assert doc[0:1]._.entity_type_scores == {}


def test_a_score_is_that_of_a_label() -> None:
    doc = make_doc()
    Span(doc, 0, 2, label="PER")._.score = np.float32(0.5)
    assert Span(doc, 0, 2, label="PER")._.score == 0.5
    assert Span(doc, 0, 2, label="ORG")._.score is None
    assert doc[0:2]._.score == 0.5, "whatever was predicted"
    assert doc[0:1]._.score is None
    Span(doc, 0, 2, label="ORG")._.score = 0.25
    assert Span(doc, 0, 2, label="PER")._.score is None
    doc[0:2]._.score = None
    assert doc[0:2]._.score is Span(doc, 0, 2, label="ORG")._.score is None
    assert not doc.user_data


def test_scores_saved_without_their_label_are_read() -> None:
    """As in Docs of version 0.1.0."""
    doc = make_doc()
    doc.user_data["._.", "score", 0, 12] = 0.5
    assert Span(doc, 0, 2, label="PER")._.score == 0.5


@pytest.mark.parametrize("score", [1.5, -0.1, "0.5", True, float("nan")])
def test_a_score_is_a_probability(score) -> None:
    with pytest.raises(LukeError, match=r"L070.*span\._\.score"):
        make_doc()[0:2]._.score = score


def bytes_of(doc: Doc) -> Doc:
    return Doc(NLP.vocab).from_bytes(doc.to_bytes())


def doc_bin(doc: Doc) -> Doc:
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    return next(DocBin().from_bytes(data).get_docs(NLP.vocab))


COPIES = {
    "to_bytes": bytes_of,
    "DocBin": doc_bin,
    "copy": lambda doc: doc.copy(),
    "pickle": lambda doc: pickle.loads(pickle.dumps(doc)),
}


@pytest.mark.parametrize("how", COPIES)
def test_every_copy_of_a_doc_has_its_annotations(doc, how: str) -> None:
    copy = COPIES[how](doc)
    assert copy is not doc
    assert relations(copy) == FACTS
    assert types(copy) == TYPES
    assert copy[0:2]._.entity_type_scores["city"] == 0.125
    assert [Span(copy, 0, 2, label=label)._.score for label in ("PER", "ORG")] == [0.875, None]
    assert tags(copy) == TAGS
    assert copy._.questions == ("Who?",)
    assert [(a.question, a.text, a.score) for a in copy._.answers] == [("Who?", "Ada Lovelace", 0.5), ("Who?", "", 1.0)]
    assert [(c.question, c.text, c.score) for c in copy._.chosen] == [("Who?", "Ada", 1.0)]
    assert all(has_annotation(copy, name) for name in ANNOTATIONS)
    doc._.relations = None
    doc[0:2]._.entity_types = None
    assert relations(copy) == FACTS, "a copy is one"
    assert types(copy) == TYPES


def test_concatenated_docs_have_the_relations_and_types_of_their_parts(doc) -> None:
    other = make_doc("  Bo ran. ")
    other[1:2]._.entity_types = ["person"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spaCy says that questions and answers of a whole Doc are not joined
        joined = Doc.from_docs([doc, other, doc.copy()])
    assert relations(joined) == FACTS * 2
    assert types(joined) == [*TYPES, ("Bo", ("person",)), *TYPES]
    assert [r.head.start for r in joined._.relations][::3] == [0, len(doc) + len(other)]


def test_joining_docs_with_nothing_found_says_so_quietly() -> None:
    parts = [make_doc("Ada ran."), make_doc("Bo ran.")]
    for part in parts:
        part._.relations = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joined = Doc.from_docs(parts)
    assert has_annotation(joined, "relations")
    assert joined._.relations == ()


def test_a_part_of_a_doc_has_the_relations_that_lie_in_it(doc) -> None:
    part = doc[8:12].as_doc(copy_user_data=True)
    assert relations(part) == FACTS[2:]
    assert types(part) == []
    part = doc[3:8].as_doc(copy_user_data=True)
    assert relations(part) == FACTS[1:2], "Ada met Babbage has one end outside"
    assert types(part) == TYPES[1:]
    assert tags(part) == {"London": "NN"}
    assert has_annotation(part, "relations")
    assert not has_annotation(doc[3:8].as_doc(), "relations")


def test_a_part_of_a_doc_without_relations_is_annotated() -> None:
    doc = make_doc()
    doc._.relations = []
    part = doc[3:8].as_doc(copy_user_data=True)
    assert has_annotation(part, "relations")
    assert part._.relations == ()


def test_retokenisation_keeps_the_places(doc) -> None:
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    assert relations(doc) == FACTS
    assert doc._.relations[0].head.end == 1


def test_other_user_data_is_left_alone(doc) -> None:
    doc.user_data.update({"id": 7, ("._.", "mine", None, None): 1, ("a", "tuple"): 2, 3: 4})
    assert relations(doc) == FACTS
    doc._.relations = None
    assert {"id": 7, ("._.", "mine", None, None): 1, ("a", "tuple"): 2, 3: 4}.items() <= doc.user_data.items()


# Annotated or not


def test_not_annotated_is_not_annotated_with_none() -> None:
    doc = make_doc()
    assert not any(has_annotation(doc, name) for name in ANNOTATIONS)
    assert doc._.relations == doc._.questions == doc._.answers == doc[0:1]._.entity_types == ()
    doc._.relations = doc._.questions = doc._.answers = doc._.choices = doc._.chosen = []
    doc[0:1]._.entity_types = []
    doc[0]._.luke_tag = "NNP"
    assert all(has_annotation(doc, name) for name in ANNOTATIONS)
    assert doc._.relations == doc._.questions == doc._.answers == doc[0:1]._.entity_types == ()
    doc._.relations = doc._.questions = doc._.answers = doc[0:1]._.entity_types = doc[0]._.luke_tag = None
    doc._.choices = doc._.chosen = None
    assert not any(has_annotation(doc, name) for name in ANNOTATIONS)
    assert not doc.user_data


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_annotated_with_none_survives_copies(copy) -> None:
    doc = make_doc()
    doc._.relations = []
    doc[0:1]._.entity_types = []
    copied = copy(doc)
    assert [name for name in ANNOTATIONS if has_annotation(copied, name)] == ["relations", "entity_types"]
    assert copied._.relations == ()


@pytest.mark.parametrize("tag", ["", 7, ["NN"]])
def test_a_tag_is_a_string(doc, tag) -> None:
    with pytest.raises(LukeError, match=r"L070.*token\._\.luke_tag"):
        doc[0]._.luke_tag = tag
    assert tags(doc) == TAGS


def test_an_unknown_annotation_is_an_error(doc) -> None:
    with pytest.raises(LukeError, match=r"L073.*'relation'.*relations, entity_types"):
        has_annotation(doc, "relation")


def test_what_is_no_doc_has_no_annotation_but_an_error():
    with pytest.raises(LukeError, match=r"L070.*has_annotation.*a Doc"):
        has_annotation("a text", "relations")  # type: ignore[arg-type]


def test_assigning_replaces(doc) -> None:
    doc._.relations = [(doc[0:1], doc[3:4], "other")]
    assert [r.label for r in doc._.relations] == ["other"]
    doc._.relations = []
    assert relations(doc) == []
    assert has_annotation(doc, "relations")
    doc[0:2]._.entity_types = ["person", "person", "artist"]
    assert doc[0:2]._.entity_types == ("person", "artist")
    assert doc[0:2]._.entity_type_scores == {}, "scores belong to the types that were predicted with them"


def test_relations_may_come_from_any_iterable_and_be_read_back_into_another(doc) -> None:
    doc._.relations = (r for r in doc._.relations)
    assert relations(doc) == FACTS
    doc._.relations = [Relation(r.head, r.tail, r.label, np.float32(r.score)) for r in doc._.relations]
    assert relations(doc) == FACTS
    assert all(type(r.score) is float for r in doc._.relations)


def test_several_labels_of_a_pair_and_nested_spans_are_kept(doc) -> None:
    facts = [(doc[0:2], doc[1:2], "a"), (doc[0:2], doc[1:2], "b"), (doc[0:2], doc[0:2], "c"), (doc[1:2], doc[0:2], "d")]
    doc._.relations = facts
    assert [(r.head.text, r.tail.text, r.label) for r in doc._.relations] == [
        ("Ada Lovelace", "Ada Lovelace", "c"),
        ("Ada Lovelace", "Lovelace", "a"),
        ("Ada Lovelace", "Lovelace", "b"),
        ("Lovelace", "Ada Lovelace", "d"),
    ]


def test_head_and_tail_are_the_entities_of_the_doc_with_their_links(doc) -> None:
    ada = Span(doc, 0, 2, label="PER", kb_id="Q7259")
    doc.ents = [ada, Span(doc, 3, 5, label="ORG", kb_id="Q2")]
    [relation] = [r for r in doc._.relations if r.label == "met"]
    assert relation.head == doc.ents[0]
    assert relation.head.kb_id_ == "Q7259"
    assert (relation.tail.label_, relation.tail.kb_id_) == ("PER", ""), "another label: no entity of the Doc"


# Wrong input

OTHER = make_doc("Some other Doc.")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("L070", "met"),
        ("L070", 3),
        ("L070", {"head": 1}),
        ("L070", ["met"]),
        ("L070", [("Ada",)]),
        ("L070", [[0, 1, "met"]]),
        ("L070", lambda doc: Relation(doc[0:1], doc[3:4], "met")),
        ("L070", lambda doc: doc[0:2]),
        ("L070", lambda doc: (doc[0:1], doc[3:4], "met")),
        ("L070", lambda doc: [(doc[0:1], doc[3:4])]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "")]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], 7)]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "met", 1.5)]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "met", -0.1)]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "met", float("nan"))]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "met", "0.5")]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "met", True)]),
        ("L070", lambda doc: [(doc[0:1], doc[3:4], "met", None)]),
        ("L071.*head.*not a spaCy Span", lambda doc: [((0, 12), (17, 32), "met")]),
        ("L071.*head.*not a spaCy Span", lambda doc: [(0, 17, "met")]),
        ("L071.*head.*not a spaCy Span", lambda doc: [("Ada", "Babbage", "met")]),
        ("L071.*tail.*not a spaCy Span", lambda doc: [(doc[0:1], doc[3], "met")]),
        ("L071.*tail.*not a spaCy Span", lambda doc: [Relation(doc[0:1], None, "met")]),
        ("L071.*another Doc", lambda doc: [(doc[0:1], OTHER[0:1], "met")]),
        ("L071.*another Doc", lambda doc: [(doc.copy()[0:1], doc[0:1], "met")]),
        ("L071.*empty", lambda doc: [(doc[0:1], doc[3:3], "met")]),
    ],
)
def test_wrong_relations_are_coded_errors_and_change_nothing(doc, code: str, value) -> None:
    before = dict(doc.user_data)
    with pytest.raises(LukeError, match=code):
        doc._.relations = value(doc) if callable(value) else value
    assert doc.user_data == before


@pytest.mark.parametrize("value", ["person", 3, ["person", 3], [""], [None], {"person": 0.5}, b"person"])
def test_wrong_types_are_coded_errors_and_change_nothing(doc, value) -> None:
    with pytest.raises(LukeError, match=r"L070.*entity_types"):
        doc[0:2]._.entity_types = value
    assert types(doc) == TYPES


@pytest.mark.parametrize("value", ["person", 0.5, ["person"], {"person": 2}, {"person": "0.5"}, {"person": None}, None])
def test_wrong_scores_are_coded_errors(doc, value) -> None:
    with pytest.raises(LukeError, match=r"L070.*entity_type_scores"):
        doc[0:2]._.entity_type_scores = value
    assert doc[0:2]._.entity_type_scores["city"] == 0.125


@pytest.mark.parametrize("attribute", ["entity_types", "entity_type_scores"])
def test_an_empty_span_has_no_types(doc, attribute: str) -> None:
    with pytest.raises(LukeError, match=r"L071.*empty"):
        doc[2:2]._.set(attribute, {"entity_types": ["person"], "entity_type_scores": {"person": 1.0}}[attribute])
    assert doc[2:2]._.entity_types == ()


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("L070", "Ada"),
        ("L070", [("Who?",)]),
        ("L070", lambda doc: [(None, doc[0:1])]),
        ("L070", lambda doc: [Answer("Who?", doc[0:1], score=2.0)]),
        ("L071.*not a spaCy Span", [("Who?", (0, 3))]),
        ("L071.*another Doc", [("Who?", OTHER[0:1])]),
        ("L071.*empty", lambda doc: [("Who?", doc[2:2])]),
        ("L072", lambda doc: [("Who?", doc[0:2], "Babbage")]),
        ("L070.*span of the Doc", lambda doc: [Answer("Who?", None, "Ada")]),
    ],
)
def test_wrong_answers_are_coded_errors_and_change_nothing(doc, code: str, value) -> None:
    before = dict(doc.user_data)
    with pytest.raises(LukeError, match=code):
        doc._.answers = value(doc) if callable(value) else value
    assert doc.user_data == before


@pytest.mark.parametrize("value", ["Who?", 3, [3], [None], {"q": "Who?"}])
def test_wrong_questions_are_coded_errors_and_change_nothing(doc, value) -> None:
    with pytest.raises(LukeError, match=r"L070.*questions"):
        doc._.questions = value
    assert doc._.questions == ("Who?",)


def test_answers_are_exact_to_the_character(doc) -> None:
    doc._.answers = [("Where?", doc[6:7], "ondo"), Answer("Who?", doc[0:2], "Love")]
    assert [(a.text, a.span.text, a.start_char) for a in doc._.answers] == [
        ("ondo", "London", 37),
        ("Love", "Lovelace", 4),
    ]


def test_thousands_of_relations_are_read_in_one_go() -> None:
    doc = make_doc("Ada met Bo. " * 300)
    doc._.relations = [(doc[i : i + 1], doc[j : j + 1], "x") for i in range(0, 900, 30) for j in range(0, 900, 30)]
    assert len(doc._.relations) == 900
