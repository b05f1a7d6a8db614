"""`luke_entity_typer` beside `LukeForEntityClassification`: logits of the same mentions."""

from __future__ import annotations

from ..marked import marked_rows
from ..options import Options
from ..rows import Row


def measure(options: Options) -> list[Row]:
    """Rows of all mentions."""
    return marked_rows("entity_types", "mentions", "LukeForEntityClassification", "entity_classification", options)
