"""Checkpoints in the layout of transformers 5, read without it, and written so that transformers 4 opens them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, LukeForEntitySpanClassification, LukeForMaskedLM

import spacy_luke
from spacy_luke.checkpoints.checkpoint import Description
from spacy_luke.checkpoints.from_scratch import new_checkpoint
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.source import _is_complete
from spacy_luke.checkpoints.upcycle_folder import upcycle_folder
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.errors import LukeError
from tests.interchange.models import CLASSES, assert_same, batch_for, load, our_numbers, save, their_numbers
from tests.util import ENTITIES, TEXTS, longformer_config, luke_config, randomise, write_longformer, write_luke

from .layout_5 import OLD_FILES, to_layout_5

KINDS = [kind for family, kind in CLASSES if family != "mluke"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def write(folder: Path, kind: str, decoder: torch.Tensor | None = None, **changes: Any) -> nn.Module:
    """A folder in the layout of transformers 5; returns the model in it as transformers 4 has it."""
    luke = kind.startswith("Luke")
    labels = {"num_labels": 2 if kind.endswith("QuestionAnswering") else 3}
    model = randomise(getattr(transformers, kind)((luke_config if luke else longformer_config)(**labels, **changes)))
    (write_luke if luke else write_longformer)(folder, model)
    to_layout_5(folder, decoder=decoder)
    return model


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf8")), **changes}), encoding="utf8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_is_read_and_opened_again_by_transformers_4(tmp_path, kind) -> None:
    model, batch = write(tmp_path / "in", kind), batch_for(kind, len(ENTITIES))
    assert not {path.name for path in (tmp_path / "in").iterdir()} & {*OLD_FILES}
    module = save(tmp_path / "out", open_checkpoint(tmp_path / "in"))
    numbers = our_numbers(module, kind, batch)
    assert_same(their_numbers(model, batch), numbers)
    again, info = getattr(transformers, kind).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert_same(their_numbers(again.eval(), batch), numbers)


def test_a_decoder_of_pieces_that_differs_from_the_table_is_used(tmp_path) -> None:
    """config.json has tie_word_embeddings = true, which transformers 5 does not heed for LUKE."""
    decoder = torch.randn(430, 32, generator=torch.Generator().manual_seed(1))
    model = write(tmp_path / "in", "LukeForMaskedLM", decoder)
    batch = batch_for("LukeForMaskedLM", len(ENTITIES))
    tied = their_numbers(model, batch)
    model.lm_head.decoder.weight = nn.Parameter(decoder)
    expected = their_numbers(model, batch)
    assert (tied[0] - expected[0]).abs().max() > 1
    module = save(tmp_path / "out", open_checkpoint(tmp_path / "in"))
    assert_same(expected, our_numbers(module, "LukeForMaskedLM", batch))
    assert_same(their_numbers(LukeForMaskedLM.from_pretrained(tmp_path / "out").eval(), batch), expected)
    assert_same(expected, our_numbers(load(open_checkpoint(tmp_path / "out"))[0], "LukeForMaskedLM", batch))


def test_a_decoder_of_entities_that_differs_from_the_table_is_used_trimmed_and_extended(tmp_path) -> None:
    from safetensors.torch import save_file

    model = write(tmp_path / "in", "LukeForMaskedLM", tie_word_embeddings=False)
    weights = load_file(tmp_path / "in" / "model.safetensors")
    decoder = torch.randn(len(ENTITIES), 16, generator=torch.Generator().manual_seed(1))
    save_file({**weights, "entity_predictions.decoder.weight": decoder}, tmp_path / "in" / "model.safetensors")
    model.lm_head.decoder.weight = nn.Parameter(weights["lm_head.decoder.weight"])
    model.entity_predictions.decoder.weight = nn.Parameter(decoder)
    checkpoint, batch = open_checkpoint(tmp_path / "in"), batch_for("LukeForMaskedLM", len(ENTITIES))
    module = save(tmp_path / "out", checkpoint)
    assert_same(their_numbers(model, batch), our_numbers(module, "LukeForMaskedLM", batch))
    again = load(open_checkpoint(tmp_path / "out"))[0]
    assert torch.equal(again.entity_predictions.decoder.weight, decoder)
    trimmed, vocab = load(checkpoint, "special")
    rows = [ENTITIES[title] for title in ("[PAD]", "[UNK]", "[MASK]", "[MASK2]")]
    assert torch.equal(trimmed.entity_predictions.decoder.weight, decoder[rows])
    assert len(vocab) == 4
    extended, _ = load(checkpoint.with_entities(["New"]))
    table = extended.encoder.entity_embeddings.entity.weight
    assert torch.equal(extended.entity_predictions.decoder.weight, torch.cat([decoder, table[-1:]]))


def test_tied_decoders_stay_tied_with_new_entities(tmp_path) -> None:
    """Rows of new entities are random if the table is narrow: a second draw would look like a decoder of its own."""
    write(tmp_path, "LukeForMaskedLM")
    save(tmp_path / "out", open_checkpoint(tmp_path))
    weights = load_file(tmp_path / "out" / "model.safetensors")
    table = weights["luke.entity_embeddings.entity_embeddings.weight"]
    torch.save({**weights, "entity_predictions.decoder.weight": table}, tmp_path / "out" / "pytorch_model.bin")
    (tmp_path / "out" / "model.safetensors").unlink()
    module, _ = load(open_checkpoint(tmp_path / "out").with_entities(["New", "Newer"]))
    assert module.entity_predictions.decoder is None
    assert module.lm_head.decoder is None


@pytest.mark.parametrize("kind", ["LukeForMaskedLM", "LongformerForMaskedLM"])
def test_pieces_and_titles_are_those_of_transformers_4(tmp_path, kind) -> None:
    write(tmp_path / "in", kind)
    save(tmp_path / "out", open_checkpoint(tmp_path / "in"))
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    for place in ("in", "out"):
        checkpoint = open_checkpoint(tmp_path / place)
        ours = checkpoint.tokenizer
        for text in TEXTS:
            ids = ours.encode_text(text, []).ids.tolist()
            assert theirs(text)["input_ids"] == [ours.special.bos, *ours.encode_text(text, []).ids, ours.special.eos]
            assert ids == ours.encode_words([text], [False]).ids.tolist()
    if kind.startswith("Luke"):
        assert theirs.entity_vocab == ENTITIES
        assert theirs.convert_tokens_to_ids(["<ent>", "<ent2>"]) == [ours.vocab["<ent>"], ours.vocab["<ent2>"]]
        assert json.loads(checkpoint.entity_vocab.to_json()) == ENTITIES
        assert "entity_vocab" not in json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())


@pytest.mark.parametrize("add_prefix_space", [True, False])
def test_a_space_before_the_text_is_kept_in_the_files_of_transformers_4(tmp_path, add_prefix_space) -> None:
    write(tmp_path / "in", "LongformerModel")
    data = json.loads((tmp_path / "in" / "tokenizer.json").read_text(encoding="utf8"))
    data["pre_tokenizer"]["add_prefix_space"] = add_prefix_space
    (tmp_path / "in" / "tokenizer.json").write_text(json.dumps(data), encoding="utf8")
    settings = json.loads((tmp_path / "in" / "tokenizer_config.json").read_text())
    del settings["add_prefix_space"]
    (tmp_path / "in" / "tokenizer_config.json").write_text(json.dumps(settings))
    save(tmp_path / "out", open_checkpoint(tmp_path / "in"))
    before, after = (open_checkpoint(tmp_path / place).tokenizer.encode_text("Ada met", []) for place in ("in", "out"))
    assert before.ids.tolist() == after.ids.tolist()


def test_a_pipeline_saved_from_it_has_one_entity_vocabulary(tmp_path) -> None:
    write(tmp_path / "in", "LukeForEntitySpanClassification", id2label={0: "NIL", 1: "PER", 2: "LOC"})
    nlp = spacy_luke.from_checkpoint(tmp_path / "in")
    nlp.to_disk(tmp_path / "out")
    saved = tmp_path / "out" / "luke_ner"
    assert "entity_vocab" not in json.loads((saved / "tokenizer_config.json").read_text())
    assert len(json.loads((saved / "entity_vocab.json").read_text())) == 4
    text = "Ada met Babbage in London."
    [(_, before)], [(_, after)] = (
        pipeline.get_pipe("luke_ner").logits([pipeline.make_doc(text)])
        for pipeline in (nlp, spacy.load(tmp_path / "out"))
    )
    assert torch.equal(torch.from_numpy(before), torch.from_numpy(after))
    LukeForEntitySpanClassification.from_pretrained(saved)
    assert len(AutoTokenizer.from_pretrained(saved).entity_vocab) == 4


def test_a_tokenizer_of_it_is_taken_without_its_entities(tmp_path) -> None:
    """Neither a new model nor a Longformer made from it has them."""
    write(tmp_path / "in", "LukeForMaskedLM")
    upcycle_folder(tmp_path / "in", tmp_path / "longformer", to="longformer", max_pieces=64, attention_window=8)
    checkpoint = new_checkpoint(tmp_path / "in", SIZES)
    description = Description("LukeModel", checkpoint.config, checkpoint.tokenizer, checkpoint.entity_vocab)
    save_checkpoint(tmp_path / "new", description, checkpoint.load_encoder())
    for place in ("longformer", "new"):
        assert "entity_vocab" not in json.loads((tmp_path / place / "tokenizer_config.json").read_text())


@pytest.mark.parametrize("own", [True, False])
def test_the_decoder_is_kept_in_a_longformer_made_from_it(tmp_path, own) -> None:
    decoder = torch.randn(430, 32, generator=torch.Generator().manual_seed(1)) if own else None
    write(tmp_path / "in", "LukeForMaskedLM", decoder)
    upcycle_folder(tmp_path / "in", tmp_path / "out", to="longformer", max_pieces=64, attention_window=8)
    luke, longformer = (load(open_checkpoint(tmp_path / place))[0] for place in ("in", "out"))
    assert torch.equal(luke.lm_head.bias, longformer.lm_head.bias)
    assert (longformer.lm_head.decoder is not None) == own
    if own:
        assert torch.equal(longformer.lm_head.decoder.weight, decoder)


def test_the_kind_of_numbers_is_that_of_what_is_written(tmp_path) -> None:
    write(tmp_path / "in", "LukeModel")
    edit(tmp_path / "in" / "config.json", dtype="bfloat16")
    save(tmp_path / "out", open_checkpoint(tmp_path / "in"))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["torch_dtype"] == "float32"
    assert "dtype" not in config


# The entity vocabulary


def test_a_snapshot_with_it_is_complete(tmp_path) -> None:
    write(tmp_path, "LukeModel")
    assert _is_complete(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["entity_vocab"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert not _is_complete(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"entity_vocab": ')
    assert not _is_complete(tmp_path)


def test_two_equal_entity_vocabularies_are_one(tmp_path) -> None:
    write(tmp_path, "LukeModel")
    (tmp_path / "entity_vocab.json").write_text(json.dumps(dict(reversed(ENTITIES.items()))))
    assert json.loads(open_checkpoint(tmp_path).entity_vocab.to_json()) == ENTITIES


def test_two_entity_vocabularies_that_differ_raise_l116(tmp_path) -> None:
    write(tmp_path, "LukeModel")
    (tmp_path / "entity_vocab.json").write_text(json.dumps({**ENTITIES, "Tokyo": 99}))
    with pytest.raises(LukeError, match=r"L116.*for 100 rows.*for 7; the table has 7\. Delete"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("vocab", [[["[PAD]", 0]], {"[PAD]": "0"}, "entity_vocab.json", {"[PAD]": -1}], ids=str)
def test_an_entity_vocabulary_that_is_none_raises_l022(tmp_path, vocab) -> None:
    write(tmp_path, "LukeModel")
    edit(tmp_path / "tokenizer_config.json", entity_vocab=vocab)
    with pytest.raises(LukeError, match=r"L022.*tokenizer_config\.json"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("vocab", [None, "absent"])
def test_no_entity_vocabulary_raises_l021_that_names_both_places(tmp_path, vocab) -> None:
    write(tmp_path, "LukeModel")
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings["entity_vocab"] = None
    if vocab == "absent":
        del settings["entity_vocab"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(LukeError, match=r"L021.*has no entity_vocab\.json.*tokenizer_config\.json"):
        open_checkpoint(tmp_path)
