"""State of a run, to go on as if it had not been stopped, in one file that is replaced whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...checkpoints.weights import require_finite
from ...errors import LukeError
from ...models.adamw import ThincAdamW

FILE = "state.safetensors"
_MODULE, _ADAMW, _META = "module.", "adamw.", "progress"


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    steps: taken, over all stages.
    seen: windows, over all epochs.
    words: in them.
    best: lowest loss of an evaluation so far; None before the first.
    """

    steps: int = 0
    seen: int = 0
    words: int = 0
    best: float | None = None


def save_state(folder: Path, module: nn.Module, adamw: ThincAdamW, progress: Progress) -> None:
    """Write weights, the optimiser's state and the progress. L029 if it fails; what was there is then unchanged."""
    tensors = {f"{_MODULE}{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"{_ADAMW}{name}": tensor for name, tensor in adamw.state().items()}
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    new = folder / f".{FILE}.new"
    try:
        save_file(on_cpu, new, metadata={_META: json.dumps(asdict(progress))})
        new.chmod(folder.stat().st_mode & 0o666)  # safetensors lets nobody else read its file
        os.replace(new, folder / FILE)
    except (OSError, SafetensorError) as e:
        new.unlink(missing_ok=True)
        raise LukeError("L029", path=folder / FILE, reason=e) from e


def has_run(folder: Path) -> bool:
    """Whether a run in a folder has got to its first save."""
    return (folder / FILE).is_file()


def read_progress(folder: Path) -> Progress:
    """Progress of the run in a folder; L102 if there is none."""
    if not has_run(folder):
        raise LukeError("L102", path=folder, reason=f"there is no {FILE}")
    try:
        with safe_open(folder / FILE, framework="pt") as file:
            return Progress(**json.loads(file.metadata()[_META]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
        raise LukeError("L102", path=folder, reason=f"{FILE} cannot be read ({e})") from None


def load_weights(folder: Path, module: nn.Module) -> None:
    """Give a model the weights of the run. L102 if they are not those of such a model, L110 if one is not finite."""
    try:
        module.load_state_dict(_tensors(folder, _MODULE))
    except RuntimeError as e:
        raise LukeError("L102", path=folder, reason=f"{FILE} is of another model ({str(e).splitlines()[0]})") from None


def load_adamw(folder: Path, adamw: ThincAdamW) -> None:
    """Give an optimiser the state of the run."""
    adamw.load_state(_tensors(folder, _ADAMW))


def _tensors(folder: Path, prefix: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    with safe_open(folder / FILE, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = require_finite(file.get_tensor(name), name, folder / FILE)
    return found
