"""Decoding of start and end logits to answers: spans of characters, the best first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ...annotations import Answer
from ..base.calibration import Calibration
from ..base.losses import softmax
from .inputs import QuestionRow

# Starts and ends of a window that are combined, and answers among which probability is shared (the paper's code, which
# takes both from the reference evaluation of SQuAD: n_best_size = 20).
N_BEST = 20


@dataclass(frozen=True)
class FoundAnswers:
    """The best answers to a question, no two of the same characters.

    chars: half-open character ranges of the Doc. *Shape:* (answers, 2), int64
    logits: start logit + end logit, best first. *Shape:* (answers,), float64
    no_answer: the logit of "no answer": start logit + end logit of the first piece (`<s>`) in the window where it is
        smallest, and a bias; NaN if the encoder was not asked.
    """

    chars: np.ndarray
    logits: np.ndarray
    no_answer: float = math.nan

    def calibrated(self, calibration: Calibration) -> FoundAnswers:
        """The same with other logits; the bias is that of "no answer"."""
        bias, temperature = calibration.bias, calibration.temperature
        return FoundAnswers(self.chars, self.logits / temperature, (self.no_answer + bias) / temperature)


NOTHING = FoundAnswers(np.zeros((0, 2), dtype=np.int64), np.zeros(0))
NO_ENDS = np.zeros(0, dtype=np.int64)


def sentence_ends(doc: Doc) -> np.ndarray:
    """Where the sentences of a Doc end, in characters; none if it has none. *Shape:* (sentences,), int64"""
    if not doc.has_annotation("SENT_START"):
        return NO_ENDS
    return np.array([sent.end_char for sent in doc.sents], dtype=np.int64)


def window_answers(
    row: QuestionRow, logits: np.ndarray, max_answer_pieces: int, keep: int, ends: np.ndarray = NO_ENDS
) -> FoundAnswers:
    """The best answers in one window.

    logits: of start and end, for all pieces of the row. *Shape:* (pieces, 2)
    max_answer_pieces: longest answer in pieces.
    keep: most answers to return.
    ends: characters of the Doc that no answer goes over. *Shape:* (ends,)

    An answer lies in the context, starts at a piece that has no more context in another window, and joins one of the
    best `N_BEST` starts (`keep` if that is more) with one of as many best ends. If no two of them fit, all are tried,
    so that some answer is found unless the window has only white space to start from; the reference has none then.
    """
    start, end = row.start, row.end
    scores = logits[row.window_offset : row.window_offset + end - start].astype(np.float64)
    text = row.text.text_chars[start:end]
    may_start = np.flatnonzero(row.has_most_context)
    no_answer = float(logits[0, 0]) + float(logits[0, 1])
    sentence_of_start = np.searchsorted(ends, text[:, 0], side="right")
    sentence_of_end = np.searchsorted(ends, text[:, 1], side="left")
    for most in (max(N_BEST, keep), end - start):
        firsts = may_start[np.argsort(-scores[may_start, 0], kind="stable")[:most], None]
        lasts = np.argsort(-scores[:, 1], kind="stable")[None, :most]
        fits = (lasts >= firsts) & (lasts - firsts < max_answer_pieces) & (text[lasts, 1] > text[firsts, 0])
        fits &= sentence_of_start[firsts] == sentence_of_end[lasts]
        if fits.any():
            chars = np.stack(np.broadcast_arrays(text[firsts, 0], text[lasts, 1]), axis=-1)[fits]
            return best(chars, (scores[firsts, 0] + scores[lasts, 1])[fits], no_answer, keep)
    return FoundAnswers(NOTHING.chars, NOTHING.logits, no_answer)


def best(chars: np.ndarray, logits: np.ndarray, no_answer: float, keep: int) -> FoundAnswers:
    """The `keep` best answers; of several with the same characters only the best, and of equals the first in the text.

    *Shapes:* (answers, 2), (answers,)
    """
    order = np.lexsort((chars[:, 1], chars[:, 0], -logits))
    chars, logits = chars[order], logits[order]
    _, first = np.unique(chars[:, 0] << 32 | chars[:, 1], return_index=True)
    kept = np.sort(first)[:keep]
    return FoundAnswers(chars[kept], logits[kept], no_answer)


def merged(a: FoundAnswers, b: FoundAnswers, keep: int) -> FoundAnswers:
    """The best answers of two sets of windows of one question."""
    chars, logits = np.concatenate([a.chars, b.chars]), np.concatenate([a.logits, b.logits])
    return best(chars, logits, float(np.fmin(a.no_answer, b.no_answer)), keep)


def to_answers(
    doc: Doc,
    question: str,
    found: FoundAnswers,
    n_best: int,
    no_answer_threshold: float | None,
    *,
    whole_words: bool = False,
) -> tuple[Answer, ...]:
    """The `n_best` best answers, one of which may be "no answer" (a span of None).

    no_answer_threshold: "no answer" comes before the answers whose logit is smaller by more than this, as in the
        reference evaluation of SQuAD 2; None leaves it out unless nothing else was found.
    whole_words: answers are widened to the tokens of the Doc that they touch. Of several that become the same the best
        stays, so that there may be fewer than `n_best`.

    The score of an answer is its share of the softmax over the logits of the up to `N_BEST` best answers (`n_best` if
    more are asked for) and of "no answer", if that is possible. Neither a threshold nor whole words change
    scores.
    """
    count = min(len(found.logits), max(N_BEST, n_best))
    logits = found.logits[:count]
    if no_answer_threshold is None and count:
        order = list(range(count))
    elif math.isnan(found.no_answer):
        return (Answer(question, None),)
    else:
        rank = int((logits >= found.no_answer - (no_answer_threshold or 0.0)).sum())
        order = [*range(rank), count, *range(rank, count)]
        logits = np.append(logits, found.no_answer)
    scores = softmax(logits)
    answers: list[Answer] = []
    widened: set[tuple[int, int]] = set()
    for i in order if whole_words else order[:n_best]:
        span, text, start = None, "", -1
        if i < count:
            start, end = found.chars[i].tolist()
            span = doc.char_span(start, end, alignment_mode="expand")
            if whole_words and span is not None:
                start, end = span.start_char, span.end_char
                if (start, end) in widened:
                    continue
                widened.add((start, end))
            text = doc.text[start:end]
        answers.append(Answer(question, span, text, float(scores[i]), float(logits[i]), start))
    return tuple(answers[:n_best])
