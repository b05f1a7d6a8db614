from __future__ import annotations

import bz2
import gzip
from xml.sax.saxutils import escape

import pytest

from spacy_luke.converters import read_mediawiki
from spacy_luke.errors import LukeError

from .util import entities, through_docbin, write

HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">'


def page(title: str, text: str = "", *, namespace: int = 0, redirect: str = "") -> str:
    to = f'<redirect title="{redirect}" />' if redirect else ""
    return (
        f"<page><title>{escape(title)}</title><ns>{namespace}</ns><id>1</id>{to}<revision><id>2</id>"
        f"<text xml:space='preserve'>{escape(text)}</text></revision></page>"
    )


DUMP = (
    HEAD
    + "".join(
        [
            page("Lovelace", "#REDIRECT [[Ada Lovelace]]", redirect="Ada Lovelace"),
            page("Ada Lovelace", "'''Ada''' <ref>x</ref>met [[Charles Babbage|Babbage]] & [[London]]ers."),
            page("User:Ada", "[[Secret]]", namespace=2),
            page("Engine", "A machine of [[lovelace|Ada's friend]]."),
        ]
    )
    + "</mediawiki>"
)


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz"])
def test_articles_are_docs_with_links(tmp_path, suffix):
    path = tmp_path / f"pages.xml{suffix}"
    path.write_bytes({"": bytes, ".bz2": bz2.compress, ".gz": gzip.compress}[suffix](DUMP.encode()))
    docs, report = read_mediawiki(path)
    ada, engine = through_docbin(docs, tmp_path)
    assert ada.text == "Ada met Babbage & Londoners."
    assert entities(ada) == [("Babbage", "ENTITY"), ("Londoners", "ENTITY")]
    assert [ent.kb_id_ for ent in ada.ents] == ["Charles Babbage", "London"]
    assert [doc.user_data["title"] for doc in (ada, engine)] == ["Ada Lovelace", "Engine"]
    assert [(ent.text, ent.kb_id_) for ent in engine.ents] == [("Ada's friend", "Ada Lovelace")]
    assert "Linked entities: 3" in str(report)


@pytest.mark.parametrize(
    "content", ["", "no xml", HEAD, HEAD + "<page></mediawiki>", HEAD + "</mediawiki>", DUMP[:300]]
)
def test_what_is_no_dump_raises_l060(tmp_path, content):
    with pytest.raises(LukeError, match=r"L060.*pages\.xml"):
        read_mediawiki(write(tmp_path / "pages.xml", content))


@pytest.mark.parametrize("suffix", [".bz2", ".gz"])
@pytest.mark.parametrize("keep", [0, 20, 150])
def test_a_broken_compressed_dump_raises_l060(tmp_path, suffix, keep):
    data = {".bz2": bz2.compress, ".gz": gzip.compress}[suffix](DUMP.encode())
    (tmp_path / f"pages.xml{suffix}").write_bytes(data[:keep])
    with pytest.raises(LukeError, match=r"L060.*pages\.xml"):
        read_mediawiki(tmp_path / f"pages.xml{suffix}")


@pytest.mark.parametrize("suffix", [".bz2", ".gz"])
def test_what_is_not_compressed_raises_l060(tmp_path, suffix):
    with pytest.raises(LukeError, match="L060"):
        read_mediawiki(write(tmp_path / f"pages.xml{suffix}", DUMP))


def test_a_page_that_lacks_parts_is_read_as_far_as_it_goes(tmp_path):
    content = (
        "<mediawiki><page><title>A</title></page><page><revision><text>b [[c]]</text></revision></page></mediawiki>"
    )
    docs, _ = read_mediawiki(write(tmp_path / "pages.xml", content))
    assert [(doc.user_data["title"], doc.text) for doc in docs] == [("A", ""), ("", "b c")]
