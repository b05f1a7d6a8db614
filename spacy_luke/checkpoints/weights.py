"""Weight files, read one tensor at a time so that a checkpoint never exists twice in memory."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import LukeError
from .key_maps import canonical

SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS_INDEX, PICKLE, PICKLE_INDEX)


class Weights(Protocol):
    """Named tensors, loaded when asked for."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, by name."""

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        """One tensor as float32, owned by the caller; only the given rows if `rows` is set."""


class SafetensorsWeights:
    """model.safetensors, in one file or in shards.

    A file stays mapped only while one tensor is copied out of it: pages of a mapping count as memory of the process.
    """

    def __init__(self, files: Iterable[Path]):
        self._file_of: dict[str, Path] = {}
        self._stored: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for file in files:
            try:
                with safe_open(file, framework="pt") as handle:
                    for stored in handle.keys():  # noqa: SIM118
                        name = canonical(stored)
                        self._file_of[name] = file
                        self._stored[name] = stored
                        self._shapes[name] = tuple(handle.get_slice(stored).get_shape())
            except (SafetensorError, OSError) as e:
                raise LukeError("L022", file=file, reason=e) from None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self._shapes)

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        with safe_open(self._file_of[name], framework="pt") as handle:
            return _owned(handle.get_tensor(self._stored[name]), rows)


class PickledWeights:
    """pytorch_model.bin, read by torch's restricted unpickler, mapped rather than loaded."""

    def __init__(self, files: Iterable[Path]):
        self._tensors: dict[str, Tensor] = {}
        for file in files:
            try:
                state = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
            except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as e:
                raise LukeError("L022", file=file, reason=str(e).splitlines()[0] if str(e) else type(e)) from None
            if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
                raise LukeError("L022", file=file, reason="it holds no dictionary of tensors")
            self._tensors.update({canonical(k): v for k, v in state.items()})

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        return _owned(self._tensors[name], rows)


def open_weights(folder: Path) -> Weights:
    """The weights in a checkpoint folder: safetensors before pickle, one file before shards; L021 if none."""
    if (folder / SAFETENSORS).exists():
        return SafetensorsWeights([folder / SAFETENSORS])
    if (folder / SAFETENSORS_INDEX).exists():
        return SafetensorsWeights(_shards(folder / SAFETENSORS_INDEX))
    if (folder / PICKLE).exists():
        return PickledWeights([folder / PICKLE])
    if (folder / PICKLE_INDEX).exists():
        return PickledWeights(_shards(folder / PICKLE_INDEX))
    raise LukeError("L021", path=folder, file=f"{SAFETENSORS} or {PICKLE}")


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as e:
        raise LukeError("L022", file=index, reason=e) from None
    for name in names:
        if Path(name).name != name:
            raise LukeError("L022", file=index, reason=f"shard {name!r} is not a file name")
        if not (index.parent / name).exists():
            raise LukeError("L021", path=index.parent, file=name)
    return [index.parent / name for name in names]


def _owned(tensor: Tensor, rows: list[int] | None) -> Tensor:
    if rows is not None:
        return tensor[rows].to(torch.float32)
    return tensor.to(torch.float32, copy=True)
