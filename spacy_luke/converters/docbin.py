"""Docs in `.spacy` files."""

from __future__ import annotations

from collections.abc import Iterable
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
    try:
        return list(DocBin().from_disk(path).get_docs(vocab))
    except (ValueError, LookupError, TypeError) as error:  # whatever msgpack makes of other bytes
        raise LukeError("L106", path=path, reason=" ".join(str(error).split())) from error
