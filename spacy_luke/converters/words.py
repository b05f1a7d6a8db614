"""The tokens of treebanks -> words and the spaces between them, as in a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from ..errors import LukeError

Spaces: TypeAlias = Literal["text", "all"]

# Escapes of the Penn Treebank (Marcus et al. 1993), which CoreNLP's tokenizer writes.
BRACKETS: Mapping[str, str] = {
    "-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}",
}  # fmt: skip
QUOTES: Mapping[str, str] = {"``": '"', "''": '"', "`": "'"}
OPENING = frozenset({"(", "[", "{", "“", "‘", "«", "¿", "¡", "$", "£", "€", "#", "US$", "C$", "A$", "R$"})
CLOSING = frozenset(
    {")", "]", "}", "”", "’", "»", ",", ".", ";", ":", "!", "?", "...", "…", "%", "'", "n't", "n’t"}
    | {mark + end for mark in "'’" for end in ("s", "S", "ll", "re", "ve", "d", "m")}
)


def plain_word(word: str) -> str:
    """A token without the treebank's escapes."""
    return BRACKETS.get(word.upper(), QUOTES.get(word, word))


def find_spaces(words: Sequence[str], spaces: Spaces = "text") -> list[bool]:
    """Whether a space follows each token.

    words: tokens as the file has them, with escapes.
    spaces: "text" = as in English text, as far as tokens tell; "all" = after every token but the last.

        He   said  ``   go   ''   -LRB-  n't  -RRB-  .
        He   said  "    go   "    (      n't  )      .
           1     1    0    0    1      0    0      0    0
    """
    if spaces == "all":
        return [index < len(words) - 1 for index in range(len(words))]
    if spaces != "text":
        raise LukeError("L047", setting="spaces", value=spaces, reason="it is 'text' or 'all'")
    opens, closes = [], []
    open_quote = False
    for word in words:
        plain = plain_word(word)
        opening, closing = word in ("``", "`") or plain in OPENING, word == "''" or plain in CLOSING
        if word == '"':  # does not tell which: the first opens, the second closes
            opening, closing = not open_quote, open_quote
        if plain == '"':
            open_quote = opening
        opens.append(opening)
        closes.append(closing)
    after = [not (opens[index] or closes[index + 1]) for index in range(len(words) - 1)]
    return [*after, False]
