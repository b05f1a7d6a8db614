"""`luke_dates`: the dates in English texts as entities, by rules."""

from __future__ import annotations

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc

from ...errors import LukeError
from ..base.entities import blocked_tokens
from .patterns import find_dates


@Language.factory("luke_dates", assigns=["doc.ents"], default_config={"label": "DATE"})
def make_luke_dates(nlp: Language, name: str, label: str) -> LukeDates:
    """Make a `luke_dates` component; see `LukeDates` for the settings."""
    return LukeDates(name, label)


class LukeDates(Pipe):
    """Dates of English texts, by regular expressions: calendar dates ("June 5, 1833"), numeric ("12/05/2021"),
    historical ("44 BC", "the 12th century") and relative ones ("last Tuesday", "three days ago").

    label: of the entities.

    A four-digit number is a year unless what stands around it makes it an amount ("2000 dollars"), a part of a longer
    number or an address. Entities that are there already and blocked tokens stay, and dates that overlap with them are
    left out, as are those that start or end within a token. No scores are given. It exists because corpora of names
    have no dates to learn, and because amounts can only be told by what stands beside them, which patterns of an
    `entity_ruler` would make a part of the entity.
    """

    def __init__(self, name: str, label: str):
        if not label:
            raise LukeError("L047", setting="label", value=label, reason="it must not be empty")
        self.name = name
        self.label = label

    @property
    def labels(self) -> tuple[str, ...]:
        """The one label."""
        return (self.label,)

    def __call__(self, doc: Doc) -> Doc:
        """Add the dates to `doc.ents`."""
        blocked = blocked_tokens(doc)
        taken = {token.i for span in (*doc.ents, *blocked) for token in span}
        spans = (doc.char_span(start, end, label=self.label) for start, end in find_dates(doc.text))
        new = [span for span in spans if span is not None and taken.isdisjoint(range(span.start, span.end))]
        doc.set_ents([*doc.ents, *new], blocked=blocked)
        return doc
