"""Fill masks in texts with LUKE's and Longformer's masked language models."""

from .fill_mask import Filling, FillMask, Mask

__all__ = ["FillMask", "Filling", "Mask"]
