"""Windows on disk: a corpus is tokenised once, whatever its size, and read in any order."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc

from ...errors import LukeError
from ...tokenization.pieces import PieceTokenizer
from .windows import BEGIN, linked_windows

_META = "meta.json"
# Arrays of all windows, one after the other: name -> type. What belongs to a window ends where `…_ends` says.
_ARRAYS: dict[str, Any] = {
    "ids": np.int32,
    "types": np.uint8,
    "kinds": np.uint8,
    "piece_ends": np.int64,
    "entity_titles": np.int32,
    "entity_ranges": np.int32,
    "entity_ends": np.int64,
}


class WindowStore:
    """The windows of a corpus in a folder, which are mapped into memory rather than read.

    titles: the titles of all entities; `entity_titles` counts them.
    counts: how often each occurs. *Shape:* (titles,)
    docs, words: in the corpus.
    """

    def __init__(self, folder: Path):
        meta = json.loads((folder / _META).read_text(encoding="utf8"))
        self.titles: list[str] = meta["titles"]
        self.docs: int = meta["docs"]
        self.words: int = meta["words"]
        arrays = {name: _mapped(folder / f"{name}.bin", kind) for name, kind in _ARRAYS.items()}
        self.ids, self.types, self.kinds = arrays["ids"], arrays["types"], arrays["kinds"]
        self.entity_titles = arrays["entity_titles"]
        self.entity_ranges = arrays["entity_ranges"].reshape(-1, 2)
        self.piece_ends, self.entity_ends = arrays["piece_ends"], arrays["entity_ends"]
        self.counts = np.bincount(self.entity_titles, minlength=len(self.titles))

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Whether there are windows, all of them."""
        return (folder / _META).is_file()

    @classmethod
    def write(cls, folder: Path, docs: Iterable[Doc], tokenizer: PieceTokenizer, max_pieces: int) -> WindowStore:
        """Cut Docs into windows (`linked_windows`), and save them in place of what is there; L029 if that fails."""
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            cls._write(new, docs, tokenizer, max_pieces)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(new, folder)
        except OSError as e:
            shutil.rmtree(new, ignore_errors=True)
            raise LukeError("L029", path=folder, reason=e) from e
        return cls(folder)

    @staticmethod
    def _write(new: Path, docs: Iterable[Doc], tokenizer: PieceTokenizer, max_pieces: int) -> None:
        index: dict[str, int] = {}
        seen: Counter[str] = Counter()
        with ExitStack() as stack:
            files = {name: stack.enter_context((new / f"{name}.bin").open("wb")) for name in _ARRAYS}
            for doc in docs:
                seen["docs"] += 1
                for window in linked_windows(doc, tokenizer, max_pieces):
                    seen["words"] += int((window.kinds == BEGIN).sum())
                    seen["pieces"] += len(window.ids)
                    seen["entities"] += len(window.titles)
                    values: dict[str, Any] = {
                        "ids": window.ids,
                        "types": window.types,
                        "kinds": window.kinds,
                        "piece_ends": seen["pieces"],
                        "entity_titles": [index.setdefault(title, len(index)) for title in window.titles],
                        "entity_ranges": window.ranges,
                        "entity_ends": seen["entities"],
                    }
                    for name, value in values.items():
                        files[name].write(np.asarray(value, dtype=_ARRAYS[name]).tobytes())
        meta = {"titles": list(index), "docs": seen["docs"], "words": seen["words"]}
        (new / _META).write_text(json.dumps(meta, ensure_ascii=False), encoding="utf8")

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.piece_ends)

    def pieces(self, index: int) -> slice:
        """The pieces of a window, among all."""
        return slice(int(self.piece_ends[index - 1]) if index else 0, int(self.piece_ends[index]))

    def entities(self, index: int) -> slice:
        """The entities of a window, among all."""
        return slice(int(self.entity_ends[index - 1]) if index else 0, int(self.entity_ends[index]))


def _mapped(path: Path, kind: Any) -> np.ndarray:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.zeros(0, dtype=kind)
