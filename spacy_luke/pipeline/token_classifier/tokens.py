"""What components that classify tokens share: windows, predictions and updates."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc, Token
from spacy.training import Example

from ...batching.collate import make_batches
from ...batching.pieces import doc_pieces
from ...batching.strided import StridedWindows
from ...batching.windows import Windows, build_sentence_windows
from ...encoders.inputs import EncoderInput
from ...errors import LukeError
from ...tokenization.entity_vocab import PAD
from ..base.component import TaskComponent, Training
from ..base.gold import GoldReport, GoldSpans
from ..base.losses import cross_entropy_of_sets
from .decoding import TokenLogits
from .inputs import TokenRow, token_rows
from .tag_scheme import OUTSIDE


class TokenPipe(TaskComponent):
    """A component that gives every token but white space a label, which is read from its first piece.

    A token in several windows is read from the one that shows most around it.

    missed_gold: reason -> how much gold annotation updates could not learn from.
    """

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.missed_gold: Counter[str] = Counter()

    @property
    @abstractmethod
    def _gold_what(self) -> str:
        """What the gold annotation consists of, for messages."""

    @abstractmethod
    def _gold(self, example: Example, words: TokenLogits) -> GoldSpans:
        """Targets of the tokens that are classified."""

    @property
    def windows(self) -> Windows:
        """The windows in use; never longer than the encoder's positions allow."""
        return self._windows(partial(build_sentence_windows, context="none"), special_pieces=2)

    # Prediction

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Token], np.ndarray]]:
        """Per Doc its tokens but white space, and their raw scores, before softmax.

        *Shape:* (tokens, labels), float32; labels in the order of `logit_labels`.
        """
        docs = self._listed(docs)
        return [
            ([doc[i] for i in scored.tokens.tolist()], scored.logits)
            for doc, scored in zip(docs, self.predict(docs), strict=True)
        ]

    def predict(self, docs: Iterable[Doc]) -> list[TokenLogits]:
        """Raw scores of the tokens of each Doc."""
        docs = self._listed(docs)
        labels = len(self._require_weights_or_bundled(docs).labels)
        scored, rows = self._rows(docs, labels)
        for group, scores in self._predicted(self._batches(rows)):
            for row, row_scores in zip(group, scores, strict=True):
                scored[row.doc].logits[row.words] = row_scores[row.places]
        return scored

    def _rows(self, docs: list[Doc], labels: int) -> tuple[list[TokenLogits], list[TokenRow]]:
        """The tokens of each Doc that are classified, without scores yet, and the rows that show them."""
        tokenizer, windows = self._require_weights().tokenizer, self.windows
        if not isinstance(windows, StridedWindows):
            self._warn_without_sentences(docs)
        scored: list[TokenLogits] = []
        rows: list[TokenRow] = []
        for index, doc in enumerate(docs):
            pieces = doc_pieces(doc, tokenizer)
            tokens = np.flatnonzero(pieces.visible)
            rows += token_rows(index, pieces, tokens, windows)
            sentence_of = np.repeat(np.arange(len(pieces.sentences)), np.diff(pieces.sentences, axis=1)[:, 0])
            scored.append(TokenLogits(tokens, sentence_of[tokens], np.zeros((len(tokens), labels), dtype=np.float32)))
        return scored, rows

    def _batches(self, rows: Sequence[TokenRow]) -> Iterator[tuple[list[TokenRow], Any]]:
        """Padded inputs and the rows they are made of."""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        return make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)

    # Training

    def _training(self, examples: Sequence[Example]) -> Training[list[TokenRow]]:
        """Return the windows of the annotated tokens, whose loss is the mean cross entropy.

        Tokens without annotation are left out. Where the entities of a Doc are annotated with some labels only
        (`set_entity_labels`), the others remain possible for tokens without label.
        """
        labels = self._require_weights().labels
        scored, rows = self._rows([example.predicted for example in examples], len(labels))
        gold = [self._known_gold(example, words) for example, words in zip(examples, scored, strict=True)]
        for of_doc in gold:
            self.missed_gold += of_doc.missed
        outside = labels.index(OUTSIDE) if OUTSIDE in labels else -1
        wanted = [row for row in rows if gold[row.doc].known[row.words].any()]

        def loss_of(group: list[TokenRow], logits: np.ndarray, batch: EncoderInput) -> tuple[np.ndarray, float]:
            known = [row.words[gold[row.doc].known[row.words]] for row in group]
            places = [row.places[gold[row.doc].known[row.words]] for row in group]
            index = (np.repeat(np.arange(len(group)), [len(words) for words in known]), np.concatenate(places))
            possible = [
                gold[row.doc].possible(words, len(labels), outside) for row, words in zip(group, known, strict=True)
            ]
            gradient = np.zeros(logits.shape, dtype=np.float32)
            gradient[index], loss = cross_entropy_of_sets(logits[index], np.concatenate(possible))
            return gradient, loss

        return Training(self._batches(wanted), sum(int(of_doc.known.sum()) for of_doc in gold), loss_of)

    def _known_gold(self, example: Example, words: TokenLogits) -> GoldSpans:
        """L041 for labels that the component does not have."""
        gold = self._gold(example, words)
        if gold.unknown_labels:
            unknown, known = ", ".join(sorted(set(gold.unknown_labels))), ", ".join(self.labels)
            raise LukeError("L041", labels=unknown, name=self.name, known=known)
        return gold

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        report = GoldReport()
        for example in get_examples():
            [words], _ = self._rows([example.predicted], 0)
            gold = self._known_gold(example, words)
            report.add(gold, gold.total)
        report.warn(self.name, "W020", what=self._gold_what)
