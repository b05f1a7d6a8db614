"""Docs in `.spacy` files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import LukeError
from ..files import write_file


def write_docbin(docs: Iterable[Doc], path: str | Path) -> None:
    """Save as a DocBin; see `write_file`."""
    write_file(path, DocBin(docs=docs, store_user_data=True).to_bytes())


def read_docbin(path: str | Path, vocab: Vocab) -> list[Doc]:
    """The Docs of a DocBin; L106 if the file is none."""
    docs = open_docbin(path)
    with naming_bad_docbins(path):
        return list(docs.get_docs(vocab))


def open_docbin(path: str | Path) -> DocBin:
    """The DocBin in a file, whose Docs are not made yet; L106 if the file is none."""
    with naming_bad_docbins(path):
        return DocBin(store_user_data=True).from_disk(path)


@contextmanager
def naming_bad_docbins(path: str | Path) -> Iterator[None]:
    """L106 for what reading a DocBin of this file raises, from whatever msgpack makes of other bytes."""
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:
        raise LukeError("L106", path=path, reason=" ".join(str(error).split())) from error
