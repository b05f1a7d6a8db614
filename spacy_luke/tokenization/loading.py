"""Tokenizer files of a checkpoint -> a bare `tokenizers` pipeline and the ids of its special pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.normalizers import Normalizer

from ..errors import LukeError
from ..files import parse_json_object
from .added_tokens import (
    AddedToken,
    AddedTokenFinder,
    named_alike,
    read_added_ids,
    read_added_tokens,
    special_tokens,
)
from .normalization import SPACE, SentencePieceNormalizer
from .sentencepiece import SENTENCEPIECE, tokenizer_json_of

TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    TOKENIZER_CONFIG,
    SENTENCEPIECE,
)
# Entry of TOKENIZER_CONFIG.
ENTITIES = "entity_vocab"
_ROLES = {
    "bos": ("cls_token", "bos_token", "<s>", "[CLS]"),
    "eos": ("sep_token", "eos_token", "</s>", "[SEP]"),
    "pad": ("pad_token", None, "<pad>", "[PAD]"),
    "unk": ("unk_token", None, "<unk>", "[UNK]"),
    "mask": ("mask_token", None, "<mask>", "[MASK]"),
}
# How a mask is written in a text, whatever the tokenizer calls its own: the mask of BERT, and that of RoBERTa.
MASKS = ("[MASK]", "<mask>")
# Files that make a tokenizer, all of a group together.
_SUFFICIENT = (("vocab.json", "merges.txt"), ("tokenizer.json",), (SENTENCEPIECE,))
# A tokenizer.json that does nothing.
_EMPTY: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": None,
}
# Classes of transformers 4 that are Python alone; they find added tokens in their own way.
_SLOW_CLASSES = ("LukeTokenizer", "MLukeTokenizer")


@dataclass(frozen=True)
class SpecialPieces:
    """Ids of the special pieces."""

    bos: int
    eos: int
    pad: int
    unk: int
    mask: int


@dataclass(frozen=True)
class LoadedTokenizer:
    """A `tokenizers` pipeline that treats every text as plain text, with what was read beside it.

    kind: "bpe" (byte-level), "wordpiece" or "unigram".
    vocab: every piece, added ones too -> id.
    added: the added tokens by their content, special ones included.
    finder, mask_finder: of the added tokens that are not special, None if there is none; of them and masks.
    slow: added tokens are found as transformers' tokenizers in Python do.
    piece_of_space: white space before an added token is a piece, as for the XLM-R of `tokenizers`.
    normalize: SentencePiece's normalisation, which a text goes through before the pipeline; None = the pipeline has its
        own.
    """

    tokenizer: Tokenizer
    kind: str
    vocab: dict[str, int]
    special: SpecialPieces
    added: dict[str, AddedToken]
    finder: AddedTokenFinder | None
    mask_finder: AddedTokenFinder
    slow: bool
    piece_of_space: bool
    lowercase: bool
    add_prefix_space: bool
    normalize: SentencePieceNormalizer | None = None


def read_tokenizer_files(folder: Path) -> dict[str, bytes]:
    """The content of the tokenizer files in a folder, by name; that of TOKENIZER_CONFIG without the entity vocabulary
    that transformers 5 keeps there, which is no part of the tokenizer and may change without it. L028 if they make no
    tokenizer."""
    files = {name: (folder / name).read_bytes() for name in TOKENIZER_FILES if (folder / name).is_file()}
    if not any(files.keys() >= set(names) for names in _SUFFICIENT):
        found = ", ".join(sorted(files)) or "nothing of it"
        remedy = f"save it there, too: tokenizer.save_pretrained({str(folder)!r})"
        raise LukeError("L028", reason=f"the folder {folder} has none (found: {found}); {remedy}")
    settings = _json(files, TOKENIZER_CONFIG) if _has_entities(files.get(TOKENIZER_CONFIG)) else {}
    if settings.pop(ENTITIES, None) is not None:
        files[TOKENIZER_CONFIG] = json.dumps(settings, ensure_ascii=False, indent=2).encode("utf8")
    return files


def read_stored_entities(folder: Path) -> Any:
    """The entity vocabulary in the TOKENIZER_CONFIG of a folder, where transformers 5 keeps it; None if there is
    none."""
    file = folder / TOKENIZER_CONFIG
    data = file.read_bytes() if file.is_file() else None
    return _json({TOKENIZER_CONFIG: data}, TOKENIZER_CONFIG).get(ENTITIES) if data and _has_entities(data) else None


def _has_entities(data: bytes | None) -> bool:
    return data is not None and f'"{ENTITIES}"'.encode() in data


def _coded(load: Callable[[Mapping[str, bytes]], LoadedTokenizer]) -> Callable[[Mapping[str, bytes]], LoadedTokenizer]:
    """L022 for whatever the entries of the files raise that are of another kind than a tokenizer has."""

    @wraps(load)
    def wrapped(files: Mapping[str, bytes]) -> LoadedTokenizer:
        try:
            return load(files)
        except LukeError:
            raise
        except BaseException as e:
            # Where the library's Rust panics, it is no Exception.
            if not isinstance(e, Exception) and type(e).__name__ != "PanicException":
                raise
            reason = f"an entry is not what a tokenizer has there ({type(e).__name__}: {e})"
            raise LukeError("L022", file=", ".join(sorted(files)), reason=reason) from e

    return wrapped


@_coded
def load_tokenizer(files: Mapping[str, bytes]) -> LoadedTokenizer:
    """Read vocab.json + merges.txt, tokenizer.json or a SentencePiece model; L028 names what cannot be read."""
    roles, config = _json(files, "special_tokens_map.json"), _json(files, TOKENIZER_CONFIG)
    settings = {**roles, **config}
    kind, lowercase, prefix, piece_of_space = "bpe", False, False, False
    normalize: SentencePieceNormalizer | None = None
    data = tokenizer_json(files)
    normalizer = data.get("normalizer")
    named = special_tokens(settings)
    flagged = read_added_tokens(data.get("added_tokens"), config.get("added_tokens_decoder"), named)
    added = {**read_added_ids(_json(files, "added_tokens.json"), named), **flagged}
    if "vocab.json" in files and "merges.txt" in files:
        tokenizer, vocab = _from_vocab_and_merges(files)
    elif "tokenizer.json" in files or SENTENCEPIECE in files:
        _set_unknown_piece(data, settings)
        piece_of_space = (data.get("pre_tokenizer") or {}).get("type") == "Metaspace"
        normalize = _take_normalizer(data)
        tokenizer, vocab, kind, lowercase, prefix = _from_tokenizer_json(data, added)
    else:
        found = ", ".join(sorted(files)) or "no tokenizer file"
        raise LukeError("L028", reason=f"found only {found}")
    for token in added.values():
        if kind == "bpe" and vocab.get(token.content, token.id) != token.id:
            reason = f"the added token {token.content!r} has the id {token.id}, and {vocab[token.content]} as a piece"
            raise LukeError("L028", reason=reason)
        vocab[token.content] = token.id
    special = _special_pieces(settings, vocab)
    if kind == "bpe":
        # A byte that the vocabulary lacks is one unknown piece, as for LukeTokenizer, rather than nothing.
        tokenizer.model.unk_token = next(piece for piece, i in vocab.items() if i == special.unk)
    prefix = kind == "bpe" and bool(settings.get("add_prefix_space", prefix))
    slow = "tokenizer.json" not in files or (
        "added_tokens_decoder" in config and config.get("tokenizer_class") in _SLOW_CLASSES
    )
    plain = [t for t in added.values() if not t.special and t.id not in vars(special).values()]
    name = next(piece for piece, i in vocab.items() if i == special.mask)
    mask = _mask(AddedToken(special.mask, name), flagged, (roles, config), kind)
    masks = named_alike(mask, dict.fromkeys((*MASKS, name)))
    normalizes = _normalizer(normalizer) if any(token.normalized for token in (*plain, mask)) else None
    return LoadedTokenizer(
        tokenizer,
        kind,
        vocab,
        special,
        added,
        AddedTokenFinder(plain, normalizes, slow=slow) if plain else None,
        AddedTokenFinder([*plain, *masks], normalizes, slow=slow),
        slow,
        piece_of_space and normalize is not None and not slow,
        lowercase,
        prefix,
        normalize,
    )


def _mask(
    token: AddedToken, flagged: Mapping[str, AddedToken], settings: Iterable[Mapping[str, Any]], kind: str
) -> AddedToken:
    """The mask with its flags: those of its token in the files, of its name, or of transformers' classes."""
    if token.content in flagged:
        return flagged[token.content]
    named = next((s["mask_token"] for s in settings if isinstance(s.get("mask_token"), dict)), None)
    if named is None:
        return replace(token, lstrip=kind != "wordpiece", normalized=False)
    flags: dict[str, Any] = {name: bool(named.get(name)) for name in ("single_word", "lstrip", "rstrip", "normalized")}
    return replace(token, **flags)


def _from_vocab_and_merges(files: Mapping[str, bytes]) -> tuple[Tokenizer, dict[str, int]]:
    vocab = _json(files, "vocab.json")
    try:
        lines = files["merges.txt"].decode("utf8").split("\n")
    except UnicodeDecodeError as e:
        raise LukeError("L022", file="merges.txt", reason=e) from None
    merges = [tuple(line.rstrip("\r").split(" ")) for line in lines if line.strip() and not line.startswith("#version")]
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    except Exception as e:
        raise LukeError("L028", reason=f"vocab.json and merges.txt do not fit ({e})") from None
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, dict(vocab)


def tokenizer_json(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The content of tokenizer.json, or what it would be for a SentencePiece model."""
    if "tokenizer.json" not in files and SENTENCEPIECE in files:
        return tokenizer_json_of(files[SENTENCEPIECE])
    return _json(files, "tokenizer.json")


def _from_tokenizer_json(
    data: dict[str, Any], added: Mapping[str, AddedToken]
) -> tuple[Tokenizer, dict[str, int], str, bool, bool]:
    """RETURNS: pipeline, vocabulary, kind, whether it lower-cases, whether it prefixes a space."""
    model = data.get("model")
    model = model if isinstance(model, dict) else {}
    prefix = False
    kind = {"BPE": "bpe", "WordPiece": "wordpiece", "Unigram": "unigram"}.get(model.get("type", ""))
    if kind is None:
        raise LukeError("L028", reason=f"tokenizer.json has a model of type {model.get('type')!r}")
    pairs = model.get("vocab")
    if not isinstance(pairs, list if kind == "unigram" else dict) or not pairs:
        raise LukeError("L028", reason="tokenizer.json has no vocabulary")
    if kind == "wordpiece" and model.get("unk_token") not in pairs:
        raise LukeError("L028", reason=f"the vocabulary has no unk_token {model.get('unk_token')!r}")
    if kind == "unigram" and not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise LukeError("L028", reason="the vocabulary of tokenizer.json is no list of pieces and scores")
    # Texts are plain: no piece is matched before the model sees the text, nothing is cut, padded or wrapped.
    # (MiniLM's tokenizer.json, for one, pads and truncates to 128.)
    data.update(added_tokens=[], truncation=None, padding=None, post_processor=None)
    if kind == "bpe":
        cutter = data.get("pre_tokenizer") or {}
        if cutter.get("type") != "ByteLevel" or not cutter.get("use_regex", True) or data.get("normalizer"):
            raise LukeError("L028", reason="tokenizer.json has a BPE model that is not byte-level as RoBERTa's is")
        prefix = bool(cutter.get("add_prefix_space"))
        data["pre_tokenizer"] = {**cutter, "add_prefix_space": False}
    if kind == "unigram":
        # A Unigram model would find "</s>" in text as a piece of its own. No piece is found that has a space in it:
        # Metaspace replaces them.
        vocab = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
        hidden = {token.content for token in added.values() if token.special}
        model["vocab"] = [[f"\x00 {p}" if p in hidden else p, score] for p, score in model["vocab"]]
    else:
        vocab = model["vocab"]
    try:
        tokenizer = Tokenizer.from_str(json.dumps(data))
    except Exception as e:
        raise LukeError("L022", file="tokenizer.json", reason=e) from None
    normalizer = json.dumps(data.get("normalizer"))
    lowercase = '"lowercase": true' in normalizer or '"type": "Lowercase"' in normalizer
    return tokenizer, dict(vocab), kind, lowercase, prefix


def _normalizer(data: Any) -> Normalizer | None:
    """Make the library's normalizer of a tokenizer.json; L022 if it cannot be made."""
    if not data:
        return None
    model = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
    try:
        return Tokenizer.from_str(json.dumps({**_EMPTY, "normalizer": data, "model": model})).normalizer
    except Exception as e:
        raise LukeError("L022", file="tokenizer.json", reason=e) from None


def _set_unknown_piece(data: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Make `unk_token` the unknown piece of a Unigram model; in mLUKE's, as transformers 5 saves it, it is <s>."""
    model, unknown = data.get("model"), settings.get("unk_token")
    unknown = unknown.get("content") if isinstance(unknown, dict) else unknown
    if isinstance(model, dict) and model.get("type") == "Unigram" and isinstance(model.get("vocab"), list):
        known = (i for i, pair in enumerate(model["vocab"]) if isinstance(pair, list) and pair[:1] == [unknown])
        model["unk_id"] = next(known, model.get("unk_id"))


def _take_normalizer(data: dict[str, Any]) -> SentencePieceNormalizer | None:
    """Take SentencePiece's normalisation out of the content of a tokenizer.json, if it has that and nothing else."""
    normalizer = data.get("normalizer") or {}
    steps = normalizer.get("normalizers", []) if normalizer.get("type") == "Sequence" else [normalizer]
    kinds = [step.get("type") for step in steps]
    if kinds[:1] != ["Precompiled"] or not set(kinds[1:]) <= {"Strip", "Replace"}:
        return None
    try:
        normalize = SentencePieceNormalizer(base64.b64decode(steps[0]["precompiled_charsmap"]))
    except (KeyError, TypeError, ValueError) as e:
        raise LukeError("L022", file="the table of the tokenizer's normalizer", reason=e) from None
    data["normalizer"] = None
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": True}
    return normalize


def _special_pieces(settings: Mapping[str, Any], vocab: Mapping[str, int]) -> SpecialPieces:
    ids: dict[str, int] = {}
    for role, (first, second, *usual) in _ROLES.items():
        named = [settings.get(key) for key in (first, second) if key]
        candidates = [n.get("content") if isinstance(n, dict) else n for n in named] + usual
        found = next((c for c in candidates if isinstance(c, str) and c in vocab), None)
        if found is None:
            raise LukeError("L028", reason=f"the vocabulary has no {role} piece (such as {usual[0]} or {usual[1]})")
        ids[role] = vocab[found]
    return SpecialPieces(**ids)


def _json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        return {}
    return parse_json_object(files[name], name)
