"""LUKE and Longformer for spaCy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spacy.language import Language

from .annotations import Answer, Relation, has_annotation
from .errors import LukeError, LukeWarning
from .extensions import register_extensions

__version__ = "0.1.0"
__all__ = ["Answer", "LukeError", "LukeWarning", "Relation", "from_checkpoint", "has_annotation"]

_FACTORIES = {
    "LukeForEntitySpanClassification": "luke_ner",
    "LukeForEntityPairClassification": "luke_relations",
    "LukeForEntityClassification": "luke_entity_typer",
    "LukeForQuestionAnswering": "luke_qa",
}


def from_checkpoint(
    name: str | Path,
    *,
    revision: str | None = None,
    sentences: str | None = "sentencizer",
    config: Mapping[str, Any] = MappingProxyType({}),
    lang: str = "en",
) -> Language:
    """A pipeline that runs a Hugging Face checkpoint: a sentence splitter and the component for its architecture.

    name: folder or Hub id. revision: branch, tag or commit on the Hub.
    sentences: factory of the component that sets sentence boundaries; None adds none.
    config: settings of the component, as for `nlp.add_pipe`.
    lang: code of the language whose spaCy tokenizer splits the text.

    L020-L028 say what is wrong with a checkpoint, L049 that no component runs its architecture.
    """
    import spacy

    from .checkpoints.reader import read_config
    from .checkpoints.source import locate

    path = locate(name, revision)
    architecture = (read_config(path).get("architectures") or [None])[0]
    if architecture not in _FACTORIES:
        raise LukeError("L049", architecture=architecture, known=", ".join(_FACTORIES))
    nlp = spacy.blank(lang)
    if sentences:
        nlp.add_pipe(sentences)
    pipe: Any = nlp.add_pipe(_FACTORIES[architecture], config=dict(config))
    pipe.load_checkpoint(path)
    return nlp


register_extensions()
