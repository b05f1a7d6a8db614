from __future__ import annotations

import bz2
import gzip
from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

import pytest

from spacy_luke.converters import files, mediawiki, read_mediawiki
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


def test_pages_that_are_no_articles_are_reported(tmp_path):
    _, report = read_mediawiki(write(tmp_path / "pages.xml", DUMP))
    assert report.other_pages.first == ["Lovelace", "User:Ada"]
    assert "Pages that are no articles (redirects, other namespaces), left out: 2" in str(report)


@pytest.mark.parametrize("tag", ["", "<redirect />"])
@pytest.mark.parametrize("text", ["#REDIRECT [[Ada Lovelace]]", " #redirect:[[ada_Lovelace|x]] {{R}}"])
def test_a_redirect_without_its_title_is_read_from_its_text(tmp_path, tag, text):
    to = page("Lady", text).replace("<revision>", f"{tag}<revision>")
    content = HEAD + page("Ada Lovelace", "[[Lady]]") + to + "</mediawiki>"
    docs, _ = read_mediawiki(write(tmp_path / "pages.xml", content))
    assert [(ent.text, ent.kb_id_) for doc in docs for ent in doc.ents] == [("Lady", "Ada Lovelace")]


def test_a_page_is_given_before_the_rest_of_the_dump_is_read(tmp_path, monkeypatch):
    dump = (HEAD + page("A", "a") + page("B", "b") * 3 + "</mediawiki>").encode()
    read = []

    def chunks(path: object, on_read: object) -> Iterator[bytes]:
        for start in range(0, len(dump), 50):
            read.append(start)
            yield dump[start : start + 50]

    monkeypatch.setattr(mediawiki, "read_chunks", chunks)
    (tmp_path / "pages.xml").write_bytes(dump)
    pages = mediawiki.read_pages(tmp_path / "pages.xml")
    assert next(pages).title == "A"
    assert 50 * len(read) < len(HEAD) + len(page("A", "a")) + 50
    assert [found.title for found in pages] == ["B"] * 3


@pytest.mark.parametrize("between", ["<text>" + "x" * 9000, "<!--" + "x" * 9000, "<a>" * 3000, "<a b='" + "x" * 9000])
def test_a_page_without_end_is_refused(tmp_path, monkeypatch, between):
    monkeypatch.setattr(mediawiki, "MAX_PAGE", 8000)
    monkeypatch.setattr(files, "CHUNK", 1000)
    good = HEAD + page("A", "x" * 5000) * 5
    docs, _ = read_mediawiki(write(tmp_path / "pages.xml", good + "</mediawiki>"))
    assert len(docs) == 5
    with pytest.raises(LukeError, match=r"L152.*pages\.xml, line 1: no end of a page for .* at most 8,000"):
        read_mediawiki(write(tmp_path / "pages.xml", f"{good}<page>{between}"))


BOMB = "<!DOCTYPE m [<!ENTITY a 'aaaaaaaaaa'>{}]><mediawiki><page><title>&z;</title></page></mediawiki>"


@pytest.mark.parametrize(
    "content",
    [
        BOMB.format("".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in pairwise("abcdefghiz"))),
        BOMB.format("<!ENTITY z SYSTEM 'file:///etc/passwd'>"),
        '<!DOCTYPE m SYSTEM "file:///etc/passwd"><mediawiki><page></page></mediawiki>',
        "<!DOCTYPE m [<!ENTITY % z SYSTEM 'http://localhost/x'> %z;]><mediawiki><page></page></mediawiki>",
    ],
)
def test_a_document_type_is_refused(tmp_path, content):
    with pytest.raises(LukeError, match=r"pages\.xml, line 1: it has a document type") as caught:
        read_mediawiki(write(tmp_path / "pages.xml", content))
    assert caught.value.code == "L060"
