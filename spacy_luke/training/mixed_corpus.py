"""A corpus reader for several corpora at once, each annotated for other components."""

from __future__ import annotations

import math
import random
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

    Each component learns from the Examples that are annotated for it and ignores the others. All Examples of an epoch
    are held in memory. With `max_epochs = -1` in `[training]`, each epoch has its own order and parts; otherwise spaCy
    reads once, and shuffles. L047 for names in `times` that are no corpora, and for numbers below 0.
    """
    shares = {name: 1.0 for name in corpora} | dict(times or {})
    for name, share in shares.items():
        if name not in corpora:
            reason = f"there is no such corpus; known: {', '.join(corpora) or 'none'}"
            raise LukeError("L047", setting="times", value=name, reason=reason)
        if not 0 <= share < math.inf:
            raise LukeError("L047", setting=f"times.{name}", value=share, reason="it must be 0 or more")
    order = random.Random(seed)

    def read(nlp: Language) -> Iterator[Example]:
        examples: list[Example] = []
        for name, reader in corpora.items():
            whole, part = divmod(shares[name], 1)
            for _ in range(int(whole)):
                examples.extend(reader(nlp))
            if part:
                once = list(reader(nlp))
                examples.extend(order.sample(once, round(part * len(once))))
        order.shuffle(examples)
        yield from examples

    return read
