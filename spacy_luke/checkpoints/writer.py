"""Our modules -> a Hugging Face checkpoint folder that transformers opens."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save, save_file
from torch import Tensor, nn

from ..encoders.luke import LukeEncoder
from ..errors import LukeError
from .key_maps import to_hugging_face
from .reader import OWN_SETTINGS, Description
from .weights import SAFETENSORS, WEIGHT_FILES

CONFIG = "config.json"
_METADATA = {"format": "pt"}


def save_checkpoint(
    path: Path,
    description: Description,
    module: nn.Module,
    *,
    dtype: torch.dtype = torch.float32,
    more_files: dict[str, bytes] | None = None,
) -> None:
    """Write a checkpoint folder.

    dtype: of the stored weights; reading gives float32 again.
    more_files: further files of the folder, by name.

    All files are written beside the folder first and then moved in, config.json last: a save that is interrupted
    leaves either the old checkpoint or a folder without config.json, which no reader opens. L029 if it fails.
    """
    try:
        with _staged(path) as staging:
            save_file(_tensors(module, dtype), staging / SAFETENSORS, metadata=_METADATA)
            for name, data in {**_small_files(description, dtype), **(more_files or {})}.items():
                (staging / name).write_bytes(data)
    except OSError as e:
        raise LukeError("L029", path=path, reason=e) from e


def checkpoint_bytes(description: Description, module: nn.Module) -> dict[str, bytes]:
    """The files of the checkpoint folder, by name."""
    weights = save(_tensors(module, torch.float32), metadata=_METADATA)
    return {SAFETENSORS: weights, **_small_files(description, torch.float32)}


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield staging
        path.mkdir(exist_ok=True)
        names = sorted(p.name for p in staging.iterdir())
        (path / CONFIG).unlink(missing_ok=True)
        for stale in set(WEIGHT_FILES) - set(names):
            (path / stale).unlink(missing_ok=True)
        for name in sorted(names, key=lambda n: n == CONFIG):
            os.replace(staging / name, path / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _tensors(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    bare = isinstance(module, LukeEncoder)
    prefixes = {"encoder": "", "backbone": ""} if bare else {"encoder": "encoder.", "backbone": "luke."}
    named = {to_hugging_face(name, **prefixes): tensor for name, tensor in module.state_dict().items()}
    return {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in named.items()}


def _small_files(description: Description, dtype: torch.dtype) -> dict[str, bytes]:
    config: dict[str, Any] = {
        **description.config.to_dict(),
        "architectures": [description.architecture],
        "model_type": "luke",
        "torch_dtype": str(dtype).removeprefix("torch."),
    }
    config.pop(OWN_SETTINGS, None)
    if description.settings:
        config[OWN_SETTINGS] = dict(description.settings)
    if description.labels:
        config["id2label"] = {str(i): label for i, label in enumerate(description.labels)}
        config["label2id"] = {label: i for i, label in enumerate(description.labels)}
    else:
        config.pop("id2label", None)
        config.pop("label2id", None)
    return {
        CONFIG: json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True).encode("utf8"),
        "entity_vocab.json": description.entity_vocab.to_json(),
        **description.tokenizer.files,
    }
