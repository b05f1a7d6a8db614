"""`luke_entity_linker`: the entity that a mention names."""
