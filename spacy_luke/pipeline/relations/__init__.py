"""`luke_relations`: relations between the entities of a Doc."""
