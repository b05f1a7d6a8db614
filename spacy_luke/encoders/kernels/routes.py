"""The choice of a route: PyTorch's own code, or a kernel of this folder.

The environment variable `SPACY_LUKE_KERNELS`, read once when this module is imported, says which routes are taken:

    auto    PyTorch's own, but for the kernels that were measured to be faster on processors of this vendor (default)
    plain   PyTorch's own only
    all     every kernel that computes rightly here, measured or not: for tests and measurements

`set_default` changes it for the process, `use` for a block of code. Results of the routes differ in rounding; with
dropout, in which numbers are dropped. int8 is no such route: it computes something else, and a user asks for it by
`precision = "int8"`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar, cast, get_args

import torch

from ...checks import require_one_of

Mode = Literal["auto", "plain", "all"]
Route = Literal[
    "dropout by bits",
    "dropout by bits in bfloat16",
    "entity-aware attention by head",
    "entity-aware attention into one buffer",
    "linear by oneDNN",
    "self-attention by head",
]
P = ParamSpec("P")
T = TypeVar("T")

VARIABLE = "SPACY_LUKE_KERNELS"

AMD, INTEL = "AuthenticAMD", "GenuineIntel"  # as CPUID gives them
# Vendors of the CPUs on which a route was measured to be faster than PyTorch's own: AMD EPYC with AVX2 and with
# AVX-512, and an Intel Xeon with AVX-512 and AMX. On the latter, linear layers took the same time in prediction and 7 %
# more in training, and self-attention by head of 500 pieces a fifth more; entity-aware attention of 300 pieces and 200
# entities by head made the layer 1.1 to 1.4 times as fast. In bfloat16, random bits took 0.6 of the time of PyTorch's
# dropout, and self-attention that drops weights with them 0.55 of its own (16 rows of 200 pieces, both passes).
MEASURED: dict[Route, tuple[str, ...]] = {
    "dropout by bits": (AMD,),
    "dropout by bits in bfloat16": (INTEL,),
    "entity-aware attention by head": (AMD, INTEL),
    "entity-aware attention into one buffer": (AMD, INTEL),
    "linear by oneDNN": (AMD,),
    "self-attention by head": (AMD,),
}
# The instructions for which PyTorch's own kernels were measured, as PyTorch calls them.
_CAPABILITIES = ("AVX2", "AVX512")


def _checked(mode: str) -> Mode:
    require_one_of(get_args(Mode), **{VARIABLE: mode})
    return cast(Mode, mode)


_default: Mode = _checked(os.environ.get(VARIABLE) or "auto")
_context_mode: ContextVar[Mode | None] = ContextVar("_context_mode", default=None)


def set_default(mode: Mode) -> None:
    """Set the mode of all threads, but for blocks under `use`; L047 if there is no such mode.

    Worker processes of `nlp.pipe` that are not forked read the environment variable instead.
    """
    global _default
    _default = _checked(mode)


@contextmanager
def use(mode: Mode) -> Iterator[None]:
    """Take the routes of `mode` within a `with` block; other threads are not affected. L047 if there is no such mode.

    with spacy_luke.encoders.kernels.use("plain"):
        doc = nlp(text)
    """
    token = _context_mode.set(_checked(mode))
    try:
        yield
    finally:
        _context_mode.reset(token)


def current() -> Mode:
    """The mode of the calling thread."""
    return _context_mode.get() or _default


def with_same_routes(function: Callable[P, T]) -> Callable[P, T]:
    """The function, bound to the present mode.

    For gradient checkpointing: what a backward pass computes again must take the route of the forward pass, even in
    another thread (those of a GPU) or after the block that `use` opened.
    """
    mode = current()

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with use(mode):
            return function(*args, **kwargs)

    return call


def takes(route: Route) -> bool:
    """Whether the mode and the processor are for a kernel of this CPU, which has yet to suit the tensors."""
    mode = current()
    return mode == "all" or (mode == "auto" and _vendor() in MEASURED[route])


@cache
def _vendor() -> str:
    """The vendor of the CPU, as `MEASURED` names it; "" for all others, and without the instructions measured."""
    if torch.backends.cpu.get_cpu_capability() not in _CAPABILITIES:
        return ""
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf8")
    except OSError:
        described = platform.processor()
    return next((vendor for vendor in (AMD, INTEL) if vendor in described), "")
