"""Opens a checkpoint folder: configuration, tokenizer and entity vocabulary at once, weights when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..encoders.config import INDEPENDENT, LongformerConfig, LukeConfig
from ..errors import LukeError
from ..files import parse_json_object
from ..tokenization.entity_vocab import EntityVocab
from ..tokenization.loading import TOKENIZER_CONFIG, read_stored_entities, read_tokenizer_files
from ..tokenization.pieces import PieceTokenizer
from .checkpoint import ENTITY_VOCAB, OWN_SETTINGS, Checkpoint, Config, wrong_settings
from .heads import architecture_on, bare_model, find_head, fitting_architectures, head_shapes, knows_head
from .upcycle import ATTENTION_WINDOW, MAX_PIECES, UPCYCLED, upcycled_config, upcycled_tokenizer, upcycled_weights
from .upcycled_weights import new_markers
from .weights import Weights, open_weights

_CONFIGS: Mapping[str, type[Config]] = {
    "luke": LukeConfig,
    f"{INDEPENDENT}luke": LukeConfig,
    "longformer": LongformerConfig,
}


def open_checkpoint(
    path: Path,
    *,
    plain_as: str = "luke",
    plain: Collection[str] = UPCYCLED,
    case_types: bool | None = None,
    max_pieces: int = MAX_PIECES,
    attention_window: int | tuple[int, ...] = ATTENTION_WINDOW,
) -> Checkpoint:
    """Open a checkpoint folder: LUKE, Longformer or, read as one of them, BERT, RoBERTa and XLM-R.

    If config.json names no architecture, the weights say which head there is, if only one has them.

    The rest is for the latter:

    plain_as: "luke" or "longformer".
    plain: the model types that are read as it.
    case_types: whether pieces carry the case of their word as type; default: if the tokenizer lower-cases, or as a LUKE
        has it.
    max_pieces, attention_window: of the Longformer; see `LongformerConfig`.
    """
    data = read_config(path)
    model_type = str(data.get("model_type"))
    named = named_architecture(data)
    architecture = named or bare_model(model_type)
    files = read_tokenizer_files(path)
    if model_type in plain:
        tokenizer = PieceTokenizer(files)
        case = case_types
        if case is None:
            case = _settings(data).get("piece_types") == "case" if model_type == "luke" else tokenizer.lowercase
        config: Config = upcycled_config(
            data, tokenizer, to=plain_as, case_types=case, max_pieces=max_pieces, attention_window=attention_window
        )
        markers = new_markers(model_type)
        _check_rows(tokenizer, config.vocab_size - len(markers))
        tokenizer = upcycled_tokenizer(tokenizer, config, markers, case_types=case)
        stored = open_weights(path)
        weights = upcycled_weights(stored, data, config, tokenizer)
        settings = {"piece_types": "case"} if case else {}
        vocab = EntityVocab.special_only()
        labels = _labels_of(data, plain_as, architecture, stored) if model_type == "luke" else ()
        return Checkpoint(
            architecture,
            config,
            tokenizer,
            vocab,
            labels,
            settings,
            path=path,
            model_type=model_type,
            weights=weights,
            upcycled=True,
        )
    if model_type not in _CONFIGS:
        known = ", ".join((*_CONFIGS, *UPCYCLED))
        raise LukeError("L023", architecture=architecture, model_type=model_type, known=known)
    # The model type alone says how entities attend.
    attention = "independent" if model_type.startswith(INDEPENDENT) else "full"
    model_type = model_type.removeprefix(INDEPENDENT)
    if model_type == LukeConfig.model_type:
        data = {**data, "entity_attention": attention}
    config = _CONFIGS[model_type].from_dict(data)
    settings = _settings(data)
    tokenizer = PieceTokenizer(files, case_types=settings.get("piece_types") == "case")
    _check_rows(tokenizer, config.vocab_size)
    vocab = _entity_vocab(path, config) if isinstance(config, LukeConfig) else EntityVocab.special_only()
    weights = open_weights(path)
    if not named:
        fitting = fitting_architectures(config, weights.shapes())
        architecture = fitting[0] if len(fitting) == 1 else architecture
    labels = _labels_of(data, model_type, architecture, weights)
    if knows_head(model_type, architecture):
        architecture = architecture_on(model_type, architecture)
    return Checkpoint(
        architecture, config, tokenizer, vocab, labels, settings, path=path, model_type=model_type, weights=weights
    )


def named_architecture(data: Mapping[str, Any]) -> str | None:
    """The first of `architectures` in a config.json; None if it names none, as that of allenai/longformer-base-4096."""
    architectures = data.get("architectures")
    return str(architectures[0]) if architectures else None


def architecture_of_weights(path: Path) -> str:
    """The architecture of a checkpoint whose config.json names none: its head is that of transformers with just these
    weights; without head it is a bare model. L117 if several heads have them, or none that is known."""
    checkpoint = open_checkpoint(path)
    shapes = checkpoint.weights.shapes()
    if checkpoint.architecture == bare_model(checkpoint.model_type) and (found := head_shapes(shapes)):
        fitting = ", ".join(fitting_architectures(checkpoint.config, shapes)) or "none that is known"
        raise LukeError("L117", path=path, weights=", ".join(sorted(found)), fitting=fitting)
    return checkpoint.architecture


def read_config(path: Path) -> dict[str, Any]:
    """The dictionary in config.json; L021 or L022 if there is none, L004 if its architectures are no list of names."""
    file = path / "config.json"
    if not file.is_file():
        if (path / "meta.json").is_file():
            components = sorted(str(inner.parent) for inner in path.glob("*/config.json"))
            raise LukeError("L053", path=path, components=", ".join(components) or "it has none of this package")
        raise LukeError("L021", path=path, file="config.json")
    data = parse_json_object(file.read_bytes(), file)
    architectures = data.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise LukeError("L004", problems=f"architectures = {architectures!r:.200}")
    return data


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Our own block of config.json."""
    settings = data.get(OWN_SETTINGS) or {}
    if not isinstance(settings, dict):
        raise LukeError("L004", problems=f"{OWN_SETTINGS} = {settings!r:.200}")
    if problems := wrong_settings(settings):
        raise LukeError("L004", problems=problems)
    return settings


def _entity_vocab(path: Path, config: LukeConfig) -> EntityVocab:
    """Entity vocabulary of ENTITY_VOCAB or, as of transformers 5, TOKENIZER_CONFIG; L021 if there is none, L116 if they
    differ: transformers 4 takes one and transformers 5 the other."""
    found = []
    if (path / ENTITY_VOCAB).is_file():
        found.append(EntityVocab.from_json((path / ENTITY_VOCAB).read_bytes()))
    if (stored := read_stored_entities(path)) is not None:
        found.append(EntityVocab.from_ids(stored, file=TOKENIZER_CONFIG))
    if not found:
        raise LukeError("L021", path=path, file=ENTITY_VOCAB)
    vocab, other = found[0], found[-1]
    if not vocab.equals(other):
        raise LukeError("L116", path=path, first=len(vocab), second=len(other), rows=config.entity_vocab_size)
    if len(vocab) > config.entity_vocab_size:
        title, identifier = vocab.last
        raise LukeError("L032", title=title, identifier=identifier, rows=config.entity_vocab_size)
    return vocab


def _check_rows(tokenizer: PieceTokenizer, rows: int) -> None:
    if tokenizer.rows > rows:
        problem = f"the tokenizer has pieces up to id {tokenizer.rows - 1}, config.json a vocab_size of {rows}"
        raise LukeError("L025", problems=problem)


def _labels_of(data: Mapping[str, Any], model_type: str, architecture: str, weights: Weights) -> tuple[str, ...]:
    """The labels of the head of `architecture`, if it is known on encoders of `model_type` and has labels."""
    known = knows_head(model_type, architecture)
    if not known or not find_head(model_type, architecture).labelled:
        return ()
    most = max((shape[0] for shape in weights.shapes().values() if shape), default=0)
    return _labels(data, most)


def _labels(data: Mapping[str, Any], most: int) -> tuple[str, ...]:
    """The labels of a config.json; L004 if they are not a name each for 0, 1, …, or more than `most`."""
    by_id = data.get("id2label")
    if by_id is None:
        count = data.get("num_labels", 2)
        if type(count) is not int or not 0 <= count <= most:
            raise LukeError("L004", problems=f"num_labels = {count!r}")
        return tuple(f"LABEL_{i}" for i in range(count))
    try:
        labels = {int(i): label for i, label in by_id.items()}
        if sorted(labels) != list(range(len(by_id))) or not all(isinstance(label, str) for label in labels.values()):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        raise LukeError("L004", problems=f"id2label = {by_id!r:.200}") from None
    if repeated := sorted(label for label, count in Counter(labels.values()).items() if count > 1):
        raise LukeError("L004", problems=f"id2label has several ids for {', '.join(map(repr, repeated)):.200}")
    return tuple(labels[i] for i in range(len(labels)))
