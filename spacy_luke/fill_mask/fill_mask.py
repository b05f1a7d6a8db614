"""Fill masks: the pieces that a masked language model finds most probable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from spacy.tokens import Doc, Span
from thinc.api import get_torch_default_device

from ..annotations import check_span
from ..batching.collate import make_batches
from ..batching.device import is_finite, prefetch
from ..checkpoints.heads import MASKED_LM
from ..checkpoints.reader import open_checkpoint
from ..checkpoints.source import locate
from ..checks import require_at_least
from ..encoders.layers import flat_indices
from ..encoders.masked_lm import MaskedLM
from ..errors import LukeError, warn
from ..pipeline.base.losses import softmax
from ..tokenization.entity_vocab import MASK, PAD, EntityVocab
from ..tokenization.loading import MASKS
from ..tokenization.pieces import PieceTokenizer
from .inputs import MaskedText, mask_rows, masked_text

_AT_A_TIME = 64


@dataclass(frozen=True)
class Filling:
    """A piece for a mask.

    text: the piece as text, with the space before it if it starts a word.
    piece, id: as the tokenizer has it.
    score: probability in [0, 1]. logit: raw score.
    """

    text: str
    piece: str
    id: int
    score: float
    logit: float


@dataclass(frozen=True)
class Mask:
    """A mask in a text.

    start_char, end_char: where it is written.
    fillings: most probable first.
    """

    start_char: int
    end_char: int
    fillings: tuple[Filling, ...]


class FillMask:
    """A masked language model, LUKE's or Longformer's, that fills the masks in texts.

    A mask is written as the tokenizer of the checkpoint writes it, or as "<mask>" or "[MASK]". Each stands for one
    piece and is predicted by itself. A text with more pieces than the encoder has positions is read in windows, each
    mask in the one that shows most around it.

        fill = FillMask.from_checkpoint("studio-ousia/luke-base")
        [mask] = fill("Ada Lovelace wrote the first <mask> program.")
        mask.fillings[0].text, mask.fillings[0].score
    """

    def __init__(
        self, module: MaskedLM, tokenizer: PieceTokenizer, entity_vocab: EntityVocab, *, max_batch_pieces: int = 4096
    ):
        require_at_least(1, max_batch_pieces=max_batch_pieces)
        self._module = module.eval().to(get_torch_default_device())
        self._pieces = {i: piece for piece, i in tokenizer.vocab.items()}
        self.tokenizer = tokenizer
        self.entity_vocab = entity_vocab
        self.max_batch_pieces = max_batch_pieces
        self._is_sound = True

    @classmethod
    def from_checkpoint(
        cls, name: str | Path, *, revision: str | None = None, entity_vocab: str = "full", max_batch_pieces: int = 4096
    ) -> FillMask:
        """Open a checkpoint of LukeForMaskedLM or LongformerForMaskedLM; L042 if it has another head.

        name: folder or Hub id. revision: branch, tag or commit on the Hub.
        entity_vocab: rows of LUKE's entity table to keep: "full", "special" or the path of a list of titles.
        max_batch_pieces: most pieces and entities of one forward pass, padding included.
        """
        path = locate(name, revision)
        checkpoint = open_checkpoint(path)
        expected = checkpoint.architecture_of(MASKED_LM)
        if checkpoint.architecture != expected:
            raise LukeError("L042", name=cls.__name__, expected=expected, path=path, found=checkpoint.architecture)
        module, vocab = checkpoint.load_task_module(MASKED_LM, entity_vocab)
        assert isinstance(module, MaskedLM)
        return cls(module, checkpoint.tokenizer, vocab, max_batch_pieces=max_batch_pieces)

    def __call__(self, text: str | Doc, n_best: int = 5, *, entities: Iterable[Span] | None = None) -> tuple[Mask, ...]:
        """The masks of a text, in order, each with its `n_best` most probable pieces.

        entities: spans of the Doc that LUKE is given as entities: as the one that their `kb_id_` names, or as a
            masked one if the entity vocabulary has none of that name. Default: those of `doc.ents` that it has.

        L084 for a text without mask.
        """
        [masks] = self._fill([self._read(text, entities)], n_best)
        return masks

    def pipe(self, texts: Iterable[str | Doc], n_best: int = 5) -> Iterator[tuple[Mask, ...]]:
        """The same for many texts, which are read in batches."""
        todo = iter(texts)
        while some := list(islice(todo, _AT_A_TIME)):
            yield from self._fill([self._read(text, None) for text in some], n_best)

    def logits(self, texts: Iterable[str | Doc]) -> list[tuple[list[tuple[int, int]], np.ndarray]]:
        """Per text the places of its masks, in characters, and their raw scores, before softmax.

        *Shape:* (masks, vocabulary), float32
        """
        read = [self._read(text, None) for text in texts]
        places = [[(start, end) for start, end in text.chars.tolist()] for text in read]
        return list(zip(places, self._logits(read), strict=True))

    def _read(self, text: str | Doc, entities: Iterable[Span] | None) -> MaskedText:
        if not isinstance(text, str | Doc) or (entities is not None and not isinstance(text, Doc)):
            wanted = "a string or a Doc" if entities is None else "a Doc, whose spans the entities are"
            raise LukeError("L080", argument="text", value=text, wanted=wanted)
        spans: list[Span] = []
        if isinstance(text, Doc):
            known = (ent for ent in text.ents if ent.kb_id_ and ent.kb_id_ in self.entity_vocab)
            spans = list(known if entities is None else entities)
            for span in spans:
                check_span(text, span, "entity")
        vocab, content = self.entity_vocab, text if isinstance(text, str) else text.text
        titles = [span.kb_id_ if span.kb_id_ and span.kb_id_ in vocab else MASK for span in spans]
        given = [(s.start_char, s.end_char, vocab[title]) for s, title in zip(spans, titles, strict=True)]
        if not self._module.encoder.config.entity_inputs:
            given = []
        read = masked_text(content, self.tokenizer, given)
        if not len(read.places):
            raise LukeError("L084", text=content[:60], masks=" or ".join(MASKS))
        return read

    def _fill(self, texts: Sequence[MaskedText], n_best: int) -> list[tuple[Mask, ...]]:
        require_at_least(1, n_best=n_best)
        return [
            tuple(
                Mask(int(start), int(end), self._best(row, n_best))
                for (start, end), row in zip(text.chars, scores, strict=True)
            )
            for text, scores in zip(texts, self._logits(texts), strict=True)
        ]

    def _logits(self, texts: Sequence[MaskedText]) -> list[np.ndarray]:
        """*Shape:* (masks, vocabulary) each, float32"""
        config, special = self._module.encoder.config, self.tokenizer.special
        found = [np.zeros((len(text.places), config.vocab_size), dtype=np.float32) for text in texts]
        rows = [row for index, text in enumerate(texts) for row in mask_rows(index, text, config.max_pieces - 2)]
        device = next(self._module.parameters()).device
        batches = make_batches(rows, self.max_batch_pieces, special, entity_pad=self.entity_vocab[PAD])
        for group, batch in prefetch(batches, device):
            wanted = torch.zeros(batch.piece_mask.shape, dtype=torch.bool)
            for i, row in enumerate(group):
                wanted[i, torch.from_numpy(row.positions)] = True
            with torch.inference_mode():
                scores = self._module.predict(batch.to(device), pieces=flat_indices(wanted).to(device)).pieces
            assert scores is not None
            ends = np.cumsum([len(row.masks) for row in group])
            logits = scores.cpu().numpy()
            if self._is_sound and not is_finite(logits):
                self._is_sound = False
                warn("W031", name=type(self).__name__)
            for row, row_logits in zip(group, np.split(logits, ends[:-1]), strict=True):
                found[row.doc][row.masks] = row_logits
        return found

    def _best(self, logits: np.ndarray, n_best: int) -> tuple[Filling, ...]:
        scores = softmax(logits)
        order = np.argsort(-logits, kind="stable")[:n_best].tolist()
        pieces = [self._pieces.get(i, "") for i in order]
        return tuple(
            Filling(self.tokenizer.text_of(piece), piece, i, float(scores[i]), float(logits[i]))
            for piece, i in zip(pieces, order, strict=True)
        )
