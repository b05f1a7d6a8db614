"""The relation model of spaCy's `rel_component` tutorial, as a baseline: mean vectors of two entities, one logistic
layer.

Written after the tutorial's description (explosion/projects, tutorials/rel_component), with this package's annotations
and pair getter, so that it trains and is scored on the same data:

    python -m spacy train configs/rel_component_baseline.cfg --code scripts/rel_component.py ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Linear, Logistic, Model, Optimizer, chain
from thinc.types import Floats2d

from spacy_luke.annotations import RELATIONS, Relation, get_relations, has_annotation, set_relations
from spacy_luke.pipeline.base.gold import aligned_tokens
from spacy_luke.pipeline.relations.candidates import PairGetter

Pairs = list[tuple[Span, Span]]


@registry.architectures("rel_component_baseline.v1")
def build_model(tok2vec: Model[list[Doc], list[Floats2d]]) -> Model[tuple[list[Doc], list[Pairs]], Floats2d]:
    """Pairs -> probability of each label. *Shape:* -> (pairs, labels)"""
    pooled: Model = Model(
        "pair_vectors",
        _pair_vectors,
        layers=[tok2vec],
        init=lambda model, X=None, Y=None: model.layers[0].initialize(X=X[0] if X else None),
    )
    return chain(pooled, Linear(), Logistic())


def _pair_vectors(model: Model, inputs: tuple[list[Doc], list[Pairs]], is_train: bool) -> tuple[Floats2d, Callable]:
    docs, pairs = inputs
    vectors, backprop = model.layers[0](docs, is_train)
    rows = [
        np.concatenate([model.ops.to_numpy(doc_vectors[span.start : span.end]).mean(axis=0) for span in pair])
        for doc_vectors, doc_pairs in zip(vectors, pairs, strict=True)
        for pair in doc_pairs
    ]

    def backward(d_rows: Floats2d) -> list[Doc]:
        d_vectors = [np.zeros(doc_vectors.shape, dtype=np.float32) for doc_vectors in vectors]
        gradients = iter(model.ops.to_numpy(d_rows))
        for d_doc_vectors, doc_pairs in zip(d_vectors, pairs, strict=True):
            for pair, gradient in zip(doc_pairs, gradients, strict=False):
                for span, part in zip(pair, np.split(gradient, 2), strict=True):
                    d_doc_vectors[span.start : span.end] += part / len(span)
        return backprop([model.ops.asarray2f(d) for d in d_vectors])

    return model.ops.asarray2f(np.stack(rows)), backward


class RelComponent(TrainablePipe):
    """Relations whose probability is at least `threshold`; trained with the squared error, as in the tutorial."""

    def __init__(self, vocab: Vocab, model: Model, name: str, *, pairs: PairGetter, threshold: float, scorer: Any):
        self.vocab, self.model, self.name = vocab, model, name
        self.pairs, self.threshold, self.scorer = pairs, threshold, scorer
        self.cfg: dict[str, Any] = {"labels": []}

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.cfg["labels"])

    def predict(self, docs: Iterable[Doc]) -> list[tuple[Pairs, np.ndarray]]:
        docs = list(docs)
        pairs = [list(self.pairs(doc)) for doc in docs]
        if not any(pairs):
            return [([], np.zeros((0, len(self.labels)))) for _ in docs]
        scores = self.model.ops.to_numpy(self.model.predict((docs, pairs)))
        ends = np.cumsum([len(doc_pairs) for doc_pairs in pairs])
        return list(zip(pairs, np.split(scores, ends[:-1]), strict=True))

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[tuple[Pairs, np.ndarray]]) -> None:
        for doc, (pairs, doc_scores) in zip(docs, scores, strict=True):
            found = np.argwhere(doc_scores >= self.threshold).tolist()
            set_relations(doc, [Relation(*pairs[i], self.labels[k], float(doc_scores[i, k])) for i, k in found])

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        losses = losses if losses is not None else {}
        losses.setdefault(self.name, 0.0)
        examples = [example for example in examples if has_annotation(example.reference, RELATIONS)]
        docs = [example.predicted for example in examples]
        pairs = [list(self.pairs(doc)) for doc in docs]
        if any(pairs):
            scores, backprop = self.model.begin_update((docs, pairs))
            wanted = np.concatenate([self._truths(e, doc_pairs) for e, doc_pairs in zip(examples, pairs, strict=True)])
            gradient = self.model.ops.to_numpy(scores) - wanted
            backprop(self.model.ops.asarray2f(gradient))
            losses[self.name] += float((gradient**2).sum(axis=1).mean())
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None, labels: Any = None
    ) -> None:
        gold = {relation.label for example in get_examples() for relation in get_relations(example.reference)}
        self.cfg["labels"] = sorted(gold)
        examples = list(islice((e for e in get_examples() if self.pairs(e.predicted)), 10))
        docs = [example.predicted for example in examples]
        pairs = [list(self.pairs(doc)) for doc in docs]
        wanted = np.concatenate([self._truths(e, doc_pairs) for e, doc_pairs in zip(examples, pairs, strict=True)])
        self.model.initialize(X=(docs, pairs), Y=self.model.ops.asarray2f(wanted))

    def _truths(self, example: Example, pairs: Pairs) -> np.ndarray:
        truths = np.zeros((len(pairs), len(self.labels)), dtype=np.float32)
        index = {tuple((span.start, span.end) for span in pair): i for i, pair in enumerate(pairs)}
        for relation in get_relations(example.reference):
            pair = tuple(aligned_tokens(example, span) for span in (relation.head, relation.tail))
            if pair in index:
                truths[index[pair], self.labels.index(relation.label)] = 1.0
        return truths


@Language.factory("rel_component_baseline", default_score_weights={"rel_micro_f": 1.0})
def make_rel_component(
    nlp: Language, name: str, model: Model, pairs: PairGetter, threshold: float, scorer: Any
) -> RelComponent:
    """Make the baseline."""
    return RelComponent(nlp.vocab, model, name, pairs=pairs, threshold=threshold, scorer=scorer)
