"""The shape of an encoder, read from a Hugging Face config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ..errors import LukeError


@dataclass(frozen=True)
class LukeConfig:
    """Every parameter of transformers' `LukeConfig`, under the same names and with the same defaults.

    The defaults are the reference class's, not those of the released models: always read config.json. What
    config.json holds beside these fields (labels, versions, …) is kept in `extra` and written back.

    entity_inputs: whether the encoder takes entities beside the pieces.
    """

    entity_inputs: ClassVar[bool] = True

    vocab_size: int = 50267
    entity_vocab_size: int = 500000
    hidden_size: int = 768
    entity_emb_size: int = 256
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
    use_entity_aware_attention: bool = True
    classifier_dropout: float | None = None
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise LukeError("L002", hidden=self.hidden_size, heads=self.num_attention_heads)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LukeConfig:
        """Read the dictionary of a config.json; L004 names each value of a wrong kind.

        A null for the first or last piece, which newer versions of transformers write for BERT, means the default.
        """
        data = {k: v for k, v in data.items() if not (k in ("bos_token_id", "eos_token_id") and v is None)}
        known = {f.name for f in fields(cls)} - {"extra"}
        values = {name: data[name] for name in known if name in data}
        problems = [f"{name} = {value!r}" for name, value in values.items() if not _is_valid(name, value)]
        if problems:
            raise LukeError("L004", problems="; ".join(sorted(problems)))
        return cls(**values, extra={k: v for k, v in data.items() if k not in known})

    def to_dict(self) -> dict[str, Any]:
        """The dictionary to write as config.json."""
        return {**self.extra, **{f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}}

    @property
    def max_pieces(self) -> int:
        """Longest input in pieces, special pieces included: positions start after the pad id."""
        return self.max_position_embeddings - self.pad_token_id - 1


_FRACTIONS = {"hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "layer_norm_eps"}
_MAY_BE_ZERO = {"pad_token_id", "bos_token_id", "eos_token_id"}


def _is_valid(name: str, value: Any) -> bool:
    if name == "hidden_act":
        return isinstance(value, str)
    if name == "use_entity_aware_attention":
        return isinstance(value, bool)
    if name == "classifier_dropout" and value is None:
        return True
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "classifier_dropout" or name in _FRACTIONS:
        return number and 0 <= value <= 1
    return isinstance(value, int) and number and (value > 0 or (value == 0 and name in _MAY_BE_ZERO))
