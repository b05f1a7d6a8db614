"""Entities that are added to a checkpoint: old rows stay, new ones start as the words of their title."""

from __future__ import annotations

import torch
from transformers import LukeForMaskedLM

from spacy_luke.checkpoints.heads import MASKED_LM
from spacy_luke.checkpoints.reader import open_checkpoint
from tests.checkpoints.test_upcycle import write_source
from tests.util import ENTITIES, luke_config, randomise, write_luke

NEW = ["Babbage", "Ada Lovelace met Babbage", "東京", "", "東京"]
ADDED = ["Ada Lovelace met Babbage", "東京", ""]


def tables(module) -> tuple[torch.Tensor, torch.Tensor]:
    return module.encoder.entity_embeddings.entity.weight.detach(), module.entity_predictions.bias.detach()


def test_new_rows_are_the_mean_of_the_pieces_of_their_title(tmp_path):
    size = write_luke(tmp_path).config.vocab_size
    write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config(vocab_size=size, entity_emb_size=32))))
    checkpoint = open_checkpoint(tmp_path)
    old, old_bias = tables(checkpoint.load_task_module(MASKED_LM, "full")[0])
    grown = checkpoint.with_entities(NEW)
    module, vocab = grown.load_task_module(MASKED_LM, "full")
    table, bias = tables(module)
    assert [vocab[title] for title in ADDED] == [len(ENTITIES) + i for i in range(3)]
    assert vocab["Babbage"] == ENTITIES["Babbage"]
    assert torch.equal(table[: len(old)], old)
    assert torch.equal(bias, torch.cat([old_bias, torch.zeros(3)]))
    words = module.encoder.embeddings.word.weight.detach()
    for title in ADDED[:2]:
        ids = checkpoint.tokenizer.encode_text(title, []).ids
        assert torch.allclose(table[vocab[title]], words[ids].mean(0))
    assert not table[vocab[""]].any()
    assert checkpoint.config.entity_vocab_size == len(ENTITIES)
    assert grown.config.entity_vocab_size == module.encoder.config.entity_vocab_size == len(ENTITIES) + 3


def test_new_rows_are_random_where_entities_are_narrower_than_pieces(tmp_path):
    write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config(initializer_range=0.02))))
    module, _ = open_checkpoint(tmp_path).with_entities(str(i) for i in range(500)).load_task_module(MASKED_LM, "full")
    new = tables(module)[0][len(ENTITIES) :]
    assert new.shape == (500, 16)
    assert 0.018 < float(new.std()) < 0.022


def test_a_selection_takes_old_and_new_rows(tmp_path):
    write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config(entity_emb_size=32))))
    (tmp_path / "titles.txt").write_text("東京\nLondon\n")
    grown = open_checkpoint(tmp_path).with_entities(NEW)
    full, full_vocab = grown.load_task_module(MASKED_LM, "full")
    some, vocab = grown.load_task_module(MASKED_LM, str(tmp_path / "titles.txt"))
    assert len(vocab) == 6
    for title in ("東京", "London", "[MASK]"):
        for ours, all_rows in zip(tables(some), tables(full), strict=True):
            assert torch.equal(ours[vocab[title]], all_rows[full_vocab[title]])


def test_entities_are_added_to_a_bert(tmp_path):
    """Read as LUKE, whose masked entity starts as a masked piece."""
    write_source(tmp_path, "bert")
    checkpoint = open_checkpoint(tmp_path)
    encoder = checkpoint.with_entities(ADDED).load_encoder()
    assert encoder.entity_embeddings.entity.weight.shape[0] == 7
    ids = checkpoint.tokenizer.encode_text(ADDED[0], []).ids
    expected = encoder.embeddings.word.weight[torch.from_numpy(ids)].mean(0)
    assert torch.allclose(encoder.entity_embeddings.entity.weight[4], expected)


def test_no_new_entity_changes_nothing(tmp_path):
    write_luke(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    same = checkpoint.with_entities(["London"])
    assert same.weights is checkpoint.weights
    assert same.config == checkpoint.config


def test_other_weights_are_those_of_the_checkpoint_and_so_are_their_rows(tmp_path):
    write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config())))
    checkpoint = open_checkpoint(tmp_path)
    plain, grown = checkpoint.weights, checkpoint.with_entities(ADDED).weights
    name = next(name for name in plain.shapes() if name.endswith("word_embeddings.weight"))
    assert grown.shapes()[name] == plain.shapes()[name]
    assert torch.equal(grown.get(name), plain.get(name))
    assert torch.equal(grown.get(name, [3, 1]), plain.get(name)[[3, 1]])
