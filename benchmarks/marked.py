"""Shared by relations and entity types: items that are marked in their sentence."""

from __future__ import annotations

from typing import Any

from .compare import Other, Outcome, Sides, compare
from .models import random_luke
from .options import Options
from .rows import Row
from .sides import Transformers, by_size, logits_differ, ours
from .texts import all_sentences, characters, sentences, with_mentions


def marked_rows(
    part: str,
    what: str,
    head: str,
    task: str,
    options: Options,
    *,
    most_mentions: int | None = None,
    target: float | None = None,
    **settings: Any,
) -> list[Row]:
    """A row for transformers in arrival order, and one for sorted inputs.

    what: the items. head, task: transformers' class, and what its tokenizer calls the task.
    most_mentions: of a sentence, None = all. settings: of our component.
    """
    folder = options.folder / what.replace(" ", "_")
    checkpoint = random_luke(folder, options.size, all_sentences(options), head=head)

    def make(precise: bool) -> Sides:
        nlp = ours(checkpoint, options, precise, **settings)
        pipe: Any = nlp.get_pipe(nlp.pipe_names[0])
        docs = with_mentions(nlp, sentences(options), most=most_mentions)
        layout = pipe._layout()
        items = [(doc.text, item) for doc in docs for item in pipe._items(doc, layout)]
        inputs = [{"text": text, "entity_spans": characters(item)} for text, item in items]
        reference = Transformers(checkpoint, head, options, precise, task=task)
        others = [
            Other(f"{what}, transformers in arrival order", lambda: reference.logits(inputs), target),
            Other(f"{what}, transformers sorted by length", lambda: reference.logits(inputs, by_size(inputs))),
        ]
        return Sides(lambda: Outcome(_flat(pipe.logits(docs))), others, len(inputs), "items/s")

    return compare(part, make, logits_differ, options)


def _flat(scored: list[tuple[list[Any], Any]]) -> list[Any]:
    return [row for _, logits in scored for row in logits]
