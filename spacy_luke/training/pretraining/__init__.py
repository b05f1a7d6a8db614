"""Pretraining of LUKE: masked words and masked entities in linked text (Yamada et al. 2020, section 3.3)."""
