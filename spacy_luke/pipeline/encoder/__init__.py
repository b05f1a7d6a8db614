"""`luke_encoder`: one encoder for any number of components; vectors of pieces, tokens and entities."""
