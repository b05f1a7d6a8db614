"""`luke_relations` beside `LukeForEntityPairClassification`: logits of the same pairs."""

from __future__ import annotations

from ..marked import marked_rows
from ..options import Options
from ..rows import Row

HEAD, TASK = "LukeForEntityPairClassification", "entity_pair_classification"


def measure(options: Options) -> list[Row]:
    """Rows of one pair a sentence, as corpora of relations have them, and of all pairs of each sentence."""
    one_way = {"pairs": {"@misc": "spacy-luke.entity_pairs.v1", "both_directions": False}}
    return [
        *marked_rows("relations", "one pair a sentence", HEAD, TASK, options, most_mentions=2, target=2.2, **one_way),
        *marked_rows("relations", "all pairs of a sentence", HEAD, TASK, options),
    ]
