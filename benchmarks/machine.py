"""The machine and software that figures depend on: processor, threads, versions, allocator."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from .options import Options

# glibc gives large blocks back to the system at once and asks for them again in the next call: with these it keeps
# them, and neither side pays for page faults.
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_TOP_PAD_": str(2**26)}
_ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc")
_FLAGS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "amx_tile": "AMX"}


# The entry of the description that no two runs share.
LOAD = "load at the start"


def describe(options: Options) -> dict[str, str]:
    """All of it, as text."""
    import torch

    gpu = [f"GPU: {torch.cuda.get_device_name()}"] if options.device == "cuda" else []
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "spacy"))
    return {
        "machine": ", ".join([processor(), f"{os.cpu_count()} cores", f"{options.threads} threads", *gpu]),
        "dtype": options.dtype,
        "allocator": allocator(os.environ),
        "versions": f"Python {platform.python_version()}, {libraries}",
        LOAD: f"{os.getloadavg()[0]:.1f}",
        "models": f"random weights, size {options.size}",
        "inputs": f"{options.sentences} sentences, transformers in batches of {options.batch_size}",
        "rounds": str(options.rounds),
    }


def processor() -> str:
    """The processor's name and the vector instructions that matter here."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf8")
    except OSError:
        return platform.processor() or platform.machine()
    entries = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in entries.items()}
    flags = [name for flag, name in _FLAGS.items() if flag in found.get("flags", "").split()]
    name = found.get("model name", platform.machine())
    return f"{name} ({', '.join(flags)})" if flags else name


def allocator(environment: Mapping[str, str]) -> str:
    """The allocator of this process, as its environment tells."""
    library = next((name for name in _ALLOCATORS if name in environment.get("LD_PRELOAD", "")), None)
    settings = [
        f"{name}={value}"
        for name, value in sorted(environment.items())
        if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"
    ]
    return " with ".join(filter(None, [library or "default malloc", " ".join(settings)]))


def untuned(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for processes whose memory is measured: kept blocks would count as used."""
    return {name: value for name, value in environment.items() if name not in TUNED}
