"""Tiny checkpoints of every class that transformers has of LUKE, mLUKE and Longformer, saved by what is installed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from torch import nn

from spacy_luke.checkpoints.checkpoint import Checkpoint, Description
from spacy_luke.checkpoints.heads import bare_model
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.encoders.encoder import Encoder
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.layers import flat_indices
from spacy_luke.encoders.masked_lm import MaskedLM
from spacy_luke.tokenization.entity_vocab import EntityVocab
from tests.util import (
    ENTITIES,
    TEXTS,
    longformer_config,
    luke_config,
    make_input,
    randomise,
    reference_input,
    write_byte_bpe,
)

FIVE = int(transformers.__version__.partition(".")[0]) >= 5
LUKE = [
    "LukeModel",
    "LukeForMaskedLM",
    "LukeForEntityClassification",
    "LukeForEntityPairClassification",
    "LukeForEntitySpanClassification",
    "LukeForSequenceClassification",
    "LukeForTokenClassification",
    "LukeForQuestionAnswering",
    "LukeForMultipleChoice",
]
LONGFORMER = [
    "LongformerModel",
    "LongformerForMaskedLM",
    "LongformerForSequenceClassification",
    "LongformerForTokenClassification",
    "LongformerForQuestionAnswering",
    "LongformerForMultipleChoice",
]
# Family and class.
CLASSES = [
    *(("luke", kind) for kind in LUKE),
    *(("mluke", kind) for kind in LUKE),
    *(("longformer", kind) for kind in LONGFORMER),
]
MULTILINGUAL = {"[MASK]": 0, "[PAD]": 1, "[UNK]": 2, "en:Japan": 3, "ja:日本": 3, "en:Ada": 4, "[MASK2]": 5}
TITLES = {"luke": ENTITIES, "mluke": MULTILINGUAL}
MARKERS = ["<ent>", "<ent2>"]


def write_checkpoint(folder: Path, family: str, kind: str, **changes: Any) -> nn.Module:
    """A complete folder, model and tokenizer, saved by transformers; returns the model in it."""
    folder.mkdir(parents=True)
    pieces = TOKENIZERS[family](folder)
    number = {"num_labels": 2 if kind.endswith("QuestionAnswering") else 3}
    if family == "longformer":
        config = longformer_config(vocab_size=pieces, **number, **changes)
    else:
        entities = max(TITLES[family].values()) + 1
        config = luke_config(vocab_size=pieces, entity_vocab_size=entities, **number, **changes)
    model = randomise(getattr(transformers, kind)(config))
    model.save_pretrained(folder)
    return model


def _save_luke_tokenizer(folder: Path) -> int:
    made = _made(folder)
    write_byte_bpe(made)
    (made / "entity_vocab.json").write_text(json.dumps(ENTITIES), encoding="utf8")
    tokenizer = transformers.LukeTokenizer.from_pretrained(made)
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def _save_mluke_tokenizer(folder: Path) -> int:
    made = _made(folder)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in TEXTS for line in text.splitlines() if line] * 3),
        model_writer=model,
        vocab_size=150,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        num_threads=1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    if FIVE:  # from the model file it would make other ids than those of the released checkpoints
        read = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        own = [(read.id_to_piece(i), read.get_score(i)) for i in range(3, read.get_piece_size())]
        first = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
        tokenizer = transformers.MLukeTokenizer(
            vocab=[*first, *own, ("<mask>", 0.0)],
            entity_vocab=MULTILINGUAL,
            extra_special_tokens=MARKERS,
            **{f"entity_{i}_token": transformers.AddedToken(marker) for i, marker in enumerate(MARKERS, 1)},
        )
    else:
        (made / "sentencepiece.bpe.model").write_bytes(model.getvalue())
        (made / "entity_vocab.json").write_text(json.dumps(MULTILINGUAL), encoding="utf8")
        tokenizer = transformers.MLukeTokenizer.from_pretrained(made)
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def _save_longformer_tokenizer(folder: Path) -> int:
    made = _made(folder)
    write_byte_bpe(made)
    kind = transformers.RobertaTokenizer if FIVE else transformers.LongformerTokenizer
    tokenizer = kind.from_pretrained(made)
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


TOKENIZERS = {"luke": _save_luke_tokenizer, "mluke": _save_mluke_tokenizer, "longformer": _save_longformer_tokenizer}


def _made(folder: Path) -> Path:
    """A folder beside another, for what its tokenizer is made from."""
    made = folder.with_name(f"{folder.name}_made")
    made.mkdir()
    return made


# --- ours


def load(checkpoint: Checkpoint, entity_vocab: str = "full") -> tuple[nn.Module, EntityVocab]:
    """The encoder of a bare model, else its module, and the entities that were kept."""
    if checkpoint.architecture == bare_model(checkpoint.model_type):
        return checkpoint.load_encoder(entity_vocab).eval(), checkpoint.select_entities(entity_vocab)[0]
    module, vocab = checkpoint.load_task_module(checkpoint.architecture, entity_vocab)
    return module.eval(), vocab


def save(folder: Path, checkpoint: Checkpoint, entity_vocab: str = "full") -> nn.Module:
    """Save what `load` gives, which is returned."""
    module, vocab = load(checkpoint, entity_vocab)
    encoder: Any = getattr(module, "encoder", module)
    architecture, labels = checkpoint.architecture, checkpoint.labels
    description = Description(architecture, encoder.config, checkpoint.tokenizer, vocab, labels)
    save_checkpoint(folder, description, module)
    return module


# --- numbers


def batch_for(kind: str, entities: int) -> EncoderInput:
    """Padded rows, with two mentions each if the class is of LUKE."""
    spans = [[(3, 7), (9, 12)], [(5, 8), (1, 4)], [(2, 9), (4, 6)]] if kind.startswith("Luke") else None
    batch = make_input([20, 13, 14], spans, vocab_size=100, entities=entities)
    if spans is None:
        batch.global_mask = torch.zeros_like(batch.piece_mask)
        batch.global_mask[:, [0, 4]] = True
    return batch


def their_numbers(model: nn.Module, batch: EncoderInput) -> list[torch.Tensor]:
    """The states of a bare model, else its logits, where they mean something."""
    kind = type(model).__name__
    inputs = reference_input(batch, ends=kind.endswith("SpanClassification"))
    choices = kind.endswith("MultipleChoice")
    with torch.no_grad():
        output = model(**{name: tensor[None] if choices else tensor for name, tensor in inputs.items()})
    if kind.endswith("MultipleChoice"):
        return [output.logits[0][:, None]]
    if kind.endswith("QuestionAnswering"):
        return [torch.stack([output.start_logits, output.end_logits], dim=-1)[batch.piece_mask]]
    if kind.endswith("Model"):
        found = [output.last_hidden_state[batch.piece_mask]]
        return [*found, output.entity_last_hidden_state[batch.entity_mask]] if batch.entity_mask is not None else found
    if kind == "LukeForMaskedLM":
        return [output.logits[batch.piece_mask], output.entity_logits[batch.entity_mask]]
    return [output.logits[_mask(kind, batch)]]


def our_numbers(module: nn.Module, kind: str, batch: EncoderInput) -> list[torch.Tensor]:
    """The same of our module."""
    with torch.no_grad():
        output = None if isinstance(module, MaskedLM) else module(batch)
        if isinstance(module, Encoder):
            assert output is not None
            found = [output.pieces[batch.piece_mask]]
            return [*found, output.entities[batch.entity_mask]] if batch.entity_mask is not None else found
        if isinstance(module, MaskedLM):
            places: dict[str, Any] = {"pieces": flat_indices(batch.piece_mask)}
            if batch.entity_mask is not None:
                places["entities"] = flat_indices(batch.entity_mask)
            return [logits for logits in module.predict(batch, **places) if logits is not None]
        assert output is not None
        return [output[_mask(kind, batch)]]


def _mask(kind: str, batch: EncoderInput) -> Any:
    """Mask of the logits that mean something."""
    if kind.endswith("SpanClassification"):
        return batch.entity_mask
    return batch.piece_mask if kind.endswith(("TokenClassification", "QuestionAnswering", "MaskedLM")) else slice(None)


def assert_same(theirs: list[torch.Tensor], ours: list[torch.Tensor]) -> None:
    """Equal but for rounding."""
    for expected, found in zip(theirs, ours, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
