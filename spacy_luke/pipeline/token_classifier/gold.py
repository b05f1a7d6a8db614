"""Gold annotation of an Example as targets of the tokens that are classified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Token
from spacy.training import Example

from ...annotations import LUKE_TAG, annotated_entities, get_tag, set_tag
from ...batching.mentions import WHITE_SPACE
from ...tags import split_tag
from ..base.gold import GoldSpans, aligned_tokens, tokens_without_annotation, unannotated_labels
from .decoding import TokenLogits
from .tag_scheme import OUTSIDE, TagScheme


def gold_entity_tokens(example: Example, words: TokenLogits, scheme: TagScheme) -> GoldSpans:
    """The entities of the reference as tags of the predicted Doc's tokens.

    words: the tokens that are classified. No entity crosses a boundary of their sentences.

    Tokens of an entity that has no tags (`missed`) are as those without annotation: not known.
    """
    tokens = words.tokens
    targets = np.full(len(tokens), scheme.tags.index(OUTSIDE), dtype=np.int64)
    gold_ents = annotated_entities(example.reference, example.reference.ents)
    unannotated = unannotated_labels(example, [split_tag(tag)[1] or OUTSIDE for tag in scheme.tags], OUTSIDE)
    known = ~tokens_without_annotation(example)[tokens]
    gold = GoldSpans(targets, known, unannotated, total=len(gold_ents))
    labels = set(scheme.types)
    before: tuple[int, str] | None = None  # where the last entity ended, as an index of `tokens`, and its type
    for span in gold_ents:
        if span.label_ not in labels:
            gold.unknown_labels.append(span.label_)
            continue
        place = np.flatnonzero(np.isin(tokens, example.alignment.y2x[span.start : span.end]))
        tags = scheme.encode(span.label_, len(place)) if len(place) else None
        reason = ""
        if aligned_tokens(example, span) is None:
            reason = "not on token boundaries"
        elif not len(place):
            reason = WHITE_SPACE
        elif words.sentences[place[0]] != words.sentences[place[-1]]:
            reason = "across a sentence boundary"
        elif tags is None:
            reason = "without a label for each of their tokens"
        elif before == (place[0], span.label_) and not scheme.separates(span.label_):
            reason = "directly after another of their type, which a label that starts an entity would tell apart"
        if reason:
            gold.missed[reason] += 1
            gold.missed_texts.append(f"{span.text!r} ({span.label_})")
            gold.known[place] = False
            continue
        gold.targets[place] = tags
        before = (int(place[-1]) + 1, span.label_)
    return gold


def gold_token_tags(
    example: Example, words: TokenLogits, attribute: TokenAttribute, labels: Sequence[str]
) -> GoldSpans:
    """The tags of the reference's tokens as targets of the predicted Doc's.

    A token gets the tag that all gold tokens which it touches have; one that touches several tags is missed.

    words: the tokens that are classified.
    """
    tokens = words.tokens
    values = [attribute.get(token) or "" for token in example.reference]
    index = {label: i for i, label in enumerate(labels)}
    gold = GoldSpans(np.zeros(len(tokens), dtype=np.int64), np.zeros(len(tokens), dtype=bool))
    aligned = example.alignment.x2y
    aligned_indices = np.split(aligned.data, np.cumsum(aligned.lengths)[:-1]) if len(aligned.lengths) else []
    for place, token in enumerate(tokens.tolist()):
        found = {values[i] for i in aligned_indices[token]} - {""}
        gold.total += bool(found)
        if len(found) > 1:
            gold.missed["on parts of a token"] += 1
            gold.missed_texts.append(f"{example.predicted[token].text!r} ({', '.join(sorted(found))})")
        for tag in found - index.keys():
            gold.unknown_labels.append(tag)
        if len(found) == 1 and found <= index.keys():
            gold.targets[place], gold.known[place] = index[min(found)], True
    return gold


# Entities, which are no tags: their place is `doc.ents`.
ENTS = "ents"


@dataclass(frozen=True)
class TokenAttribute:
    """An attribute of tokens that holds a tag.

    place: how users write it.
    get, set: read it and write it; None or "" = no tag.
    """

    place: str
    get: Callable[[Token], str | None]
    set: Callable[[Token, str | None], None]


def _set_tag(token: Token, tag: str | None) -> None:
    token.tag_ = tag or ""


def _set_pos(token: Token, tag: str | None) -> None:
    token.pos_ = tag or ""


TOKEN_ATTRIBUTES: Mapping[str, TokenAttribute] = {
    LUKE_TAG: TokenAttribute("token._.luke_tag", get_tag, set_tag),
    "tag": TokenAttribute("token.tag_", lambda token: token.tag_, _set_tag),
    "pos": TokenAttribute("token.pos_", lambda token: token.pos_, _set_pos),
}
