"""Case types: what an uncased vocabulary forgets about a word, as a token type id for each of its pieces."""

from __future__ import annotations

import re

import numpy as np

NO_CASE, LOWER, TITLE, UPPER, MIXED, DIGIT = range(6)
CASE_TYPES = 6
# A word as spaCy's tokenizers would cut it, roughly: enough for its case.
_WORD = re.compile(r"\w+(?:[.'’&]\w+)*")


def case_types_of_text(text: str) -> np.ndarray:
    """The case type of the word that each character is in, `NO_CASE` between words. *Shape:* (characters,), int64"""
    types = np.zeros(len(text), dtype=np.int64)
    for word in _WORD.finditer(text):
        types[word.start() : word.end()] = case_type(word[0])
    return types


def case_type(word: str) -> int:
    """The case type of a word, surrounding white space ignored.

    DIGIT: it has a digit. NO_CASE: no cased letter. LOWER: all cased letters are lower-case. TITLE: only the first
    letter is upper-case. UPPER: all are upper-case, two or more. MIXED: anything else ("McCartney", "iPhone").
    """
    word = word.strip()
    if word.isascii() and word.isalpha():  # most words, in a fifth of the time
        return _case_type_of_ascii(word)
    return _case_type(word)


def _case_type_of_ascii(letters: str) -> int:
    if letters.islower():
        return LOWER
    if letters.isupper():
        return UPPER if len(letters) > 1 else TITLE
    return TITLE if letters[0].isupper() and letters[1:].islower() else MIXED


def _case_type(word: str) -> int:
    if any(ch.isdigit() for ch in word):
        return DIGIT
    cased = [ch for ch in word if ch.lower() != ch.upper()]
    upper = sum(not ch.islower() for ch in cased)
    if not cased:
        return NO_CASE
    if not upper:
        return LOWER
    if upper == len(cased) and upper > 1:
        return UPPER
    if upper == 1 and not cased[0].islower():
        return TITLE
    return MIXED
