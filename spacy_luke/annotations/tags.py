"""Tags: by the characters of the token, a string."""

from __future__ import annotations

from typing import Any

from spacy.tokens import Token

from ..errors import LukeError
from .store import LUKE_TAG, data_of, key_of


def get_tag(token: Token) -> str | None:
    """The tag of a token; None if it has none."""
    return data_of(token.doc).get(_token_key(token))


def set_tag(token: Token, tag: str | None) -> None:
    """Replace the tag of a token; None removes it."""
    if tag is None:
        data_of(token.doc).pop(_token_key(token), None)
        return
    if not isinstance(tag, str) or not tag:
        raise LukeError("L070", attribute="token._.luke_tag", value=tag, wanted="a string that is not empty, or None")
    data_of(token.doc)[_token_key(token)] = tag


def _token_key(token: Token) -> tuple[Any, ...]:
    return key_of(LUKE_TAG, token.idx, token.idx + len(token))
