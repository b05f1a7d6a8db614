from __future__ import annotations

import pytest

from spacy_luke.displacy.text import clean, continues, direction, text_width, visual_order


def test_what_no_page_can_hold_is_replaced_one_for_one():
    assert clean("a\x00b\x0bc\ud800d\ufffee\t\n") == "a\ufffdb\ufffdc\ufffdd\ufffde\t\n"


@pytest.mark.parametrize(
    ("text", "expected"), [("Ada", "ltr"), ("(Ada", "ltr"), ("שלום", "rtl"), ("مرحبا", "rtl"), ("12,", "")]
)
def test_the_direction_is_that_of_the_first_letter(text, expected):
    assert direction(text) == expected


def test_words_of_the_other_direction_are_turned_as_a_run():
    def order(directions, base):
        return [i for i, _ in visual_order(directions, base)]

    assert order(["ltr", "rtl", "", "rtl", "ltr"], "ltr") == [0, 3, 2, 1, 4]
    assert order(["ltr", "rtl", ""], "ltr") == [0, 1, 2]
    assert order(["rtl", "ltr", "ltr", "rtl"], "rtl") == [0, 2, 1, 3]
    assert order(["", ""], "rtl") == [0, 1]


def test_widths_are_those_of_helvetica():
    assert text_width("Ada", 1000) == 667 + 556 + 556
    assert text_width("é", 16) == text_width("e", 16)
    assert text_width("e\u0301", 16) == text_width("e", 16)
    assert text_width("東京", 16) == 32


def test_a_joined_emoji_is_as_wide_as_one():
    assert text_width("\U0001f469\u200d\U0001f52c", 16) == text_width("\U0001f469", 16)
    assert text_width("\U0001f469\U0001f3fd", 16) == text_width("\U0001f469", 16)


@pytest.mark.parametrize(
    ("previous", "text", "expected"),
    [
        ("a", "b", False),
        ("e", "\u0301", True),
        ("\U0001f469\u200d", "\U0001f52c", True),
        ("\U0001f469", "\U0001f3fd\u200d", True),
        ("\U0001f1e9", "\U0001f1ea", True),
        ("\U0001f1e9\U0001f1ea", "\U0001f1eb", False),
        ("", "\u0301", False),
    ],
)
def test_what_is_drawn_into_the_character_before(previous, text, expected):
    assert continues(previous, text) is expected
