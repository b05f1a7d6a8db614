"""MediaWiki dumps: articles as wikitext, with their links.

Format: https://www.mediawiki.org/wiki/Help:Export, as `enwiki-…-pages-articles.xml.bz2` has it.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..annotations.store import Characters
from ..errors import LukeError
from .report import ConversionReport
from .texts import char_span, english_tokenizer, set_entities
from .wikitext import article_title, read_wikitext

_OPEN: Mapping[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open}


@dataclass(frozen=True)
class Page:
    """A page of the main namespace. redirect: the title that it leads to, "" for an article."""

    title: str
    redirect: str
    wikitext: str


def read_mediawiki(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """MediaWiki dump (XML): articles with their links; also .bz2 and .gz.

    A Doc is an article, without sentence boundaries: its text as far as it is not made by templates. Entities, labelled
    "ENTITY", are its links; `ent.kb_id_` is the title of the article that they lead to, through redirects of the same
    file. `doc.user_data["title"]` is the title.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = english_tokenizer(vocab)
    report = ConversionReport(files=[f"{path}: MediaWiki dump"])
    pages = list(read_pages(path))
    redirects = {page.title: page.redirect for page in pages if page.redirect}
    docs = [make_doc(page, redirects, tokenizer, report) for page in pages if not page.redirect]
    if not docs:
        raise LukeError("L060", path=path, line=1, reason="there is no article in it")
    report.count(docs)
    return docs, report


def read_pages(path: Path) -> Iterator[Page]:
    """The pages of a dump, which is never in memory as a whole. L060 if it is no XML."""
    with _OPEN.get(path.suffix, open)(path, "rb") as file:
        try:
            yield from _pages(file)
        except ElementTree.ParseError as error:
            raise LukeError("L060", path=path, line=error.position[0], reason=f"not XML ({error})") from None
        except (EOFError, OSError, zlib.error) as error:
            raise LukeError("L060", path=path, line=1, reason=f"it cannot be unpacked ({error})") from None


def _pages(file: IO[bytes]) -> Iterator[Page]:
    for _, element in ElementTree.iterparse(file):
        if not element.tag.endswith("}page") and element.tag != "page":
            continue
        found = {child.tag.rpartition("}")[2]: child for child in element.iter()}
        if found["ns"].text == "0" if "ns" in found else True:
            redirect = found["redirect"].get("title", "") if "redirect" in found else ""
            title = found["title"].text or "" if "title" in found else ""
            wikitext = found["text"].text or "" if "text" in found else ""
            yield Page(title, article_title(redirect), wikitext)
        element.clear()


def make_doc(page: Page, redirects: dict[str, str], tokenizer: Tokenizer, report: ConversionReport) -> Doc:
    plain = read_wikitext(page.wikitext)
    doc = tokenizer(plain.text)
    doc.user_data["title"] = page.title
    characters = Characters(doc)
    spans: list[Span] = []
    for start, end, title in plain.links:
        span = char_span(characters, start, end, report, page.title, kb_id=redirects.get(title, title))
        if span is not None:
            spans.append(span)
    set_entities(doc, spans, report, page.title)
    return doc
