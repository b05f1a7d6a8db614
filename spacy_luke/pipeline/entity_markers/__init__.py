"""What `luke_relations` and `luke_entity_typer` share: items that are marked in their text."""
