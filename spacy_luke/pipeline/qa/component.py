"""`luke_qa`: answers to questions about a Doc, as spans of its text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import Answer, get_answers, get_questions, set_answers
from ...batching.collate import make_batches
from ...batching.strided import ContextWindows, build_strided_windows
from ...checkpoints.heads import QUESTION_ANSWERING
from ...checks import require_at_least
from ...encoders.inputs import EncoderInput
from ...encoders.luke import LukeEncoder
from ...errors import LukeError, warn
from ...tokenization.entity_vocab import PAD
from ..base.calibration import Calibration
from ..base.component import TaskComponent, Training
from ..base.factory import component_factory
from ..base.gold import GoldReport
from ..base.losses import cross_entropy
from .decoding import N_BEST, NO_ENDS, NOTHING, FoundAnswers, merged, sentence_ends, to_answers, window_answers
from .gold import PieceAnswer, gold_rows, target
from .inputs import QuestionReader, QuestionRow, QuestionWindow

# The bias of "no answer" is looked for among these: its logit is a sum of two, which large models make large.
NO_ANSWER_BIASES = tuple(step / 4 for step in range(-40, 41))

DEFAULT_CONFIG = """
[luke_qa]
windows = null
max_question_pieces = 64
max_answer_pieces = 30
n_best = 1
no_answer_threshold = 0.0
no_answer_bias = 0.0
whole_words = false
one_sentence = false
max_entities = 128
separators = 2
max_batch_pieces = 4096

[luke_qa.model]
@architectures = "spacy-luke.QuestionAnswering.v1"

[luke_qa.model.encoder]
entity_vocab = "full"

[luke_qa.scorer]
@scorers = "spacy-luke.qa_scorer.v1"
"""


class LukeQA(TaskComponent):
    """Answers from the text of a Doc to the questions in `doc._.questions` (Yamada et al. 2020, section 4.5).

    windows: how a long Doc is cut; null = as the checkpoint was trained, else the paper's windows of 508 pieces,
        question included, every 128 pieces (LUKE), or the whole Doc (Longformer).
    max_question_pieces: of a longer question only the beginning is read, and a warning given; never more than half of
        a window.
    max_answer_pieces: longest answer in pieces.
    n_best: answers that are written for each question, best first.
    no_answer_threshold: how much larger the logit of "no answer" must be than that of the best answer to be preferred;
        0 = the larger one decides; null = always answer. It does not change scores.
    no_answer_bias: added to the logit of "no answer", and so part of its score; `calibrate` and `tune` choose it.
    whole_words: answers start and end at tokens of the Doc: one that starts or ends within a token is widened to it.
        false = at pieces, as in transformers. Scores are the same either way.
    one_sentence: no answer goes over the end of a sentence, in a Doc that has sentences. false = as in transformers.
    max_entities: most entities of a window that are given to the encoder: those of `doc.ents` whose `kb_id_` is a
        title of the entity vocabulary (the paper's links to Wikipedia); 0 = none.
    separators: special pieces between question and context: 2 as in RoBERTa, LUKE and transformers' Longformer, or 1 as
        in the official script of Longformer for TriviaQA.
    max_batch_pieces: most pieces and entities of one forward pass, padding included.

    A Doc without text, or an empty question, has the answer None with score 1 and without logit.
    """

    architecture = QUESTION_ANSWERING
    factory = "luke_qa"
    gold_place = "doc._.answers"
    needs_labels = False

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: ContextWindows | None,
        max_question_pieces: int,
        max_answer_pieces: int,
        n_best: int,
        no_answer_threshold: float | None,
        no_answer_bias: float,
        whole_words: bool,
        one_sentence: bool,
        max_entities: int,
        separators: int,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        require_at_least(1, max_question_pieces=max_question_pieces, max_answer_pieces=max_answer_pieces, n_best=n_best)
        require_at_least(0, max_entities=max_entities)
        if separators not in (1, 2):
            raise LukeError("L047", setting="separators", value=separators, reason="it must be 1 or 2")
        if windows is not None and not isinstance(windows, ContextWindows):
            reason = "they must cut a context beside a question, as spacy-luke.strided_windows.v1 does"
            raise LukeError("L047", setting="windows", value=windows, reason=reason)
        self.max_question_pieces = max_question_pieces
        self.max_entities = max_entities
        self.separators = separators
        self.max_answer_pieces = max_answer_pieces
        self.n_best = n_best
        self.no_answer_threshold = no_answer_threshold
        self.no_answer_bias = no_answer_bias
        self.whole_words = whole_words
        self.one_sentence = one_sentence

    @property
    def windows(self) -> ContextWindows:
        """The windows in use: those of the config, else those that the checkpoint was trained with, else the
        paper's; never longer than the encoder's positions allow."""
        return self._windows(build_strided_windows, special_pieces=2 + self.separators)

    # Weights

    def _freeze_parameters(self) -> None:
        """The rows of the entities are never trained, as in the paper's code: few of them are in the data."""
        encoder = self._encoder
        if isinstance(encoder, LukeEncoder) and self._owns_encoder:
            encoder.entity_embeddings.entity.requires_grad_(False)

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return ()

    # Prediction

    def answer(self, doc: Doc, question: str, n_best: int = 1) -> tuple[Answer, ...]:
        """The `n_best` best answers to one question, one of which may be "no answer". The Doc is left as it is.

        L080 if `doc` is no Doc or `question` no string.
        """
        for argument, value, kind in (("doc", doc, Doc), ("question", question, str)):
            if not isinstance(value, kind):
                wanted = "a Doc, as nlp(text) gives" if kind is Doc else "a string"
                raise LukeError("L080", argument=argument, value=value, wanted=wanted)
        require_at_least(1, n_best=n_best)
        self._require_weights_or_bundled([doc])
        [[found]] = self._find([doc], [(question,)], n_best)
        return self._to_answers(doc, question, found, n_best)

    def _to_answers(self, doc: Doc, question: str, found: FoundAnswers, n_best: int) -> tuple[Answer, ...]:
        return to_answers(doc, question, found, n_best, self.no_answer_threshold, whole_words=self.whole_words)

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[QuestionWindow], list[np.ndarray]]]:
        """Per Doc the windows of its questions, in the order of the questions and of the text, and their raw logits of
        start and end, before softmax.

        Empty questions and Docs without text have no windows. *Shape:* (pieces, 2) each, float32
        """
        docs = self._as_list(docs)
        self._require_weights_or_bundled(docs)
        questions = [get_questions(doc) for doc in docs]
        found: list[dict[tuple[int, int], tuple[QuestionWindow, np.ndarray]]] = [{} for _ in docs]
        for group, scores in self._scored(docs, questions):
            for row, row_scores in zip(group, scores, strict=True):
                start, end = row.start, row.end
                chars = np.full((row.pieces, 2), -1, dtype=np.int64)
                chars[row.window_offset : -1] = row.text.chars[start:end]
                window = QuestionWindow(questions[row.doc][row.question], chars)
                found[row.doc][row.question, row.window] = (window, row_scores[: row.pieces].copy())
        in_order = [[doc_scores[key] for key in sorted(doc_scores)] for doc_scores in found]
        return [([window for window, _ in doc_scores], [scores for _, scores in doc_scores]) for doc_scores in in_order]

    @property
    def _calibration_scores(self) -> tuple[str, str]:
        return ("qa_f1", "qa_ece")

    @property
    def _biases(self) -> Sequence[float]:
        return NO_ANSWER_BIASES

    def apply_calibration(self, calibration: Calibration) -> None:
        """Divide the weights of the head by the temperature. The bias becomes part of `no_answer_bias`."""
        super().apply_calibration(replace(calibration, bias=0.0))
        self.no_answer_bias = (self.no_answer_bias + calibration.bias) / calibration.temperature

    def _calibrated(self, scored: Sequence[FoundAnswers], calibration: Calibration) -> list[FoundAnswers]:
        return [found.calibrated(calibration) for found in scored]

    def predict(self, docs: Iterable[Doc]) -> list[list[FoundAnswers]]:
        """The best answers to each question in `doc._.questions`, with raw scores."""
        docs = self._as_list(docs)
        self._require_weights_or_bundled(docs)
        return self._find(docs, [get_questions(doc) for doc in docs], self.n_best)

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[Sequence[FoundAnswers]]) -> None:
        """Write `doc._.answers`: `n_best` for each question, in the order of the questions, best first.

        Docs without questions are left as they are.
        """
        for doc, doc_answers in zip(docs, scores, strict=True):
            answers: list[Answer] = []
            for question, found in zip(get_questions(doc), doc_answers, strict=True):
                answers += self._to_answers(doc, question, found, self.n_best)
            if doc_answers:
                set_answers(doc, answers)

    def _find(self, docs: Sequence[Doc], questions: Sequence[Sequence[str]], n_best: int) -> list[list[FoundAnswers]]:
        keep = max(N_BEST, n_best)
        best = [[NOTHING] * len(doc_questions) for doc_questions in questions]
        ends = [
            sentence_ends(doc) if self.one_sentence and doc_questions else NO_ENDS
            for doc, doc_questions in zip(docs, questions, strict=True)
        ]
        for group, scores in self._scored(docs, questions):
            for row, row_scores in zip(group, scores, strict=True):
                found = window_answers(row, row_scores, self.max_answer_pieces, keep, ends[row.doc])
                best[row.doc][row.question] = merged(best[row.doc][row.question], found, keep)
        bias = Calibration(bias=self.no_answer_bias)
        return [[found.calibrated(bias) for found in doc_found] for doc_found in best]

    def _scored(
        self, docs: Sequence[Doc], questions: Sequence[Sequence[str]]
    ) -> Iterator[tuple[list[QuestionRow], np.ndarray]]:
        """Rows and their logits, in batches. *Shape:* (rows, pieces with padding, 2)"""
        reader = self._reader()
        contexts = [
            reader.context(doc) if doc_questions else None for doc, doc_questions in zip(docs, questions, strict=True)
        ]
        rows = (
            row
            for index, (context, doc_questions) in enumerate(zip(contexts, questions, strict=True))
            for number, question in enumerate(doc_questions)
            if context is not None
            for row in reader.rows(index, number, context, question)
        )
        yield from self._predict_batches(self._batches(rows))
        self._warn_of(reader)

    def _reader(self) -> QuestionReader:
        description = self._require_weights()
        return QuestionReader(
            description.tokenizer,
            description.entity_vocab,
            self.windows,
            max_question_pieces=self.max_question_pieces,
            max_entities=self.max_entities,
            separators=self.separators,
        )

    def _warn_of(self, reader: QuestionReader) -> None:
        if reader.too_long:
            maximum, first = reader.max_question_pieces, reader.first_too_long
            warn("W015", name=self.name, count=reader.too_long, maximum=maximum, first=first, stacklevel=4)
        if reader.empty:
            warn("W016", name=self.name, count=reader.empty, stacklevel=4)

    def _batches(self, rows: Iterable[QuestionRow]) -> Iterator[tuple[list[QuestionRow], Any]]:
        """Padded inputs and the rows they are made of. Rows of all Docs go together, sorted by length."""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        return make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)

    # Training

    def _training(self, examples: Sequence[Example]) -> Training[list[QuestionRow]]:
        """Return the windows of all questions. The loss of a window is the mean of the cross entropies of start and end
        over its pieces, as in the reference, but padding takes no part: so it does not depend on the other rows of the
        batch.

        Questions are those of the references that have a gold answer, which may be None.
        """
        reader = self._reader()
        rows: list[QuestionRow] = []
        gold: list[list[list[PieceAnswer]]] = []
        for index, example in enumerate(examples):
            gold.append([])
            for question_rows, answers in gold_rows(example, reader, GoldReport(), index):
                rows += question_rows
                gold[-1].append(answers)

        def loss_of(group: list[QuestionRow], logits: np.ndarray, batch: EncoderInput) -> tuple[np.ndarray, float]:
            targets = np.array([target(row, gold[row.doc][row.question]) for row in group])
            scores = np.array(logits, dtype=np.float32)
            scores[~batch.piece_mask.cpu().numpy()] = -np.inf
            (d_start, start), (d_end, end) = (cross_entropy(scores[:, :, edge], targets[:, edge]) for edge in (0, 1))
            return np.stack([d_start, d_end], axis=-1), start + end

        return Training(self._batches(rows), 2 * len(rows), loss_of)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        reader, report = self._reader(), GoldReport(self.max_answer_pieces)
        docs = annotated = 0
        for example in get_examples():
            docs += 1
            annotated += bool(get_answers(example.reference))
            for _ in gold_rows(example, reader, report):
                pass
        if docs and not annotated:
            warn("W018", name=self.name, count=docs, place=self.gold_place)
        self._warn_of(reader)
        report.warn(self.name, "W017")


make_luke_qa = component_factory(
    LukeQA,
    DEFAULT_CONFIG,
    assigns=["doc._.answers"],
    score_weights={
        "qa_f1": 1.0,
        "qa_em": 0.0,
        "qa_has_answer_em": None,
        "qa_has_answer_f1": None,
        "qa_no_answer_em": None,
    },
)
