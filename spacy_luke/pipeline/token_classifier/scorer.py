"""Scores of classified tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.scorer import Scorer, get_ner_prf
from spacy.training import Example

from ..base.scoring import with_annotated_labels
from .gold import ENTS, TOKEN_ATTRIBUTES


def build_token_classifier_scorer() -> Callable[..., dict[str, Any]]:
    """Scores of `luke_token_classifier`, as `spacy-luke.token_classifier_scorer.v1`.

    What is scored is what the component writes:

    - Entities: spaCy's `ents_p`, `ents_r`, `ents_f`, `ents_per_type`, for exact matches.
    - Tags: spaCy's accuracy over the tokens whose tag is annotated, as `luke_tag_acc`, `tag_acc` or `pos_acc`; None if
      there are none. White space does not count, and a token that is cut in another way counts as wrong.
    """
    return partial(score_tokens)


def score_tokens(examples: Iterable[Example], *, attribute: str = ENTS, **kwargs: Any) -> dict[str, Any]:
    """See `build_token_classifier_scorer`.

    attribute: "ents" or a key of `TOKEN_ATTRIBUTES`.
    """
    if attribute == ENTS:
        return dict(get_ner_prf(map(with_annotated_labels, examples), **kwargs))
    get = TOKEN_ATTRIBUTES[attribute].get
    return Scorer.score_token_attr(examples, attribute, getter=lambda token, _: get(token))
