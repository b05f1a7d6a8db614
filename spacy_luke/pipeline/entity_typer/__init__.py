"""`luke_entity_typer`: types of entities."""
