"""Gold spans as targets of candidates, and what of the annotation is lost on the way."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_luke.annotations import set_entity_labels
from spacy_luke.batching.mentions import SpanCandidates
from spacy_luke.errors import LukeWarning
from spacy_luke.pipeline.base.gold import (
    GoldReport,
    GoldSpans,
    gold_spans,
    has_entity_annotation,
    listed,
    tokens_without_annotation,
)

VOCAB = Vocab()
LABELS = ("NIL", "PER", "LOC")
WORDS = list("abcdef")


def candidates(*spans: tuple[int, int], mention_of: list[int] | None = None) -> SpanCandidates:
    table = np.array(spans, dtype=np.int64).reshape(-1, 2)
    of = np.arange(len(spans)) if mention_of is None else np.array(mention_of)
    return SpanCandidates(table, of, table[: len(set(of.tolist()))], of * 0, [], Counter())


def reference(*spans: tuple[int, int, str], missing: tuple[int, ...] = (), words: list[str] = WORDS) -> Doc:
    doc = Doc(VOCAB, words=words)
    ents = [Span(doc, *span) for span in spans]
    doc.set_ents(ents, missing=[doc[i : i + 1] for i in missing], default="outside")
    return doc


def targets(doc: Doc, found: SpanCandidates, *, overlap: bool = False, predicted: Doc | None = None) -> GoldSpans:
    example = Example(predicted or Doc(VOCAB, words=WORDS), doc)
    return gold_spans(example, list(doc.ents), found, LABELS, "NIL", overlap=overlap)


def test_a_mention_has_the_label_of_the_gold_span_of_its_tokens() -> None:
    gold = targets(reference((0, 2, "PER"), (3, 4, "LOC")), candidates((0, 1), (0, 2), (1, 2), (3, 4), (4, 6)))
    assert gold.targets.tolist() == [0, 1, 0, 2, 0]
    assert gold.known.all()
    assert gold.taken.tolist() == [True, True, True, True, False], "they share a token with a gold span"
    assert (gold.missed, gold.several_labels, gold.unknown_labels, list(gold.unannotated)) == (Counter(), 0, [], [])
    assert targets(reference((0, 2, "PER")), candidates((0, 1)), overlap=True).taken is None


def test_spans_that_differ_in_white_space_are_one_mention() -> None:
    gold = targets(reference((0, 2, "PER")), candidates((0, 1), (0, 2), (3, 4), mention_of=[0, 0, 1]))
    assert gold.targets.tolist() == [1, 0]


def test_gold_spans_without_a_candidate_are_counted_with_the_reason() -> None:
    predicted = Doc(VOCAB, words=["a", "b", "cd", "e", "f"], sent_starts=[True, True, False, False, False])
    words = ["a", "b", "c", "d", "e", "f"]
    spaces = [True, True, False, True, True, True]
    doc = Doc(VOCAB, words=words, spaces=spaces)
    doc.ents = [
        Span(doc, 0, 2, "PER"),
        Span(doc, 2, 3, "LOC"),
        Span(doc, 4, 5, "LOC"),
        Span(doc, 5, 6, "LOC"),
        Span(doc, 3, 4, "HERO"),
    ]
    gold = targets(doc, candidates((0, 1)), predicted=predicted)
    assert gold.missed == Counter(
        {"across a sentence boundary": 1, "not on token boundaries": 1, "too long or not suggested": 2}
    )
    assert gold.missed_texts == ["'a b' (PER)", "'c' (LOC)", "'e' (LOC)", "'f' (LOC)"]
    assert gold.unknown_labels == ["HERO"]


def test_of_several_labels_of_a_span_the_first_is_learned() -> None:
    doc = reference()
    spans = [Span(doc, 0, 2, "LOC"), Span(doc, 0, 2, "PER"), Span(doc, 0, 2, "PER"), Span(doc, 3, 4, "HERO")]
    example = Example(Doc(VOCAB, words=WORDS), doc)
    gold = gold_spans(example, spans, candidates((0, 2)), LABELS, "NIL", overlap=True)
    assert (gold.targets.tolist(), gold.several_labels, gold.unknown_labels) == ([2], 2, ["HERO"])


def test_mentions_with_a_token_without_annotation_are_not_known() -> None:
    doc = reference((0, 1, "PER"), missing=(2, 5))
    found = candidates((0, 1), (1, 2), (1, 3), (2, 3), (3, 5), (4, 6))
    assert targets(doc, found).known.tolist() == [True, True, False, False, True, False]
    assert tokens_without_annotation(Example(Doc(VOCAB, words=WORDS), doc)).tolist() == [False] * 2 + [True] + [
        False
    ] * 2 + [True]
    bare = Doc(VOCAB, words=WORDS)
    assert not targets(bare, found).known.any()
    of_key = gold_spans(
        Example(Doc(VOCAB, words=WORDS), bare), [Span(bare, 0, 1, "PER")], found, LABELS, "NIL", overlap=True
    )
    assert of_key.known.all(), "spans under a key say what is an entity, and what is not"
    assert not has_entity_annotation(bare, [])
    assert has_entity_annotation(bare, [doc[0:1]])
    assert has_entity_annotation(reference(), [])


def test_labels_that_the_reference_is_not_annotated_with_are_left_open() -> None:
    doc = reference((0, 1, "PER"), (3, 4, "LOC"))
    set_entity_labels(doc, ["PER"])
    gold = targets(doc, candidates((0, 1), (1, 2), (3, 4)))
    assert list(gold.unannotated) == [2]
    assert gold.known.tolist() == [True, True, False], "an entity of a label that it is not annotated with"
    possible = gold.possible(np.array([0, 1]), 3, 0)
    assert possible.tolist() == [[False, True, False], [True, False, True]]
    set_entity_labels(doc, [])
    assert not has_entity_annotation(doc, list(doc.ents))


def test_mentions_that_touch_a_gold_span_have_no_label_that_is_left_open() -> None:
    gold = GoldSpans(np.array([0, 0, 1]), np.ones(3, dtype=bool), [2], np.array([True, False, True]))
    assert gold.possible(np.arange(3), 3, 0).tolist() == [
        [True, False, False],
        [True, False, True],
        [False, True, False],
    ]
    free = GoldSpans(np.array([0, 0, 1]), np.ones(3, dtype=bool), [1, 2], None)
    assert free.possible(np.array([2, 0]), 3, 0).tolist() == [[False, True, False], [True, True, True]]


def test_a_report_sums_up_the_docs_and_shows_the_first_five() -> None:
    report = GoldReport(max_pieces=7)
    for part in range(3):
        gold = GoldSpans(np.zeros(0), np.zeros(0, dtype=bool))
        gold.missed, gold.several_labels = Counter({"x": 2, "y": part}), part
        gold.missed_texts = [f"{part}{i}" for i in range(2 + part)]
        report.add(gold, 10)
    assert (report.total, report.several_labels, report.missed) == (30, 3, Counter({"x": 6, "y": 3}))
    assert report.first == ["00", "01", "10", "11", "12"]
    report.miss("z", "late")
    report.miss("z", "later")
    assert (report.missed["z"], len(report.first)) == (2, 5)
    assert listed(report.missed) == "6 x, 3 y, 2 z"


def test_a_report_warns_of_what_there_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        GoldReport(total=4).warn("ner")
    report = GoldReport(max_pieces=7, total=9, several_labels=2, too_long=3)
    report.miss("somewhere", "'Ada' (PER)")
    with pytest.warns(LukeWarning) as caught:
        report.warn("ner", several="tokens")
    codes = {str(one.message)[1:5]: str(one.message) for one in caught}
    assert codes.keys() == {"W003", "W009", "W029"}
    for part in ("'ner'", "1 of 9", "1 somewhere", "'Ada' (PER)"):
        assert part in codes["W003"]
    assert "2 gold tokens" in codes["W009"]
    assert "3 of 9" in codes["W029"]
    assert "7 pieces" in codes["W029"]
