"""The entity vocabulary: exact titles, shared ids, and trimming."""

from __future__ import annotations

import json

import pytest

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.tokenization.entity_vocab import EntityVocab
from tests.util import ENTITIES

# The order of the lite checkpoints, and titles that share an id, as in mLUKE.
MULTILINGUAL = {"[MASK]": 0, "[UNK]": 1, "[PAD]": 2, "[MASK2]": 3, "en:Japan": 4, "ja:\u65e5\u672c": 4, "en:Ada": 5}


def test_an_unknown_title_has_the_id_of_unk():
    vocab = EntityVocab(ENTITIES)
    assert vocab["Atlantis"] == vocab["[UNK]"] == 1
    assert "Atlantis" not in vocab


@pytest.mark.parametrize("title", ["london", "London ", "Ada_Lovelace", "Japan"])
def test_titles_are_exact_in_case_and_spaces(title):
    assert EntityVocab(ENTITIES)[title] == ENTITIES["[UNK]"]


def test_ids_are_never_hard_coded():
    vocab = EntityVocab(MULTILINGUAL)
    assert (vocab["[MASK]"], vocab["[PAD]"], vocab["nobody"]) == (0, 2, 1)


def test_the_length_counts_rows_and_not_titles():
    assert len(EntityVocab(MULTILINGUAL)) == 6


def test_special_gives_the_rows_of_the_special_entities():
    vocab, rows = EntityVocab(MULTILINGUAL).select("special")
    assert rows == [2, 1, 0, 3]
    assert [vocab[title] for title in ("[PAD]", "[UNK]", "[MASK]", "[MASK2]")] == [0, 1, 2, 3]


def test_full_keeps_all_rows():
    vocab = EntityVocab(MULTILINGUAL)
    assert vocab.select("full") == (vocab, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("titles.json", '["ja:\u65e5\u672c", "en:Japan"]'),
        ("titles.json", '{"ja:\u65e5\u672c": 9, "en:Japan": 9}'),
        ("titles.txt", "ja:\u65e5\u672c\r\nen:Japan\n\n"),
    ],
)
def test_titles_of_a_file_that_shared_an_id_still_do(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf8")
    vocab, rows = EntityVocab(MULTILINGUAL).select(str(tmp_path / name))
    assert vocab["en:Japan"] == vocab["ja:\u65e5\u672c"] == 4
    assert rows == [2, 1, 0, 3, 4]
    assert len(vocab) == 5


def test_titles_that_are_not_in_the_vocabulary_are_named(tmp_path):
    (tmp_path / "titles.txt").write_text("Japan\nen:Ada\nnobody\n", encoding="utf8")
    with pytest.warns(LukeWarning, match=r"W025.*titles.txt: 2 of 3 titles.*'Japan', 'nobody'.*as 'en:Japan' is"):
        vocab, rows = EntityVocab(MULTILINGUAL).select(str(tmp_path / "titles.txt"))
    assert rows == [2, 1, 0, 3, 5]
    assert vocab["Japan"] == vocab["[UNK]"]


def test_what_is_written_reads_the_same():
    vocab = EntityVocab(MULTILINGUAL)
    again = EntityVocab.from_json(vocab.to_json())
    assert json.loads(again.to_json()) == MULTILINGUAL
    assert again.equals(vocab)
    assert not again.equals(EntityVocab({**MULTILINGUAL, "en:Ada": 4}))


def test_a_title_is_found_if_it_is_known_and_no_special_entity():
    vocab = EntityVocab(MULTILINGUAL)
    assert [vocab.find(title) for title in ("en:Japan", "ja:\u65e5\u672c", "Japan", "[PAD]", "[MASK]")] == [
        4,
        4,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("option", ["", "none", "/nowhere/titles.txt"])
def test_an_unknown_option_raises_l027(option):
    with pytest.raises(LukeError, match="L027"):
        EntityVocab(ENTITIES).select(option)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("a.json", b"{", "L022"), ("a.json", b"[1]", "L027"), ("a.json", b"\xff", "L022"), ("a.txt", b"\xff", "L022")],
)
def test_a_broken_file_of_titles_raises_a_coded_error(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LukeError, match=code):
        EntityVocab(ENTITIES).select(str(tmp_path / name))


def test_a_title_with_half_a_character_raises_l022(tmp_path):
    with pytest.raises(LukeError, match=r"L022.*entity_vocab\.json.*half a character"):
        EntityVocab.from_json(json.dumps({**ENTITIES, "\ud800": 9}).encode())
    (tmp_path / "titles.json").write_text(json.dumps(["Ada", "\ud800"]))
    with pytest.raises(LukeError, match=r"L022.*titles\.json.*half a character"):
        EntityVocab(ENTITIES).select(str(tmp_path / "titles.json"))


@pytest.mark.parametrize("missing", ["[PAD]", "[UNK]", "[MASK]", "[MASK2]"])
def test_a_missing_special_entity_raises_l026_with_its_name(missing):
    with pytest.raises(LukeError, match="L026") as error:
        EntityVocab({title: i for title, i in ENTITIES.items() if title != missing})
    assert missing in str(error.value).split("needs")[0]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": -1}', b'{"a": "1"}', b'{"a": true}', b'{"a": 1.0}', b"\xff"])
def test_a_broken_vocabulary_raises_l022(content):
    with pytest.raises(LukeError, match=r"L022.*entity_vocab\.json"):
        EntityVocab.from_json(content)
