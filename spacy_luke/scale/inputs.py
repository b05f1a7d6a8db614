"""The files to annotate, the file that each becomes, and which of them are a shard's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import LukeError

LINES, JSON_LINES, PARQUET, DOCBIN = "txt", "jsonl", "parquet", "spacy"
# What can be written, by the suffix of the file.
FORMATS = (JSON_LINES, PARQUET, DOCBIN)
_PACKED = ("", ".gz", ".bz2")
KINDS = {f".{kind}{packed}": kind for kind in (LINES, JSON_LINES) for packed in _PACKED}
KINDS |= {f".{kind}": kind for kind in (PARQUET, DOCBIN)}


@dataclass(frozen=True)
class Input:
    """A file to annotate.

    name: of its results, relative to the folder of the run, with "/" between the parts.
    kind: what is in it: a text a line, JSON lines, parquet or a DocBin.
    size: bytes.
    """

    path: Path
    name: str
    kind: str
    size: int


def find_inputs(paths: Sequence[Path], output: Path, form: str) -> list[Input]:
    """The inputs by the names of their results.

    paths: files, and folders of which every file is read whose name ends in one of `KINDS`; hidden ones are not.
    form: one of `FORMATS`.

    L165 for what cannot be annotated, L166 if results would be written over each other or over an input.
    """
    found: dict[str, Input] = {}
    for path in paths:
        files = _below(path, output) if path.is_dir() else [(path, path.name)]
        for file, name in files:
            kind = kind_of(file)
            if kind is None:
                raise not_annotated(file, "its name does not say what is in it")
            if not file.is_file():
                raise not_annotated(file, "it does not exist" if not file.exists() else "it is no file")
            suffix = f".{form}"
            name = name if name.endswith(suffix) else f"{name}{suffix}"
            one = Input(file, name, kind, file.stat().st_size)
            target = output / one.name
            other = found.setdefault(one.name, one)
            if other.path.resolve() != file.resolve():
                reason = f"those of {other.path} would be there, too; give the folder that both are in"
                raise LukeError("L166", path=file, output=target, reason=reason)
            if target.resolve() == file.resolve():
                raise LukeError("L166", path=file, output=target, reason="that is the file itself; give another folder")
    return [found[name] for name in sorted(found)]


def _below(folder: Path, output: Path) -> list[tuple[Path, str]]:
    """The files of a folder that can be read, with their names in it."""
    if output.resolve().is_relative_to(folder.resolve()):
        reason = f"that is in the folder to read, {folder}, and would be read by the next run; give another folder"
        raise LukeError("L166", path=folder, output=output, reason=reason)
    files = [(file, file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and kind_of(file)]
    shown = [(file, name.as_posix()) for file, name in files if not any(part.startswith(".") for part in name.parts)]
    if not shown:
        raise not_annotated(folder, "no file in this folder can be read")
    return shown


def kind_of(path: Path) -> str | None:
    """What is in a file, by its name; None if that says nothing."""
    return next((kind for suffix, kind in KINDS.items() if path.name.endswith(suffix)), None)


def not_annotated(path: Path, reason: object) -> LukeError:
    """L165."""
    return LukeError("L165", path=path, reason=reason, known=", ".join(KINDS))


@dataclass(frozen=True)
class Shard:
    """One of several runs that deal the inputs among them. number: from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/8"; L080 for anything else."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            wanted = "I/N with I from 1 to N, such as 2/8 for the second of eight runs"
            raise LukeError("L080", argument="shard", value=text, wanted=wanted)
        return cls(int(number), int(count))

    def of(self, inputs: Sequence[Input]) -> Sequence[Input]:
        """Those that are this one's: every n-th, so that each is in one shard if all see the same inputs."""
        return inputs[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard()
