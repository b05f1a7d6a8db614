"""Annotation on a Ray cluster: `Annotator` for Ray Data, `pool.RayPool` for `spacy_luke.scale.annotate`."""

from .annotator import Annotator

__all__ = ["Annotator"]
