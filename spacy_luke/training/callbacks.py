"""Callbacks for training configs."""

from __future__ import annotations

from collections.abc import Callable

from spacy.language import Language

from ..errors import LukeError


def build_freeze_encoder(components: list[str] | None = None) -> Callable[[Language], Language]:
    """Train only the heads: `[initialize.after_init] @callbacks = "spacy-luke.freeze_encoder.v1"`.

    components: names of the components; default: every component of this package in the pipeline.
    """

    def freeze(nlp: Language) -> Language:
        names = components if components is not None else [n for n, p in nlp.pipeline if hasattr(p, "freeze_encoder")]
        for name in names:
            pipe = nlp.get_pipe(name)
            if not hasattr(pipe, "freeze_encoder"):
                raise LukeError("L047", setting="components", value=name, reason="it has no LUKE encoder")
            pipe.freeze_encoder()
        return nlp

    return freeze
