"""States of every layer and attention weights of a Doc, with what each row and column of them is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from torch import Tensor

from ...encoders.inputs import EncoderOutput, Recording
from ...errors import LukeError
from ...tokenization.pieces import PieceTokenizer, WordPieces
from .inputs import VectorRow


@dataclass(frozen=True, eq=False)
class WindowStates:
    """States and attention weights of one window of a Doc. Arrays are NumPy's, float32 where no other type is named.

    start, end: the window: a half-open range of the Doc's pieces.
    pieces: the texts of the window's pieces, with the space that they may start with; a special one stands before them
        and one behind them. What is not a whole character is "�".
    piece_ids: the same as ids of the vocabulary. *Shape:* (pieces,), int64
    tokens: index of the token that each piece belongs to; -1 for the special pieces, and for a space that belongs to
        no token. *Shape:* (pieces,), int64
    is_best: whether `vectors` reads a piece from this window, because no other shows as much around it. Each piece of a
        Doc is read from one window. *Shape:* (pieces,), bool
    entities: the spans that are entity inputs of this window.
    hidden_states: of the pieces, for each of `DocStates.layers`. *Shape:* (layers, pieces, hidden)
    entity_hidden_states: *Shape:* (layers, entities, hidden)
    attentions: how much each row, pieces before entities, attends to each, for each of `DocStates.attention_layers`; ()
        if they were not asked for. *Shape:* layers x (heads, rows, rows)

        Of a Longformer: how much each piece attends to the pieces from half a window before it, over itself, to half a
        window after it; 0 for places before the first piece and after the last.
        *Shape:* layers x (heads, pieces, window + 1)
    sliding: whether `attentions` are those of a Longformer.
    """

    start: int
    end: int
    pieces: tuple[str, ...]
    piece_ids: np.ndarray = field(repr=False)
    tokens: np.ndarray = field(repr=False)
    is_best: np.ndarray = field(repr=False)
    entities: tuple[Span, ...]
    hidden_states: np.ndarray = field(repr=False)
    entity_hidden_states: np.ndarray = field(repr=False)
    attentions: tuple[np.ndarray, ...] = field(repr=False)
    sliding: bool

    def attention(self, index: int) -> np.ndarray:
        """`attentions[index]` with a column for each row, for a Longformer too. *Shape:* (heads, rows, rows)"""
        weights = self.attentions[index]
        if not self.sliding:
            return weights
        heads, pieces, places = weights.shape
        full = np.zeros((heads, pieces, pieces + places - 1), dtype=weights.dtype)
        rows = np.arange(pieces)[:, None]
        full[:, rows, rows + np.arange(places)] = weights
        return full[:, :, places // 2 :][:, :, :pieces]


@dataclass(frozen=True, eq=False)
class DocStates:
    """States of a Doc.

    layers: numbers of the layers: 0 is what the embeddings give, n what layer n gives. With transformers' names,
        `hidden_states[n]`.
    windows: those that the Doc was cut into, in order; () for a Doc without pieces. They may overlap.
    """

    doc: Doc
    layers: tuple[int, ...]
    windows: tuple[WindowStates, ...]

    @property
    def attention_layers(self) -> tuple[int, ...]:
        """Layers that have attention weights: all but the embeddings. With transformers' names, `attentions[n - 1]`."""
        return tuple(layer for layer in self.layers if layer)


def layer_numbers(layers: Any, count: int) -> tuple[int, ...]:
    """Numbers from 0 to `count` for what was asked for: None = all of them; negative ones count from the last layer.

    L155 for what is no list of such numbers, or an empty one.
    """
    if layers is None:
        return tuple(range(count + 1))
    listed = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else []
    if not listed or not all(_is_layer(layer, count) for layer in listed):
        raise LukeError("L155", layers=layers, first=-count - 1, last=count)
    return tuple(int(layer) % (count + 1) for layer in listed)


def _is_layer(layer: Any, count: int) -> bool:
    whole = isinstance(layer, int | np.integer) and not isinstance(layer, bool)
    return whole and -count - 1 <= int(layer) <= count


def recording_of(layers: Sequence[int], *, attentions: bool) -> Recording:
    """Recording that an encoder needs for the states of these layers."""
    return Recording(frozenset(layers), frozenset(layers) - {0} if attentions else frozenset())


def piece_tokens(words: WordPieces) -> np.ndarray:
    """Index of the word of each piece; -1 for a piece of no word. *Shape:* (pieces,), int64"""
    tokens = np.full(len(words.ids), -1)
    lengths = words.ends - words.starts
    first = words.starts - lengths.cumsum() + lengths
    tokens[np.repeat(first, lengths) + np.arange(lengths.sum())] = np.repeat(np.arange(len(lengths)), lengths)
    return tokens


def window_states(
    rows: Sequence[VectorRow],
    output: EncoderOutput,
    layers: Sequence[int],
    spans: Sequence[Sequence[Span]],
    tokens: Sequence[np.ndarray],
    tokenizer: PieceTokenizer,
    *,
    sliding: bool,
) -> list[WindowStates]:
    """The states of the rows of a batch, each without the padding of the others.

    layers: those that were recorded, in the order in which they are wanted.
    spans, tokens: the entities of each Doc and the tokens of its pieces.
    """
    recorded = sorted(set(layers))
    states, entity_layers = _by_layer(output.hidden_states, recorded), _by_layer(output.entity_hidden_states, recorded)
    weights = _by_layer(output.attentions, [layer for layer in recorded if layer])
    longest, hidden = next(iter(states.values())).shape[1:]
    found = []
    for i, row in enumerate(rows):
        ids = row.make(tokenizer.special).piece_ids
        token_of, is_best = np.full(row.pieces, -1), np.zeros(row.pieces, dtype=bool)
        token_of[1:-1] = tokens[row.doc][row.start : row.end]
        is_best[row.wanted - row.start + 1] = True
        entity_states = np.zeros((len(layers), 0, hidden), dtype=np.float32)
        if row.entities:
            entity_states = np.stack([entity_layers[layer][i, : row.entities] for layer in layers])
        seen = np.concatenate([np.arange(row.pieces), longest + np.arange(row.entities)])
        columns = slice(None) if sliding else seen
        found.append(
            WindowStates(
                start=row.start,
                end=row.end,
                pieces=tuple(_text(piece, tokenizer) for piece in ids.tolist()),
                piece_ids=ids,
                tokens=token_of,
                is_best=is_best,
                entities=tuple(spans[row.doc][member] for member in row.members.tolist()),
                hidden_states=np.stack([states[layer][i, : row.pieces] for layer in layers]),
                entity_hidden_states=entity_states,
                attentions=tuple(weights[layer][i][:, seen][:, :, columns] for layer in layers if layer in weights),
                sliding=sliding,
            )
        )
    return found


def _by_layer(recorded: Sequence[Tensor] | None, layers: Sequence[int]) -> dict[int, np.ndarray]:
    """Number of the layer -> what was recorded of it, if anything was."""
    return {layer: part.cpu().numpy() for layer, part in zip(layers, recorded, strict=True)} if recorded else {}


def _text(piece: int, tokenizer: PieceTokenizer) -> str:
    text = tokenizer.strings[piece]
    return text if piece in (tokenizer.special.bos, tokenizer.special.eos) else tokenizer.text_of(text)
