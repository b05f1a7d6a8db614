"""Public corpora -> DocBin. `CONVERTERS` names each kind of file that can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from spacy.tokens import Doc

from ..errors import LukeError
from .conllu import read_conllu
from .docbin import read_docbin, write_docbin
from .docred import read_docred
from .entity_typing import read_entity_typing
from .fewrel import read_fewrel
from .iob import read_iob
from .knowledgenet import read_knowledgenet
from .linked_text import read_linked_text
from .mediawiki import read_mediawiki
from .nested_iob import read_nested_iob
from .qamr import read_qamr
from .rel_component import read_rel_component
from .report import ConversionReport
from .semeval2010 import read_semeval2010
from .squad import read_squad
from .tacred import read_tacred

# Reads one file, given its path; each kind has its own keyword options. The first line of its docstring, a name and
# what the files are, describes the kind on the command line.
Converter: TypeAlias = Callable[..., tuple[list[Doc], ConversionReport]]

CONVERTERS: Mapping[str, Converter] = {
    "conllu": read_conllu,
    "docred": read_docred,
    "entity_typing": read_entity_typing,
    "fewrel": read_fewrel,
    "iob": read_iob,
    "knowledgenet": read_knowledgenet,
    "linked_text": read_linked_text,
    "mediawiki": read_mediawiki,
    "nested_iob": read_nested_iob,
    "qamr": read_qamr,
    "rel_component": read_rel_component,
    "semeval2010": read_semeval2010,
    "squad": read_squad,
    "tacred": read_tacred,
}


def get_converter(kind: str) -> Converter:
    if kind not in CONVERTERS:
        raise LukeError("L063", kind=kind, known=", ".join(sorted(CONVERTERS)))
    return CONVERTERS[kind]


__all__ = [
    "CONVERTERS",
    "ConversionReport",
    "Converter",
    "get_converter",
    "read_conllu",
    "read_docbin",
    "read_docred",
    "read_entity_typing",
    "read_fewrel",
    "read_iob",
    "read_knowledgenet",
    "read_linked_text",
    "read_mediawiki",
    "read_nested_iob",
    "read_qamr",
    "read_rel_component",
    "read_semeval2010",
    "read_squad",
    "read_tacred",
    "write_docbin",
]
