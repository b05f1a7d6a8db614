"""Gold relations as targets of candidate pairs, and what labels of a head mean."""

from __future__ import annotations

import numpy as np
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from spacy.vocab import Vocab

from spacy_luke.pipeline.entity_markers.component import Targets
from spacy_luke.pipeline.relations.gold import related_types, relation_targets, with_some_negatives
from spacy_luke.pipeline.relations.labels import RelationLabels

VOCAB = Vocab()
PLAIN = RelationLabels(("no_relation", "married", "born_in", "met"), "no_relation", False, False, frozenset(["met"]))
DIRECTED = RelationLabels(("NA", "x(e1,e2)", "x(e2,e1)", "met"), "NA", True, True, frozenset(["met"]))


def doc_of(relations: list[tuple[int, int, str]] | None) -> Doc:
    """Relations between single tokens; None = not annotated."""
    doc = Doc(VOCAB, words=list("abcdef"))
    if relations is not None:
        doc._.relations = [(doc[a : a + 1], doc[b : b + 1], label) for a, b, label in relations]
    return doc


def pairs_of(doc: Doc, *pairs: tuple[int, int]) -> list:
    return [(doc[a : a + 1], doc[b : b + 1]) for a, b in pairs]


def targets_of(relations, pairs, scheme=PLAIN, *, multi_label=False):
    predicted = doc_of(None)
    example = Example(predicted, doc_of(relations))
    return relation_targets(example, pairs_of(predicted, *pairs), scheme, multi_label=multi_label)


def test_each_pair_has_the_label_of_its_relation_or_the_negative_one() -> None:
    relations = [(0, 1, "married"), (2, 0, "born_in"), (3, 4, "met"), (1, 0, "Other")]
    targets, unknown = targets_of(relations, [(0, 1), (1, 0), (2, 0), (0, 2), (4, 3), (3, 4)])
    assert targets.labels.argmax(axis=1).tolist() == [1, 0, 2, 0, 3, 3], "a symmetric one both ways"
    assert (targets.labels.sum(axis=1) == 1).all()
    assert targets.known.all()
    assert (targets.gold, targets.missed, targets.several_labels, unknown) == (3, [], 0, set())


def test_what_is_lost_of_the_gold_relations_is_counted() -> None:
    relations = [(0, 1, "hates"), (0, 1, "married"), (0, 1, "born_in"), (4, 5, "married"), (2, 3, "hates")]
    targets, unknown = targets_of(relations, [(0, 1), (2, 3)])
    assert unknown == {"hates"}
    assert targets.gold == 5
    assert targets.missed == ["'e' married 'f'"]
    assert targets.several_labels == 1
    assert targets.labels.tolist() in ([[0, 1, 0, 0], [1, 0, 0, 0]], [[0, 0, 1, 0], [1, 0, 0, 0]]), (
        "one label is learned"
    )
    several, _ = targets_of(relations, [(0, 1), (2, 3)], multi_label=True)
    assert several.labels.tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]
    assert several.several_labels == 0
    both = [(0, 1, "married"), (0, 1, "born_in"), (2, 3, "married"), (2, 3, "born_in")]
    assert targets_of(both, [(0, 1), (2, 3)])[0].several_labels == 2


def test_a_doc_without_annotation_says_nothing() -> None:
    assert targets_of(None, [(0, 1)])[0].known.tolist() == [False]
    assert targets_of([], [(0, 1)])[0].known.tolist() == [True]


@pytest.mark.parametrize("multi_label", [False, True])
def test_without_a_negative_label_pairs_without_relation_are_learned_for_several_labels_alone(
    multi_label: bool,
) -> None:
    scheme = RelationLabels(("married", "met"), None, False, False, frozenset())
    targets, _ = targets_of([(0, 1, "married")], [(0, 1), (1, 2)], scheme, multi_label=multi_label)
    assert targets.labels.tolist() == [[1, 0], [0, 0]]
    assert targets.known.tolist() == [True, multi_label]


def test_directed_labels_say_which_of_two_spans_in_text_order_is_the_head() -> None:
    relations = [(0, 1, "x"), (3, 2, "x"), (5, 4, "met")]
    targets, _ = targets_of(relations, [(0, 1), (2, 3), (4, 5)], DIRECTED)
    assert targets.labels.argmax(axis=1).tolist() == [1, 2, 3]


def test_readings_are_the_pairs_that_say_the_same() -> None:
    a, b, longer = (0, 1), (3, 4), (0, 2)
    assert PLAIN.readings(a, b, "married") == [((a, b), "married")]
    assert PLAIN.readings(b, a, "met") == [((b, a), "met"), ((a, b), "met")]
    assert PLAIN.readings(a, b, "x(e2,e1)") == [((a, b), "x(e2,e1)")], "no direction, where labels have none"
    assert PLAIN.readings(None, b, "married") == PLAIN.readings(a, None, "married") == []
    assert DIRECTED.readings(a, b, "x") == [((a, b), "x(e1,e2)")]
    assert DIRECTED.readings(b, a, "x") == [((a, b), "x(e2,e1)")]
    assert DIRECTED.readings(a, b, "x(e2,e1)") == [((a, b), "x(e2,e1)")]
    assert DIRECTED.readings(b, a, "x(e2,e1)") == [((a, b), "x(e1,e2)")]
    assert DIRECTED.readings(a, longer, "x") == [((longer, a), "x(e2,e1)")], (
        "the longer of two that begin together first"
    )
    assert DIRECTED.readings(longer, a, "x") == [((longer, a), "x(e1,e2)")]
    assert DIRECTED.readings(a, a, "x") == [((a, a), "x(e1,e2)")]
    assert DIRECTED.readings(b, a, "met") == [((a, b), "met")]
    both = RelationLabels(("met(e1,e2)", "met(e2,e1)"), None, False, True, frozenset(["met"]))
    assert both.readings(b, a, "met") == [((a, b), "met(e2,e1)")], "as the head has it"


def test_usual_names_mean_unrelated_unless_they_are_labels_or_one_is_set() -> None:
    assert [PLAIN.means_unrelated(label) for label in ("no_relation", "Other", "NA", "married")] == [
        True,
        True,
        True,
        False,
    ]
    assert [DIRECTED.means_unrelated(label) for label in ("NA", "Other")] == [True, False], "the settings name it"
    other = RelationLabels(("no_relation", "Other"), "no_relation", False, False, frozenset())
    assert not other.means_unrelated("Other")


def test_relations_after_one_that_means_unrelated_say_their_types() -> None:
    doc = doc_of([(0, 1, "no_relation"), (2, 3, "married")])
    assert related_types([doc], lambda doc: [Span(doc, 2, 3, "PER")], PLAIN) == {("PER", "")}


def test_a_share_of_the_negative_pairs_is_drawn_and_its_logarithm_added() -> None:
    fix_random_seed(0)
    labels = np.zeros((40, 3), dtype=np.float32)
    labels[:10, 2] = labels[10:, 1] = 1
    known = np.arange(40) != 39
    drawn = with_some_negatives(Targets(labels, known), 1, 6)
    assert drawn.known[:10].all()
    assert drawn.known[10:].sum() == 6
    assert not drawn.known[39], "without annotation"
    assert drawn.log_rates.dtype == np.float32
    np.testing.assert_allclose(drawn.log_rates, [0, np.log(6 / 29), 0], rtol=1e-6)
    assert known[:39].all(), "those that were given stay"
    again = with_some_negatives(Targets(labels, known), 1, 6)
    assert again.known.tolist() != drawn.known.tolist()
    none = with_some_negatives(Targets(labels, known), 1, 0)
    assert none.known.tolist() == [True] * 10 + [False] * 30
    assert not none.log_rates.any()
    every = with_some_negatives(Targets(labels, known), 1, 100)
    assert every.known.tolist() == known.tolist()
    assert not every.log_rates.any()
