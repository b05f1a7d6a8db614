"""`luke build-kb`, as a user types it."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
import spacy
from spacy.kb import InMemoryLookupKB
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from srsly import msgpack_dumps
from typer.testing import CliRunner, Result

from spacy_luke.cli import luke_cli
from spacy_luke.errors import LukeError
from spacy_luke.knowledge_base import load_kb
from tests.test_knowledge_base import LINKS, linked, priors


def build_kb(*args: object) -> Result:
    return CliRunner().invoke(luke_cli, ["build-kb", *(str(arg) for arg in args)])


def loaded(path: Path) -> InMemoryLookupKB:
    kb = InMemoryLookupKB(Vocab(), entity_vector_length=1)
    kb.from_disk(path)
    return kb


@pytest.fixture
def corpus(tmp_path) -> Path:
    nlp = spacy.blank("en")
    (tmp_path / "corpus").mkdir()
    for name, links in (("a", LINKS), ("b", [("Ada", "Ada Lovelace"), ("Rome", "Rome")])):
        DocBin(docs=[linked(nlp, links)], store_user_data=True).to_disk(tmp_path / "corpus" / f"{name}.spacy")
    return tmp_path / "corpus"


def test_a_folder_of_linked_text_becomes_a_knowledge_base(corpus, tmp_path):
    result = build_kb(corpus, tmp_path / "deep" / "kb", "--entities", tmp_path / "titles" / "entities.json")
    assert result.exit_code == 0
    assert "2 Docs, 9 linked entities: 6 aliases of 6 entities" in result.output
    assert "right for 88.9% of them" in result.output
    kb = loaded(tmp_path / "deep" / "kb")
    assert priors(kb, "Ada") == {"Ada Lovelace": 0.75, "Ada (language)": 0.25}
    assert priors(kb, "rome") == {"Rome": 1.0}
    entities = json.loads((tmp_path / "titles" / "entities.json").read_text())
    assert entities[:2] == ["Ada Lovelace", "Ada (language)"]
    assert sorted(entities) == sorted(kb.get_entity_strings())


def test_options_leave_out_what_is_rare(corpus, tmp_path):
    options = ("--min-count", 1, "--min-entity-count", 2, "--max-candidates", 1, "--no-lowercase")
    assert build_kb(corpus / "a.spacy", tmp_path / "kb", *options).exit_code == 0
    kb = loaded(tmp_path / "kb")
    assert sorted(kb.get_alias_strings()) == ["Ada", "ada"]
    assert priors(kb, "Ada") == {"Ada Lovelace": 0.6667}


def test_text_without_links_and_minimums_that_leave_nothing_raise_l088(corpus, tmp_path):
    DocBin(docs=[spacy.blank("en")("No link.")]).to_disk(tmp_path / "plain.spacy")
    for args, reason in (((tmp_path / "plain.spacy",), "has a kb_id_"), ((corpus, "--min-count", 99), "--min-count")):
        result = build_kb(args[0], tmp_path / "kb", *args[1:])
        assert result.exit_code == 1
        assert "[L088]" in result.output
        assert reason in result.output
    assert not (tmp_path / "kb").exists()


@pytest.mark.parametrize("data", [b"", b"no DocBin", zlib.compress(b"abc"), zlib.compress(msgpack_dumps({"a": 1}))])
def test_a_file_that_is_no_docbin_raises_l106(tmp_path, data):
    (tmp_path / "links.spacy").write_bytes(data)
    result = build_kb(tmp_path / "links.spacy", tmp_path / "kb")
    assert result.exit_code == 1
    assert "[L106]" in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "kb").exists()


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_missing_source_raises_l061(tmp_path, name):
    (tmp_path / "empty").mkdir()
    result = build_kb(tmp_path / name, tmp_path / "kb")
    assert result.exit_code == 1
    assert "[L061]" in result.output


def test_a_damaged_knowledge_base_is_named(corpus, tmp_path):
    """spaCy reads one that was cut off as one with fewer aliases."""
    assert build_kb(corpus, tmp_path / "kb").exit_code == 0
    whole = (tmp_path / "kb" / "contents").read_bytes()
    (tmp_path / "kb" / "contents").write_bytes(whole[:-20])
    with pytest.raises(LukeError, match=r"L140.*kb.contents is not the file"):
        load_kb(tmp_path / "kb", Vocab(), "linker")
    (tmp_path / "kb" / "contents").write_bytes(whole)
    assert load_kb(tmp_path / "kb", Vocab(), "linker").get_size_aliases()
    (tmp_path / "kb" / "checksums.json").unlink()
    (tmp_path / "kb" / "strings.json").write_text("{")
    with pytest.raises(LukeError, match=r"L086.*kb.*cannot be read"):
        load_kb(tmp_path / "kb", Vocab(), "linker")
