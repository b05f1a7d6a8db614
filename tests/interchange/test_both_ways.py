"""Every class of LUKE, mLUKE and Longformer, with the installed transformers, 4 or 5: what it saved we open, and what
we saved it opens, with the same numbers and pieces. `make test-transformers5` runs this with transformers 5."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import nn

from spacy_luke.checkpoints.heads import bare_model
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.tokenization.entity_vocab import SPECIAL_ENTITIES, EntityVocab
from tests.util import TEXTS

from .models import (
    CLASSES,
    FIVE,
    MARKERS,
    TITLES,
    assert_same,
    batch_for,
    load,
    our_numbers,
    save,
    their_numbers,
    write_checkpoint,
)

FAMILIES = {"luke": "LukeForMaskedLM", "mluke": "LukeForMaskedLM", "longformer": "LongformerForMaskedLM"}
LUKES = ["luke", "mluke"]
# transformers 5 makes mLUKE's tokenizer without SentencePiece's normalisation, and gives unknown characters the id of
# <s>: only of texts such as these are its pieces those of the model.
PLAIN = ["Ada Lovelace met Charles Babbage in London", "The Royal Society of London was founded", "they met at home"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[tuple[str, str], tuple[Path, nn.Module]]:
    """Folders that transformers saved, and the models."""
    root = tmp_path_factory.mktemp("theirs")
    return {(f, kind): (root / f / kind, write_checkpoint(root / f / kind, f, kind)) for f, kind in CLASSES}


def entities_of(family: str) -> int:
    return max(TITLES[family].values()) + 1 if family in TITLES else 0


def open_theirs(kind: str, folder: Path, **options: Any) -> nn.Module:
    """The model in a folder; transformers finds all weights that it looks for, and no others."""
    model, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True, **options)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    return model.eval()


def edit(file: Path, **changes: Any) -> None:
    data = {**json.loads(file.read_text(encoding="utf8")), **changes}
    file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf8")


# Numbers


@pytest.mark.parametrize(("family", "kind"), CLASSES)
def test_what_transformers_saved_has_the_same_numbers(folders, family, kind) -> None:
    folder, model = folders[family, kind]
    checkpoint, batch = open_checkpoint(folder), batch_for(kind, entities_of(family))
    assert checkpoint.architecture == kind
    assert_same(their_numbers(model, batch), our_numbers(load(checkpoint)[0], kind, batch))


@pytest.mark.parametrize(("family", "kind"), CLASSES)
def test_transformers_opens_what_we_saved_with_the_same_numbers(folders, tmp_path, family, kind) -> None:
    batch = batch_for(kind, entities_of(family))
    module = save(tmp_path / "ours", open_checkpoint(folders[family, kind][0]))
    assert_same(their_numbers(open_theirs(kind, tmp_path / "ours"), batch), our_numbers(module, kind, batch))


@pytest.mark.parametrize(("family", "kind"), [("luke", "LukeForMaskedLM"), ("longformer", "LongformerForMaskedLM")])
@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_decoders_that_are_not_tied_are_used_and_saved(tmp_path, family, kind, tied, safe) -> None:
    """transformers 5 does not tie LUKE's decoder of pieces, and the one of entities only if config.json says so."""
    model = write_checkpoint(tmp_path / "theirs", family, kind, tie_word_embeddings=tied)
    if not safe:
        weights = load_file(tmp_path / "theirs" / "model.safetensors")
        (tmp_path / "theirs" / "model.safetensors").unlink()
        tied_ones = {name: t for name, t in model.state_dict().items() if name not in weights}
        torch.save({**weights, **tied_ones}, tmp_path / "theirs" / "pytorch_model.bin")
    batch = batch_for(kind, entities_of(family))
    module = save(tmp_path / "ours", open_checkpoint(tmp_path / "theirs"))
    numbers = our_numbers(module, kind, batch)
    assert_same(their_numbers(model, batch), numbers)
    assert_same(their_numbers(open_theirs(kind, tmp_path / "ours"), batch), numbers)
    assert_same(numbers, our_numbers(load(open_checkpoint(tmp_path / "ours"))[0], kind, batch))


@pytest.mark.parametrize("stored", ["bfloat16", "float16"])
def test_the_kind_of_numbers_in_config_json_is_that_of_the_weights(tmp_path, stored) -> None:
    model = write_checkpoint(tmp_path / "theirs", "luke", "LukeModel")
    model.to(getattr(torch, stored)).save_pretrained(tmp_path / "theirs")
    assert stored in (tmp_path / "theirs" / "config.json").read_text()
    save(tmp_path / "ours", open_checkpoint(tmp_path / "theirs"))
    again = open_theirs("LukeModel", tmp_path / "ours", **{"dtype" if FIVE else "torch_dtype": "auto"})
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert stored not in (tmp_path / "ours" / "config.json").read_text()


# Pieces and entities


@pytest.mark.parametrize("by", ["transformers", "us"])
@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_are_the_same(folders, tmp_path, family, by) -> None:
    folder, _ = folders[family, FAMILIES[family]]
    checkpoint = open_checkpoint(folder)
    if by == "us":
        save(tmp_path / "ours", checkpoint)
        folder = tmp_path / "ours"
        checkpoint = open_checkpoint(folder)
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), checkpoint.tokenizer
    for text in PLAIN if FIVE and family == "mluke" else TEXTS:
        for spans in [[], [(0, 3)], [(0, 3), (4, 8)]] if family in LUKES else [[]]:
            encoded = theirs(text, entity_spans=spans) if spans else theirs(text)
            pieces = ours.encode_text(text, [edge for span in spans for edge in span]).ids.tolist()
            assert encoded["input_ids"] == [ours.special.bos, *pieces, ours.special.eos]
    special = [theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id, theirs.unk_token_id, theirs.mask_token_id]
    assert special == list(vars(ours.special).values())
    if family in LUKES:
        assert theirs.convert_tokens_to_ids(MARKERS) == [ours.vocab[marker] for marker in MARKERS]
        assert EntityVocab(theirs.entity_vocab).equals(checkpoint.entity_vocab)


@pytest.mark.skipif(not FIVE, reason="the tokenizer as transformers 5 makes it")
def test_white_space_and_unknown_characters_are_as_for_the_entities_of_transformers_5(folders) -> None:
    folder, _ = folders["mluke", "LukeForMaskedLM"]
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), open_checkpoint(folder).tokenizer
    for text in ["Ada met  them  ", "  Ada \n\n met", "Ada\u3000met", "Ada ☃☃ met 中x", "\tAda"]:
        start = text.index("Ada")
        encoded = theirs(text, entity_spans=[(start, start + 3)])["input_ids"]
        assert encoded[1:-1] == ours.encode_text(text, [start, start + 3]).ids.tolist()


@pytest.mark.parametrize("family", LUKES)
@pytest.mark.parametrize("change", ["trimmed", "extended"])
def test_a_changed_entity_vocabulary_is_the_only_one(folders, tmp_path, family, change) -> None:
    kind = FAMILIES[family]
    checkpoint = open_checkpoint(folders[family, kind][0])
    if change == "extended":
        checkpoint = checkpoint.with_entities(["New", "Newer"])
    module = save(tmp_path / "ours", checkpoint, "special" if change == "trimmed" else "full")
    found = open_checkpoint(tmp_path / "ours")
    vocab = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours").entity_vocab
    assert EntityVocab(vocab).equals(found.entity_vocab)
    assert ("New" in vocab) == (change == "extended")
    assert set(vocab) >= set(SPECIAL_ENTITIES)
    batch = batch_for(kind, len(found.entity_vocab))
    assert_same(their_numbers(open_theirs(kind, tmp_path / "ours"), batch), our_numbers(module, kind, batch))


def test_every_class_of_transformers_is_here() -> None:
    theirs = {
        n for n in dir(transformers) if n.startswith(("LukeFor", "LukeModel", "LongformerFor", "LongformerModel"))
    }
    assert theirs == {kind for _, kind in CLASSES}


# Without transformers

_ALONE = """
import sys
sys.modules["transformers"] = None
from pathlib import Path
import torch
from spacy_luke.checkpoints.reader import open_checkpoint
for folder in map(Path, sys.argv[1:]):
    checkpoint = open_checkpoint(folder)
    encoder = checkpoint.load_encoder().eval()
    torch.save([encoder.state_dict(), checkpoint.tokenizer.encode_text("Ada met London", []).ids], folder / "alone.pt")
"""


def test_nothing_of_it_needs_transformers(folders) -> None:
    paths = [folder for folder, _ in folders.values()]
    subprocess.run([sys.executable, "-c", _ALONE, *map(str, paths)], check=True)
    for folder in paths:
        state, ids = torch.load(folder / "alone.pt", weights_only=False)
        checkpoint = open_checkpoint(folder)
        assert ids.tolist() == checkpoint.tokenizer.encode_text("Ada met London", []).ids.tolist()
        assert all(torch.equal(t, state[name]) for name, t in checkpoint.load_encoder().state_dict().items())


# Layouts that name no head


@pytest.mark.parametrize(("family", "kind"), CLASSES)
def test_without_architectures_the_weights_say_what_is_there(folders, tmp_path, family, kind) -> None:
    folder, _ = folders[family, kind]
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    edit(tmp_path / "config.json", architectures=None)
    alike = ("LukeForEntityClassification", "LukeForSequenceClassification", "LukeForMultipleChoice")
    assert open_checkpoint(tmp_path).architecture == (bare_model("luke") if kind in alike else kind)
