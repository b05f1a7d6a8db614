"""The shape of an encoder, read from a Hugging Face config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from ..errors import LukeError

# Before the model type of a checkpoint with independent attention.
INDEPENDENT = "independent_"
ENTITY_ATTENTION = ("full", "independent")
ConfigT = TypeVar("ConfigT", bound="EncoderConfig")


@dataclass(frozen=True)
class EncoderConfig:
    """Configuration that both encoders share: names and meanings are transformers'.

    The defaults are the reference classes', not those of the released models: always read config.json. What
    config.json holds beside these fields (labels, versions, …) is kept in `extra` and written back.

    model_type: how config.json calls the encoder.
    entity_inputs: whether the encoder takes entities beside the pieces.
    """

    model_type: ClassVar[str]
    entity_inputs: ClassVar[bool]

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise LukeError("L002", hidden=self.hidden_size, heads=self.num_attention_heads)
        if self.pad_token_id >= self.vocab_size:
            problem = f"pad_token_id = {self.pad_token_id} is no piece of a vocab_size of {self.vocab_size}"
            raise LukeError("L004", problems=problem)

    @classmethod
    def from_dict(cls: type[ConfigT], data: Mapping[str, Any]) -> ConfigT:
        """Read the dictionary of a config.json; L004 names each value of a wrong kind.

        A null for a special piece, which newer versions of transformers write for BERT, means the default.
        """
        data = {k: v for k, v in data.items() if not (k in _MAY_BE_NULL and v is None)}
        known = {f.name for f in fields(cls)} - {"extra"}
        values = {name: data[name] for name in known if name in data}
        problems = [f"{name} = {value!r:.200}" for name, value in values.items() if not _is_valid(name, value)]
        if problems:
            raise LukeError("L004", problems="; ".join(sorted(problems)))
        return cls(**values, extra={k: v for k, v in data.items() if k not in known})

    def to_dict(self) -> dict[str, Any]:
        """The dictionary to write as config.json."""
        return {**self.extra, **{f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}}

    @property
    def stored_model_type(self) -> str:
        """`model_type` of config.json."""
        return self.model_type

    @property
    def max_pieces(self) -> int:
        """Longest input in pieces, special pieces included: positions start after the pad id."""
        return self.max_position_embeddings - self.pad_token_id - 1


@dataclass(frozen=True)
class LukeConfig(EncoderConfig):
    """Every parameter of transformers' `LukeConfig`, under the same names and with the same defaults, and one of ours.

    entity_attention: "full" as in the paper, or "independent": pieces attend to pieces, an entity to the pieces and to
        itself (`IndependentLukeEncoder`).
    """

    model_type: ClassVar[str] = "luke"
    entity_inputs: ClassVar[bool] = True

    vocab_size: int = 50267
    entity_vocab_size: int = 500000
    entity_emb_size: int = 256
    use_entity_aware_attention: bool = True
    classifier_dropout: float | None = None
    entity_attention: str = "full"

    @property
    def stored_model_type(self) -> str:
        """Independent attention has a model type of its own: read as a LUKE, its weights would give other numbers."""
        return self.model_type if self.entity_attention == "full" else f"{INDEPENDENT}{self.model_type}"

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().to_dict().items() if name != "entity_attention"}


@dataclass(frozen=True)
class LongformerConfig(EncoderConfig):
    """Every parameter of transformers' `LongformerConfig`, under the same names and with the same defaults.

    attention_window: width of the window, both sides together; one number, or one for each layer. Any even number
        will do: the windows of different layers need not divide each other.
    """

    model_type: ClassVar[str] = "longformer"
    entity_inputs: ClassVar[bool] = False

    attention_window: int | tuple[int, ...] = 512
    sep_token_id: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.attention_window, list):  # as JSON has it
            object.__setattr__(self, "attention_window", tuple(self.attention_window))
        window = self.attention_window
        # One number stands for as many as there are layers, which nobody has compared with the weights yet.
        windows = (window,) if isinstance(window, int) else window
        fits = isinstance(window, int) or len(window) == self.num_hidden_layers
        if not fits or any(w <= 0 or w % 2 for w in windows):
            raise LukeError("L006", value=self.attention_window, layers=self.num_hidden_layers)

    @property
    def attention_windows(self) -> tuple[int, ...]:
        """The window of each layer."""
        window = self.attention_window
        return (window,) * self.num_hidden_layers if isinstance(window, int) else window


def has_independent_attention(config: EncoderConfig) -> bool:
    """Whether entities attend to pieces that do not attend to them."""
    return isinstance(config, LukeConfig) and config.entity_attention == "independent"


_FRACTIONS = {"hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "layer_norm_eps"}
_MAY_BE_ZERO = {"pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id"}
_MAY_BE_NULL = {"bos_token_id", "eos_token_id", "sep_token_id"}


def _is_valid(name: str, value: Any) -> bool:
    if name == "hidden_act":
        return isinstance(value, str)
    if name == "entity_attention":
        return value in ENTITY_ATTENTION
    if name == "use_entity_aware_attention":
        return isinstance(value, bool)
    if name == "attention_window":  # whether the numbers are possible is checked with the number of layers
        windows = value if isinstance(value, (list, tuple)) else [value]
        return all(isinstance(w, int) and not isinstance(w, bool) for w in windows)
    if name == "classifier_dropout" and value is None:
        return True
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "classifier_dropout" or name in _FRACTIONS:
        return number and 0 <= value <= 1
    return isinstance(value, int) and number and (value > 0 or (value == 0 and name in _MAY_BE_ZERO))
