"""Where tags of tokens stand in a Doc."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spacy.tokens import Token

from ..annotations import LUKE_TAG, get_tag, set_tag

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
