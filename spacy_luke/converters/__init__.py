"""Public corpora -> DocBin. `CONVERTERS` names each kind of file that can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from spacy.tokens import Doc

from ..errors import LukeError
from .docbin import write_docbin
from .iob import read_iob
from .report import ConversionReport

# Reads one file, given its path; each kind has its own keyword options.
Converter: TypeAlias = Callable[..., tuple[list[Doc], ConversionReport]]

CONVERTERS: Mapping[str, Converter] = {"iob": read_iob}


def get_converter(kind: str) -> Converter:
    if kind not in CONVERTERS:
        raise LukeError("L063", kind=kind, known=", ".join(sorted(CONVERTERS)))
    return CONVERTERS[kind]


__all__ = ["CONVERTERS", "ConversionReport", "Converter", "get_converter", "read_iob", "write_docbin"]
