"""JSON that would crash the reader, or lose something in silence, is an error with file and line."""

from __future__ import annotations

import pytest

from spacy_luke.converters import read_fewrel, read_linked_text
from spacy_luke.errors import LukeError

from .util import write

TEXT = '{"text": "Ann", "links": []}\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"text":' * 100_000, "nested too deeply"),
        ('{"text": "Ann", "links": [[0, 3' + "0" * 9999 + ', "a"]]}', "not JSON"),
        ('{"text": "Ann \\ud800", "links": []}', "half of a character"),
        ('{"text": "Ann", "text": "Bo", "links": []}', "an object has 'text' twice"),
        ('{"text": "Ann" "links": []}', "not JSON .*column 16"),
    ],
)
def test_a_line_that_cannot_be_read_is_an_error_with_its_number(tmp_path, line, message):
    with pytest.raises(LukeError, match=rf"a\.jsonl, line 2: .*{message}") as caught:
        read_linked_text(write(tmp_path / "a.jsonl", TEXT + line))
    assert caught.value.code == "L060"


def test_a_relation_that_is_there_twice_is_an_error(tmp_path):
    with pytest.raises(LukeError, match=r"L060.*a\.json, line 1: .*an object has 'P1' twice"):
        read_fewrel(write(tmp_path / "a.json", '{"P1": [], "P1": []}'))


def test_a_whole_character_of_two_halves_is_read(tmp_path):
    (doc,), _ = read_linked_text(write(tmp_path / "a.jsonl", '{"text": "\\ud83d\\ude00 hi", "links": []}'))
    assert doc.text == "\U0001f600 hi"
