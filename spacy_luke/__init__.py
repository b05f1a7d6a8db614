"""LUKE and Longformer for spaCy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spacy.language import Language

from .annotations import Answer, Choice, Choices, Relation, has_annotation, to_dict
from .errors import LukeError, LukeWarning
from .extensions import register_extensions

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Choice",
    "Choices",
    "LukeError",
    "LukeWarning",
    "Relation",
    "from_checkpoint",
    "has_annotation",
    "to_dict",
]

# Each runs on both encoders: LukeForQuestionAnswering and LongformerForQuestionAnswering.
_FACTORIES = {
    "EntitySpanClassification": "luke_ner",
    "EntityPairClassification": "luke_relations",
    "EntityClassification": "luke_entity_typer",
    "TokenClassification": "luke_token_classifier",
    "QuestionAnswering": "luke_qa",
    "MaskedLM": "luke_entity_linker",
    "SequenceClassification": "luke_textcat",
    "MultipleChoice": "luke_multiple_choice",
}
_WITHOUT_HEAD = "luke_encoder"
# Only LUKE predicts entities.
_NOT_RUN = ("LongformerForMaskedLM",)


def from_checkpoint(
    name: str | Path,
    *,
    revision: str | None = None,
    sentences: str | None = "sentencizer",
    config: Mapping[str, Any] = MappingProxyType({}),
    lang: str = "en",
) -> Language:
    """A pipeline that runs a Hugging Face checkpoint: a sentence splitter and the component for its architecture, with
    the checkpoint's encoder, LUKE or Longformer.

    name: folder or Hub id. revision: branch, tag or commit on the Hub.
    sentences: factory of the component that sets sentence boundaries; None adds none.
    config: settings of the component, as for `nlp.add_pipe`.
    lang: code of the language whose spaCy tokenizer splits the text.

    If config.json names no architecture, the weights say which it is (L117 if they fit several). One that is then a
    masked language model without entities, as allenai/longformer-base-4096 is, gives its encoder: `luke_encoder`.

    L020-L028 say what is wrong with a checkpoint, L049 that no component runs its architecture.
    """
    import spacy
    from thinc.api import Config

    from .checkpoints.heads import architecture_on, bare_model
    from .checkpoints.reader import architecture_of_weights, named_architecture, read_config
    from .checkpoints.source import locate
    from .encoders.config import INDEPENDENT
    from .models.architectures import ENCODERS

    path = locate(name, revision)
    data = read_config(path)
    model_type = str(data.get("model_type")).removeprefix(INDEPENDENT)
    architecture = named_architecture(data)
    if architecture is None and model_type in ENCODERS:
        architecture = architecture_of_weights(path)
        if architecture in _NOT_RUN:
            architecture = bare_model(model_type)
    runnable = {architecture_on(kind, f"For{head}"): _FACTORIES[head] for kind in ENCODERS for head in _FACTORIES}
    runnable = {name: factory for name, factory in runnable.items() if name not in _NOT_RUN}
    runnable |= {bare_model(kind): _WITHOUT_HEAD for kind in ENCODERS}
    if architecture not in runnable or model_type not in ENCODERS:
        raise LukeError("L049", architecture=architecture, known=", ".join(runnable))
    nlp = spacy.blank(lang)
    if sentences:
        nlp.add_pipe(sentences)
    factory = runnable[architecture]
    encoder = {"@architectures": ENCODERS[model_type]}
    defaults = Config({"model": encoder if factory == _WITHOUT_HEAD else {"encoder": encoder}})
    pipe: Any = nlp.add_pipe(factory, config=defaults.merge(dict(config)))
    pipe.load_checkpoint(path)
    return nlp


register_extensions()
