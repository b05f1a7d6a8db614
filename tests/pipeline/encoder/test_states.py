"""`luke_encoder.states`: states of every layer and attention weights, with what each row and column is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, Span
from transformers import LongformerModel, LukeModel

from spacy_luke.errors import LukeError
from spacy_luke.pipeline.encoder.states import DocStates, WindowStates
from tests.pipeline.entity_markers.model import TEXT, with_ents
from tests.util import ENTITIES, longformer_config, luke_config, randomise, write_longformer, write_luke

LONGFORMER = {"@architectures": "spacy-luke.LongformerEncoder.v1"}
INDEPENDENT = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "independent"}
SHARED = {"@architectures": "spacy-luke.SharedEncoder.v1"}
LAYERS = 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("luke")
    write_luke(folder, randomise(LukeModel(luke_config(num_hidden_layers=LAYERS))))
    return folder


@pytest.fixture(scope="module")
def longformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("longformer")
    write_longformer(folder, randomise(LongformerModel(longformer_config(attention_window=[4, 8, 16]))))
    return folder


def load(folder: Path, **config: Any) -> Any:
    pipe: Any = spacy.blank("en").add_pipe("luke_encoder", config=config)
    return pipe.load_checkpoint(folder)


def make_docs() -> list[Doc]:
    """Docs of different lengths: with entities, without, without a piece, and one that takes several windows."""
    nlp = spacy.blank("en")
    long = nlp.make_doc(" ".join([TEXT] * 6))
    long.set_ents([Span(long, i, i + 2, "X") for i in range(0, len(long) - 2, 9)])
    return [with_ents(nlp.make_doc(TEXT)), nlp.make_doc("Well, well."), nlp.make_doc(""), long]


def reference(folder: Path, window: WindowStates, ranges: list[tuple[int, int]]) -> Any:
    """Output of transformers for the pieces of a window and [MASK] entities on these ranges of its rows."""
    model = LukeModel.from_pretrained(folder).eval()
    given: dict[str, torch.Tensor] = {}
    if ranges:
        positions = torch.full((1, len(ranges), 30), -1)
        for i, (start, end) in enumerate(ranges):
            positions[0, i, : end - start] = torch.arange(start, end)
        given = {"entity_ids": torch.full((1, len(ranges)), ENTITIES["[MASK]"]), "entity_position_ids": positions}
    with torch.no_grad():
        ids = torch.tensor(window.piece_ids)[None]
        return model(ids, **given, output_hidden_states=True, output_attentions=True)


def rows_of(window: WindowStates, span: Span) -> tuple[int, int]:
    """The rows of a span, without white space at its edges."""
    rows = np.flatnonzero(np.isin(window.tokens, [token.i for token in span if not token.is_space]))
    return int(rows[0]), int(rows[-1]) + 1


def assert_equals(ours: Any, theirs: Any) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b[0].numpy(), atol=1e-4)


def test_all_windows_equal_transformers(checkpoint: Path) -> None:
    docs = make_docs()
    found = load(checkpoint).states(docs, attentions=True)
    assert [states.doc for states in found] == docs
    assert [len(states.windows) for states in found][:3] == [1, 1, 0]
    assert len(found[3].windows) > 2
    for states in found:
        assert states.layers == (0, 1, 2, 3)
        assert states.attention_layers == (1, 2, 3)
        for window in states.windows:
            theirs = reference(checkpoint, window, [rows_of(window, span) for span in window.entities])
            assert_equals(window.hidden_states, theirs.hidden_states)
            assert_equals(window.attentions, theirs.attentions)
            if window.entities:
                assert_equals(window.entity_hidden_states, theirs.entity_hidden_states)
            else:
                assert window.entity_hidden_states.shape == (4, 0, 32)


def test_every_row_is_named(checkpoint: Path) -> None:
    [states] = load(checkpoint).states(make_docs()[:1])
    [window] = states.windows
    doc = states.doc
    assert (window.start, window.end) == (0, len(window.pieces) - 2)
    assert window.pieces[0] == "<s>"
    assert window.pieces[-1] == "</s>"
    assert window.tokens[0] == window.tokens[-1] == -1
    for token in doc:
        own = [piece for piece, i in zip(window.pieces, window.tokens, strict=True) if i == token.i]
        if token.text.isascii():  # the letters of others may be cut into bytes
            assert "".join(own).strip() == token.text.strip()
    assert "".join(window.pieces[1:4]).startswith(doc.text[:2])
    assert window.entities == doc.ents


def test_every_piece_is_best_shown_by_one_window(checkpoint: Path) -> None:
    pipe, docs = load(checkpoint), make_docs()
    for states, vectors in zip(pipe.states(docs, layers=[-1]), pipe.vectors(docs), strict=True):
        pieces = np.zeros_like(vectors.pieces)
        count = np.zeros(len(pieces), dtype=int)
        spans = []
        for window in states.windows:
            where = window.start - 1 + np.flatnonzero(window.is_best)
            pieces[where] = window.hidden_states[0, window.is_best]
            count[where] += 1
            spans += window.entities
        assert (count == 1).all()
        assert np.array_equal(pieces, vectors.pieces)
        assert spans == vectors.spans
        if spans:
            entities = np.concatenate([window.entity_hidden_states[0] for window in states.windows])
            assert np.array_equal(entities, vectors.entities)


def test_docs_together_have_what_each_has_alone(checkpoint: Path) -> None:
    pipe = load(checkpoint)
    for together in pipe.states(make_docs(), attentions=True):
        [alone] = pipe.states([together.doc], attentions=True)
        assert len(alone.windows) == len(together.windows)
        for a, b in zip(alone.windows, together.windows, strict=True):
            assert (a.start, a.end, a.pieces, a.entities) == (b.start, b.end, b.pieces, b.entities)
            np.testing.assert_allclose(a.hidden_states, b.hidden_states, atol=1e-4)
            for left, right in zip(a.attentions, b.attentions, strict=True):
                np.testing.assert_allclose(left, right, atol=1e-5)


def test_the_batches_do_not_matter(checkpoint: Path) -> None:
    docs = make_docs()
    large = load(checkpoint).states(docs, attentions=True)
    small = load(checkpoint, max_batch_pieces=1).states(docs, attentions=True)
    for a, b in zip(large, small, strict=True):
        for left, right in zip(a.windows, b.windows, strict=True):
            assert left.pieces == right.pieces
            np.testing.assert_allclose(left.attentions[-1], right.attentions[-1], atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        ([2], [2]),
        ([-1], [3]),
        ([-1, 0, -2], [3, 0, 2]),
        ((-4,), [0]),
        (range(1, 3), [1, 2]),
        (np.array([3, 3]), [3, 3]),
    ],
    ids=str,
)
def test_layers_are_chosen_as_in_a_list(checkpoint: Path, layers: Any, numbers: list[int]) -> None:
    pipe, docs = load(checkpoint), make_docs()[:1]
    [every], [some] = pipe.states(docs, attentions=True), pipe.states(docs, layers=layers, attentions=True)
    assert list(some.layers) == numbers
    assert list(some.attention_layers) == [n for n in numbers if n]
    [a], [b] = every.windows, some.windows
    np.testing.assert_allclose(b.hidden_states, a.hidden_states[numbers], atol=1e-4)
    np.testing.assert_allclose(b.entity_hidden_states, a.entity_hidden_states[numbers], atol=1e-4)
    assert len(b.attentions) == len(some.attention_layers)
    for weights, n in zip(b.attentions, some.attention_layers, strict=True):
        np.testing.assert_allclose(weights, a.attentions[n - 1], atol=1e-5)


@pytest.mark.parametrize("layers", [[], [4], [-5], [True], ["1"], [1.0], "12", 2, -1], ids=repr)
def test_layers_that_the_encoder_lacks(checkpoint: Path, layers: Any) -> None:
    with pytest.raises(LukeError, match=r"L155.*from -4 to 3") as error:
        load(checkpoint).states([], layers=layers)
    assert repr(layers) in str(error.value)


def test_attention_weights_are_given_when_they_are_asked_for(checkpoint: Path) -> None:
    [states] = load(checkpoint).states(make_docs()[:1])
    assert states.windows[0].attentions == ()


def test_vectors_do_not_change(checkpoint: Path) -> None:
    pipe, docs = load(checkpoint), make_docs()
    before = pipe.vectors(docs)
    pipe.states(docs, attentions=True)
    for a, b in zip(before, pipe.vectors(docs), strict=True):
        assert np.array_equal(a.pieces, b.pieces)
        assert np.array_equal(a.entities, b.entities)


def test_a_longformer_has_its_window(longformer: Path) -> None:
    model = LongformerModel.from_pretrained(longformer).eval()
    for states in load(longformer, model=LONGFORMER).states(make_docs(), attentions=True):
        for window in states.windows:
            assert window.entities == ()
            with torch.no_grad():
                ids = torch.tensor(window.piece_ids)[None]
                theirs = model(ids, output_hidden_states=True, output_attentions=True)
            assert_equals(window.hidden_states, theirs.hidden_states)
            assert_equals(window.attentions, theirs.attentions)
            assert [weights.shape[2] for weights in window.attentions] == [5, 9, 17]


def test_attention_of_a_longformer_with_a_column_for_each_row(longformer: Path) -> None:
    [states] = load(longformer, model=LONGFORMER).states(make_docs()[:1], attentions=True)
    [window] = states.windows
    for index, half in enumerate((2, 4, 8)):
        full, weights = window.attention(index), window.attentions[index]
        assert full.dtype == weights.dtype
        rows = len(window.pieces)
        assert full.shape == (4, rows, rows)
        for row in range(rows):
            for column in range(rows):
                place = column - row + half
                expected = weights[:, row, place] if 0 <= place <= 2 * half else 0
                assert (full[:, row, column] == expected).all()


def test_attention_of_a_luke_has_a_column_for_each_row_as_it_is(checkpoint: Path) -> None:
    [states] = load(checkpoint).states(make_docs()[:1], attentions=True)
    [window] = states.windows
    rows = len(window.pieces) + len(window.entities)
    assert window.attention(1) is window.attentions[1]
    assert window.attention(1).shape == (4, rows, rows)
    np.testing.assert_allclose(window.attention(1).sum(-1), 1, atol=1e-5)


def test_with_independent_attention_an_entity_sees_the_pieces_and_itself(checkpoint: Path, tmp_path: Path) -> None:
    pipe: Any = spacy.blank("en").add_pipe("luke_encoder", config={"model": INDEPENDENT})
    pipe.initialize(lambda: [], checkpoint=str(checkpoint))
    docs = make_docs()[:1]
    [states], [vectors] = pipe.states(docs, attentions=True), pipe.vectors(docs)
    [window] = states.windows
    pieces, entities = len(window.pieces), len(window.entities)
    assert entities == len(docs[0].ents)
    np.testing.assert_allclose(window.hidden_states[-1, 1:-1], vectors.pieces, atol=1e-4)
    np.testing.assert_allclose(window.entity_hidden_states[-1], vectors.entities, atol=1e-4)
    for weights in window.attentions:
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        assert (weights[:, :pieces, pieces:] == 0).all()
        among = weights[:, pieces:, pieces:]
        assert (among[:, ~np.eye(entities, dtype=bool)] == 0).all()
        assert (among[:, np.eye(entities, dtype=bool)] > 0).all()


def test_the_encoder_of_another_component(checkpoint: Path) -> None:
    nlp = spacy.blank("en")
    owner: Any = nlp.add_pipe("luke_encoder", config={"set_vectors": False})
    user: Any = nlp.add_pipe("luke_encoder", name="vectors", config={"model": SHARED})
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(checkpoint)}}
    with pytest.raises(LukeError, match="L040"):
        user.states(make_docs())
    nlp.initialize()
    [a], [b] = owner.states(make_docs()[:1], attentions=True), user.states(make_docs()[:1], attentions=True)
    assert np.array_equal(a.windows[0].hidden_states, b.windows[0].hidden_states)
    assert np.array_equal(a.windows[0].attentions[2], b.windows[0].attentions[2])


def test_one_doc_alone_is_refused(checkpoint: Path) -> None:
    with pytest.raises(LukeError, match="L080"):
        load(checkpoint).states(make_docs()[0])


def test_no_docs(checkpoint: Path) -> None:
    assert load(checkpoint).states([]) == []


def test_states_say_what_they_are_without_their_numbers(checkpoint: Path) -> None:
    [states] = load(checkpoint).states(make_docs()[1:2], attentions=True)
    assert isinstance(states, DocStates)
    assert "Well" in repr(states)
    assert "array" not in repr(states)
