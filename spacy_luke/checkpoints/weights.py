"""Weight files, read one tensor at a time so that a checkpoint never exists twice in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import LukeError
from ..files import parse_json_object
from .key_maps import canonical, from_keras, to_hugging_face

SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
KERAS = "tf_model.h5"
KERAS_INDEX = "tf_model.h5.index.json"
# For models that transformers lacks.
OWN_SAFETENSORS = "spacy_luke.safetensors"
# Copied out of a mapping before it is given up.
_MAPPED_BYTES = 1 << 25
# Numbers that are copied at a time, few enough to be in the processor's cache when they are looked at.
_COPIED = 1 << 17
WEIGHT_FILES = (SAFETENSORS, OWN_SAFETENSORS, SAFETENSORS_INDEX, PICKLE, PICKLE_INDEX, KERAS, KERAS_INDEX)


class Weights(Protocol):
    """Named tensors, loaded when asked for."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, by name."""

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        """One tensor as float32, owned by the caller; only the given rows if `rows` is set. L110 for NaN or infinity in
        it."""


class ModuleWeights:
    """The weights of an encoder that is in memory, under the names of a bare model."""

    def __init__(self, encoder: nn.Module):
        self._tensors = {to_hugging_face(n, encoder="", backbone=""): t for n, t in encoder.state_dict().items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        return _owned(self._tensors[name], rows, name, "the encoder in memory")


class _Mapped:
    """One of several files, mapped to memory until another is wanted or enough has been copied out of it: the pages of
    a mapping count as memory of the process.

    open_file: what maps a file.
    """

    def __init__(self, open_file: Callable[[Path], Any]):
        self._open = open_file
        self._file: Path | None = None
        self._content: Any = None
        self._copied = 0

    def get(self, file: Path) -> Any:
        """Open a file with `open_file`, unless it is open."""
        if self._file != file:
            self._file = self._content = None
            self._content, self._file, self._copied = self._open(file), file, 0
        return self._content

    def count(self, copied: Tensor) -> Tensor:
        """Remember that a tensor was copied, which is given back."""
        self._copied += copied.nbytes
        if self._copied > _MAPPED_BYTES:
            self._file = self._content = None
        return copied


class SafetensorsWeights:
    """model.safetensors, in one file or in shards."""

    def __init__(self, files: Iterable[Path]):
        self._file_of: dict[str, Path] = {}
        self._stored: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._mapped = _Mapped(partial(safe_open, framework="pt"))
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
        file, stored = self._file_of[name], self._stored[name]
        try:
            tensor = self._mapped.get(file).get_tensor(stored)
        except (SafetensorError, OSError) as e:  # a type that PyTorch lacks
            raise LukeError("L022", file=file, reason=e) from None
        return self._mapped.count(_owned(tensor, rows, stored, file))


class PickledWeights:
    """pytorch_model.bin, read by torch's restricted unpickler, mapped rather than loaded.

    Files in the format of torch before 1.6 cannot be mapped and are in memory as a whole.
    """

    def __init__(self, files: Iterable[Path]):
        self._file_of: dict[str, Path] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._mapped = _Mapped(_unpickled)
        for file in files:
            tensors = self._mapped.get(file)
            self._file_of.update(dict.fromkeys(tensors, file))
            self._shapes.update({name: tuple(tensor.shape) for name, tensor in tensors.items()})

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self._shapes)

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        file = self._file_of[name]
        return self._mapped.count(_owned(self._mapped.get(file)[name], rows, name, file))


def _unpickled(file: Path) -> dict[str, Tensor]:
    try:
        is_zip = zipfile.is_zipfile(file)
        if is_zip:
            _require_stored(file)
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
    except LukeError:
        raise
    except Exception as e:  # damaged bytes make the unpickler raise whatever they spell
        raise LukeError("L022", file=file, reason=_without_advice(str(e)) or type(e).__name__) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise LukeError("L022", file=file, reason="it holds no dictionary of tensors")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_complex():
            raise LukeError("L022", file=file, reason=f"{name} is no plain tensor of real numbers")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            reason = f"{name} is {tuple(tensor.shape)} and has {tensor.untyped_storage().nbytes()} bytes"
            raise LukeError("L022", file=file, reason=reason)
    return {canonical(str(name)): tensor for name, tensor in state.items()}


def _require_stored(file: Path) -> None:
    """L022 for an archive with compressed entries: torch never writes any, and maps them as they stand."""
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise LukeError("L022", file=file, reason=f"its entry {entry.filename!r} is compressed")


def _without_advice(message: str) -> str:
    """Message of torch about a file, without its advice to unpickle it without restrictions, which may run code."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Weights only load failed"):
        lines.pop(0)
    return lines[0].removesuffix(".") if lines else ""


class KerasWeights:
    """tf_model.h5, in one file or in shards, as transformers' TensorFlow classes save it; read with h5py, an extra.

    A file has a group for each layer of the model, which names its variables in an attribute and holds them under
    these names: `longformer/tf_longformer_model/longformer/encoder/layer_._0/output/dense/kernel:0`. A shard has the
    variables without groups, named without the model: `longformer/encoder/layer_._0/output/dense/kernel:0`.
    """

    def __init__(self, files: Iterable[Path]):
        self._place_of: dict[str, tuple[Path, str]] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._transposed: set[str] = set()
        for file in files:
            try:
                with _open_hdf5(file) as handle:
                    for place, variable in _keras_variables(handle):
                        name, transposed = from_keras(variable)
                        shape = tuple(_keras_item(handle, place).shape)
                        self._place_of[name] = (file, place)
                        self._shapes[name] = shape[::-1] if transposed else shape
                        if transposed:
                            self._transposed.add(name)
            except (OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as e:
                raise _unreadable(file, e) from None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self._shapes)

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        file, place = self._place_of[name]
        try:
            with _open_hdf5(file) as handle:
                tensor = torch.from_numpy(_keras_item(handle, place).astype("float32")[()])
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as e:
            raise _unreadable(file, e) from None
        if name in self._transposed:
            tensor = tensor.T.contiguous()
        return require_finite(tensor if rows is None else tensor[rows], place, file)


def _open_hdf5(file: Path) -> Any:
    try:
        import h5py
    except ImportError as e:
        raise LukeError("L095", file=file, reason=e) from None
    return h5py.File(file, "r")


def _keras_variables(handle: Any) -> Iterator[tuple[str, str]]:
    """Find each variable and its name, that of the model included."""
    for layer in _keras_names(handle, "layer_names"):
        item = _keras_item(handle, layer)
        if hasattr(item, "shape"):
            yield layer, f"model/{layer}"
        else:
            for variable in _keras_names(item, "weight_names"):
                yield f"{layer}/{variable}", variable


def _keras_item(handle: Any, place: str) -> Any:
    """A group or a dataset that is in the file itself; ValueError for what the file only points at.

    HDF5 follows links to other files, and a dataset may have its values in any file of the machine: of its whole or in
    parts (a virtual one). Keras writes neither, nor datasets that take up less than their values.
    """
    from h5py import HardLink, h5d

    item = handle
    for part in filter(None, place.split("/")):
        link = item.get(part, getlink=True)
        if link is None:
            raise KeyError(f"{place} is missing")
        if not isinstance(link, HardLink):
            raise ValueError(f"{place} is a link to what may be another file")
        item = item[part]
    if hasattr(item, "shape"):
        created = item.id.get_create_plist()
        if created.get_external_count() or created.get_layout() == h5d.VIRTUAL:
            raise ValueError(f"the values of {place} are stored outside the file")
        if item.id.get_storage_size() < item.nbytes:
            raise ValueError(f"{place} takes up less than its {item.nbytes} bytes: it is compressed or not filled")
    return item


def _unreadable(file: Path, error: Exception) -> LukeError:
    """L022 for what h5py raised. A KeyError has its message in quotation marks."""
    return LukeError("L022", file=file, reason=error.args[0] if isinstance(error, KeyError) and error.args else error)


def _keras_names(group: Any, attribute: str) -> list[str]:
    """An attribute, which Keras cuts into several with numbers if it is long."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        parts = []
        while f"{attribute}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{attribute}{len(parts)}"])
    if not parts:
        raise KeyError(f"{group.name} has no {attribute}")
    return [name.decode("utf8") if isinstance(name, bytes) else str(name) for part in parts for name in part]


_READERS: Mapping[str, Callable[[Iterable[Path]], Weights]] = {
    ".safetensors": SafetensorsWeights,
    ".bin": PickledWeights,
    ".h5": KerasWeights,
}


def open_weights(folder: Path) -> Weights:
    """The weights in a checkpoint folder: safetensors before pickle before TensorFlow, one file before shards; L021 if
    there are none."""
    files = weight_files(folder)
    return _READERS[files[0].suffix](files)


def weight_files(folder: Path) -> list[Path]:
    """The files that `open_weights` reads; L021 names what is missing."""
    if (folder / OWN_SAFETENSORS).exists():
        return [folder / OWN_SAFETENSORS]
    for name, index in ((SAFETENSORS, SAFETENSORS_INDEX), (PICKLE, PICKLE_INDEX), (KERAS, KERAS_INDEX)):
        if (folder / name).exists():
            return [folder / name]
        if (folder / index).exists():
            return _shards(folder / index)
    raise LukeError("L021", path=folder, file=f"{SAFETENSORS}, {PICKLE} or {KERAS}")


def _shards(index: Path) -> list[Path]:
    data = parse_json_object(index.read_bytes(), index)
    try:
        names = sorted(set(data["weight_map"].values()))
    except (KeyError, AttributeError, TypeError) as e:
        raise LukeError("L022", file=index, reason=e) from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise LukeError("L022", file=index, reason=f"shard {name!r} is not a file name")
        if not (index.parent / name).exists():
            raise LukeError("L021", path=index.parent, file=name)
    if not names:
        raise LukeError("L022", file=index, reason="it names no file")
    return [index.parent / name for name in names]


def require_finite(tensor: Tensor, name: str, file: Path | str) -> Tensor:
    """The tensor, which `file` has under `name`; L110 if a number in it is NaN or infinite."""
    return _checked(tensor, tensor.sum(), name, file)


def _checked(tensor: Tensor, total: Tensor, name: str, file: Path | str) -> Tensor:
    """total: sum of the tensor. NaN and infinity never leave a sum, but that of finite numbers may overflow, too."""
    if not total.isfinite() and not (finite := tensor.isfinite()).all():
        wrong = tensor[~finite]
        raise LukeError("L110", file=file, name=name, count=len(wrong), total=tensor.numel(), first=wrong[0].item())
    return tensor


def _owned(tensor: Tensor, rows: list[int] | None, name: str, file: Path | str) -> Tensor:
    if rows is not None:
        return require_finite(tensor[rows].to(torch.float32), name, file)
    copy = torch.empty(tensor.shape, dtype=torch.float32)
    total = torch.zeros(())
    for part, source in zip(copy.view(-1).split(_COPIED), tensor.reshape(-1).split(_COPIED), strict=True):
        total += part.copy_(source).sum()
    return _checked(copy, total, name, file)


@contextmanager
def meta_device() -> Iterator[None]:
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
