"""The settings of a pretraining run, as the blocks of its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from thinc.api import Optimizer

from ...checks import require_at_least, require_probability
from ...errors import LukeError
from .masking import Masking

BlockT = TypeVar("BlockT")
UNKNOWN = ("unk", "skip")
TRAINED = ("entities", "all")
PRECISIONS = ("float32", "bfloat16")
# What may differ between the config of a run and the one with which it goes on.
MAY_CHANGE = ("max_steps", "eval_frequency")


@dataclass(frozen=True)
class ModelSettings:
    """Model to train: `[pretraining.model]`.

    checkpoint: folder or Hub id of a LUKE, or of a BERT, RoBERTa or XLM-R, which is read as one; None = from scratch if
        there is a tokenizer, else the encoder of the bundled model.
    revision: branch, tag or commit on the Hub.
    tokenizer: from scratch, folder with the files of a tokenizer.
    sizes: from scratch, sizes of the encoder by their names in config.json; see `checkpoints.from_scratch.SIZES`.
    max_pieces: from scratch, longest input, the two special pieces included.
    case_types: whether pieces carry the case of their word, unless a LUKE goes on; None = if the tokenizer lower-cases.
    entity_aware_attention: pretrain with queries of their own for entities; the paper does not.
    entity_emb_size: width of the entity table of a model that has none yet; None = as wide as the encoder.
    """

    checkpoint: str | None = None
    revision: str | None = None
    tokenizer: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    max_pieces: int = 512
    case_types: bool | None = None
    entity_aware_attention: bool = False
    entity_emb_size: int | None = None

    def __post_init__(self) -> None:
        require_at_least(3, max_pieces=self.max_pieces)
        if self.entity_emb_size is not None:
            require_at_least(1, entity_emb_size=self.entity_emb_size)


@dataclass(frozen=True)
class EntityVocabSettings:
    """The entity vocabulary: `[pretraining.entity_vocab]`.

    min_count: least mentions of an entity in the training data.
    max_entities: most entities of the data, the most frequent ones; the paper has 500,000.
    keep: entities of the checkpoint stay, whether they are among those of the data or not; else only the special ones.
    unknown: what an entity out of the vocabulary is: "unk", [UNK], given and predicted as any other (the paper's
        command), or "skip", no entity.
    """

    min_count: int = 1
    max_entities: int = 500_000
    keep: bool = True
    unknown: str = "unk"

    def __post_init__(self) -> None:
        require_at_least(1, min_count=self.min_count, max_entities=self.max_entities)
        _require_choice(UNKNOWN, unknown=self.unknown)


@dataclass(frozen=True)
class WindowSettings:
    """Windows of text: `[pretraining.windows]`.

    max_pieces: of a window, without special pieces; an encoder with fewer positions lowers it.
    max_entities: most entities of a window, the first ones.
    max_mention_pieces: pieces of a mention that give the entity its position; the rest does not count.
    without_entities: also windows without entities, for the words alone.
    """

    max_pieces: int = 510
    max_entities: int = 128
    max_mention_pieces: int = 30
    without_entities: bool = False

    def __post_init__(self) -> None:
        sizes = {"max_entities": self.max_entities, "max_mention_pieces": self.max_mention_pieces}
        require_at_least(1, max_pieces=self.max_pieces, **sizes)


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own optimiser: `[pretraining.stages.NAME]`.

    steps: how many; 0 = the stage is left out.
    trained: "all", or "entities": the entity embeddings and the head that predicts entities, and the head that predicts
        pieces if it is new.
    """

    steps: int
    optimizer: Optimizer
    trained: str = "all"

    def __post_init__(self) -> None:
        require_at_least(0, steps=self.steps)
        _require_choice(TRAINED, trained=self.trained)


@dataclass(frozen=True)
class Settings:
    """`[pretraining]`.

    train_corpus, dev_corpus: sections of the config with the readers; dev_corpus may be None.
    seed: of the order of the windows, the masks, the dropout and new weights.
    batch_size: most pieces and entities of one forward pass, padding included.
    accumulate_gradient: how many batches as large as that make a step.
    max_steps: stop after so many, though the stages have more; 0 = after the last stage.
    eval_frequency: steps from one evaluation, and save, to the next.
    dropout: probability in [0, 1].
    precision: "bfloat16" computes the encoder under autocast, for a GPU.
    gradient_checkpointing: a fraction of the memory for about a third more time.
    """

    train_corpus: str
    model: ModelSettings
    stages: Mapping[str, Stage]
    dev_corpus: str | None = None
    seed: int = 0
    batch_size: int = 4096
    accumulate_gradient: int = 1
    max_steps: int = 0
    eval_frequency: int = 500
    dropout: float = 0.1
    precision: str = "float32"
    gradient_checkpointing: bool = False
    entity_vocab: EntityVocabSettings = field(default_factory=EntityVocabSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    masking: Masking = field(default_factory=Masking)

    def __post_init__(self) -> None:
        counts = {"accumulate_gradient": self.accumulate_gradient, "eval_frequency": self.eval_frequency}
        require_at_least(1, batch_size=self.batch_size, **counts)
        require_at_least(0, max_steps=self.max_steps, seed=self.seed)
        require_probability(dropout=self.dropout)
        _require_choice(PRECISIONS, precision=self.precision)
        if not any(stage.steps for stage in self.stages.values()):
            raise LukeError("L047", setting="stages", value=list(self.stages), reason="no stage has a step")

    @property
    def steps(self) -> int:
        """Steps of the run."""
        total = sum(stage.steps for stage in self.stages.values())
        return min(total, self.max_steps) if self.max_steps else total

    @classmethod
    def from_config(cls, block: Mapping[str, Any]) -> Settings:
        """Read the block of a config whose functions are resolved; L097 for a setting that is missing or unknown."""
        values = dict(block)
        parts = {"model": ModelSettings, "entity_vocab": EntityVocabSettings, "windows": WindowSettings}
        for name, part in {**parts, "masking": Masking}.items():
            if name in values:
                values[name] = _read(part, f"pretraining.{name}", values[name])
        stages = values.get("stages", {})
        # The order of a config's sections is not kept, that of their names is.
        values["stages"] = {
            name: _read(Stage, f"pretraining.stages.{name}", stages[name]) for name in sorted(_mapping(stages))
        }
        return _read(cls, "pretraining", values)


def _read(kind: type[BlockT], section: str, values: Any) -> BlockT:
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    required = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    problems = [f"it lacks {name}" for name in required if name not in _mapping(values)]
    problems += [f"{name} is no setting" for name in _mapping(values) if name not in known]
    if not isinstance(values, Mapping):
        problems.append(f"{values!r} is no block of settings")
    if problems:
        raise LukeError("L097", section=section, problem="; ".join(problems), known=", ".join(known))
    return kind(**values)


def _mapping(values: Any) -> Mapping[str, Any]:
    return values if isinstance(values, Mapping) else {}


def _require_choice(choices: tuple[str, ...], **settings: Any) -> None:
    for setting, value in settings.items():
        if value not in choices:
            raise LukeError("L047", setting=setting, value=value, reason=f"it must be one of {', '.join(choices)}")
