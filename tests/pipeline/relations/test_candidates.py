"""Candidate pairs: every option, beside a brute-force enumeration."""

from __future__ import annotations

import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.relations.candidates import EntityPairs, PairGetter, build_entity_pairs, nearest_pairs

VOCAB = spacy.blank("en").vocab


def make_doc(length: int, spans, starts=(), key: str = "sc") -> Doc:
    doc = Doc(VOCAB, words=["w"] * length)
    for token in doc:
        token.is_sent_start = token.i == 0 or token.i in starts
    doc.spans[key] = [Span(doc, *span) for span in spans]
    return doc


def named(pairs) -> list[tuple]:
    return [tuple((s.start, s.end, s.label_) for s in pair) for pair in pairs]


@st.composite
def docs(draw) -> Doc:
    length = draw(st.integers(1, 12))
    edges = st.tuples(st.integers(0, length - 1), st.integers(1, length)).filter(lambda e: e[0] < e[1])
    spans = draw(st.lists(st.tuples(edges, st.sampled_from("ABC")), max_size=7))
    starts = draw(st.sets(st.integers(0, length - 1)))
    return make_doc(length, [(*edge, label) for edge, label in spans], starts)


def brute_force(doc: Doc, across: bool, distance: int | None, types, both: bool) -> set[tuple]:
    sentence = list(itertools.accumulate(int(token.is_sent_start) for token in doc))
    spans = {(s.start, s.end, s.label_) for s in doc.spans["sc"]}
    found = set()
    for head, tail in itertools.permutations(spans, 2):
        gap = max(head[0] - tail[1], tail[0] - head[1], 0)
        inside = {sentence[i] for start, end, _ in (head, tail) for i in range(start, end)}
        if not across and len(inside) > 1:
            continue
        if distance is not None and gap > distance:
            continue
        if types is not None and [head[2], tail[2]] not in types:
            continue
        if not both and (head[0], -head[1]) > (tail[0], -tail[1]):
            continue
        found.add((head, tail))
    return found


type_lists = st.lists(st.lists(st.sampled_from("ABC"), min_size=2, max_size=2), max_size=4)


@settings(max_examples=200)
@given(
    doc=docs(),
    across=st.booleans(),
    distance=st.none() | st.integers(0, 6),
    types=st.none() | type_lists,
    both=st.booleans(),
)
def test_pairs_are_those_of_a_brute_force_enumeration(doc: Doc, across, distance, types, both) -> None:
    getter = build_entity_pairs("sc", across, distance, types, both)
    pairs = named(getter(doc))
    expected = brute_force(doc, across, distance, types, both)
    if not both:  # of two labels of the same tokens either may come first
        same = {(a, b) for a, b in expected if a[:2] == b[:2]}
        assert len(set(pairs) & same) == len({frozenset(p) for p in set(pairs) & same})
        expected = {p for p in expected if p not in same or p in pairs}
    assert set(pairs) == expected
    assert len(set(pairs)) == len(pairs), "each pair once"
    heads = [min(a[0], b[0]) for a, b in pairs]
    assert heads == sorted(heads), "in text order"


def test_by_default_entities_of_a_sentence_are_paired_in_both_orders() -> None:
    doc = make_doc(8, [], starts=[5])
    doc.set_ents([Span(doc, 0, 1, "A"), Span(doc, 2, 4, "B"), Span(doc, 6, 7, "C")])
    getter = build_entity_pairs()
    assert isinstance(getter, PairGetter)
    assert named(getter(doc)) == [((0, 1, "A"), (2, 4, "B")), ((2, 4, "B"), (0, 1, "A"))]
    assert len(build_entity_pairs(across_sentences=True)(doc)) == 6


@pytest.mark.parametrize("spans", [[], [(0, 2, "A")], [(0, 2, "A"), (0, 2, "A")]], ids=["none", "one", "one twice"])
@pytest.mark.parametrize("across", [True, False])
def test_fewer_than_two_entities_make_no_pair(spans, across: bool) -> None:
    assert build_entity_pairs("sc", across, type_pairs=[["A", "A"]])(make_doc(3, spans)) == []


def test_a_doc_without_tokens_or_without_the_key_has_no_pairs() -> None:
    assert build_entity_pairs()(Doc(VOCAB)) == []
    assert build_entity_pairs("other")(make_doc(3, [(0, 1, "A"), (1, 2, "A")])) == []


def test_spans_of_the_same_tokens_with_different_labels_are_a_pair() -> None:
    doc = make_doc(3, [(0, 2, "A"), (0, 2, "B")])
    assert len(build_entity_pairs("sc")(doc)) == 2


def test_a_span_over_a_sentence_end_has_partners_only_across_sentences() -> None:
    doc = make_doc(6, [(0, 1, "A"), (2, 4, "B"), (5, 6, "C")], starts=[3])
    assert build_entity_pairs("sc")(doc) == []
    assert len(build_entity_pairs("sc", across_sentences=True)(doc)) == 6


def test_of_too_many_pairs_the_nearest_are_taken_with_a_warning() -> None:
    doc = make_doc(10, [(0, 1, "A"), (2, 3, "B"), (3, 4, "C"), (9, 10, "D")])
    getter = build_entity_pairs("sc", max_pairs=4)
    with pytest.warns(LukeWarning, match=r"W013.*12 candidate pairs; the 4 pairs"):
        pairs = named(getter(doc))
    b, c = (2, 3, "B"), (3, 4, "C")
    assert pairs[-2:] == [(b, c), (c, b)]
    assert {pair[0][0] + pair[1][0] for pair in pairs} == {5, 2}
    with pytest.warns(LukeWarning, match="W013"):
        assert named(build_entity_pairs("sc", max_pairs=2)(doc)) == [(b, c), (c, b)], "that touch"


def test_as_many_pairs_as_there_may_be_are_not_warned_of() -> None:
    doc = make_doc(10, [(0, 1, "A"), (2, 3, "B"), (3, 4, "C")])
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        assert len(build_entity_pairs("sc", max_pairs=6)(doc)) == 6


def test_three_hundred_entities_are_bounded_in_number_and_memory() -> None:
    doc = make_doc(900, [(3 * i, 3 * i + 1, "A") for i in range(300)])
    getter = build_entity_pairs("sc", max_pairs=5000)
    tracemalloc.start()
    with pytest.warns(LukeWarning, match=r"W013.*89700"):
        pairs = getter(doc)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) == 5000
    assert peak < 20e6
    gaps = [abs(a.start - b.start) for a, b in pairs]
    assert max(gaps) <= 27, "5000 = 2 x (299 + 298 + … + 292) + the rest"
    near = build_entity_pairs("sc", max_distance=2)(doc)
    assert len(near) == 2 * 299


def test_pairs_are_the_same_however_many_are_looked_at_together(monkeypatch) -> None:
    doc = make_doc(40, [(i, i + 1, "AB"[i % 2]) for i in range(40)], starts=[7, 20])
    getters = [build_entity_pairs("sc", across_sentences=x, max_pairs=n) for x in (True, False) for n in (50, None)]
    getters.append(build_entity_pairs("sc", across_sentences=True, type_pairs=[["A", "B"]], max_pairs=20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        expected = [named(getter(doc)) for getter in getters]
        for at_a_time in (1, 10, 100):
            monkeypatch.setattr("spacy_luke.pipeline.relations.candidates._AT_A_TIME", at_a_time)
            assert [named(getter(doc)) for getter in getters] == expected


def test_a_million_pairs_are_bounded_within_a_few_megabytes() -> None:
    doc = make_doc(1001, [(i, i + 1, "A") for i in range(1001)])
    candidates = build_entity_pairs("sc").candidates(doc)
    asked = []

    def sizes(pairs) -> np.ndarray:
        asked.append(len(pairs))
        return np.full(len(pairs), 100)

    tracemalloc.start()
    found = nearest_pairs(candidates, 16384)
    pairs = found.within(32768, sizes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.count, len(found.pairs), len(pairs)) == (1_001_000, 16384, 327)
    assert asked == [1024], "the sizes of the rest make no difference"
    assert peak < 40e6, "the indices of all of them would be 16e6 bytes, the pairs 64e6"
    assert {abs(a.start - b.start) for a, b in pairs} == {1}
    assert max(max(a.end, b.end) for a, b in pairs) <= 165, "the first in the text"


@settings(max_examples=100)
@given(doc=docs(), most=st.none() | st.integers(1, 30), room=st.integers(0, 60), seed=st.integers(0, 9))
def test_pairs_within_a_size_are_the_nearest(doc: Doc, most, room: int, seed: int) -> None:
    candidates = build_entity_pairs("sc", across_sentences=True)
    every = candidates(doc)
    size_of = {pair: 1 + (i * 7 + seed) % 5 for i, pair in enumerate(named(every))}
    found = nearest_pairs(candidates.candidates(doc), most)
    pairs = found.within(room, lambda some: np.array([size_of[pair] for pair in named(some)]))

    def gap(pair) -> int:
        (a, b, _), (c, d, _) = pair
        return max(a - d, c - b, 0)

    nearest = sorted(named(every), key=gap)[:most]
    sums = itertools.accumulate(size_of[pair] for pair in nearest)
    expected = {pair for pair, total in zip(nearest, sums, strict=True) if total <= room}
    assert named(pairs) == [pair for pair in named(every) if pair in expected], "in text order"


@pytest.mark.parametrize("most", [None, 1, 4])
def test_pairs_to_be_taken_first_are_taken_however_many_and_far(most, monkeypatch) -> None:
    monkeypatch.setattr("spacy_luke.pipeline.relations.candidates._AT_A_TIME", 5)
    doc = make_doc(12, [(i, i + 1, "A") for i in range(12)])
    first = [((0, 1), (11, 12)), ((9, 10), (1, 2)), ((0, 1), (10, 11)), ((3, 4), (30, 31))]
    found = nearest_pairs(build_entity_pairs("sc").candidates(doc), most, first)
    pairs = found.within(4, lambda some: np.ones(len(some), dtype=np.int64))
    assert found.first == 3
    assert [(a.start, b.start) for a, b in found.within(0, lambda some: np.ones(len(some)))] == [
        (0, 10),
        (0, 11),
        (9, 1),
    ]
    assert [(a.start, b.start) for a, b in pairs][:1] == ([(0, 10)] if most == 1 else [(0, 1)])
    assert len(pairs) == (3 if most == 1 else 4)


@pytest.mark.parametrize("types", [[["A", "B"]], [["B", "A"]], [["A", "C"]], []], ids=str)
@pytest.mark.parametrize("both", [True, False])
def test_pairs_that_no_type_allows_are_never_made(types, both: bool, monkeypatch) -> None:
    # Each A comes before each B, and 3,000 x 3,000 pairs have other types.
    labels = ["A"] * 3000 + ["B"] * 2
    doc = make_doc(len(labels), [(i, i + 1, label) for i, label in enumerate(labels)])
    sizes = []
    repeat = np.repeat
    monkeypatch.setattr(np, "repeat", lambda *args: sizes.append(len(found := repeat(*args))) or found)
    pairs = build_entity_pairs("sc", type_pairs=types, both_directions=both)(doc)
    made = types == [["A", "B"]] or (both and types == [["B", "A"]])
    assert len(pairs) == (6000 if made else 0)
    assert sum(sizes) == 2 * len(pairs)


def test_thousands_of_entities_do_not_fill_the_memory() -> None:
    doc = make_doc(3000, [(i, i + 1, "A") for i in range(3000)])
    tracemalloc.start()
    with pytest.warns(LukeWarning, match=r"W013.*8997000"):
        pairs = build_entity_pairs("sc", across_sentences=True, max_pairs=100)(doc)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) == 100
    assert peak < 40e6, "the indices of all of them would be 144e6 bytes"


def test_learned_types_are_any_types_to_a_getter_alone() -> None:
    doc = make_doc(4, [(0, 1, "A"), (2, 3, "B")])
    getter = build_entity_pairs("sc", type_pairs="learned")
    assert isinstance(getter, EntityPairs)
    assert getter.type_pairs == "learned"
    assert len(getter(doc)) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"max_distance": -1},
        {"max_pairs": 0},
        {"type_pairs": "any"},
        {"type_pairs": [["A"]]},
        {"type_pairs": ["AB"]},
        {"type_pairs": [1]},
    ],
    ids=str,
)
def test_wrong_settings_are_named(settings: dict) -> None:
    with pytest.raises(LukeError, match=rf"L047.*{next(iter(settings))}"):
        build_entity_pairs(**settings)
