"""`FillMask`: transformers' logits and pipelines, masks and entities in ugly places, texts longer than the encoder."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from transformers import (
    AddedToken,
    LongformerForMaskedLM,
    LongformerForTokenClassification,
    LongformerTokenizer,
    LongformerTokenizerFast,
    LukeForMaskedLM,
    PreTrainedTokenizerBase,
)
from transformers import pipeline as transformers_pipeline

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.fill_mask.fill_mask import FillMask
from spacy_luke.fill_mask.inputs import masked_text
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.tokenization.ugly import plain
from tests.util import (
    ENTITIES,
    longformer_config,
    luke_config,
    luke_tokenizer,
    randomise,
    read_files,
    write_longformer,
    write_luke,
    write_unigram,
    write_word_piece,
)

NLP = spacy.blank("en")
CLASSES = {"luke": LukeForMaskedLM, "longformer": LongformerForMaskedLM}
ENCODERS = list(CLASSES)
TEXT = "Ada Lovelace met <mask> in London; they<mask>n't know  <mask>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """transformers' models, whose rows are up to 64 pieces."""
    made = {encoder: tmp_path_factory.mktemp(encoder) for encoder in ENCODERS}
    write_luke(made["luke"], randomise(LukeForMaskedLM(luke_config(max_position_embeddings=66))))
    write_longformer(
        made["longformer"], randomise(LongformerForMaskedLM(longformer_config(max_position_embeddings=66)))
    )
    return made


@pytest.fixture(scope="module")
def fillers(folders) -> dict[str, FillMask]:
    return {encoder: FillMask.from_checkpoint(folder) for encoder, folder in folders.items()}


@pytest.fixture(params=ENCODERS)
def encoder(request) -> str:
    return request.param


@pytest.fixture
def fill(fillers, encoder) -> FillMask:
    return fillers[encoder]


def tokenizer_of(folder: Path, encoder: str) -> PreTrainedTokenizerBase:
    if encoder == "luke":
        return luke_tokenizer(folder)
    return LongformerTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def reference_logits(folder: Path, encoder: str, batch: Any) -> np.ndarray:
    """transformers' logits of the masks. *Shape:* (masks, vocabulary)"""
    model = CLASSES[encoder].from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**batch).logits[0]
    mask = tokenizer_of(folder, encoder).mask_token_id
    return logits[batch["input_ids"][0] == mask].numpy()


# Scores


def test_logits_equal_those_of_transformers(fill, folders, encoder) -> None:
    [(places, logits)] = fill.logits([TEXT])
    assert [TEXT[start:end] for start, end in places] == ["<mask>"] * 3
    expected = reference_logits(
        folders[encoder], encoder, tokenizer_of(folders[encoder], encoder)(TEXT, return_tensors="pt")
    )
    assert logits.shape == expected.shape
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@settings(max_examples=30)
@given(parts=st.lists(plain, min_size=2, max_size=3))
def test_masks_in_ugly_texts_equal_transformers(fillers, folders, parts: list[str]) -> None:
    text = "<mask>".join(parts)
    for encoder, fill in fillers.items():
        batch = tokenizer_of(folders[encoder], encoder)(text, return_tensors="pt")
        if batch["input_ids"].shape[1] <= 64:
            [(_, logits)] = fill.logits([text])
            np.testing.assert_allclose(logits, reference_logits(folders[encoder], encoder, batch), atol=1e-4)


def test_fillings_are_those_of_transformers_pipelines(fill, folders, encoder) -> None:
    model, tokenizer = CLASSES[encoder].from_pretrained(folders[encoder]), tokenizer_of(folders[encoder], encoder)
    theirs = transformers_pipeline("fill-mask", model, tokenizer=tokenizer)("Ada met <mask> in London.", top_k=7)
    [mask] = fill("Ada met <mask> in London.", n_best=7)
    assert (mask.start_char, mask.end_char) == (8, 14)
    assert [filling.id for filling in mask.fillings] == [found["token"] for found in theirs]
    assert [filling.score for filling in mask.fillings] == pytest.approx([found["score"] for found in theirs], abs=1e-5)
    assert [filling.text for filling in mask.fillings] == [
        tokenizer.convert_tokens_to_string([filling.piece]) for filling in mask.fillings
    ]
    assert len(fill("<mask>", n_best=9999)[0].fillings) == model.config.vocab_size


@pytest.mark.parametrize("written", ["[MASK]", "<mask>"])
def test_a_mask_may_be_written_in_both_ways_and_other_special_pieces_are_text(fill, written: str) -> None:
    [(places, logits)] = fill.logits([f"Ada </s> met {written}."])
    [(_, expected)] = fill.logits(["Ada </s> met <mask>."])
    np.testing.assert_array_equal(logits, expected)
    assert places == [(13, 13 + len(written))]
    read = masked_text("Ada </s> <mask>", fill.tokenizer, [])
    assert fill.tokenizer.special.eos not in read.ids


def test_pipe_and_docs_give_what_call_gives(fill) -> None:
    texts = [TEXT, "<mask>", "[MASK] ran.", f"{TEXT} {TEXT}"]
    expected = [fill(text) for text in texts]
    fill.max_batch_pieces, before = 70, fill.max_batch_pieces
    found = list(fill.pipe([texts[0], NLP.make_doc(texts[1]), *texts[2:]]))
    fill.max_batch_pieces = before
    assert len(found) == 4
    for ours, others in zip(found, expected, strict=True):
        assert [(m.start_char, m.end_char) for m in ours] == [(m.start_char, m.end_char) for m in others]
        for a, b in zip(ours, others, strict=True):
            assert [f.id for f in a.fillings] == [f.id for f in b.fillings]
            assert [f.logit for f in a.fillings] == pytest.approx([f.logit for f in b.fillings], abs=1e-4)


def test_a_long_text_is_read_around_each_mask(fill, folders, encoder) -> None:
    text = f"{'Ada met Bo. ' * 30}<mask> ran.{' Bo met Ada.' * 30} They <mask>"
    tokenizer = tokenizer_of(folders[encoder], encoder)
    ids = tokenizer(text)["input_ids"][1:-1]
    [(_, logits)] = fill.logits([text])
    for place, row in zip((i for i, piece in enumerate(ids) if piece == tokenizer.mask_token_id), logits, strict=True):
        starts = [*range(0, len(ids) - 62 + 31, 31)]
        best = max(starts, key=lambda a: min(place - a, min(a + 62, len(ids)) - 1 - place))
        window = torch.tensor([[0, *ids[best : best + 62], 2]])
        found = reference_logits(folders[encoder], encoder, {"input_ids": window})
        assert any(np.allclose(row, other, atol=1e-4) for other in found)


# Entities


def linked(*ents: tuple[int, int, str], text: str = "Ada Lovelace met <mask> in London .") -> Doc:
    doc = Doc(NLP.vocab, words=text.split())
    doc.set_ents([Span(doc, start, end, label="X", kb_id=title) for start, end, title in ents])
    return doc


def test_entities_are_inputs_as_in_transformers(fillers, folders) -> None:
    doc = linked((0, 2, "Ada Lovelace"), (5, 6, "London"), (2, 3, "unknown"))
    tokenizer = luke_tokenizer(folders["luke"])
    spans = [(0, 12), (27, 33)]
    batch = tokenizer(doc.text, entities=["Ada Lovelace", "London"], entity_spans=spans, return_tensors="pt")
    [(_, logits)] = fillers["luke"].logits([doc])
    np.testing.assert_allclose(logits, reference_logits(folders["luke"], "luke", batch), atol=1e-4)
    [(_, without)] = fillers["luke"].logits([doc.text])
    assert np.abs(logits - without).max() > 1e-2


def test_given_spans_are_entities_and_those_without_title_masked_ones(fillers, folders) -> None:
    doc = linked((5, 6, "London"))
    tokenizer = luke_tokenizer(folders["luke"])
    given = [(0, 12), (13, 23), (27, 33)]  # the second holds the mask
    batch = tokenizer(doc.text, entities=["[MASK]", "[MASK]", "London"], entity_spans=given, return_tensors="pt")
    expected = reference_logits(folders["luke"], "luke", batch)
    [mask] = fillers["luke"](doc, entities=[doc[0:2], doc[2:6][:2], doc.ents[0]], n_best=3)
    assert [f.id for f in mask.fillings] == np.argsort(-expected[0])[:3].tolist()
    assert [f.logit for f in mask.fillings] == pytest.approx(np.sort(expected[0])[::-1][:3].tolist(), abs=1e-4)


def test_a_longformer_has_no_entities(fillers) -> None:
    [(_, with_entities)] = fillers["longformer"].logits([linked((0, 2, "[MASK]"))])
    [(_, without)] = fillers["longformer"].logits([linked().text])
    np.testing.assert_array_equal(with_entities, without)


def test_the_entity_vocabulary_may_be_trimmed(folders) -> None:
    fill = FillMask.from_checkpoint(folders["luke"], entity_vocab="special")
    assert len(fill.entity_vocab) == 4 < len(ENTITIES)
    [(_, logits)] = fill.logits([linked((5, 6, "London"))])
    [(_, without)] = fill.logits([linked()])
    np.testing.assert_array_equal(logits, without)


# Tokenizers


@pytest.mark.parametrize(
    ("write", "text"), [(write_word_piece, "ada met [MASK], ok"), (write_unigram, "Ada met <mask> ok")]
)
def test_other_tokenizers_have_masks(tmp_path, write, text: str) -> None:
    write(tmp_path)
    tokenizer = PieceTokenizer(read_files(tmp_path))
    read = masked_text(text, tokenizer, [])
    [place] = read.places.tolist()
    assert read.ids[place] == tokenizer.special.mask
    before, after = (tokenizer.encode_text(part, ()).ids.tolist() for part in ("Ada met", text[14:]))
    assert read.ids.tolist() == [*before, tokenizer.special.mask, *after]


@pytest.mark.parametrize("flags", [{"lstrip": False}, {"lstrip": True}, {"lstrip": False, "rstrip": True}], ids=str)
@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_the_white_space_beside_a_mask_goes_as_the_files_say(tmp_path, file: str, flags: dict[str, bool]) -> None:
    """The files of transformers 5 have lstrip = false for the masks of LUKE and Longformer."""
    write_longformer(tmp_path, randomise(LongformerForMaskedLM(longformer_config())))
    kind = LongformerTokenizerFast if file == "tokenizer.json" else LongformerTokenizer
    mask = AddedToken("<mask>", **flags, normalized=False, special=True)
    tokenizer = kind(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), mask_token=mask)
    tokenizer.save_pretrained(tmp_path)
    if file == "tokenizer.json":
        for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"):
            (tmp_path / name).unlink(missing_ok=True)
        settings = {"backend": "tokenizers", "mask_token": "<mask>", "tokenizer_class": "RobertaTokenizer"}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    batch = tokenizer(TEXT, return_tensors="pt")
    model = LongformerForMaskedLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = model(**batch).logits[0][batch["input_ids"][0] == tokenizer.mask_token_id].numpy()
    [(places, logits)] = FillMask.from_checkpoint(tmp_path).logits([TEXT])
    assert [TEXT[start:end] for start, end in places] == ["<mask>"] * 3
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("named", ["special_tokens_map.json", "tokenizer_config.json"])
def test_a_mask_that_is_named_with_its_flags_has_them(tmp_path, named: str) -> None:
    """As older versions wrote them."""
    write_longformer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"mask_token": "<mask>"}')
    (tmp_path / named).write_text(json.dumps({"mask_token": {"content": "<mask>", "lstrip": False, "rstrip": True}}))
    tokenizer = PieceTokenizer(read_files(tmp_path))
    read = masked_text("a <mask> b", tokenizer, [])
    assert [tokenizer.strings[i] for i in read.ids.tolist()] == ["a", "\u0120", "<mask>", "b"]
    assert read.chars.tolist() == [[2, 8]]


@settings(max_examples=50)
@given(parts=st.lists(st.one_of(st.sampled_from(["MVX", "left", "right", " ", "<mask>"]), plain), max_size=6))
def test_masks_beside_added_tokens_equal_transformers(added_tokens, parts: list[str]) -> None:
    ours, theirs = added_tokens
    text = "".join(parts)
    read = masked_text(text, ours, [])
    assert read.ids.tolist() == theirs(text, add_special_tokens=False)["input_ids"]
    assert [text[start:end] for start, end in read.chars.tolist()] == ["<mask>"] * len(read.places)


@pytest.fixture(scope="module", params=[LongformerTokenizer, LongformerTokenizerFast])
def added_tokens(request, tmp_path_factory) -> tuple[PieceTokenizer, PreTrainedTokenizerBase]:
    folder = tmp_path_factory.mktemp("added")
    write_longformer(folder)
    theirs = request.param(str(folder / "vocab.json"), str(folder / "merges.txt"))
    theirs.add_tokens(["MVX", AddedToken("left", lstrip=True), AddedToken("right", rstrip=True)])
    theirs.save_pretrained(folder)
    return PieceTokenizer(read_files(folder)), theirs


def test_pieces_are_text(tmp_path) -> None:
    write_unigram(tmp_path)
    unigram = PieceTokenizer(read_files(tmp_path))
    assert (unigram.text_of("▁the"), unigram.text_of("s")) == (" the", "s")
    (tmp_path / "word").mkdir()
    write_word_piece(tmp_path / "word")
    assert PieceTokenizer(read_files(tmp_path / "word")).text_of("##ing") == "##ing"


# Bad input


@pytest.mark.parametrize("text", ["", "Ada ran.", "[mask]", "<MASK>"])
def test_a_text_without_mask_is_an_error(fill, text: str) -> None:
    with pytest.raises(LukeError, match=r"L084.*\[MASK\] or <mask>"):
        fill(text)
    with pytest.raises(LukeError, match="L084"):
        list(fill.pipe(["<mask>", text]))


def test_half_a_character_is_an_error(fill) -> None:
    with pytest.raises(LukeError, match=r"L120.*at 2 of the whole.*U\+D800"):
        fill("A \ud800 <mask>")


def test_misuse_is_named(fill) -> None:
    with pytest.raises(LukeError, match=r"L080.*string or a Doc"):
        fill(3)
    doc = linked()
    with pytest.raises(LukeError, match=r"L080.*a Doc, whose"):
        fill(doc.text, entities=[doc[0:1]])
    with pytest.raises(LukeError, match=r"L071.*another Doc"):
        fill(doc, entities=[linked()[0:1]])
    with pytest.raises(LukeError, match=r"L047.*n_best"):
        fill(TEXT, n_best=0)


def test_another_head_is_refused(tmp_path) -> None:
    write_longformer(tmp_path, LongformerForTokenClassification(longformer_config()))
    with pytest.raises(LukeError, match=r"L042.*FillMask.*LongformerForMaskedLM.*LongformerForTokenClassification"):
        FillMask.from_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["LukeForMaskedLM"]}))
    with pytest.raises(LukeError, match="L024"):
        FillMask.from_checkpoint(tmp_path)


def test_logits_that_are_no_numbers_are_told_of_once(folders):
    fill = FillMask.from_checkpoint(folders["luke"])
    with torch.no_grad():
        fill._module.encoder.layers[1].feed_forward.norm.bias.fill_(float("nan"))
    with pytest.warns(LukeWarning, match=r"W031.*'FillMask'"):
        fill(TEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(TEXT)
