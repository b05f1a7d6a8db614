"""`luke_multiple_choice`: which option is right, for questions about a Doc."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import Choice, Choices, get_choices, get_chosen, is_options, set_chosen
from ...batching.device import is_finite
from ...checkpoints.checkpoint import Description
from ...checkpoints.heads import MULTIPLE_CHOICE
from ...checks import require_at_least
from ...errors import LukeError, warn
from ..base.factory import component_factory
from ..base.grouped import GroupedComponent, GroupedTraining
from ..base.losses import cross_entropy, softmax
from .inputs import SPECIAL_PIECES, ChoiceReader, ChoiceRow
from .scorer import best_choices

DEFAULT_CONFIG = """
[luke_multiple_choice]
max_pieces = null
n_best = 1
max_batch_pieces = 4096

[luke_multiple_choice.model]
@architectures = "spacy-luke.MultipleChoice.v1"

[luke_multiple_choice.scorer]
@scorers = "spacy-luke.multiple_choice_scorer.v1"
"""


class LukeMultipleChoice(GroupedComponent[ChoiceRow]):
    """The right options for the questions in `doc._.choices`, as transformers' classes for multiple choice find them.

    max_pieces: most pieces of Doc, question and option together, without special pieces; null = as the checkpoint was
        trained, else as many as the encoder has positions for. What is longer is cut at the end, the longer of the two
        texts first, and a warning given.
    n_best: options that are written for each question, best first.
    max_batch_pieces: most pieces of one forward pass, padding included.

    Each option is read in a row of its own, with its question before it and the Doc as context. A Doc without text is
    an empty context.
    """

    architecture = MULTIPLE_CHOICE
    factory = "luke_multiple_choice"
    gold_place = "doc._.chosen"
    needs_labels = False

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        max_pieces: int | None,
        n_best: int,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=None, max_batch_pieces=max_batch_pieces, scorer=scorer)
        require_at_least(1, n_best=n_best)
        if max_pieces is not None:
            require_at_least(2, max_pieces=max_pieces)
        self._max_pieces_setting = max_pieces
        self.n_best = n_best

    @property
    def windows(self) -> None:
        """None: texts are cut at their end."""

    @property
    def max_pieces(self) -> int:
        """Most pieces of Doc, question and option together; never more than the encoder's positions allow."""
        description = self._require_weights()
        longest = description.config.max_pieces - SPECIAL_PIECES
        return min(self._max_pieces_setting or description.settings.get("max_pieces", longest), longest)

    def _settings_to_save(self, source: Description, options: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {"max_pieces": self._max_pieces_setting} if self._max_pieces_setting else {}
        return {**super()._settings_to_save(source, options), **chosen}

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return ()

    # Prediction

    def choose(self, doc: Doc, options: Sequence[str], question: str = "", n_best: int = 1) -> tuple[Choice, ...]:
        """The `n_best` best options for one question, best first. The Doc is left as it is.

        question: read before each option; "" = the options by themselves.

        L080 if `doc` is no Doc, `options` no list of at least one string, or `question` no string.
        """
        for argument, value, ok, wanted in (
            ("doc", doc, isinstance(doc, Doc), "a Doc, as nlp(text) gives"),
            ("options", options, is_options(options), "a list of at least one string"),
            ("question", question, isinstance(question, str), "a string"),
        ):
            if not ok:
                raise LukeError("L080", argument=argument, value=value, wanted=wanted)
        require_at_least(1, n_best=n_best)
        self._require_weights_or_bundled([doc])
        asked = Choices(question, tuple(options))
        [[logits]] = self._find([doc], [(asked,)])
        return _ranked(0, asked, logits, n_best)

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Choices], list[np.ndarray]]]:
        """Per Doc the questions in `doc._.choices`, and the raw scores of the options of each, before softmax.

        *Shape:* (options,) each, float32
        """
        docs = self._as_list(docs)
        return [(list(get_choices(doc)), found) for doc, found in zip(docs, self.predict(docs), strict=True)]

    def predict(self, docs: Iterable[Doc]) -> list[list[np.ndarray]]:
        """Raw scores of the options of each question in `doc._.choices`. *Shape:* (options,) each, float32"""
        docs = self._as_list(docs)
        self._require_weights_or_bundled(docs)
        return self._find(docs, [get_choices(doc) for doc in docs])

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[Sequence[np.ndarray]]) -> None:
        """Write `doc._.chosen`: `n_best` options for each question, in the order of the questions, best first.

        Docs without questions are left as they are, and an output that is not finite chooses nothing.
        """
        for doc, doc_scores in zip(docs, scores, strict=True):
            asked = enumerate(zip(get_choices(doc), doc_scores, strict=True))
            chosen = [
                choice
                for number, (choices, found) in asked
                if is_finite(found)
                for choice in _ranked(number, choices, found, self.n_best)
            ]
            if chosen:
                set_chosen(doc, chosen)

    def _find(self, docs: Sequence[Doc], asked: Sequence[Sequence[Choices]]) -> list[list[np.ndarray]]:
        found = [[np.zeros(len(c.options), dtype=np.float32) for c in doc_choices] for doc_choices in asked]
        reader = self._reader()
        for row, logits in self._row_logits(row for rows in self._rows(reader, docs, asked) for row in rows):
            found[row.doc][row.question][row.option] = logits[0]
        self._warn_of(reader)
        return found

    def _rows(
        self, reader: ChoiceReader, docs: Iterable[Doc], asked: Iterable[Sequence[Choices]], first: int = 0
    ) -> Iterator[list[ChoiceRow]]:
        """The rows of the options of each question. first: index of the first Doc."""
        for index, (doc, doc_choices) in enumerate(zip(docs, asked, strict=True), first):
            if doc_choices:
                context = reader.context(doc.text)
                for number, choices in enumerate(doc_choices):
                    yield reader.rows(index, number, context, choices.question, choices.options)

    def _reader(self) -> ChoiceReader:
        return ChoiceReader(self._require_weights().tokenizer, self.max_pieces)

    def _warn_of(self, reader: ChoiceReader) -> None:
        maximum = reader.max_pieces
        if reader.cut_docs:
            warn("W021", name=self.name, count=len(reader.cut_docs), maximum=maximum, stacklevel=4)
        if reader.cut_options:
            first = reader.first_cut
            warn("W022", name=self.name, count=reader.cut_options, maximum=maximum, first=first, stacklevel=4)

    # Training

    def _training(self, examples: Sequence[Example]) -> GroupedTraining[ChoiceRow]:
        """Return the options, grouped by question. The loss of a question is the cross entropy over its options.

        Questions are those of the references that have a gold choice.
        """
        gold = [best_choices(get_chosen(example.reference)) for example in examples]
        asked = [get_choices(example.reference) for example in examples]
        rows_of = self._rows(self._reader(), [example.predicted for example in examples], asked)
        questions = [rows for rows in rows_of if rows[0].question in gold[rows[0].doc]]

        def loss_of_question(options: Sequence[ChoiceRow], logits: np.ndarray) -> tuple[np.ndarray, float]:
            right = gold[options[0].doc][options[0].question].index
            gradient, loss = cross_entropy(logits[None, :, 0], np.array([right]))
            return gradient[0, :, None], loss

        return self._grouped_training(questions, len(questions), loss_of_question)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        reader = self._reader()
        docs = annotated = 0
        for example in get_examples():
            for _ in self._rows(reader, [example.predicted], [get_choices(example.reference)], docs):
                pass
            docs += 1
            annotated += bool(get_chosen(example.reference))
        if docs and not annotated:
            warn("W018", name=self.name, count=docs, place=self.gold_place)
        self._warn_of(reader)


def _ranked(number: int, asked: Choices, logits: np.ndarray, n_best: int) -> tuple[Choice, ...]:
    """The `n_best` best options; of equals the first."""
    scores = softmax(logits)
    order = np.argsort(-logits, kind="stable")[:n_best].tolist()
    return tuple(Choice(asked.question, asked.options[i], number, i, float(scores[i]), float(logits[i])) for i in order)


make_luke_multiple_choice = component_factory(
    LukeMultipleChoice,
    DEFAULT_CONFIG,
    assigns=["doc._.chosen"],
    score_weights={"choice_acc": 1.0},
)
