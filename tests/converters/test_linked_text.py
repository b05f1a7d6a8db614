from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from spacy_luke.converters import read_linked_text
from spacy_luke.errors import LukeError

from .util import entities, through_docbin, write, write_lines

TEXT = "Ada Lovelace lived in London. London's fog!"


def article(**changes: Any) -> dict[str, Any]:
    links = [[0, 12, "Ada Lovelace"], [22, 28, "London"], [30, 36, "London, Ontario"]]
    return {"title": "Ada", "text": TEXT, "links": links, "categories": ["people"], **changes}


def test_links_are_entities_with_ids(tmp_path):
    docs, report = read_linked_text(write_lines(tmp_path / "a.jsonl", article(), article(links=[])))
    first, second = through_docbin(docs, tmp_path)
    assert first.text == TEXT
    assert entities(first) == [("Ada Lovelace", "ENTITY"), ("London", "ENTITY"), ("London", "ENTITY")]
    assert [ent.kb_id_ for ent in first.ents] == ["Ada Lovelace", "London", "London, Ontario"]
    assert first.user_data["title"] == "Ada"
    assert len(second.ents) == 0
    assert "Linked entities: 3, to 3 different ids" in str(report)


def test_a_compressed_file_is_read(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(article()).encode()))
    assert len(read_linked_text(tmp_path / "a.jsonl.gz")[0]) == 1


@pytest.mark.parametrize("data", [b"", b"no gzip", gzip.compress(b"{}" * 99)[:-9]])
def test_a_broken_compressed_file_raises_l060(tmp_path, data):
    (tmp_path / "a.jsonl.gz").write_bytes(data)
    with pytest.raises(LukeError, match=r"L060.*a\.jsonl\.gz"):
        read_linked_text(tmp_path / "a.jsonl.gz")


def test_a_link_inside_a_token_is_expanded_and_overlapping_ones_are_reported(tmp_path):
    links = [[4, 8, "Love"], [0, 12, "Ada Lovelace"]]
    (doc,), report = read_linked_text(write_lines(tmp_path / "a.jsonl", article(links=links)))
    assert [ent.kb_id_ for ent in doc.ents] == ["Ada Lovelace"]
    assert report.expanded_spans.first == ["a.jsonl:1 'Love' in 'Lovelace'"]
    assert report.overlapping_entities.count == 1


@pytest.mark.parametrize(
    "link", [[0, 12], [0, 12, ""], [0, 12, None], ["0", 12, "A"], [True, 12, "A"], "ab", [0, 99, "A"], [5, 5, "A"]]
)
def test_a_wrong_link_raises_l064_with_its_place(tmp_path, link):
    with pytest.raises(LukeError, match=r"L064.*a\.jsonl, line 2: the link"):
        read_linked_text(write_lines(tmp_path / "a.jsonl", article(), article(links=[link])))


def test_an_empty_file_raises_l060(tmp_path):
    with pytest.raises(LukeError, match="L060"):
        read_linked_text(write(tmp_path / "a.jsonl", ""))
