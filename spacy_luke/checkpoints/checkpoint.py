"""A checkpoint that was opened: what it says of itself, and modules with its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..encoders.config import LongformerConfig, LukeConfig
from ..encoders.encoder import Encoder
from ..encoders.heads import EntitySpanClassification, TaskModule
from ..encoders.independent_attention import IndependentLukeEncoder
from ..encoders.longformer import LongformerEncoder
from ..encoders.luke import LukeEncoder
from ..encoders.masked_lm import MaskedLM, MaskedLMWithEntities
from ..encoders.mention_states import MentionStates
from ..encoders.span_filter import SpanFilter, SpanFilterSettings
from ..errors import LukeError
from ..tokenization.entity_vocab import EntityVocab
from ..tokenization.pieces import PieceTokenizer
from .full_attention import WithPieceToEntityQueries
from .heads import (
    UnmarkedSettings,
    architecture_on,
    bare_model,
    find_head,
    new_module,
    new_span_filter,
    with_new_head,
)
from .key_maps import (
    BACKBONE_PREFIXES,
    DECODER_BIAS,
    ENTITY_DECODER,
    ENTITY_QUERIES,
    ENTITY_ROWS,
    ENTITY_TABLE,
    MENTION_STATES,
    PIECE_BIAS,
    PIECE_DECODER,
    PIECE_TABLE,
    PIECE_TO_ENTITY,
    SPAN_FILTER,
    to_hugging_face,
    without_ignored,
)
from .upcycled_weights import GrownWeights
from .weights import Weights, meta_device

ModuleT = TypeVar("ModuleT", bound=nn.Module)
SettingsT = TypeVar("SettingsT")
Config = LukeConfig | LongformerConfig

ENTITY_VOCAB = "entity_vocab.json"
OWN_SETTINGS = "spacy_luke"
# Those of our settings that belong to the encoder, not to the head on it.
OF_ENCODER = ("piece_types",)
_KINDS = {
    "piece_types": str,
    "windows": dict,
    "span_filter": dict,
    "unmarked": dict,
    "attribute": str,
    "max_pieces": int,
    "type_pairs": list,
    "single_tail": list,
}
_ENTRIES = {
    "windows": {"max_pieces", "context", "stride", "joined_pieces"},
    "span_filter": {entry.name for entry in fields(SpanFilterSettings)},
    "unmarked": {entry.name for entry in fields(UnmarkedSettings)},
}
_MAX_NAMED = 12


@dataclass(frozen=True)
class Description:
    """All of a checkpoint but its weights: what is written beside them.

    architecture: entry of `architectures` in config.json: a transformers class, or a name of `heads.py`.
    entity_vocab: of LUKE; Longformer, which has no entities, is given the special ones, and they are not written.
    labels: labels of the head in the order of its rows; empty for a bare model.
    settings: our own block of config.json: `piece_types` ("case") and `windows`, where they differ from LUKE's.
    """

    architecture: str
    config: Config
    tokenizer: PieceTokenizer
    entity_vocab: EntityVocab
    labels: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def architecture_of(self, architecture: str) -> str:
        """Name of the head of `architecture` on this encoder: a component names the one for LUKE."""
        return architecture_on(self.config.model_type, architecture)

    def build_setting(self, name: str, make: Callable[..., SettingsT]) -> SettingsT:
        """Call `make` with the settings under a name; L004 if they are not for it."""
        values = self.settings.get(name, {})
        try:
            return make(**values)
        except TypeError as e:
            raise LukeError("L004", problems=f"{OWN_SETTINGS}: {name} = {values!r:.200} ({e})") from None

    def encoder_settings(self) -> dict[str, Any]:
        """The settings that belong to the encoder, whatever head is on it."""
        return {name: value for name, value in self.settings.items() if name in OF_ENCODER}

    def window_settings(self) -> dict[str, Any]:
        """The windows, if some were set."""
        return {name: value for name, value in self.settings.items() if name == "windows"}


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Description):
    """An opened checkpoint folder.

    config: as in config.json, before the entity vocabulary is trimmed.
    model_type: of the encoder that the folder holds.
    upcycled: it is a RoBERTa, XLM-R or BERT that is read as LUKE or Longformer.
    saved: it is what a component saved. Then a file of titles does not choose its entities again: it may be gone.
    """

    path: Path
    model_type: str
    weights: Weights
    upcycled: bool = False
    saved: bool = False

    def describe(self, config: Config) -> Description:
        """Describe a bare encoder made from this checkpoint: all that is written beside its weights."""
        architecture = bare_model(config.model_type)
        return Description(architecture, config, self.tokenizer, self.entity_vocab, settings=self.settings)

    def select_entities(self, entity_vocab: str) -> tuple[EntityVocab, list[int] | None]:
        """The entities that are kept, and the rows of their table; see `EntityVocab.select`."""
        return self.entity_vocab.select("full" if self.saved and entity_vocab != "special" else entity_vocab)

    def load_encoder(self, entity_vocab: str = "full", *, pooling: bool = True, mentions: bool = False) -> Encoder:
        """The encoder alone.

        entity_vocab: as in `EntityVocab.select`. pooling: with its pooler, if the checkpoint has one.
        mentions: with states of mentions, which LUKE always has; new ones if the checkpoint has none.
        """
        self._check_sizes()
        config, _, rows = self._trim(entity_vocab)
        encoder = self._empty_encoder(config, pooling=pooling and self._has("pooler."), mentions=mentions)
        return self._fill(encoder, rows, encoder_prefix="")

    def with_independent_attention(self) -> Checkpoint:
        """The same weights for an encoder with independent attention, to be trained with it."""
        assert isinstance(self.config, LukeConfig)
        return replace(self, config=replace(self.config, entity_attention="independent"))

    def with_full_attention(self) -> Checkpoint:
        """The same weights for an encoder whose pieces attend to entities, too, to be trained with it."""
        assert isinstance(self.config, LukeConfig)
        aware = self.config.use_entity_aware_attention
        weights = WithPieceToEntityQueries(self.weights) if aware else self.weights
        return replace(self, config=replace(self.config, entity_attention="full"), weights=weights)

    def with_plain_attention(self) -> Checkpoint:
        """The same weights for an encoder whose pieces and entities ask with one query, without the other three."""
        assert isinstance(self.config, LukeConfig)
        return replace(self, config=replace(self.config, use_entity_aware_attention=False))

    def with_entities(self, titles: Iterable[str]) -> Checkpoint:
        """The same with entities added to the vocabulary, those of the titles that it lacks; see `GrownWeights`."""
        assert isinstance(self.config, LukeConfig)
        new = [title for title in dict.fromkeys(titles) if title not in self.entity_vocab]
        size = self.config.entity_vocab_size
        return replace(
            self,
            config=replace(self.config, entity_vocab_size=size + len(new)),
            entity_vocab=self.entity_vocab.extended({title: size + i for i, title in enumerate(new)}),
            weights=GrownWeights(self.weights, self.config, self.tokenizer, new) if new else self.weights,
        )

    def load_task_module(
        self,
        architecture: str,
        entity_vocab: str,
        labels: int | None = None,
        span_filter: SpanFilterSettings | None = None,
        unmarked: UnmarkedSettings | None = None,
        *,
        new_parts: bool = False,
    ) -> tuple[TaskModule, EntityVocab]:
        """The encoder with a head, and the trimmed entity vocabulary.

        architecture: that of the head, on whichever encoder; L023 if this checkpoint's encoder has no such head.
        labels: number of labels of a new, randomly initialised head; None takes the head of the checkpoint.
        new_parts: parts of a head without labels that the checkpoint lacks are new, too; else L024.
        span_filter: also one of these, for `EntitySpanClassification`; new if the head is or the checkpoint has none.
        unmarked: as in `with_new_head`.
        """
        head = find_head(self.config.model_type, architecture, unmarked=unmarked is not None)
        self._check_sizes()
        config, vocab, rows = self._trim(entity_vocab)
        pooling = head.pooling and self._has("pooler.")
        if labels is not None:
            encoder = self._empty_encoder(config, pooling=pooling, mentions=head.reads_entities)
            encoder = self._fill(encoder, rows, encoder_prefix="")
            return with_new_head(encoder, architecture, labels, span_filter, unmarked), vocab
        if issubclass(head, MaskedLM) and self._is_untied(PIECE_DECODER, PIECE_TABLE):
            config = replace(config, extra={**config.extra, "tie_word_embeddings": False})
        encoder = self._empty_encoder(config, pooling=pooling or head.reads_pooled, mentions=head.reads_entities)
        if new_parts:
            module = with_new_head(encoder, architecture, len(self.labels))
            for name, part in module.named_children():
                if self.has_head_part(name):
                    part.to("meta")
        else:
            with meta_device():
                module = new_module(head, encoder, len(self.labels), unmarked)
        if isinstance(module, MaskedLMWithEntities) and self._is_untied(ENTITY_DECODER, ENTITY_TABLE):
            assert isinstance(config, LukeConfig)
            with meta_device():
                module.entity_predictions.untie(config)
        if isinstance(module, EntitySpanClassification) and span_filter is not None:
            module.span_filter = self._span_filter(config, span_filter)
        return self._fill(module, rows, encoder_prefix="encoder."), vocab

    def _is_untied(self, decoder: str, table: str) -> bool:
        """Whether there is a decoder with other weights than the table of the backbone that it is tied to by default.

        It is used whatever config.json says of tying, as in transformers 5, whose LUKE does not tie it. An equal one is
        what files have that are written without regard for tied weights.
        """
        shapes, table = self.weights.shapes(), f"{self._backbone()}{table}"
        if decoder not in shapes or shapes[decoder] != shapes.get(table):
            return decoder in shapes
        return not torch.equal(self.weights.get(decoder), self.weights.get(table))

    def has_head_part(self, name: str) -> bool:
        """Whether there are weights of a part of a head, such as "lm_head"."""
        return any(stored.startswith(f"{name}.") for stored in self.weights.shapes())

    def _span_filter(self, config: Config, settings: SpanFilterSettings) -> SpanFilter:
        """On the meta device if the checkpoint has one, else new."""
        if not any(name.startswith(SPAN_FILTER) for name in self.weights.shapes()):
            return new_span_filter(config, settings)
        with meta_device():
            return SpanFilter(config, settings)

    def _trim(self, entity_vocab: str) -> tuple[Config, EntityVocab, list[int] | None]:
        vocab, rows = self.select_entities(entity_vocab)
        if isinstance(self.config, LongformerConfig):
            return self.config, vocab, None
        size = self.config.entity_vocab_size if rows is None else len(rows)
        return replace(self.config, entity_vocab_size=size), vocab, rows

    def _check_sizes(self) -> None:
        """L024 or L025 if the weights are not those of an encoder as large as config.json says: before modules of that
        size are made, which might take any time and memory."""
        config, backbone, shapes = self.config, self._backbone(), self.weights.shapes()
        layer = f"{backbone}encoder.layer."
        layers = {name.removeprefix(layer).partition(".")[0] for name in shapes if name.startswith(layer)}
        if config.num_hidden_layers > len(layers):
            missing = f"those of {config.num_hidden_layers} layers (config.json), of which there are {len(layers)}"
            raise LukeError("L024", missing=missing, unknown="not compared")
        expected = {
            PIECE_TABLE: (config.vocab_size, config.hidden_size),
            "embeddings.position_embeddings.weight": (config.max_position_embeddings, config.hidden_size),
            "embeddings.token_type_embeddings.weight": (config.type_vocab_size, config.hidden_size),
            "encoder.layer.0.intermediate.dense.weight": (config.intermediate_size, config.hidden_size),
        }
        if isinstance(config, LukeConfig):
            expected[ENTITY_ROWS[0]] = (config.entity_vocab_size, config.entity_emb_size)
        named = {f"{backbone}{name}": shape for name, shape in expected.items()}
        if absent := sorted(named.keys() - shapes.keys()):
            raise LukeError("L024", missing=_listed(absent), unknown="not compared")
        _require_shapes(shapes, named)

    def _empty_encoder(self, config: Config, *, pooling: bool, mentions: bool) -> Encoder:
        """An encoder on the meta device, but for new states of mentions."""
        if isinstance(config, LukeConfig):
            independent = config.entity_attention == "independent"
            with meta_device():
                return (IndependentLukeEncoder if independent else LukeEncoder)(config, pooling=pooling)
        with meta_device():
            encoder = LongformerEncoder(config, pooling=pooling, mentions=mentions)
        if mentions and not any(name.startswith(MENTION_STATES) for name in self.weights.shapes()):
            encoder.mention_states = MentionStates(config)
            encoder.mention_states.reset_parameters()
        return encoder

    def _is_unused_query(self, name: str) -> bool:
        """Whether nothing asks with it: no piece attends to an entity if attention is independent, and one query serves
        all if it is plain."""
        config = self.config
        if not isinstance(config, LukeConfig):
            return False
        if config.entity_attention == "independent" and PIECE_TO_ENTITY in name:
            return True
        return not config.use_entity_aware_attention and any(f".{query}." in name for query in ENTITY_QUERIES)

    def _backbone(self) -> str:
        """Prefix of the encoder's weights: classes with a head have one, a bare model has none."""
        prefix = BACKBONE_PREFIXES[self.config.model_type]
        return prefix if any(name.startswith(prefix) for name in self.weights.shapes()) else ""

    def _has(self, part: str) -> bool:
        """Whether there are weights of a part of the backbone."""
        prefix = f"{self._backbone()}{part}"
        return any(name.startswith(prefix) for name in self.weights.shapes())

    def _fill(self, module: ModuleT, entity_rows: list[int] | None, *, encoder_prefix: str) -> ModuleT:
        """Give what is on the meta device of a module its weights. All names and sizes are checked before any is
        read."""
        backbone = self._backbone()
        state = {ours: tensor for ours, tensor in module.state_dict().items() if not tensor.is_meta}
        expected_shapes = {ours: tuple(t.shape) for ours, t in module.state_dict().items() if t.is_meta}
        names = {ours: to_hugging_face(ours, encoder=encoder_prefix, backbone=backbone) for ours in expected_shapes}
        found = self.weights.shapes()
        if DECODER_BIAS in found:
            names = {ours: DECODER_BIAS if name == PIECE_BIAS else name for ours, name in names.items()}
        missing = sorted(set(names.values()) - found.keys())
        unused = {n for n in found if n.startswith(f"{backbone}pooler.") or self._is_unused_query(n)}
        unknown = sorted(without_ignored(found.keys() - names.values() - unused))
        if missing or unknown:
            raise LukeError("L024", missing=_listed(missing), unknown=_listed(unknown))
        expected = {names[ours]: shape for ours, shape in expected_shapes.items()}
        if isinstance(self.config, LukeConfig):
            rows_of_entities = self.config.entity_vocab_size
            expected |= {n: (rows_of_entities, *s[1:]) for n, s in expected.items() if n.endswith(ENTITY_ROWS)}
        _require_shapes(found, expected)
        # Largest first: while one tensor is copied it exists twice, which must not come on top of all the others.
        for ours in sorted(names, key=lambda n: -torch.Size(found[names[n]]).numel()):
            rows = entity_rows if names[ours].endswith(ENTITY_ROWS) else None
            state[ours] = self.weights.get(names[ours], rows)
        module.load_state_dict(state, assign=True)
        return module


def wrong_settings(settings: Mapping[str, Any]) -> str:
    """List those of our own settings that are of another kind than they are saved, for a message; "" if none is."""
    wrong = {name for name, kind in _KINDS.items() if name in settings and type(settings[name]) is not kind}
    wrong |= {name for name in _ENTRIES.keys() & settings.keys() - wrong if not settings[name].keys() <= _ENTRIES[name]}
    if "max_pieces" not in wrong and settings.get("max_pieces", 1) < 1:
        wrong.add("max_pieces")
    pairs = settings.get("type_pairs", []) if "type_pairs" not in wrong else []
    if not all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in pairs):
        wrong.add("type_pairs")
    labels = settings.get("single_tail", []) if "single_tail" not in wrong else []
    if not all(isinstance(label, str) for label in labels):
        wrong.add("single_tail")
    types = settings["unmarked"].get("types", []) if "unmarked" in settings.keys() - wrong else []
    if not isinstance(types, list | tuple) or not all(isinstance(name, str) for name in types):
        wrong.add("unmarked")
    return "; ".join(f"{OWN_SETTINGS}: {name} = {settings[name]!r:.200}" for name in sorted(wrong))


def _require_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    problems = [
        f"{name} is {found[name]}, config.json says {shape}" for name, shape in expected.items() if found[name] != shape
    ]
    if problems:
        raise LukeError("L025", problems=_listed(problems))


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + rest
