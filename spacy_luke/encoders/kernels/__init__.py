"""Routes for particular processors. Each computes what the plain PyTorch code in its place does.

`routes` holds the switch that turns them all off, and the processors that each was measured on; `attention` chooses
between the kernels for attention, `dropout.dropout` and `onednn_linear.linear` between PyTorch and one kernel.
"""

from .routes import current, set_default, use

__all__ = ["current", "set_default", "use"]
