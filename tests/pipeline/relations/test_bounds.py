"""`luke_relations`: the work for a Doc is bounded; of too many pairs the nearest are taken, and that is told."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example
from transformers import LukeModel

import spacy_luke
from spacy_luke.annotations import set_relations
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.entity_markers.model import PAIR, TEXT, one_sentence, with_ents, write_checkpoint
from tests.util import luke_config, randomise, write_luke

NAMES = ["Ada", "and", "Bo", "and", "Cy", "and", "Di", "met", "Al", "and", "Jo", ".", "Em", "saw", "Ed", "."]
TWO_SENTENCES = {"@misc": "spacy-luke.entity_pairs.v1", "across_sentences": True}
LEARNED = {"@misc": "spacy-luke.entity_pairs.v1", "type_pairs": "learned"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("pairs"), PAIR)


def pipeline(checkpoint: Path, **config):
    nlp = spacy_luke.from_checkpoint(checkpoint, config=config)
    return nlp, nlp.get_pipe("luke_relations")


def list_of_names(nlp, kind=lambda i: "PER") -> Doc:
    """Six names in a sentence and two in the next."""
    doc = Doc(nlp.vocab, words=NAMES)
    for token in doc:
        token.is_sent_start = token.i in (0, 12)
    return with_ents(doc, [(token.i, token.i + 1, kind(token.i)) for token in doc if token.text.istitle()])


def places(pairs) -> list[tuple[int, int]]:
    return [(head.start, tail.start) for head, tail in pairs]


def nearest(pairs, count: int) -> set[tuple[int, int]]:
    return set(sorted(places(pairs), key=lambda pair: abs(pair[0] - pair[1]))[:count])


@pytest.mark.parametrize("maximum", [1, 40, 100, 333])
def test_rows_of_marked_pairs_stay_within_the_bound(checkpoint, monkeypatch, maximum: int) -> None:
    nlp, whole = pipeline(checkpoint, pairs=TWO_SENTENCES, max_doc_pieces=None)
    _, pipe = pipeline(checkpoint, pairs=TWO_SENTENCES, max_doc_pieces=maximum)
    [(every, logits)] = whole.logits([list_of_names(nlp)])
    spent = []
    forward = pipe._module.forward
    monkeypatch.setattr(
        pipe._module,
        "forward",
        lambda batch: spent.append(int(batch.piece_mask.sum() + batch.entity_mask.sum())) or forward(batch),
    )
    message = rf"W013.*'luke_relations': a Doc has 56 .* the \d+ pairs .*max_doc_pieces = {maximum}\). Raise max_doc"
    with pytest.warns(LukeWarning, match=message):
        [(pairs, some)] = pipe.logits([list_of_names(nlp)])
    assert sum(spent) <= maximum < sum(spent) + 40
    assert set(places(pairs)) == nearest(every, len(pairs))
    assert places(pairs) == [pair for pair in places(every) if pair in nearest(every, len(pairs))]
    kept = [i for i, pair in enumerate(places(every)) if pair in places(pairs)]
    np.testing.assert_allclose(some, logits[kept], atol=1e-5)


def test_sizes_are_those_of_the_rows_but_for_a_word_that_is_cut_otherwise(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint, pairs=TWO_SENTENCES)
    doc = list_of_names(nlp)
    layout = pipe._layout()
    items = pipe._items(doc, layout)
    rows = layout.rows(layout.place([doc], [items]))
    made = np.array([row.pieces + row.entities for row in rows])
    sizes = layout.sizes(doc, items)
    assert sizes[:10].tolist() == made[:10].tolist()
    assert abs(sizes - made).max() <= 1


def test_pairs_that_no_window_shows_have_no_size(checkpoint) -> None:
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "max_pieces": 14, "context": "none"}
    nlp, pipe = pipeline(checkpoint, windows=windows)
    doc = one_sentence(Doc(nlp.vocab, words=["Ada", *["met"] * 20, "Bo", " ", "Cy"]))
    layout = pipe._layout()
    sizes = layout.sizes(doc, [(doc[0:1], doc[21:22]), (doc[21:22], doc[22:23]), (doc[21:22], doc[23:24])])
    assert sizes[:2].tolist() == [0, 0]
    assert sizes[2] == 14 + 2 + 2, "a full window, special pieces, two entities"
    assert layout.sizes(doc, []).tolist() == []


def test_ordinary_docs_are_not_bounded(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint)
    _, whole = pipeline(checkpoint, max_doc_pieces=None)
    docs = [list_of_names(nlp), with_ents(one_sentence(nlp.make_doc(TEXT)))]
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        for (pairs, logits), (every, expected) in zip(pipe.logits(docs), whole.logits(docs), strict=True):
            assert places(pairs) == places(every)
            np.testing.assert_array_equal(logits, expected)


def test_the_setting_that_leaves_pairs_out_is_named(checkpoint) -> None:
    pairs = {"@misc": "spacy-luke.entity_pairs.v1", "max_pairs": 3}
    for maximum in (None, 32768):
        nlp, pipe = pipeline(checkpoint, pairs=pairs, max_doc_pieces=maximum)
        with pytest.warns(LukeWarning, match=r"W013.* has 32 .* the 3 pairs .*\(max_pairs = 3\). Raise max_pairs"):
            assert len(pipe.logits([list_of_names(nlp)])[0][0]) == 3
    nlp, pipe = pipeline(checkpoint, pairs=pairs, max_doc_pieces=40)
    with pytest.warns(LukeWarning, match=r"W013.* has 32 .* the 1 pairs .*\(max_doc_pieces = 40\)"):
        assert len(pipe.logits([list_of_names(nlp)])[0][0]) == 1


@pytest.mark.parametrize("directed", [False, True])
def test_pairs_of_another_getter_are_bounded_too(checkpoint, directed: bool) -> None:
    nlp, pipe = pipeline(checkpoint, max_doc_pieces=100)
    pipe.pairs = lambda doc: [(doc.ents[i], doc.ents[0]) for i in (5, 3, 2, 4, 1, 2)]
    pipe._directed_setting = directed
    with pytest.warns(LukeWarning, match=r"W013.* has 5 .* the \d pairs .*max_doc_pieces"):
        [(pairs, _)] = pipe.logits([list_of_names(nlp)])
    assert places(pairs) == [(0, 4), (0, 2)] if directed else [(4, 0), (2, 0)]


def test_a_bound_is_at_least_one_piece(checkpoint) -> None:
    with pytest.raises(LukeError, match=r"max_doc_pieces"):
        spacy.blank("en").add_pipe("luke_relations", config={"max_doc_pieces": 0})


# Types


def test_the_encoder_gets_only_pairs_whose_types_are_allowed(checkpoint, monkeypatch) -> None:
    getter = {"@misc": "spacy-luke.entity_pairs.v1", "type_pairs": [["PER", "LOC"]]}
    nlp, pipe = pipeline(checkpoint, pairs=getter, max_doc_pieces=400)
    doc = one_sentence(Doc(nlp.vocab, words=["Ada"] * 61))
    with_ents(doc, [(i, i + 1, "LOC" if i == 60 else "PER") for i in range(61)])
    rows = []
    monkeypatch.setattr(
        pipe._module, "forward", lambda batch: rows.append(len(batch.piece_ids)) or torch.zeros(len(batch.piece_ids), 4)
    )
    with pytest.warns(LukeWarning, match="W013.* has 60 candidate pairs"):
        [(pairs, _)] = pipe.logits([doc])
    assert sum(rows) == len(pairs) > 1
    assert places(pairs) == [(i, 60) for i in range(60 - len(pairs), 60)]


def test_learned_types_are_used_only_where_the_settings_say_so(checkpoint, tmp_path) -> None:
    def kind(i: int) -> str:
        return "LOC" if i == 2 else "PER"

    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_relations", config={"pairs": LEARNED})
    reference = list_of_names(nlp, kind)
    set_relations(reference, [(reference.ents[0], reference.ents[1], "lives_in")])
    pipe.initialize(lambda: [Example(list_of_names(nlp, kind), reference)], checkpoint=str(checkpoint))
    pipe.to_disk(tmp_path / "saved")
    for getter, count in ((LEARNED, 5), ({**LEARNED, "type_pairs": None}, 32), ({**LEARNED, "type_pairs": []}, 0)):
        other = spacy.blank("en").add_pipe("luke_relations", config={"pairs": getter}).from_disk(tmp_path / "saved")
        assert len(other.logits([list_of_names(nlp, kind)])[0][0]) == count


# Training


def gold(nlp, *relations: tuple[int, int]) -> Example:
    """relations: of entities, by number."""
    reference = list_of_names(nlp)
    set_relations(reference, [(reference.ents[i], reference.ents[j], "met") for i, j in relations])
    return Example(list_of_names(nlp), reference)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(("maximum", "rows"), [(1, 2), (150, None), (None, 32)])
def test_in_training_related_pairs_are_never_left_out(checkpoint, monkeypatch, maximum, rows, directed: bool) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_relations", config={"max_doc_pieces": maximum, "directed_labels": directed or None})
    example = gold(nlp, (5, 0), (1, 4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe.initialize(lambda: [example], checkpoint=str(checkpoint))
    assert not [w for w in caught if "W019" in str(w.message)]
    assert bool([w for w in caught if "W013" in str(w.message)]) is (maximum is not None)
    layout = pipe._layout()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        items = pipe._items(example.predicted, layout, example)
    targets = pipe._targets(example, items)
    assert (targets.gold, targets.missed) == (2, [])
    far = {(0, 10), (2, 8)} if directed else {(10, 0), (2, 8)}
    assert far <= set(places(items))
    if rows is not None:
        assert len(items) == (rows // 2 if directed and maximum is None else rows)
    else:
        assert 2 < len(items) < 10
        near = [pair for pair in places(items) if pair not in far]
        assert {abs(a - b) for a, b in near} <= {2, 3}, "and then the nearest"
    seen = []
    forward = pipe._module.forward
    monkeypatch.setattr(pipe._module, "forward", lambda batch: seen.append(len(batch.piece_ids)) or forward(batch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        assert pipe.update([example])["luke_relations"] > 0
    assert sum(seen) == len(items)


def test_in_training_related_pairs_are_taken_whatever_max_pairs_says(checkpoint) -> None:
    nlp = spacy.blank("en")
    getter = {"@misc": "spacy-luke.entity_pairs.v1", "max_pairs": 1}
    pipe = nlp.add_pipe("luke_relations", config={"pairs": getter})
    example = gold(nlp, (5, 0), (1, 4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe.initialize(lambda: [example], checkpoint=str(checkpoint))
    assert not [w for w in caught if "W019" in str(w.message)]
    assert [w for w in caught if "the 2 pairs" in str(w.message) and "max_pairs = 1" in str(w.message)]


# Without markers


@pytest.fixture(scope="module")
def unmarked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    write_luke(folder, randomise(LukeModel(luke_config())))
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "independent"}
    pipe = nlp.add_pipe("luke_relations", config={"model": {"encoder": encoder}})
    pipe.initialize(lambda: [gold(nlp, (0, 1))], checkpoint=str(folder))
    return nlp, pipe


def test_without_markers_a_pair_is_two_entities_of_twice_the_cost_of_a_piece(unmarked, monkeypatch) -> None:
    nlp, pipe = unmarked
    assert not pipe.markers
    [(every, logits)] = pipe.logits([list_of_names(nlp)])
    assert len(every) == 32
    monkeypatch.setattr(pipe, "max_doc_pieces", 43)
    with pytest.warns(LukeWarning, match=r"W013.* has 32 .* the 10 pairs .*max_doc_pieces = 43"):
        [(pairs, some)] = pipe.logits([list_of_names(nlp)])
    assert set(places(pairs)) == nearest(every, 10)
    kept = [i for i, pair in enumerate(places(every)) if pair in places(pairs)]
    np.testing.assert_allclose(some, logits[kept], atol=1e-5)


def test_related_spans_of_any_label_are_taken(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint, pairs={"@misc": "spacy-luke.entity_pairs.v1", "spans_key": "sc"}, max_doc_pieces=1)
    doc, reference = (one_sentence(Doc(nlp.vocab, words=NAMES[:7])) for _ in range(2))
    for one in (doc, reference):
        one.spans["sc"] = [one[0:1], one[2:3], Span(one, 6, 7, "A"), Span(one, 6, 7, "B")]
    set_relations(reference, [(reference.spans["sc"][0], reference.spans["sc"][3], "met")])
    example = Example(doc, reference)
    with pytest.warns(LukeWarning, match="W013"):
        items = pipe._items(doc, pipe._layout(), example)
    assert [(a.start, b.start, b.label_) for a, b in items] == [(0, 6, "A"), (0, 6, "B")], "either may be meant"
