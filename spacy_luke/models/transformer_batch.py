"""States of spans in the form of spacy-transformers. Imports it, and with it transformers: import this when needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy_transformers.data_classes import FullTransformerBatch, TransformerData, WordpieceBatch
from thinc.api import get_array_module, torch2xp, xp2torch
from thinc.types import Ragged
from transformers.utils import ModelOutput

from ..batching.collate import RowInput
from ..batching.span_rows import SpanRow, token_alignment
from ..encoders.inputs import EncoderOutput
from ..tokenization.pieces import PieceTokenizer


class SpanStates(FullTransformerBatch):
    """The states of a batch of Docs, of which every Doc gets its own without the padding of the others.

    `FullTransformerBatch` cuts its tensors by Doc and leaves them as wide as the longest row of the batch, so that what
    a Doc gets depends on the Docs it is in a batch with.
    """

    def unsplit_by_doc(self, arrays: Sequence[Sequence[Any]]) -> FullTransformerBatch:
        """The gradients of all Docs that have rows, one below the other and as wide as the longest row of the batch."""
        gradients = [doc_arrays[0] for doc_arrays in arrays]
        xp = get_array_module(gradients[0])
        width = self.wordpieces.input_ids.shape[1]
        padded = [xp.pad(rows, ((0, 0), (0, width - rows.shape[1]), (0, 0))) for rows in gradients]
        states = ModelOutput(last_hidden_state=xp2torch(xp.vstack(padded)))
        return FullTransformerBatch(self.spans, self.wordpieces, states, self.align)


def span_states(
    docs: Sequence[Doc],
    rows: Sequence[Sequence[SpanRow]],
    inputs: Sequence[RowInput],
    output: EncoderOutput,
    tokenizer: PieceTokenizer,
    *,
    sliding: bool,
) -> FullTransformerBatch:
    """The batch of some Docs.

    rows: of each Doc. inputs: tensors of all rows. output: of all rows, as `BatchedEncoder` gives it.
    sliding: whether the attention weights are those of a Longformer.
    """
    assert output.pieces is not None
    every = ModelOutput(last_hidden_state=output.pieces)
    arrays: dict[str, Any] = {"last_hidden_state": torch2xp(output.pieces)}
    for name in ("hidden_states", "attentions"):
        if recorded := getattr(output, name):  # as in transformers, what was not asked for is not there
            every[name], arrays[name] = recorded, [torch2xp(part) for part in recorded]
    longest = output.pieces.shape[1]
    doc_data, places, counts = [], [], []
    first = 0
    for doc, doc_rows in zip(docs, rows, strict=True):
        if not doc_rows:
            doc_data.append(TransformerData.empty())
            continue
        last, width = first + len(doc_rows), max(row.pieces for row in doc_rows)
        own = ModelOutput(**_cut(arrays, slice(first, last), width, sliding=sliding))
        align = Ragged(*token_alignment(doc_rows, len(doc), width))  # type: ignore[arg-type]
        doc_data.append(TransformerData(_word_pieces(inputs[first:last], width, tokenizer), own, align))
        doc_places, doc_counts = token_alignment(doc_rows, len(doc), longest)
        places.append(doc_places + first * longest)
        counts.append(doc_counts)
        first = last
    return SpanStates(
        [[row.span for row in doc_rows] for doc_rows in rows],
        _word_pieces(inputs, longest, tokenizer),
        every,
        Ragged(np.concatenate(places).astype("i"), np.concatenate(counts)),  # type: ignore[arg-type]
        cached_doc_data=doc_data,
    )


def _cut(arrays: dict[str, Any], rows: slice, width: int, *, sliding: bool) -> dict[str, Any]:
    """The part of the rows of one Doc, of which the longest has `width` pieces."""
    columns = slice(None) if sliding else slice(width)
    own = {"last_hidden_state": arrays["last_hidden_state"][rows, :width]}
    if "hidden_states" in arrays:
        own["hidden_states"] = [part[rows, :width] for part in arrays["hidden_states"]]
    if "attentions" in arrays:
        own["attentions"] = [part[rows, :, :width, columns] for part in arrays["attentions"]]
    return own


def _word_pieces(rows: Sequence[RowInput], width: int, tokenizer: PieceTokenizer) -> WordpieceBatch:
    ids: Any = np.full((len(rows), width), tokenizer.special.pad, dtype=np.int64)
    types: Any = np.zeros((len(rows), width), dtype=np.int64)
    mask: Any = np.zeros((len(rows), width), dtype=np.float32)
    for index, row in enumerate(rows):
        ids[index, : row.pieces] = row.piece_ids
        types[index, : row.pieces] = row.piece_types
        mask[index, : row.pieces] = 1
    strings = [[tokenizer.strings[i] for i in row_ids] for row_ids in ids.tolist()]
    return WordpieceBatch(strings, ids, mask, [row.pieces for row in rows], types)
