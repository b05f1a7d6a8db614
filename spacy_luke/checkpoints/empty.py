"""Modules that have shapes and wait for their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def without_values() -> Iterator[None]:
    """Modules made here are on the meta device, and nothing computes initial values for them.

    On that device `normal_`, with which `nn.Embedding` initialises itself, is a Python function that imports PyTorch's
    compiler: seconds and 80 MB for values that there are not.
    """
    with torch.device("meta"), _NoInitialValues():
        yield


class _NoInitialValues(TorchFunctionMode):
    """Leaves out the functions of `torch.nn.init`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = MappingProxyType({}),
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" and "tensor" in kwargs:
            return kwargs["tensor"]
        return func(*args, **kwargs)
