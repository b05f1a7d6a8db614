"""Tiny random models and toy tokenizers, made by transformers, tokenizers and sentencepiece themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import LongformerConfig, LongformerModel, LukeConfig, LukeModel, LukeTokenizer

from spacy_luke.encoders.inputs import EncoderInput

TEXTS = [
    "Ada Lovelace met Charles Babbage in London; they don't know what the engine's for.",
    "The Royal Society of London was founded in 1660, wasn't it? I've (we'd) said: 42.5% @home #tag",
    "Élodie O'Neil  moved to São Paulo;\n\n她在北京。 東京\u3000タワー",
    "שלום עולם مرحبا بالعالم नमस्ते दुनिया Привет, мир! Ωμέγα",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f e\u0301 n\u0303\tand\xa0more...",
]
ENTITIES = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "London": 3, "[MASK2]": 4, "Ada Lovelace": 5, "Babbage": 6}
SPECIAL_STRINGS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<ent>", "<ent2>", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]


@contextmanager
def restored(pipe: Any) -> Iterator[Any]:
    """A component whose settings are afterwards what they were before."""
    before = dict(vars(pipe))
    try:
        yield pipe
    finally:
        vars(pipe).update(before)


# --- tokenizers


def write_byte_bpe(folder: Path, *, vocab_size: int = 420, **settings: Any) -> int:
    """vocab.json and merges.txt with RoBERTa's order of special pieces; returns the number of pieces."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        TEXTS * 3, vocab_size=vocab_size, min_frequency=2, special_tokens=["<s>", "<pad>", "</s>", "<unk>"]
    )
    bpe.save_model(str(folder))
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf8"))
    vocab["<mask>"] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(vocab)


def write_word_piece(folder: Path, *, lowercase: bool = True, vocab_size: int = 300) -> int:
    """An uncased BERT tokenizer.json that pads and truncates, as MiniLM's does; returns the number of pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXTS * 3, trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    )
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    tokenizer.enable_padding(length=16)
    tokenizer.enable_truncation(16)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def train_sentencepiece(lines: Sequence[str], vocab_size: int, *, coverage: float = 1.0) -> bytes:
    """A sentencepiece model. coverage: share of the characters that get a piece."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines] * 3),
        model_writer=model,
        vocab_size=vocab_size,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        character_coverage=coverage,
        num_threads=1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def write_unigram(folder: Path, *, vocab_size: int = 150) -> int:
    """A sentencepiece model and XLM-R's tokenizer.json made from it; returns the number of pieces."""
    from transformers import XLMRobertaTokenizer, XLMRobertaTokenizerFast

    lines = [line for text in TEXTS for line in text.splitlines() if line]
    (folder / "sentencepiece.bpe.model").write_bytes(train_sentencepiece(lines, vocab_size, coverage=0.98))
    slow = XLMRobertaTokenizer(str(folder / "sentencepiece.bpe.model"))
    fast = XLMRobertaTokenizerFast.from_pretrained(str(folder), from_slow=True)
    fast.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return len(slow)


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of the files in `folder`, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def luke_tokenizer(folder: Path, **options: Any) -> LukeTokenizer:
    """transformers' tokenizer on vocab.json, merges.txt and entity_vocab.json of `folder`."""
    if not (folder / "entity_vocab.json").exists():
        (folder / "entity_vocab.json").write_text(json.dumps(ENTITIES))
    names = ("vocab.json", "merges.txt", "entity_vocab.json")
    return LukeTokenizer(*(str(folder / name) for name in names), **options)


# --- models


def luke_config(**changes: Any) -> LukeConfig:
    """A tiny transformers configuration."""
    tiny: dict[str, Any] = {
        "vocab_size": 430,
        "entity_vocab_size": len(ENTITIES),
        "hidden_size": 32,
        "entity_emb_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 130,
        "type_vocab_size": 2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return LukeConfig(**{**tiny, **changes})


def longformer_config(**changes: Any) -> LongformerConfig:
    """A tiny transformers configuration."""
    tiny: dict[str, Any] = {
        "vocab_size": 430,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 202,
        "type_vocab_size": 2,
        "attention_window": [4, 8, 16],
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return LongformerConfig(**{**tiny, **changes})


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter, norms and biases and padding rows too, a value that shows if it is left out."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.copy_(noise + 1 if name.endswith("LayerNorm.weight") else noise)
    return model.eval()


def write_luke(folder: Path, model: nn.Module | None = None, **save: Any) -> nn.Module:
    """A complete checkpoint folder, written by transformers; returns the model in it."""
    folder.mkdir(exist_ok=True)
    pieces = write_byte_bpe(folder)
    if model is None:
        model = randomise(LukeModel(luke_config(vocab_size=pieces + 2)))
    model.save_pretrained(folder, **save)
    (folder / "entity_vocab.json").write_text(json.dumps(ENTITIES))
    return model


def write_longformer(folder: Path, model: nn.Module | None = None, **save: Any) -> nn.Module:
    """A complete checkpoint folder, written by transformers; returns the model in it."""
    folder.mkdir(exist_ok=True)
    pieces = write_byte_bpe(folder)
    if model is None:
        model = randomise(LongformerModel(longformer_config(vocab_size=pieces)))
    model.save_pretrained(folder, **save)
    return model


# --- inputs

Span = tuple[int, int]


def make_input(
    lengths: Sequence[int],
    spans: Sequence[Sequence[Span]] | None,
    *,
    vocab_size: int = 430,
    pad_id: int = 1,
    entities: int = len(ENTITIES),
    seed: int = 0,
) -> EncoderInput:
    """A padded batch of random pieces (none is the pad id) and of random entities on the given spans."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((len(lengths), max(lengths)), pad_id)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(pad_id + 1, vocab_size, (length,), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    if spans is None:
        return EncoderInput(ids, mask)
    width = max(len(row) for row in spans)
    entity_ids = torch.zeros(len(lengths), width, dtype=torch.long)
    entity_spans = torch.zeros(len(lengths), width, 2, dtype=torch.long)
    entity_mask = torch.zeros(len(lengths), width, dtype=torch.bool)
    for i, row_spans in enumerate(spans):
        for j, span in enumerate(row_spans):
            entity_ids[i, j] = torch.randint(0, entities, (), generator=generator)
            entity_spans[i, j] = torch.tensor(span)
            entity_mask[i, j] = True
    return EncoderInput(ids, mask, None, entity_ids, entity_spans, entity_mask)


def reference_input(batch: EncoderInput, *, ends: bool = False) -> dict[str, torch.Tensor]:
    """The same batch as keyword arguments of transformers' LUKE and Longformer classes.

    ends: give the first and last piece of each entity, too, as the class with span classifier wants them.
    """
    given = {"input_ids": batch.piece_ids, "attention_mask": batch.piece_mask.long()}
    if batch.piece_types is not None:
        given["token_type_ids"] = batch.piece_types
    if batch.global_mask is not None:
        given["global_attention_mask"] = batch.global_mask.long()
    if batch.entity_ids is None:
        return given
    assert batch.entity_spans is not None
    assert batch.entity_mask is not None
    start, end = batch.entity_spans.unbind(-1)
    positions = start[..., None] + torch.arange(30)
    positions = positions.where(positions < end[..., None], -1)
    given["entity_ids"] = batch.entity_ids
    given["entity_attention_mask"] = batch.entity_mask.long()
    given["entity_position_ids"] = positions
    if ends:
        given["entity_start_positions"] = start
        given["entity_end_positions"] = (end - 1).clamp(min=0)
    return given
