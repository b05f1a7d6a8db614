"""Public corpora and annotation tools -> DocBin, and DocBins -> annotation tools.

`CONVERTERS` names each kind of file that can be read, `EXPORTERS` each that can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from spacy.tokens import Doc

from ..errors import LukeError
from .brat import read_brat, write_brat
from .conllu import read_conllu
from .docbin import read_docbin, write_docbin
from .doccano import read_doccano, write_doccano
from .docred import read_docred
from .entity_typing import read_entity_typing
from .fewrel import read_fewrel
from .inception import read_inception, write_inception
from .iob import read_iob
from .knowledgenet import read_knowledgenet
from .label_studio import read_label_studio, write_label_studio
from .linked_text import read_linked_text
from .mediawiki import read_mediawiki
from .nested_iob import read_nested_iob
from .prodigy import read_prodigy, write_prodigy
from .qamr import read_qamr
from .rel_component import read_rel_component
from .report import ConversionReport
from .semeval2010 import read_semeval2010
from .squad import read_squad
from .tacred import read_tacred

# Reads one file, given its path; each kind has its own keyword options. The first line of its docstring, a name and
# what the files are, describes the kind on the command line.
Converter: TypeAlias = Callable[..., tuple[list[Doc], ConversionReport]]
# Writes Docs to a path, a file or a folder; keyword options and docstring as those of a Converter.
Exporter: TypeAlias = Callable[..., ConversionReport]

CONVERTERS: Mapping[str, Converter] = {
    "brat": read_brat,
    "conllu": read_conllu,
    "doccano": read_doccano,
    "docred": read_docred,
    "entity_typing": read_entity_typing,
    "fewrel": read_fewrel,
    "inception": read_inception,
    "iob": read_iob,
    "knowledgenet": read_knowledgenet,
    "label_studio": read_label_studio,
    "linked_text": read_linked_text,
    "mediawiki": read_mediawiki,
    "nested_iob": read_nested_iob,
    "prodigy": read_prodigy,
    "qamr": read_qamr,
    "rel_component": read_rel_component,
    "semeval2010": read_semeval2010,
    "squad": read_squad,
    "tacred": read_tacred,
}
EXPORTERS: Mapping[str, Exporter] = {
    "brat": write_brat,
    "doccano": write_doccano,
    "inception": write_inception,
    "label_studio": write_label_studio,
    "prodigy": write_prodigy,
}


def get_converter(kind: str) -> Converter:
    if kind not in CONVERTERS:
        raise LukeError("L063", kind=kind, known=", ".join(sorted(CONVERTERS)))
    return CONVERTERS[kind]


def get_exporter(kind: str) -> Exporter:
    if kind not in EXPORTERS:
        raise LukeError("L175", kind=kind, known=", ".join(sorted(EXPORTERS)))
    return EXPORTERS[kind]


__all__ = [
    "CONVERTERS",
    "EXPORTERS",
    "ConversionReport",
    "Converter",
    "Exporter",
    "get_converter",
    "get_exporter",
    "read_brat",
    "read_conllu",
    "read_docbin",
    "read_doccano",
    "read_docred",
    "read_entity_typing",
    "read_fewrel",
    "read_inception",
    "read_iob",
    "read_knowledgenet",
    "read_label_studio",
    "read_linked_text",
    "read_mediawiki",
    "read_nested_iob",
    "read_prodigy",
    "read_qamr",
    "read_rel_component",
    "read_semeval2010",
    "read_squad",
    "read_tacred",
    "write_brat",
    "write_docbin",
    "write_doccano",
    "write_inception",
    "write_label_studio",
    "write_prodigy",
]
