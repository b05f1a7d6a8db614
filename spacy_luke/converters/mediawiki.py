"""MediaWiki dumps: articles as wikitext, with their links.

Format: https://www.mediawiki.org/wiki/Help:Export, as `enwiki-…-pages-articles.xml.bz2` has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..annotations.store import Characters
from ..errors import LukeError
from ..progress import work
from .files import read_chunks
from .report import ConversionReport
from .texts import TextTokenizer, char_span, set_entities
from .wikitext import article_title, read_wikitext

ARTICLES = "0"  # the main namespace
# MediaWiki's own limit is 2 MiB of wikitext ($wgMaxArticleSize); a dump has a page's metadata, too.
MAX_PAGE = 2**26
# Dumps before version 0.4 of the format have no title in <redirect>.
REDIRECT = re.compile(r"\s*#redirect[\s:]*\[\[([^\[\]|]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """A page. redirect: the title that it leads to, "" for an article."""

    title: str
    namespace: str
    redirect: str
    wikitext: str


def read_mediawiki(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """MediaWiki dump (XML): articles with their links; also .bz2 and .gz.

    A Doc is an article, without sentence boundaries: its text as far as it is not made by templates. Entities, labelled
    "ENTITY", are its links; `ent.kb_id_` is the title of the article that they lead to, through redirects of the same
    file. `doc.user_data["title"]` is the title.

    The dump is read twice, for its redirects first, a page at a time; only the Docs are in memory. A page is at most 64
    MiB of XML (L152), as it is in dumps with the current revisions (pages-articles). A .bz2 or .gz that unpacks to more
    than 200 times its size is refused (L151), and so is a document type, whose entities could be of any size.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: MediaWiki dump"])
    redirects = {page.title: page.redirect for page in read_pages(path) if is_article(page) and page.redirect}
    docs = []
    for page in read_pages(path):
        if is_article(page) and not page.redirect:
            docs.append(make_doc(page, redirects, tokenizer, report))
        else:
            report.other_pages.add(page.title)
    if not docs:
        raise LukeError("L060", path=path, line=1, reason="there is no article in it")
    report.count(docs)
    return docs, report


def is_article(page: Page) -> bool:
    return page.namespace == ARTICLES


def read_pages(path: Path) -> Iterator[Page]:
    """The pages of a dump, of which a MiB and one page are in memory.

    L060 if it is no XML, L152 if a page is longer than `MAX_PAGE`.
    """
    pages = _Pages(path)
    size = 0  # since the last end of a page
    done = 0

    def on_read(position: int) -> None:
        nonlocal done
        advance(position - done)
        done = position

    try:
        with work(f"Reading {path.name}", "B", path.stat().st_size) as advance:
            for chunk in read_chunks(path, on_read):
                pages.parse(chunk)
                size += len(chunk)
                if pages.found:
                    size = 0
                if size > MAX_PAGE:
                    raise LukeError("L152", path=path, size=size, line=pages.line, maximum=MAX_PAGE)
                yield from pages.take()
        pages.parse(b"", last=True)
    except expat.ExpatError as error:
        reason = f"not XML ({expat.ErrorString(error.code)})"
        raise LukeError("L060", path=path, line=error.lineno, reason=reason) from None


class _Pages:
    """Takes the pages out of XML as it comes, without a tree of it."""

    def __init__(self, path: Path):
        self.found: list[Page] = []
        self._path = path
        self._fields: dict[str, str] = {}
        self._text: list[str] | None = None
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add

    @property
    def line(self) -> int:
        return self._parser.CurrentLineNumber

    def parse(self, data: bytes, *, last: bool = False) -> None:
        self._parser.Parse(data, last)

    def take(self) -> list[Page]:
        """The pages that are complete, each once."""
        found, self.found = self.found, []
        return found

    def _refuse(self, *_: object) -> None:
        reason = "it has a document type (<!DOCTYPE), and a MediaWiki dump has none"
        raise LukeError("L060", path=self._path, line=self.line, reason=reason)

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "page":
            self._fields = {}
        elif name == "redirect":
            self._fields["redirect"] = attributes.get("title", "")
        self._text = [] if name in ("title", "ns", "text") else None

    def _add(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if self._text is not None:
            self._fields[name] = "".join(self._text)
            self._text = None
        elif name == "page":
            text = self._fields.get("text", "")
            target = self._fields.get("redirect") or ((found := REDIRECT.match(text)) and found[1]) or ""
            page = Page(self._fields.get("title", ""), self._fields.get("ns", ARTICLES), article_title(target), text)
            self.found.append(page)


def make_doc(page: Page, redirects: dict[str, str], tokenizer: TextTokenizer, report: ConversionReport) -> Doc:
    plain = read_wikitext(page.wikitext)
    doc = tokenizer(plain.text)
    doc.user_data["title"] = page.title
    characters = Characters(doc)
    spans: list[Span] = []
    for start, end, title in plain.links:
        span = char_span(characters, start, end, report, page.title, kb_id=redirects.get(title, title))
        if span is None:
            report.empty_entities.add(f"{page.title} {title!r}")
        else:
            spans.append(span)
    set_entities(doc, spans, report, page.title)
    return doc
