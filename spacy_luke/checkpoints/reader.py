"""A checkpoint folder, opened: configuration, tokenizer and entity vocabulary at once, weights when asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..encoders.config import LukeConfig
from ..encoders.heads import (
    EntityClassification,
    EntityPairClassification,
    EntitySpanClassification,
    QuestionAnswering,
    TaskModule,
)
from ..encoders.luke import LukeEncoder
from ..errors import LukeError
from ..tokenization.entity_vocab import EntityVocab
from ..tokenization.loading import TOKENIZER_FILES
from ..tokenization.pieces import PieceTokenizer
from .key_maps import BACKBONE_PREFIXES, ENTITY_TABLE, to_hugging_face, without_ignored
from .upcycle import UPCYCLED, UpcycledWeights, upcycled_config, upcycled_tokenizer
from .weights import Weights, open_weights

ModuleT = TypeVar("ModuleT", bound=nn.Module)

SPAN_CLASSIFIER = "LukeForEntitySpanClassification"
PAIR_CLASSIFIER = "LukeForEntityPairClassification"
ENTITY_CLASSIFIER = "LukeForEntityClassification"
QUESTION_ANSWERING = "LukeForQuestionAnswering"
HEADS: Mapping[str, type[TaskModule]] = {
    SPAN_CLASSIFIER: EntitySpanClassification,
    PAIR_CLASSIFIER: EntityPairClassification,
    ENTITY_CLASSIFIER: EntityClassification,
    QUESTION_ANSWERING: QuestionAnswering,
}
BARE_MODEL = "LukeModel"
_WITHOUT_LABELS = ("LukeForMaskedLM", QUESTION_ANSWERING)
OWN_SETTINGS = "spacy_luke"
# Those of our settings that belong to the encoder, not to the head on it.
OF_ENCODER = ("piece_types",)
_MAX_NAMED = 12


@dataclass(frozen=True)
class Description:
    """All of a checkpoint but its weights: what is written beside them.

    architecture: entry of `architectures` in config.json, a transformers class.
    labels: labels of the head in the order of its rows; empty for a bare model.
    settings: our own block of config.json: `piece_types` ("case") and `windows`, where they differ from LUKE's.
    """

    architecture: str
    config: LukeConfig
    tokenizer: PieceTokenizer
    entity_vocab: EntityVocab
    labels: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint folder.

    config: as in config.json, before the entity vocabulary is trimmed.
    upcycled: it is a RoBERTa, XLM-R or BERT that is read as a LUKE model.
    """

    path: Path
    model_type: str
    architecture: str
    config: LukeConfig
    tokenizer: PieceTokenizer
    entity_vocab: EntityVocab
    labels: tuple[str, ...]
    settings: Mapping[str, Any]
    weights: Weights
    upcycled: bool = False

    def describe(self, config: LukeConfig) -> Description:
        """What is written beside the weights of a bare encoder made from this checkpoint."""
        return Description(BARE_MODEL, config, self.tokenizer, self.entity_vocab, settings=self.settings)

    def load_encoder(self, entity_vocab: str = "full", *, pooling: bool = True) -> LukeEncoder:
        """The encoder alone.

        entity_vocab: as in `EntityVocab.select`. pooling: with its pooler, if the checkpoint has one.
        """
        config, _, rows = self._trim(entity_vocab)
        with torch.device("meta"):
            encoder = LukeEncoder(config, pooling=pooling and self._has_pooler())
        return self._fill(encoder, rows, encoder_prefix="")

    def load_task_module(
        self, architecture: str, entity_vocab: str, labels: int | None = None
    ) -> tuple[TaskModule, EntityVocab]:
        """The encoder with a head, and the trimmed entity vocabulary.

        architecture: the transformers class, a key of `HEADS`.
        labels: number of labels of a new, randomly initialised head; None takes the head of the checkpoint.
        """
        head = HEADS[architecture]
        config, vocab, rows = self._trim(entity_vocab)
        if labels is None:
            with torch.device("meta"):
                module = head(LukeEncoder(config, pooling=head.pooling and self._has_pooler()), len(self.labels))
            return self._fill(module, rows, encoder_prefix="encoder."), vocab
        module = head(self.load_encoder(entity_vocab, pooling=head.pooling), labels)
        module.reset_head()
        return module, vocab

    def _trim(self, entity_vocab: str) -> tuple[LukeConfig, EntityVocab, list[int] | None]:
        vocab, rows = self.entity_vocab.select(entity_vocab)
        size = self.config.entity_vocab_size if rows is None else len(rows)
        return replace(self.config, entity_vocab_size=size), vocab, rows

    def _backbone(self) -> str:
        """Prefix of the encoder's weights: classes with a head have one, a bare model has none."""
        prefix = BACKBONE_PREFIXES["luke"]
        return prefix if any(name.startswith(prefix) for name in self.weights.shapes()) else ""

    def _has_pooler(self) -> bool:
        return f"{self._backbone()}pooler.dense.weight" in self.weights.shapes()

    def _fill(self, module: ModuleT, entity_rows: list[int] | None, *, encoder_prefix: str) -> ModuleT:
        """Give a module on the meta device its weights. All names and sizes are checked before any is read."""
        backbone = self._backbone()
        names = {ours: to_hugging_face(ours, encoder=encoder_prefix, backbone=backbone) for ours in module.state_dict()}
        found = self.weights.shapes()
        missing = sorted(set(names.values()) - found.keys())
        unused = {n for n in found if n.startswith(f"{backbone}pooler.")}
        unknown = sorted(without_ignored(found.keys() - names.values() - unused))
        if missing or unknown:
            raise LukeError("L024", missing=_listed(missing), unknown=_listed(unknown))
        problems = []
        for ours, parameter in module.state_dict().items():
            expected = tuple(parameter.shape)
            if names[ours].endswith(ENTITY_TABLE):
                expected = (self.config.entity_vocab_size, *expected[1:])
            if found[names[ours]] != expected:
                problems.append(f"{names[ours]} is {found[names[ours]]}, config.json says {expected}")
        if problems:
            raise LukeError("L025", problems=_listed(problems))
        # Largest first: while one tensor is copied it exists twice, which must not come on top of all the others.
        state = {}
        for ours in sorted(names, key=lambda n: -torch.Size(found[names[n]]).numel()):
            rows = entity_rows if names[ours].endswith(ENTITY_TABLE) else None
            state[ours] = self.weights.get(names[ours], rows)
        module.load_state_dict(state, assign=True)
        return module


def open_checkpoint(path: Path, *, case_types: bool | None = None) -> Checkpoint:
    """Open a checkpoint folder: LUKE or, read as LUKE, BERT, RoBERTa and XLM-R.

    case_types: for the latter, whether pieces carry the case of their word as type; default: if the tokenizer
        lower-cases.
    """
    data = read_config(path)
    model_type = str(data.get("model_type"))
    architectures = data.get("architectures") or [BARE_MODEL]
    if not isinstance(architectures, list):
        raise LukeError("L004", problems=f"architectures = {architectures!r}")
    architecture = str(architectures[0])
    files = {name: (path / name).read_bytes() for name in TOKENIZER_FILES if (path / name).is_file()}
    if model_type in UPCYCLED:
        tokenizer = PieceTokenizer(files)
        case = tokenizer.lowercase if case_types is None else case_types
        config = upcycled_config(data, tokenizer, case_types=case)
        vocab_size = config.vocab_size - 2
        _check_rows(tokenizer, vocab_size)
        tokenizer = upcycled_tokenizer(tokenizer, vocab_size=vocab_size, case_types=case)
        weights = UpcycledWeights(open_weights(path), model_type, config, tokenizer)
        settings = {"piece_types": "case"} if case else {}
        vocab = EntityVocab.special_only()
        return Checkpoint(
            path, model_type, architecture, config, tokenizer, vocab, (), settings, weights, upcycled=True
        )
    if model_type != "luke":
        known = ", ".join(("luke", *UPCYCLED))
        raise LukeError("L023", architecture=architecture, model_type=model_type, known=known)
    config = LukeConfig.from_dict(data)
    settings = config.extra.get(OWN_SETTINGS) or {}
    if not isinstance(settings, dict):
        raise LukeError("L004", problems=f"{OWN_SETTINGS} = {settings!r}")
    tokenizer = PieceTokenizer(files, case_types=settings.get("piece_types") == "case")
    _check_rows(tokenizer, config.vocab_size)
    if not (path / "entity_vocab.json").is_file():
        raise LukeError("L021", path=path, file="entity_vocab.json")
    vocab = EntityVocab.from_json((path / "entity_vocab.json").read_bytes())
    if len(vocab) > config.entity_vocab_size:
        title, identifier = vocab.last
        raise LukeError("L032", title=title, identifier=identifier, rows=config.entity_vocab_size)
    labels = _labels(data) if architecture.startswith("LukeFor") and architecture not in _WITHOUT_LABELS else ()
    return Checkpoint(path, model_type, architecture, config, tokenizer, vocab, labels, settings, open_weights(path))


def read_config(path: Path) -> dict[str, Any]:
    """The dictionary in config.json; L021 or L022 if there is none."""
    file = path / "config.json"
    if not file.is_file():
        raise LukeError("L021", path=path, file="config.json")
    try:
        data = json.loads(file.read_text(encoding="utf8"))
    except ValueError as e:
        raise LukeError("L022", file=file, reason=e) from None
    if not isinstance(data, dict):
        raise LukeError("L022", file=file, reason="it is no JSON dictionary")
    return data


def _check_rows(tokenizer: PieceTokenizer, rows: int) -> None:
    if tokenizer.rows > rows:
        problem = f"the tokenizer has pieces up to id {tokenizer.rows - 1}, config.json a vocab_size of {rows}"
        raise LukeError("L025", problems=problem)


def _labels(data: Mapping[str, Any]) -> tuple[str, ...]:
    by_id = data.get("id2label")
    if by_id is None:
        count = data.get("num_labels", 2)
        if not isinstance(count, int):
            raise LukeError("L004", problems=f"num_labels = {count!r}")
        return tuple(f"LABEL_{i}" for i in range(count))
    try:
        pairs = sorted((int(i), str(label)) for i, label in by_id.items())
    except (AttributeError, ValueError):
        raise LukeError("L004", problems=f"id2label = {by_id!r}") from None
    if [i for i, _ in pairs] != list(range(len(pairs))):
        raise LukeError("L004", problems=f"id2label = {by_id!r}")
    return tuple(label for _, label in pairs)


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + rest
