"""A corpus reader for several corpora at once, each annotated for other components."""

from __future__ import annotations

import math
import random
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spacy.language import Language
from spacy.training import Example

from ..errors import LukeError


def build_mixed_corpus(
    corpora: Mapping[str, Any], times: Mapping[str, float] | None = None, seed: int = 0
) -> Callable[[Language], Iterator[Example]]:
    """Read several corpora as one, in random order, as `spacy-luke.mixed_corpus.v1`.

    corpora: name -> any reader of Examples.
    times: name -> how often the corpus is read in an epoch; default: once. Of a corpus that is read 2.5 times, a random
        half, another one in each epoch, is read a third time; one that is read 0 times is left out.
    seed: of the order and of the parts.

    Each component learns from the Examples that are annotated for it and ignores the others. The corpora are read once
    and held in memory: `nlp.initialize` asks for them for each component. With `max_epochs = -1` in `[training]`, each
    epoch has its own order and parts; otherwise spaCy shuffles what the first one has. L047 for names in `times` that
    are no corpora, and for numbers below 0.
    """
    shares = {name: 1.0 for name in corpora} | dict(times or {})
    for name, share in shares.items():
        if name not in corpora:
            reason = f"there is no such corpus; known: {', '.join(corpora) or 'none'}"
            raise LukeError("L047", setting="times", value=name, reason=reason)
        if not 0 <= share < math.inf:
            raise LukeError("L047", setting=f"times.{name}", value=share, reason="it must be 0 or more")
    order = random.Random(seed)
    held: dict[str, list[Example]] = {}
    reader_of: weakref.ref[Language] | None = None

    def once(nlp: Language) -> dict[str, list[Example]]:
        nonlocal held, reader_of
        if reader_of is None or reader_of() is not nlp:
            held = {name: list(reader(nlp)) for name, reader in corpora.items() if shares[name]}
            reader_of = weakref.ref(nlp)
        return held

    def read(nlp: Language) -> Iterator[Example]:
        examples: list[Example] = []
        for name, corpus_examples in once(nlp).items():
            whole, part = divmod(shares[name], 1)
            examples += corpus_examples * int(whole)
            examples += order.sample(corpus_examples, round(part * len(corpus_examples)))
        order.shuffle(examples)
        for example in examples:  # predicted Docs may be changed by who gets them
            yield Example(example.predicted.copy(), example.reference)

    return read
