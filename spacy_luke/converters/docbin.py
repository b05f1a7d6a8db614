"""Docs in `.spacy` files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import LukeError


def write_docbin(docs: Iterable[Doc], path: str | Path) -> None:
    """Save as a DocBin, whole or not at all. A file that is there stays as it is until the new one is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = DocBin(docs=docs, store_user_data=True).to_bytes()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # as any new file; mkstemp's are private
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_docbin(path: str | Path, vocab: Vocab) -> list[Doc]:
    """The Docs of a DocBin; L106 if the file is none."""
    try:
        return list(DocBin().from_disk(path).get_docs(vocab))
    except (ValueError, LookupError, TypeError) as error:  # whatever msgpack makes of other bytes
        raise LukeError("L106", path=path, reason=" ".join(str(error).split())) from error
