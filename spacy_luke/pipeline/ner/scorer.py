"""Scores of named entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..base.scoring import calibration, char_ranges, with_annotated_labels


def build_ner_scorer(spans_key: str = "luke_ner") -> Callable[..., dict[str, Any]]:
    """Exact-match scores of `luke_ner`, as `spacy-luke.ner_scorer.v1`.

    spans_key: key of `doc.spans`, where it is not that of the component that is scored.

    Flat entities give spaCy's `ents_p`, `ents_r`, `ents_f`, `ents_per_type` over `doc.ents`; a component with
    overlap = true gives `spans_{spans_key}_p` and so on over the spans under its key. Beside them, `ents_ece` or
    `spans_{spans_key}_ece` is the expected calibration error of the scores that `luke_ner` gives them (see
    `calibration_error`), and `ents_calibration` or `spans_{spans_key}_calibration` its bins. For what is no `luke_ner`,
    both kinds are given where the references have such spans. Predictions with labels that a reference is not annotated
    with (see `set_entity_labels`) do not count.
    """

    return partial(score_ner, spans_key=spans_key)


def score_ner(
    examples: Iterable[Example], *, spans_key: str, overlap: bool | None = None, **kwargs: Any
) -> dict[str, Any]:
    """See `build_ner_scorer`.

    overlap: whether spans under the key are predicted, and not entities; None = not known.
    """
    examples = [with_annotated_labels(example) for example in examples]
    has_spans = any(spans_key in example.reference.spans for example in examples)
    scores: dict[str, Any] = {}
    if not overlap:
        scores.update(get_ner_prf(examples, **kwargs))
        scores |= calibration("ents", _all_scored(examples, spans_key, _gold_entities))
    if overlap or (overlap is None and has_spans):
        name = f"spans_{spans_key}"

        def spans(doc: Doc, _: str = "") -> Sequence[Span]:
            return doc.spans.get(spans_key, ())

        def has_annotation(doc: Doc) -> bool:
            return spans_key in doc.spans

        scores.update(
            Scorer.score_spans(
                examples, name, getter=spans, has_annotation=has_annotation, allow_overlap=True, labeled=True
            )
        )
        scored = _all_scored(examples, spans_key, lambda d: spans(d) if has_annotation(d) else None)
        scores |= calibration(name, scored)
    return scores


def _gold_entities(reference: Doc) -> Sequence[Span] | None:
    return reference.ents if reference.has_annotation("ENT_IOB") else None


def _all_scored(
    examples: Iterable[Example], spans_key: str, gold_of: Callable[[Doc], Sequence[Span] | None]
) -> list[tuple[float, bool]]:
    """The scores under a key, and what is right. gold_of: None for a Doc without annotation."""
    return [pair for example in examples for pair in _scored(example, spans_key, gold_of)]


def _scored(
    example: Example, spans_key: str, gold_of: Callable[[Doc], Sequence[Span] | None]
) -> Iterator[tuple[float, bool]]:
    """Probability of each predicted span, and whether it is right."""
    group, spans = example.predicted.spans.get(spans_key), gold_of(example.reference)
    if group is None or "scores" not in group.attrs or spans is None:
        return
    cand_range, gold_range = char_ranges(example)
    gold = {(gold_range(span), span.label_) for span in spans}
    for span, score in zip(group, group.attrs["scores"], strict=True):
        yield score, (cand_range(span), span.label_) in gold
