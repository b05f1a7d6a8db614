"""A SentencePiece model (sentencepiece.bpe.model of XLM-R and mLUKE) as the tokenizer.json that says the same.

The file is a protocol buffer (google/sentencepiece, src/sentencepiece_model.proto), of which four things matter: the
pieces, their scores, the kind of model and the table of the normalisation. So neither sentencepiece nor protobuf has to
be installed.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from ..errors import LukeError

SENTENCEPIECE = "sentencepiece.bpe.model"
# XLM-R counts pieces as fairseq does: these first, then those of the model from the fourth, then the mask.
_FIRST = ("<s>", "<pad>", "</s>", "<unk>")
_MASK = "<mask>"
_FROM = 3
_UNIGRAM = 1
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def tokenizer_json_of(model: bytes) -> dict[str, Any]:
    """The content of XLM-R's tokenizer.json, as transformers converts it (`XLMRobertaConverter`).

    L022 for bytes that are no SentencePiece model, L028 for one that is no Unigram.
    """
    pieces: list[tuple[str, float]] = []
    kind, charsmap = _UNIGRAM, b""
    try:
        for field, value in _fields(model):
            if field == 1:
                piece = dict(_fields(value))
                pieces.append((piece[1].decode("utf8"), struct.unpack("<f", piece.get(2, bytes(4)))[0]))
            elif field == 2:
                kind = dict(_fields(value)).get(3, _UNIGRAM)
            elif field == 3:
                charsmap = dict(_fields(value)).get(2, b"")
    except (ValueError, KeyError, AttributeError, TypeError, struct.error) as e:
        raise LukeError("L022", file=SENTENCEPIECE, reason=e) from None
    if len(pieces) <= _FROM:
        raise LukeError("L022", file=SENTENCEPIECE, reason="it has no pieces")
    if kind != _UNIGRAM:
        raise LukeError("L028", reason=f"{SENTENCEPIECE} is no Unigram model")
    vocab = [*((piece, 0.0) for piece in _FIRST), *pieces[_FROM:], (_MASK, 0.0)]
    special = [*enumerate(_FIRST), (len(vocab) - 1, _MASK)]
    normalizers: list[dict[str, Any]] = [
        {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
    ]
    if charsmap:
        table = base64.b64encode(charsmap).decode("ascii")
        normalizers.insert(0, {"type": "Precompiled", "precompiled_charsmap": table})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(identifier, piece) for identifier, piece in special],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": _template(),
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": [list(pair) for pair in vocab], "byte_fallback": False},
    }


def _template() -> dict[str, Any]:
    """<s> A </s>, and <s> A </s> </s> B </s>."""
    start, end = ({"SpecialToken": {"id": piece, "type_id": 0}} for piece in ("<s>", "</s>"))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    ids = {piece: {"id": piece, "ids": [_FIRST.index(piece)], "tokens": [piece]} for piece in ("<s>", "</s>")}
    texts = {"single": [start, first, end], "pair": [start, first, end, end, second, end]}
    return {"type": "TemplateProcessing", **texts, "special_tokens": ids}


def _added_token(identifier: int, piece: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": piece == _MASK, "rstrip": False, "normalized": False, "special": True}
    return {"id": identifier, "content": piece, **flags}


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: numbers, and values as they stand, fixed ones and messages in bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield field, value
            continue
        if kind == _BYTES:
            length, place = _varint(message, place)
        elif kind in (_FIXED_32, _FIXED_64):
            length = 4 if kind == _FIXED_32 else 8
        else:
            raise ValueError(f"it has a field of unknown kind {kind}")
        if place + length > len(message):
            raise ValueError("it ends too early")
        yield field, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place after it."""
    value = shift = 0
    while True:
        if place >= len(message):
            raise ValueError("it ends too early")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("it has a number of more than 64 bits")
