"""Base of `luke_relations` and `luke_entity_typer`: items that are marked in their text."""
