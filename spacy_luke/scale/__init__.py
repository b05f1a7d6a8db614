"""Annotation of corpora that are too large for one process: see `annotate`."""

from .inputs import FORMATS, Shard
from .run import Progress, Summary, annotate

__all__ = ["FORMATS", "Progress", "Shard", "Summary", "annotate"]
