"""The table of case types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.tokenization.case import CASE_TYPES, DIGIT, LOWER, MIXED, NO_CASE, TITLE, UPPER, case_type

TABLE = {
    NO_CASE: ["", " ", "?", "...", "\u6771\u4eac", "\u05e9\u05dc\u05d5\u05dd", "\U0001f469\u200d\U0001f467", "\u0301"],
    LOWER: ["a", "met", "don't", "\xe9lan", "\xdf", "o'clock", "-based"],
    TITLE: ["A", "Ada", "\xc9lodie", "'Tis", "I'm", "\u01c5ungla", " Ada", "(Oba)"],
    UPPER: ["NASA", "U.S.", "\u041c\u0418\u0420", "\u1e9eE", "AB-"],
    MIXED: ["McCartney", "iPhone", "O'Neil", "eBay", "NASAs", "aB"],
    DIGIT: ["42", "1,000.5", "F16", "4th", "\u0663", "H\xb2O"],
}


@pytest.mark.parametrize(("expected", "word"), [(kind, word) for kind, words in TABLE.items() for word in words])
def test_case_type(expected, word):
    assert case_type(word) == expected


def test_every_case_type_is_in_the_table():
    assert sorted(TABLE) == list(range(CASE_TYPES))


@given(st.text(st.sampled_from("abzABZ"), min_size=1))
def test_letters_of_ascii_have_the_type_of_the_same_letters_with_a_sign(word):
    """The one is decided by another way than the other."""
    assert case_type(word) == case_type(word + "-")
