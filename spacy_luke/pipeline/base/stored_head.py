"""A head without its encoder, as a component saves it whose encoder is another component's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...checkpoints.checkpoint import OF_ENCODER, Config, Description, wrong_settings
from ...checkpoints.fingerprint import fingerprint
from ...checkpoints.weights import require_finite
from ...checkpoints.writer import HEAD_WEIGHTS
from ...checksums import check_files
from ...encoders.encoder import Encoder
from ...encoders.heads import TaskModule
from ...errors import LukeError

# The file with the settings of a saved component, and its entry that says what the head is.
CFG = "cfg"
HEAD = "head"


@dataclass(frozen=True)
class StoredHead:
    """The weights of a head and what it needs to know.

    model_type, hidden_size: of the encoder that it was trained on.
    labels: in the order of its rows.
    settings: of the component, as in `Description.settings`, without those of the encoder.
    extra: the entries of config.json that are no parameters of the encoder.
    weights: by their names in `TaskModule`.
    encoder: fingerprint of the encoder that it was used with when it was saved; None for one that is not saved, or that
        an older version saved.
    """

    model_type: str
    hidden_size: int
    labels: tuple[str, ...]
    settings: Mapping[str, Any]
    extra: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    encoder: str | None = None

    @classmethod
    def from_module(cls, description: Description, module: TaskModule) -> StoredHead:
        """The head of a module."""
        config = description.config
        settings = {name: value for name, value in description.settings.items() if name not in OF_ENCODER}
        weights = {name: t for name, t in module.state_dict().items() if not name.startswith("encoder.")}
        return cls(config.model_type, config.hidden_size, description.labels, settings, config.extra, weights)

    @classmethod
    def read(cls, folder: Path, cfg: Mapping[str, Any]) -> StoredHead:
        """Read what `cfg` and `files` gave; L021, L022 or L140 for a file that is missing or damaged, L110 for a weight
        that is not finite."""
        file = folder / HEAD_WEIGHTS
        if not file.is_file():
            raise LukeError("L021", path=folder, file=HEAD_WEIGHTS)
        check_files(folder, [HEAD_WEIGHTS])
        try:
            weights = load(file.read_bytes())
        except SafetensorError as e:
            raise LukeError("L022", file=file, reason=e) from None
        for name, tensor in weights.items():
            require_finite(tensor, name, file)
        try:
            head = cls(**{**cfg, "labels": tuple(cfg["labels"])}, weights=weights)
        except (KeyError, TypeError) as e:
            raise LukeError("L022", file=folder / CFG, reason=f"its {HEAD!r} is none ({e})") from None
        if problem := head._problem():
            raise LukeError("L022", file=folder / CFG, reason=f"{problem} of its {HEAD!r}")
        return head

    def _problem(self) -> str:
        """The entry of `cfg` that is of another kind than it should be."""
        kinds = {"model_type": str, "hidden_size": int, "settings": dict, "extra": dict}
        values = vars(self)
        wrong = [name for name, kind in kinds.items() if type(values[name]) is not kind]
        if not all(isinstance(label, str) for label in self.labels) or len(set(self.labels)) < len(self.labels):
            wrong.append("labels")
        if wrong:
            return ", ".join(f"{name} = {values[name]!r:.200}" for name in wrong)
        return wrong_settings(self.settings)

    @property
    def cfg(self) -> dict[str, Any]:
        """All but the weights, for the entry `HEAD` of `cfg`."""
        return {name: value for name, value in vars(self).items() if name != "weights"}

    @property
    def files(self) -> dict[str, bytes]:
        """The weights."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        return {HEAD_WEIGHTS: save(tensors, metadata={"format": "pt"})}

    def with_fingerprint(self, encoder: Encoder) -> StoredHead:
        """The same, to be saved beside an encoder."""
        return replace(self, encoder=fingerprint(encoder))

    def check_fingerprint(self, name: str, upstream: str, encoder: Encoder) -> None:
        """L130 if the head of component `name` was saved with other weights than the encoder of `upstream` has."""
        if self.encoder is not None and self.encoder != (found := fingerprint(encoder)):
            raise LukeError("L130", name=name, upstream=upstream, saved=self.encoder, found=found)

    def check_fit(self, name: str, config: Config) -> None:
        """L068 if the head of component `name` cannot stand on an encoder."""
        if (config.model_type, config.hidden_size) != (self.model_type, self.hidden_size):
            needed, found = (
                f"{self.model_type} of width {self.hidden_size}",
                f"{config.model_type} of width {config.hidden_size}",
            )
            raise LukeError("L068", name=name, needed=needed, found=found)

    def fill(self, module: TaskModule, name: str) -> None:
        """Give a module of the same kind this head; L024 or L025 if it is of another. name: of the component."""
        shapes = {n: tensor.shape for n, tensor in module.state_dict().items() if not n.startswith("encoder.")}
        wanted = shapes.keys()
        if wanted != self.weights.keys():
            missing, unknown = sorted(wanted - self.weights.keys()), sorted(self.weights.keys() - wanted)
            named = [", ".join(names) or "none" for names in (missing, unknown)]
            raise LukeError("L024", missing=f"{named[0]}, in {HEAD_WEIGHTS} of component {name!r}", unknown=named[1])
        problems = [
            f"{n} in {HEAD_WEIGHTS} of component {name!r} is {tuple(tensor.shape)}, its {CFG!r} says {tuple(shapes[n])}"
            for n, tensor in self.weights.items()
            if tensor.shape != shapes[n]
        ]
        if problems:
            raise LukeError("L025", problems="; ".join(problems))
        module.load_state_dict(dict(self.weights), strict=False)

    def configured(self, description: Description) -> Description:
        """A description with the head's entries of config.json."""
        config: Any = description.config
        return replace(description, config=replace(config, extra={**config.extra, **self.extra}))
