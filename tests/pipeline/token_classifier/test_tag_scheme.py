"""Labels as tags of entities: found, given to entities, and read whatever they are."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.pipeline.token_classifier.tag_scheme import SCHEMES, TagScheme, scheme_labels

TYPES = ("LOC", "PER")


def made(scheme: str) -> TagScheme:
    found = TagScheme.find(scheme_labels(TYPES, scheme))
    assert found is not None
    return found


def read(tags: str) -> list[tuple[int, int, str]]:
    labels = tuple(dict.fromkeys([*tags.split(), "O", "I-X"]))
    scheme = TagScheme.find(labels)
    assert scheme is not None
    return scheme.decode([labels.index(tag) for tag in tags.split()])


def test_labels_of_a_new_head() -> None:
    assert scheme_labels(["PER"], "BILUO") == ("O", "B-PER", "I-PER", "L-PER", "U-PER")
    assert scheme_labels(["PER"], "BIOES") == ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    assert scheme_labels(TYPES, "BIO") == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert scheme_labels(TYPES, "IO") == ("O", "I-LOC", "I-PER")


@pytest.mark.parametrize(
    ("labels", "types"),
    [
        (["O", "B-PER", "I-PER"], ("PER",)),
        (["B-MISC", "I-MISC", "I-PER", "O"], ("MISC", "PER")),
        (["O", "S-a b", "B-a b", "M-a b", "E-a b"], ("a b",)),
        (["O", "I-PER"], ("PER",)),
        (["O"], None),
        (["B-PER", "I-PER"], None),
        (["O", "B-PER", "PER"], None),
        (["O", "B-"], None),
        (["O", "COMMA", "PERIOD"], None),
        (["NOUN", "VERB"], None),
        (["LABEL_0", "LABEL_1"], None),
    ],
)
def test_schemes_are_found_by_the_labels(labels: list[str], types: tuple[str, ...] | None) -> None:
    scheme = TagScheme.find(labels)
    assert (scheme.types if scheme else None) == types


def test_types_without_prefix_are_tags_if_one_says_so() -> None:
    scheme = TagScheme.find(["PER", "O", "LOC"], bare=True)
    assert scheme is not None
    assert scheme.types == ("PER", "LOC")
    assert scheme.decode([0, 0, 1, 2, 0]) == [(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "PER")]
    assert TagScheme.find(["O", "B-PER", "PER"], bare=True) is None


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("O I-X I-X O", [(1, 3, "X")]),
        ("I-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),
        ("B-X I-Y", [(0, 1, "X"), (1, 2, "Y")]),
        ("B-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
        ("B-X I-X O", [(0, 2, "X")]),
        ("B-X U-X L-X", [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")]),
        ("B-X L-X I-X", [(0, 2, "X"), (2, 3, "X")]),
        ("B-X L-Y", [(0, 1, "X"), (1, 2, "Y")]),
        ("S-X B-X M-X E-X", [(0, 1, "X"), (1, 4, "X")]),
        ("O O", []),
    ],
)
def test_tags_that_do_not_fit_together_are_read_by_rule(tags: str, entities: list) -> None:
    assert read(tags) == entities


@given(st.data(), st.sampled_from(sorted(SCHEMES)))
def test_what_is_encoded_is_decoded(data, name: str) -> None:
    scheme = made(name)
    tags, entities, last = [], [], None
    for label, length, gap in data.draw(
        st.lists(st.tuples(st.sampled_from(TYPES), st.integers(1, 4), st.integers(0, 2)))
    ):
        gap += gap == 0 and last == label and not scheme.separates(label)
        tags += [0] * gap
        entities.append((len(tags), len(tags) + length, label))
        tags += scheme.encode(label, length)
        last = label
    assert scheme.decode(tags) == entities
    assert all(scheme.separates(label) == (name != "IO") for label in TYPES)


def test_labels_that_a_head_lacks_are_made_up_for() -> None:
    scheme = TagScheme.find(["O", "I-PER", "B-LOC", "B-ORG", "I-ORG"])
    assert scheme is not None
    assert scheme.encode("PER", 3) == [1, 1, 1]
    assert scheme.encode("LOC", 1) == [2]
    assert scheme.encode("LOC", 2) is None, "nothing stands for the inside"
    assert scheme.encode("ORG", 2) == [3, 4]


def test_a_label_for_the_first_token_or_for_a_single_one_tells_neighbours_apart() -> None:
    scheme = TagScheme.find(["O", "I-PER", "L-PER", "U-PER", "B-LOC", "I-LOC", "I-ORG"])
    assert scheme is not None
    assert [scheme.separates(label) for label in ("PER", "LOC", "ORG")] == [True, True, False]


@given(st.lists(st.integers(0, 8), max_size=12))
def test_any_tags_give_entities_that_do_not_overlap(tags: list[int]) -> None:
    scheme = made("BILUO")
    found = scheme.decode(tags)
    assert all(a < b for a, b, _ in found)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(found))
    covered = {i for a, b, _ in found for i in range(a, b)}
    assert covered == {i for i, tag in enumerate(tags) if tag}, "every tag but O is part of an entity"
