"""What tests of kernels need of PyTorch. It is asked of PyTorch alone: a kernel that fails where PyTorch has all it
takes fails its tests, and does not skip them."""

from __future__ import annotations

import pytest
import torch

has_onednn = (
    torch.backends.mkl.is_available()
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
needs_onednn = pytest.mark.skipif(not has_onednn, reason="PyTorch has no MKL, or none of oneDNN's products")
