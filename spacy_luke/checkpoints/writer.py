"""Our modules -> a Hugging Face checkpoint folder that transformers opens."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save, save_file
from torch import Tensor, nn

from ..checksums import CHECKSUMS, write_checksums
from ..encoders.config import LukeConfig
from ..encoders.encoder import Encoder
from ..encoders.masked_lm import MaskedLM
from ..errors import LukeError
from ..tokenization.loading import TOKENIZER_FILES
from ..tokenization.saving import files_to_save
from .checkpoint import ENTITY_VOCAB, OWN_SETTINGS, Config, Description
from .key_maps import (
    BACKBONE_PREFIXES,
    DECODER_BIAS,
    ENTITY_DECODER,
    ENTITY_TABLE,
    PIECE_BIAS,
    PIECE_DECODER,
    PIECE_TABLE,
    to_hugging_face,
)
from .weights import OWN_SAFETENSORS, SAFETENSORS, WEIGHT_FILES

CONFIG = "config.json"
# Weights of a head whose encoder is another component's.
HEAD_WEIGHTS = "head.safetensors"
# What a component keeps beside its checkpoint: with another one it would be a mixture.
OF_COMPONENTS = ("cfg", "kb", CHECKSUMS)
CHECKPOINT_FILES = (CONFIG, ENTITY_VOCAB, *WEIGHT_FILES, *TOKENIZER_FILES, HEAD_WEIGHTS, *OF_COMPONENTS)
_METADATA = {"format": "pt"}


def save_checkpoint(
    path: Path,
    description: Description,
    module: nn.Module,
    *,
    dtype: torch.dtype = torch.float32,
    more_files: dict[str, bytes] | None = None,
    checksums: bool = False,
) -> None:
    """Write a checkpoint folder.

    dtype: of the stored weights; reading gives float32 again.
    more_files: further files of the folder, by name.
    checksums: also write those of all files, as for a component.

    All files are written beside the folder first and then moved in, config.json last: a save that is killed leaves
    either the old checkpoint or a folder without config.json, which no reader opens, and its files beside it, which the
    next one removes. If it fails, the old files are moved back, and L029 is raised.
    """
    with staged(path) as staging:
        weights = staging / _weight_file(description)
        save_file(_tensors(description, module, dtype), weights, metadata=_METADATA)
        _write(staging, {**_small_files(description, dtype), **(more_files or {})})
        weights.chmod((staging / CONFIG).stat().st_mode)  # safetensors lets nobody else read its file
        if checksums:
            write_checksums(staging)


def save_files(path: Path, files: dict[str, bytes]) -> None:
    """Write the files of a component that are no checkpoint in the place of one, with the same guarantees."""
    with staged(path) as staging:
        _write(staging, files)
        if files:
            write_checksums(staging)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def checkpoint_bytes(description: Description, module: nn.Module) -> dict[str, bytes]:
    """The files of the checkpoint folder, by name."""
    weights = save(_tensors(description, module, torch.float32), metadata=_METADATA)
    return {_weight_file(description): weights, **_small_files(description, torch.float32)}


@contextmanager
def unpacked(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder with what `checkpoint_bytes` gave, inside the `with` block."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / Path(name).name).write_bytes(data)
        yield Path(folder)


@contextmanager
def staged(path: Path, stale: Iterable[str] = CHECKPOINT_FILES) -> Iterator[Path]:
    """A folder whose files and folders replace those in `path` when the `with` block ends; L029 if it fails.

    stale: names that go, whether they are replaced or not; those of a checkpoint. What has another name stays.
    """
    try:
        with _replacing(path, stale) as staging:
            yield staging
    except (OSError, SafetensorError) as e:
        raise LukeError("L029", path=path, reason=e) from e


@contextmanager
def _replacing(path: Path, stale: Iterable[str]) -> Iterator[Path]:
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    new, old = room / "new", room / "old"
    existed = path.is_dir()
    placed: list[str] = []
    try:
        new.mkdir()
        old.mkdir()
        yield new
        path.mkdir(exist_ok=True)
        names = {p.name for p in new.iterdir()}
        # config.json leaves first and comes last: without it nothing is read.
        for name in sorted(names.union(stale), key=lambda n: n != CONFIG):
            if (path / name).exists():
                os.replace(path / name, old / name)
        for name in sorted(names, key=lambda n: n == CONFIG):
            os.replace(new / name, path / name)
            placed.append(name)
    except BaseException:
        for name in placed:
            os.replace(path / name, new / name)
        for file in sorted(old.iterdir() if old.is_dir() else (), key=lambda p: p.name == CONFIG):
            os.replace(file, path / file.name)
        if not existed and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        shutil.rmtree(room, ignore_errors=True)  # not reached if the old files could not be moved back
        raise
    for leftover in _staging_parents(
        path
    ):  # of this save, and of earlier ones that were killed: what they had is replaced now
        shutil.rmtree(leftover, ignore_errors=True)


def _staging_parents(path: Path) -> list[Path]:
    """The folders beside a checkpoint in which saves to it keep their files."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")  # as `mkdtemp` makes them
    return [room for room in path.parent.iterdir() if name.fullmatch(room.name) and (room / "new").is_dir()]


def _weight_file(description: Description) -> str:
    """transformers, which would take the model for what it is not, does not find weights under our own name."""
    config = description.config
    return SAFETENSORS if config.stored_model_type == config.model_type else OWN_SAFETENSORS


def _tensors(description: Description, module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    bare = isinstance(module, Encoder)
    encoder, backbone = ("", "") if bare else ("encoder.", BACKBONE_PREFIXES[description.config.model_type])
    named = {to_hugging_face(n, encoder=encoder, backbone=backbone): t for n, t in module.state_dict().items()}
    if isinstance(module, MaskedLM) and _weight_file(description) == SAFETENSORS:
        named = {**_decoders(description.config, named, backbone), **named}
    return {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in named.items()}


def _decoders(config: Config, named: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Weights of a masked language model that transformers looks for beside our parameters: copies of tied ones.

    transformers 5 ties LUKE's decoder of pieces never, and nothing if config.json says so: what it does not find, it
    makes random. transformers 4 ties LUKE's decoder of entities always.
    """
    luke, untied = isinstance(config, LukeConfig), not config.extra.get("tie_word_embeddings", True)
    copied: dict[str, str] = {}
    if luke or untied:
        copied |= {PIECE_DECODER: f"{backbone}{PIECE_TABLE}", DECODER_BIAS: PIECE_BIAS}
    if luke and untied:
        copied[ENTITY_DECODER] = f"{backbone}{ENTITY_TABLE}"
    return {name: named[source].clone() for name, source in copied.items() if name not in named}


def _small_files(description: Description, dtype: torch.dtype) -> dict[str, bytes]:
    config: dict[str, Any] = {
        **description.config.to_dict(),
        "architectures": [description.architecture],
        "model_type": description.config.stored_model_type,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }
    for stale in (OWN_SETTINGS, "dtype"):  # "dtype" is what transformers 5 calls torch_dtype; it reads both
        config.pop(stale, None)
    if description.settings:
        config[OWN_SETTINGS] = dict(description.settings)
    if description.labels:
        config["id2label"] = {str(i): label for i, label in enumerate(description.labels)}
        config["label2id"] = {label: i for i, label in enumerate(description.labels)}
    else:
        config.pop("id2label", None)
        config.pop("label2id", None)
    files = {CONFIG: json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True).encode("utf8")}
    if isinstance(description.config, LukeConfig):
        files[ENTITY_VOCAB] = description.entity_vocab.to_json()
    return {**files, **files_to_save(description.tokenizer.files)}
