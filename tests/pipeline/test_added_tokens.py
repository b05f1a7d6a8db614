"""Checkpoints whose tokenizer was given words (`add_tokens`, `resize_token_embeddings`): transformers' logits, and what
is saved of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from torch import nn
from transformers import (
    AddedToken,
    LongformerForSequenceClassification,
    LongformerTokenizer,
    LongformerTokenizerFast,
    LukeForEntityPairClassification,
    LukeForEntitySpanClassification,
    LukeForQuestionAnswering,
    LukeTokenizer,
    MLukeTokenizer,
    PreTrainedTokenizerBase,
)

import spacy_luke
from spacy_luke.batching.pieces import doc_pieces
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.training.pretraining.masking import MaskVocab
from tests.mluke_model import write_mluke
from tests.pipeline.entity_markers.model import one_sentence
from tests.util import (
    longformer_config,
    luke_config,
    luke_tokenizer,
    randomise,
    write_byte_bpe,
    write_longformer,
    write_luke,
)

TEXT = "Patients on MVX and ketorol, and Babbage in New York , were discharged  MVX"
WORDS = [
    "Patients",
    "on",
    "MVX",
    "and",
    "ketorol",
    ",",
    "and",
    "Babbage",
    "in",
    "New York",
    ",",
    "were",
    "discharged",
    " ",
    "MVX",
]
ADDED = ["MVX", AddedToken("ketorol", lstrip=True), AddedToken("New York", rstrip=True)]
LABELS = {"id2label": {0: "NIL", 1: "DRUG"}, "label2id": {"NIL": 0, "DRUG": 1}}


def add_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase, model: nn.Module) -> None:
    """Give a tokenizer words and its model rows for them, which are far from the others."""
    tokenizer.add_tokens(ADDED)
    model.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        model.get_input_embeddings().weight[-len(ADDED) :] *= 20
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_luke_with_words(folder: Path, kind: Any, **changes: Any) -> Path:
    model = write_luke(folder, randomise(kind(luke_config(**changes))))
    add_tokens(folder, luke_tokenizer(folder), model)
    return folder


def write_mluke_with_words(folder: Path, kind: Any, **changes: Any) -> Path:
    model = write_mluke(folder, kind, **changes)
    add_tokens(folder, MLukeTokenizer.from_pretrained(folder), model)
    return folder


def write_longformer_with_words(folder: Path, kind: Any) -> Path:
    model = write_longformer(folder, randomise(LongformerForSequenceClassification(longformer_config())))
    add_tokens(folder, kind(str(folder / "vocab.json"), str(folder / "merges.txt")), model)
    return folder


NER = {"luke": (write_luke_with_words, LukeTokenizer, "en"), "mluke": (write_mluke_with_words, MLukeTokenizer, "xx")}


@pytest.mark.parametrize("kind", NER)
def test_span_logits_are_those_of_transformers(tmp_path, kind) -> None:
    write, tokenizer_class, lang = NER[kind]
    folder = write(tmp_path / kind, LukeForEntitySpanClassification, **LABELS)
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
    nlp = spacy_luke.from_checkpoint(folder, lang=lang, config={"windows": windows})
    doc = one_sentence(nlp.make_doc(TEXT)) if kind == "mluke" else _doc(nlp)
    [(spans, logits)] = nlp.get_pipe("luke_ner").logits([doc])
    tokenizer = tokenizer_class.from_pretrained(folder, task="entity_span_classification")
    chars = [(span.start_char, span.end_char) for span in spans]
    encoded = tokenizer(doc.text, entity_spans=chars, max_entity_length=len(chars), return_tensors="pt")
    names = tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
    assert {"MVX", "ketorol"} <= set(names)
    pieces = doc_pieces(doc, open_checkpoint(folder).tokenizer)
    assert pieces.pieces.ids.tolist() == encoded["input_ids"][0, 1:-1].tolist()
    model = LukeForEntitySpanClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(**encoded).logits[0].numpy()
    np.testing.assert_allclose(np.stack(logits), expected, atol=1e-3)


def _doc(nlp: Language) -> Any:
    """One sentence with a token that has a space in it."""
    doc = one_sentence(nlp.make_doc(TEXT))
    place = next(token.i for token in doc if token.text == "New")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[place : place + 2])
    assert [token.text for token in doc] == WORDS
    return doc


@pytest.mark.parametrize("kind", [LongformerTokenizer, LongformerTokenizerFast])
def test_text_logits_are_those_of_transformers(tmp_path, kind) -> None:
    folder = write_longformer_with_words(tmp_path / "longformer", kind)
    nlp = spacy_luke.from_checkpoint(folder)
    tokenizer = kind.from_pretrained(folder)
    assert {"MVX", "ketorol", "New York"} <= {name.strip() for name in tokenizer.tokenize(TEXT)}
    model = LongformerForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(**tokenizer(TEXT, return_tensors="pt")).logits[0].numpy()
    [(_, logits)] = nlp.get_pipe("luke_textcat").logits([nlp.make_doc(TEXT)])
    np.testing.assert_allclose(logits[0], expected, atol=1e-3)


def test_pair_logits_are_those_of_transformers_with_an_edge_inside_an_added_token(tmp_path) -> None:
    labels = {"id2label": {0: "no_relation", 1: "given"}, "label2id": {"no_relation": 0, "given": 1}}
    folder = write_luke_with_words(tmp_path / "luke", LukeForEntityPairClassification, **labels)
    nlp = spacy_luke.from_checkpoint(folder)
    pipe = nlp.get_pipe("luke_relations")
    doc = one_sentence(nlp.make_doc(TEXT))
    york = next(token.i for token in doc if token.text == "York")
    doc.set_ents([spacy.tokens.Span(doc, 2, 3, label="DRUG"), spacy.tokens.Span(doc, york, york + 1, label="GPE")])
    tokenizer = LukeTokenizer.from_pretrained(folder, task="entity_pair_classification")
    model = LukeForEntityPairClassification.from_pretrained(folder).eval()
    [(pairs, logits)] = pipe.logits([doc])
    assert len(pairs) == 2
    for (head, tail), row in zip(pairs, logits, strict=True):
        chars = [(span.start_char, span.end_char) for span in (head, tail)]
        encoded = tokenizer(doc.text, entity_spans=chars, return_tensors="pt")
        assert "New York" not in tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
        with torch.no_grad():
            np.testing.assert_allclose(row, model(**encoded).logits[0].numpy(), atol=1e-3)


def test_answers_begin_and_end_at_the_characters_of_added_tokens(tmp_path) -> None:
    folder = write_luke_with_words(tmp_path / "luke", LukeForQuestionAnswering)
    nlp = spacy_luke.from_checkpoint(folder)
    doc = nlp.make_doc(TEXT)
    doc._.questions = ["Who?"]
    [(windows, _)] = nlp.get_pipe("luke_qa").logits([doc])
    written = {TEXT[start:end].strip() for start, end in windows[0].chars.tolist() if start >= 0}
    assert {"MVX", "ketorol", "New York"} <= written


# Saving


@pytest.mark.parametrize("way", ["disk", "bytes"])
def test_a_saved_pipeline_finds_them_and_transformers_opens_it_with_the_same_pieces(tmp_path, way) -> None:
    folder = write_luke_with_words(tmp_path / "luke", LukeForEntitySpanClassification, **LABELS)
    nlp = spacy_luke.from_checkpoint(folder)
    expected = nlp.get_pipe("luke_ner").logits([_doc(nlp)])[0][1]
    if way == "disk":
        nlp.to_disk(tmp_path / "saved")
        again = spacy.load(tmp_path / "saved")
    else:
        again = spacy.blank("en")
        again.add_pipe("luke_ner")
        again.from_bytes(nlp.to_bytes())
        again.to_disk(tmp_path / "saved")
    np.testing.assert_array_equal(np.stack(again.get_pipe("luke_ner").logits([_doc(again)])[0][1]), np.stack(expected))
    theirs = LukeTokenizer.from_pretrained(tmp_path / "saved" / "luke_ner")
    ours = open_checkpoint(tmp_path / "saved" / "luke_ner").tokenizer
    assert theirs(TEXT, add_special_tokens=False)["input_ids"] == ours.encode_text(TEXT, ()).ids.tolist()


def test_a_model_without_rows_for_them_raises_l025(tmp_path) -> None:
    folder = tmp_path / "luke"
    write_luke(
        folder, randomise(LukeForEntitySpanClassification(luke_config(vocab_size=write_byte_rows(tmp_path), **LABELS)))
    )
    tokenizer = luke_tokenizer(folder)
    tokenizer.add_tokens(ADDED)
    tokenizer.save_pretrained(folder)
    with pytest.raises(LukeError, match=r"L025.*pieces up to id"):
        open_checkpoint(folder)


def write_byte_rows(folder: Path) -> int:
    """Rows for the pieces and two markers."""
    return write_byte_bpe(folder) + 2


# What tokens cut


def test_an_added_token_that_tokens_of_a_doc_cut_is_reported_once(tmp_path) -> None:
    folder = write_luke_with_words(tmp_path / "luke", LukeForEntitySpanClassification, **LABELS)
    nlp = spacy_luke.from_checkpoint(folder)
    with pytest.warns(LukeWarning, match=r"W034.*'New York'.*'New' and 'York'.*add_special_case"):
        nlp("MVX in New York")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp("MVX in New York")


@pytest.mark.parametrize("text", ["MVX and ketorol", "new york", "New  York", ""])
def test_nothing_is_reported_of_whole_tokens(tmp_path, text) -> None:
    tokenizer = open_checkpoint(
        write_luke_with_words(tmp_path / "luke", LukeForEntitySpanClassification, **LABELS)
    ).tokenizer
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        doc_pieces(spacy.blank("en")(text), tokenizer)


# Pretraining


def test_special_tokens_never_stand_for_masked_pieces(tmp_path) -> None:
    checkpoint = open_checkpoint(write_luke_with_words(tmp_path / "luke", LukeForEntitySpanClassification, **LABELS))
    tokenizer = checkpoint.tokenizer
    ordinary = set(MaskVocab.from_tokenizer(tokenizer, checkpoint.entity_vocab).ordinary.tolist())
    assert tokenizer.vocab["MVX"] in ordinary
    assert not ordinary & {tokenizer.vocab["<ent>"], tokenizer.vocab["<ent2>"], tokenizer.special.mask}
