"""Share of the time of `nlp.pipe` that is spent in the encoder's forward pass: the rest is what spaCy and we add."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..compare import now
from ..models import random_luke
from ..options import Options
from ..rows import Row
from ..sides import ours
from ..texts import all_sentences, sentences, with_mentions
from . import ner, qa, relations

TARGET = 95.0
HEADS = {"luke_ner": ner.HEAD, "luke_relations": relations.HEAD, "luke_qa": qa.HEAD}


def measure(options: Options) -> list[Row]:
    """A row for each component."""
    rows = []
    for factory, head in HEADS.items():
        checkpoint = random_luke(options.folder / factory, options.size, all_sentences(options), head=head)
        nlp = ours(checkpoint, options, precise=False, **(ner.SETTINGS if factory == "luke_ner" else {}))
        docs = _docs(factory, nlp, options)
        share = statistics.median(_share(nlp, docs, options.device) for _ in range(options.rounds + 1))
        case = f"{factory}: encoder's part of nlp.pipe"
        rows.append(Row("share", case, None, None, "", result=share, result_unit="%", target=TARGET))
    return rows


def _docs(factory: str, nlp: Language, options: Options) -> list[Doc]:
    """Texts for the component: sentences, those with entities, or passages with questions."""
    texts = sentences(options)
    if factory == "luke_ner":
        return with_mentions(nlp, texts, most=0)
    if factory == "luke_relations":
        return with_mentions(nlp, texts)
    docs = with_mentions(nlp, [" ".join(texts)])
    for doc in docs:
        doc._.questions = list(dict.fromkeys(f"What is said of {ent.text}?" for ent in doc.ents))[: qa.QUESTIONS]
    return docs


def _share(nlp: Language, docs: Sequence[Doc], device: str) -> float:
    """Percent of the time."""
    pipe: Any = nlp.get_pipe(nlp.pipe_names[0])
    copies = [doc.copy() for doc in docs]
    with _Timed(pipe._module.encoder, device) as inside:
        started = now(device)
        for _ in nlp.pipe(copies):
            pass
        return 100 * inside.seconds / (now(device) - started)


class _Timed:
    """Adds up the time of a module's forward passes."""

    def __init__(self, module: Any, device: str):
        self.seconds = 0.0
        self._module = module
        self._device = device

    def __enter__(self) -> _Timed:
        self._module.forward = self._around(self._module.forward)
        return self

    def __exit__(self, *error: object) -> None:
        del self._module.forward  # the one of its class again

    def _around(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*inputs: Any, **more: Any) -> Any:
            started = now(self._device)
            output = forward(*inputs, **more)
            self.seconds += now(self._device) - started
            return output

        return timed
