"""Checkpoints that transformers opens with the same results; a save that fails leaves what was there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    LongformerForMaskedLM,
    LukeForEntitySpanClassification,
    LukeForMaskedLM,
    LukeModel,
    LukeTokenizer,
)

from spacy_luke.checkpoints import writer
from spacy_luke.checkpoints.checkpoint import Description
from spacy_luke.checkpoints.heads import MASKED_LM, SPAN_CLASSIFIER, architecture_on
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.writer import checkpoint_bytes, save_checkpoint
from spacy_luke.encoders.heads import EntitySpanClassification
from spacy_luke.errors import LukeError
from tests.util import (
    longformer_config,
    luke_config,
    make_input,
    randomise,
    reference_input,
    write_longformer,
    write_luke,
)

BATCH = make_input([12, 8], [[(1, 3), (4, 9)], [(2, 3)]], entities=4)
LABELS = ("NIL", "LOC", "ORG", "PER")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Description, EntitySpanClassification]:
    """A span classifier with a trimmed vocabulary, as luke_ner has it."""
    folder = tmp_path_factory.mktemp("source")
    labels = dict(enumerate(LABELS))
    write_luke(folder, randomise(LukeForEntitySpanClassification(luke_config(id2label=labels, type_vocab_size=1))))
    checkpoint = open_checkpoint(folder)
    module, vocab = checkpoint.load_task_module(SPAN_CLASSIFIER, "special")
    config = module.encoder.config
    return Description(SPAN_CLASSIFIER, config, checkpoint.tokenizer, vocab, LABELS), module.eval()


def altered(module: EntitySpanClassification) -> EntitySpanClassification:
    """The same with other weights."""
    other = EntitySpanClassification(type(module.encoder)(module.encoder.config), len(LABELS))
    other.load_state_dict({name: t + 1 for name, t in module.state_dict().items()})
    return other.eval()


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_transformers_opens_what_we_wrote_with_the_same_logits(tmp_path, trained):
    description, module = trained
    save_checkpoint(tmp_path / "out", description, module)
    model, info = LukeForEntitySpanClassification.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        theirs, ours = model.eval()(**reference_input(BATCH, ends=True)).logits, module(BATCH)
    assert (theirs - ours)[BATCH.entity_mask].abs().max() < 1e-4
    assert tuple(model.config.id2label[i] for i in range(4)) == LABELS
    assert model.config.label2id["PER"] == 3


def test_transformers_opens_a_bare_encoder_with_the_same_states(tmp_path):
    write_luke(tmp_path / "in")
    checkpoint = open_checkpoint(tmp_path / "in")
    encoder = checkpoint.load_encoder().eval()
    save_checkpoint(tmp_path / "out", checkpoint.describe(encoder.config), encoder)
    model, info = LukeModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        theirs, ours = model.eval()(**reference_input(BATCH)).last_hidden_state, encoder(BATCH).pieces
    assert (theirs - ours)[BATCH.piece_mask].abs().max() < 1e-4


def test_transformers_opens_the_tokenizer_we_wrote_with_the_same_ids(tmp_path, trained):
    description, module = trained
    save_checkpoint(tmp_path / "out", description, module)
    theirs = LukeTokenizer.from_pretrained(tmp_path / "out", task="entity_span_classification")
    text, spans = "Ada Lovelace met  Babbage in São Paulo.", [(0, 12), (18, 25)]
    encoded = theirs(text, entity_spans=spans)
    special = description.tokenizer.special
    ours = description.tokenizer.encode_text(text, [b for span in spans for b in span])
    assert encoded["input_ids"] == [special.bos, *ours.ids.tolist(), special.eos]
    assert encoded["entity_ids"] == [description.entity_vocab["[MASK]"]] * 2


def test_reading_gives_back_what_was_written(tmp_path, trained):
    description, module = trained
    save_checkpoint(tmp_path / "out", description, module)
    checkpoint = open_checkpoint(tmp_path / "out")
    reread, vocab = checkpoint.load_task_module(SPAN_CLASSIFIER, "full")
    assert checkpoint.labels == LABELS
    assert checkpoint.config == description.config
    assert vocab.to_json() == description.entity_vocab.to_json()
    assert checkpoint.tokenizer.files == description.tokenizer.files
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), reread.parameters(), strict=True))


def test_a_bare_encoder_has_no_labels_of_the_head_that_it_came_with(tmp_path):
    labels = dict(enumerate(LABELS))
    names = {"id2label": labels, "label2id": {label: i for i, label in labels.items()}}
    write_luke(tmp_path / "ner", randomise(LukeForEntitySpanClassification(luke_config(**names))))
    opened = open_checkpoint(tmp_path / "ner")
    encoder = opened.load_encoder()
    save_checkpoint(tmp_path / "out", opened.describe(encoder.config), encoder)
    assert "label2id" in json.loads((tmp_path / "ner" / "config.json").read_text())
    assert not {"id2label", "label2id"} & json.loads((tmp_path / "out" / "config.json").read_text()).keys()


def test_bytes_are_the_files(tmp_path, trained):
    description, module = trained
    save_checkpoint(tmp_path / "out", description, module)
    assert checkpoint_bytes(description, module) == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}


def test_weights_may_be_stored_as_float16(tmp_path, trained):
    description, module = trained
    save_checkpoint(tmp_path / "out", description, module, dtype=torch.float16)
    assert {t.dtype for t in saved_weights(tmp_path / "out").values()} == {torch.float16}
    reread, _ = open_checkpoint(tmp_path / "out").load_task_module(SPAN_CLASSIFIER, "full")
    assert torch.equal(reread.classifier.weight, module.classifier.weight.half().float())


def test_settings_of_the_encoder_are_told_apart_from_those_of_the_task(trained):
    description, _ = trained
    settings = {"piece_types": "case", "windows": {"max_pieces": 9}}
    assert replace(description, settings=settings).encoder_settings() == {"piece_types": "case"}


def test_settings_of_our_own_are_kept(tmp_path, trained):
    description, module = trained
    description = Description(**{**vars(description), "settings": {"piece_types": "case", "windows": {"stride": 3}}})
    save_checkpoint(tmp_path / "out", description, module)
    checkpoint = open_checkpoint(tmp_path / "out")
    assert checkpoint.settings == description.settings
    assert checkpoint.tokenizer.case_types


def test_files_of_the_old_checkpoint_go_and_others_stay(tmp_path, trained):
    """A stale vocabulary or shard would be read in place of what was written."""
    out = tmp_path / "out"
    out.mkdir()
    for name in (
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "tokenizer.json",
        "added_tokens.json",
        "notes.md",
    ):
        (out / name).write_text("old")
    save_checkpoint(out, *trained, more_files={"cfg": b"{}"})
    found = {p.name for p in out.iterdir()}
    assert found == {*checkpoint_bytes(*trained), "cfg", "notes.md"}


# --- interruption


class Stop(BaseException):
    """As KeyboardInterrupt: nothing may rely on catching it as an Exception."""


def failing_replace(at: int, error: BaseException, *, for_good: bool):
    """os.replace that raises at the call number `at` and, if `for_good`, ever after, as if the process was killed."""
    calls = 0

    def replace(source: os.PathLike[str], target: os.PathLike[str]) -> None:
        nonlocal calls
        calls += 1
        if calls == at or (for_good and calls > at):
            raise error
        shutil.move(source, target)

    return replace


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Stop()], ids=["disk full", "interrupt"])
@pytest.mark.parametrize("at", range(11))
def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, trained, monkeypatch, error, at):
    """at: the call of os.replace that fails; 0: the writing of the weights."""
    description, module = trained
    out = tmp_path / "out"
    save_checkpoint(out, description, module)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert 2 * len(before) == 10  # each file is moved out, then its successor in

    def fail(*args: object, **options: object) -> None:
        raise error

    if at:
        monkeypatch.setattr(writer.os, "replace", failing_replace(at, error, for_good=False))
    else:
        monkeypatch.setattr(writer, "save_file", fail)
    with pytest.raises((LukeError, Stop)) as raised:
        save_checkpoint(out, description, altered(module))
    if isinstance(error, OSError):
        assert raised.value.code == "L029"
        assert "No space left" in str(raised.value)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("at", range(1, 11))
def test_a_killed_save_leaves_a_folder_that_loads_whole_or_not_at_all(tmp_path, trained, monkeypatch, at):
    description, module = trained
    out = tmp_path / "out"
    save_checkpoint(out, description, module)
    before = saved_weights(out)["luke.pooler.dense.bias"]
    with monkeypatch.context() as patch:
        patch.setattr(writer.os, "replace", failing_replace(at, Stop(), for_good=True))
        with pytest.raises(Stop):
            save_checkpoint(out, description, altered(module))
    with pytest.raises(LukeError, match=r"L021.*config\.json") if at > 1 else contextlib.nullcontext():
        loaded, _ = open_checkpoint(out).load_task_module(SPAN_CLASSIFIER, "full")
        assert torch.equal(loaded.encoder.pooler.bias, before)
    save_checkpoint(out, description, altered(module))  # and it can be saved again
    loaded, _ = open_checkpoint(out).load_task_module(SPAN_CLASSIFIER, "full")
    assert torch.equal(loaded.encoder.pooler.bias, before + 1)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_failed_first_save_leaves_nothing(tmp_path, trained, monkeypatch, at):
    def fail(*args: object, **options: object) -> None:
        raise OSError("gone")

    if at:
        monkeypatch.setattr(writer.os, "replace", failing_replace(at, OSError("gone"), for_good=False))
    else:
        monkeypatch.setattr(writer, "save_file", fail)
    with pytest.raises(LukeError, match=r"L029.*gone"):
        save_checkpoint(tmp_path / "deep" / "out", *trained)
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_a_failed_save_cannot_clean_up_does_not_hide_why_it_failed(tmp_path, trained, monkeypatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError("no space")

    def busy(*args: object, **options: object) -> None:
        raise OSError("busy")

    save_checkpoint(tmp_path / "out", *trained)
    monkeypatch.setattr(writer, "save_file", fail)
    monkeypatch.setattr(os, "rmdir", busy)
    with pytest.raises(LukeError, match=r"L029.*no space"):
        save_checkpoint(tmp_path / "out", *trained)


def test_folders_that_only_look_like_those_of_a_killed_save_stay(tmp_path, trained) -> None:
    names = (".out.abcd1234", ".out.abcd12345", ".other.abcd1234", "out.abcd1234")
    for name in names:
        (tmp_path / name / ("old" if name == ".out.abcd1234" else "new")).mkdir(parents=True)
    save_checkpoint(tmp_path / "out", *trained)
    assert {path.name for path in tmp_path.iterdir()} == {*names, "out"}


def test_a_path_that_is_a_file_raises_l029(tmp_path, trained):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(LukeError, match="L029"):
        save_checkpoint(tmp_path / "out", *trained)
    assert (tmp_path / "out").read_text() == "a file"
    with pytest.raises(LukeError, match="L029"):
        save_checkpoint(tmp_path / "out" / "below", *trained)


def test_whoever_may_read_the_config_may_read_the_weights(tmp_path: Path) -> None:
    write_luke(tmp_path / "luke")
    checkpoint = open_checkpoint(tmp_path / "luke")
    save_checkpoint(tmp_path / "out", checkpoint.describe(checkpoint.config), checkpoint.load_encoder())
    modes = {file.name: file.stat().st_mode for file in (tmp_path / "out").iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["luke", "longformer"])
def test_what_transformers_does_not_tie_is_written_as_a_copy(tmp_path, kind, tied) -> None:
    """transformers 5 makes a decoder of LUKE's that it does not find random."""
    if kind == "luke":
        write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config())))
    else:
        write_longformer(tmp_path, randomise(LongformerForMaskedLM(longformer_config())))
    checkpoint = open_checkpoint(tmp_path)
    module, vocab = checkpoint.load_task_module(architecture_on(kind, MASKED_LM), "full")
    module.encoder.config = replace(checkpoint.config, extra={"tie_word_embeddings": tied})
    description = Description(architecture_on(kind, MASKED_LM), module.encoder.config, checkpoint.tokenizer, vocab)
    save_checkpoint(tmp_path / "copies", description, module)
    saved, table = saved_weights(tmp_path / "copies"), f"{kind}.embeddings.word_embeddings.weight"
    decoders = {name for name in saved if ".decoder." in name}
    of_pieces = {"lm_head.decoder.weight", "lm_head.decoder.bias"}
    of_entities = {"entity_predictions.decoder.weight"}
    if kind == "longformer":
        assert decoders == (set() if tied else of_pieces)
    else:
        assert decoders == (of_pieces if tied else of_pieces | of_entities)
    for name, source in {
        "lm_head.decoder.weight": table,
        "lm_head.decoder.bias": "lm_head.bias",
        "entity_predictions.decoder.weight": "luke.entity_embeddings.entity_embeddings.weight",
    }.items():
        assert name not in decoders or torch.equal(saved[name], saved[source])
    module.lm_head.decoder = torch.nn.Linear(32, len(saved[table]), bias=False)
    save_checkpoint(tmp_path / "own", description, module)
    own = saved_weights(tmp_path / "own")
    assert torch.equal(own["lm_head.decoder.weight"], module.lm_head.decoder.weight), "one of its own stays"
