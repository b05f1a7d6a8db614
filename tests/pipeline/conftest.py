"""A tiny random LUKE checkpoint for named entities, made by transformers, and Docs to run it on."""

import json
from pathlib import Path

import pytest
import spacy
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LukeConfig, LukeForEntitySpanClassification

import spacy_luke
from tests.util import write_longformer, write_luke

TEXT = [
    "Ada Lovelace met Charles Babbage in London.",
    "The Royal Society of London was founded in 1660, wasn't it?",
    "Élodie O'Neil  moved to São Paulo; \n\n她在北京。",
]
LABELS = ["NIL", "LOC", "ORG", "PER"]
ENCODERS = ["luke", "longformer"]


@pytest.fixture(params=ENCODERS)
def encoder(request) -> str:
    """The tests that take it run on LUKE and on a Longformer."""
    return request.param


@pytest.fixture(scope="session")
def encoders(tmp_path_factory) -> dict[str, str]:
    """A LukeModel and a LongformerModel without head."""
    folders = {encoder: tmp_path_factory.mktemp(encoder) for encoder in ENCODERS}
    write_luke(folders["luke"])
    write_longformer(folders["longformer"])
    return {encoder: str(folder) for encoder, folder in folders.items()}


@pytest.fixture(scope="module")
def pipelines(folders):
    """A pipeline for each of the `folders` of a test file, whose keys are the encoders."""
    return {encoder: spacy_luke.from_checkpoint(folder, sentences=None) for encoder, folder in folders.items()}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a LukeForEntitySpanClassification whose random weights predict all labels."""
    folder = tmp_path_factory.mktemp("checkpoint")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXT * 3, vocab_size=320, min_frequency=1, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    bpe.save_model(str(folder))
    vocab = json.loads((folder / "vocab.json").read_text())
    vocab["<mask>"] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    entities = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "London": 3, "[MASK2]": 4}
    (folder / "entity_vocab.json").write_text(json.dumps(entities))
    torch.manual_seed(0)
    config = LukeConfig(
        vocab_size=len(vocab) + 2,
        entity_vocab_size=len(entities),
        hidden_size=32,
        entity_emb_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=130,
        type_vocab_size=1,
        initializer_range=0.3,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    LukeForEntitySpanClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture
def nlp(checkpoint: Path) -> spacy.language.Language:
    """A pipeline with the tiny checkpoint and windows without context."""
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
    return spacy_luke.from_checkpoint(checkpoint, config={"windows": windows})
