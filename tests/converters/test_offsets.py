from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.converters.offsets import UNITS, Offsets
from spacy_luke.errors import LukeError

FAMILY = "\U0001f469\u200d\U0001f467"  # two emoji and a joiner: 1 grapheme, 3 code points, 5 UTF-16 code units
TEXTS = st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\U0001f44d\r\n\u0301a ")))


@pytest.mark.parametrize(
    ("unit", "place", "length"),
    [("characters", (4, 7), 8), ("utf16", (6, 9), 10), ("graphemes", (2, 5), 6)],
)
def test_what_comes_after_an_emoji_is_found_in_every_unit(unit, place, length):
    text = FAMILY + " Ann."
    offsets = Offsets(text, unit)
    assert len(offsets) == length
    assert offsets.to_characters(*place) == (4, 7)
    assert offsets.from_characters(4, 7) == place


def test_half_of_a_surrogate_pair_or_of_a_cluster_is_the_whole():
    assert Offsets("a\U0001f44db", "utf16").to_characters(2, 3) == (1, 2)
    assert Offsets("a\U0001f44db", "utf16").to_characters(1, 2) == (1, 2)
    assert Offsets(f"a{FAMILY}b", "graphemes").from_characters(2, 3) == (1, 2)


def test_a_line_break_of_two_characters_is_one_grapheme_and_two_code_units():
    assert Offsets("a\r\nb", "graphemes").to_characters(2, 3) == (3, 4)
    assert Offsets("a\r\nb", "utf16").to_characters(3, 4) == (3, 4)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("place", [(-1, 1), (1, 1), (2, 1), (0, 5)])
def test_what_is_empty_or_outside_the_text_is_none(unit, place):
    assert Offsets("ab\u00e4c", unit).to_characters(*place) is None


@given(TEXTS, st.data())
def test_utf16_is_what_pythons_own_codec_counts(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    units = tuple(len(text[:edge].encode("utf-16-le")) // 2 for edge in (start, end))
    offsets = Offsets(text, "utf16")
    if start < end:
        assert offsets.from_characters(start, end) == units
        assert offsets.to_characters(*units) == (start, end)


@given(TEXTS, st.sampled_from(UNITS), st.data())
def test_a_range_of_whole_units_survives_both_ways(text, unit, data):
    offsets = Offsets(text, unit)
    start = data.draw(st.integers(0, len(offsets)))
    end = data.draw(st.integers(start, len(offsets)))
    place = offsets.to_characters(start, end)
    assert (place is None) == (start == end)
    if place is not None:
        again = offsets.from_characters(*place)
        assert again[0] <= start
        assert again[1] >= end
        assert offsets.to_characters(*again) == place


def test_a_unit_that_there_is_not_is_an_error():
    with pytest.raises(LukeError, match=r"L047.*offsets.*bytes"):
        Offsets("a", "bytes")  # type: ignore[arg-type]


def test_graphemes_need_the_package_that_counts_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(LukeError, match=r"L176.*graphemes.*regex.*pip install 'spacy-luke\[graphemes\]'"):
        Offsets("\u00e4", "graphemes")
