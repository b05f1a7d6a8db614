"""Scores of links."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

from spacy.scorer import Scorer
from spacy.training import Example

from ...knowledge_base import NIL
from ..base.scoring import char_ranges


def build_entity_linker_scorer() -> Callable[..., dict[str, Any]]:
    """Scores of `luke_entity_linker`, as `spacy-luke.entity_linker_scorer.v1`.

    What is scored are the entities of the reference whose `kb_id_` is annotated, and which the predicted Doc has, too:
    what is not found is not a fault of the links.

    - `nel_micro_p`, `_r`, `_f`, `nel_macro_…`, `nel_f_per_type`: those of spaCy (`Scorer.score_links`). A link to NIL
      is no link: right ones do not count, wrong ones are missing links.
    - `nel_in_kb_acc`: share of the entities with a gold link whose link is right: gold NIL is left out ("in-KB
      accuracy", as in Yamada et al. 2022 for AIDA).
    - `nel_acc`: share of all entities whose link is right, NIL for NIL.

    Scores are None if no reference has an entity of their kind.
    """
    return partial(score_links)


def score_links(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """See `build_entity_linker_scorer`."""
    annotated: list[Any] = []
    right: list[tuple[bool, bool]] = []  # whether the gold link is in the knowledge base, whether it was predicted
    for example in examples:
        gold = [ent for ent in example.reference.ents if ent.kb_id_]
        if not gold:
            continue
        cand_range, gold_range = char_ranges(example)
        cand = {cand_range(ent): ent.kb_id_ or NIL for ent in example.predicted.ents}
        annotated.append(SimpleNamespace(reference=SimpleNamespace(ents=gold), predicted=example.predicted))
        right += [(ent.kb_id_ != NIL, cand[gold_range(ent)] == ent.kb_id_) for ent in gold if gold_range(ent) in cand]
    found = Scorer.score_links(annotated, negative_labels=[NIL, ""])
    scores: dict[str, Any] = {name: value if right else None for name, value in found.items() if "desc" not in name}
    in_kb = [ok for is_in_kb, ok in right if is_in_kb]
    return {
        **scores,
        "nel_in_kb_acc": sum(in_kb) / len(in_kb) if in_kb else None,
        "nel_acc": sum(ok for _, ok in right) / len(right) if right else None,
    }
