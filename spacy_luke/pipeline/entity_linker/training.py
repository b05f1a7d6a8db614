"""How `luke_entity_linker` learns: some gold links are masked and predicted, the others are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.training import Example

from ...checks import require_one_of, require_probability
from ...errors import warn
from ..base.component import Training
from ..base.gold import GoldReport
from ..base.losses import cross_entropy
from .candidates import Candidates, KnownCandidates
from .decoding import LinkPipe, Mentions, split_logits
from .gold import GoldLinks, draw_masked, gold_links
from .inputs import EntityRow, windows_with_entities

LOSSES = ("candidates", "vocabulary")


@dataclass(frozen=True)
class Lesson:
    """The entities of a Doc with their gold links."""

    mentions: Mentions
    gold: GoldLinks


class LearningLinkPipe(LinkPipe):
    """A component that learns to predict masked entities; see `LukeEntityLinker` for the settings."""

    def __init__(self, *args: Any, mask_rate: float, loss: str, **settings: Any):
        super().__init__(*args, **settings)
        require_probability(mask_rate=mask_rate)
        require_one_of(LOSSES, loss=loss)
        self.mask_rate = mask_rate
        self.loss = loss

    def _training(self, examples: Sequence[Example]) -> Training[list[EntityRow]]:
        """Return the windows that have gold links, some of them masked: the loss is the mean cross entropy of these.

        A gold link is always a candidate, if it is in the entity vocabulary.
        """
        lessons = [self._lesson(example) for example in examples]
        self._warn_left_out([lesson.mentions for lesson in lessons])
        find = self._finder() if self.loss == "candidates" else None
        rows = [row for index, lesson in enumerate(lessons) for row in self._masked_rows(index, lesson, find)]
        total = sum(len(row.wanted) for row in rows)
        return Training(self._batches(rows), total, lambda group, logits, _: _gradient(group, logits, lessons))

    def _lesson(self, example: Example) -> Lesson:
        spans = self._shown(example.predicted)
        placed = self._place(example.predicted, spans)
        mentions = Mentions(spans, placed, [None] * len(spans), self._masked(len(spans)))
        return Lesson(mentions, gold_links(example, spans, self.entity_id))

    def _masked_rows(self, index: int, lesson: Lesson, find: Callable[[Any], Candidates] | None) -> Iterable[EntityRow]:
        """The windows of a Doc that have a gold link, with some of these masked.

        find: the candidates of a mention; None = the whole vocabulary.
        """
        mentions, gold = lesson.mentions, lesson.gold
        every = self._every_entity() if find is None else None
        for window, members in windows_with_entities(mentions.placed):
            known = gold.known[members]
            masked = draw_masked(known, self.mask_rate)
            given = members[known & ~masked]
            mentions.ids[given] = gold.targets[given]
            for i in members[masked].tolist():
                found = every if find is None else find(mentions.spans[i])
                if isinstance(found, KnownCandidates):
                    found = found.with_gold(gold.kb_ids[i], int(gold.targets[i]))
                mentions.candidates[i] = found
            if masked.any():
                yield mentions.row(index, window, members, masked)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Tell what of knowledge base and gold annotation the model has no entity for."""
        self._warn_unknown()
        report = GoldReport()
        docs = 0
        for example in get_examples():
            docs += 1
            gold = gold_links(example, self._shown(example.predicted), self.entity_id)
            report.add(gold, gold.total)
        if docs and not report.total:
            warn("W024", name=self.name, count=docs)
        report.warn(self.name, "W020", what="links")


def _gradient(group: Sequence[EntityRow], logits: np.ndarray, lessons: Sequence[Lesson]) -> tuple[np.ndarray, float]:
    """Gradient and sum of the cross entropy of the entities that some rows predict.

    *Shape:* (predicted, candidates) -> the same, float32
    """
    gradient = np.zeros(logits.shape, dtype=np.float32)
    total = 0.0
    place = 0
    for row, of_row in zip(group, split_logits(group, logits), strict=True):
        mentions, gold = lessons[row.doc].mentions, lessons[row.doc].gold
        for i, of_mention in zip(row.wanted.tolist(), of_row, strict=True):
            found = mentions.candidates[i]
            assert found is not None
            target = np.array([found.target(int(gold.targets[i]))])
            of_one, loss = cross_entropy(found.scores(of_mention)[None], target)
            gradient[place, : len(of_mention)] = of_one[0]
            total += loss
            place += 1
    return gradient, total
