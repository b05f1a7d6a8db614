"""mLUKE: a checkpoint with a SentencePiece model, texts in many scripts, titles with their language."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from spacy.language import Language
from spacy.tokens import Doc, Span
from transformers import (
    AutoTokenizer,
    LukeForEntityPairClassification,
    LukeForEntitySpanClassification,
    LukeForQuestionAnswering,
    LukeModel,
    MLukeTokenizer,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

import spacy_luke
from spacy_luke.batching.pieces import doc_pieces
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.upcycle_folder import upcycle_folder
from tests.mluke_model import SCRIPTS, TITLES, write_mluke
from tests.pipeline.entity_markers.model import one_sentence
from tests.tokenization.ugly import words
from tests.util import randomise

LABELS = {"id2label": {0: "NIL", 1: "LOC", 2: "PER"}, "label2id": {"NIL": 0, "LOC": 1, "PER": 2}}
RELATIONS = {"id2label": {0: "no_relation", 1: "met"}, "label2id": {"no_relation": 0, "met": 1}}


@pytest.fixture(scope="module")
def ner(tmp_path_factory) -> tuple[Path, Language]:
    """A checkpoint and its pipeline, whose windows have no context."""
    folder = tmp_path_factory.mktemp("mluke_ner")
    write_mluke(folder, LukeForEntitySpanClassification, **LABELS)
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
    return folder, spacy_luke.from_checkpoint(folder, lang="xx", config={"windows": windows})


@pytest.fixture(scope="module")
def qa(tmp_path_factory) -> Language:
    folder = tmp_path_factory.mktemp("mluke_qa")
    write_mluke(folder, LukeForQuestionAnswering)
    return spacy_luke.from_checkpoint(folder, lang="xx")


def mluke_tokenizer(folder: Path, task: str | None = None) -> MLukeTokenizer:
    return MLukeTokenizer.from_pretrained(folder, task=task)


def test_the_folder_has_only_a_sentencepiece_model(ner) -> None:
    folder, _ = ner
    assert {path.name for path in folder.iterdir()} >= {"sentencepiece.bpe.model", "added_tokens.json"}
    assert not (folder / "tokenizer.json").exists()
    tokenizer = open_checkpoint(folder).tokenizer
    theirs = mluke_tokenizer(folder)
    assert tokenizer.vocab == theirs.get_vocab()
    assert [tokenizer.special.bos, tokenizer.special.pad, tokenizer.special.eos, tokenizer.special.unk] == [0, 1, 2, 3]


# Pieces


@pytest.mark.parametrize("text", SCRIPTS)
def test_words_have_the_pieces_of_mluke_tokenizer(ner, text) -> None:
    """Given all words as entities, it cuts the text at each."""
    folder, nlp = ner
    doc = nlp.make_doc(text)
    theirs = mluke_tokenizer(folder, "entity_span_classification")(text, entity_spans=[chars(token) for token in doc])
    pieces = doc_pieces(doc, nlp.get_pipe("luke_ner")._require_weights().tokenizer).pieces
    assert [0, *pieces.ids.tolist(), 2] == theirs["input_ids"]
    assert (pieces.starts + 1).tolist() == theirs["entity_start_positions"]
    assert pieces.ends.tolist() == theirs["entity_end_positions"]
    assert 3 not in pieces.ids.tolist()


def chars(token) -> tuple[int, int]:
    return token.idx, token.idx + len(token)


@pytest.mark.parametrize("text", SCRIPTS)
def test_pieces_know_their_characters(ner, text) -> None:
    """Each range of characters is normalised to its pieces, and no character is in none."""
    folder, _ = ner
    tokenizer, theirs = open_checkpoint(folder).tokenizer, mluke_tokenizer(folder)
    encoded, data = tokenizer.encode_text(text, []), text.encode("utf8")
    joined: dict[tuple[int, int], str] = {}
    for identifier, (start, end) in zip(encoded.ids.tolist(), encoded.byte_spans.tolist(), strict=True):
        joined[start, end] = joined.get((start, end), "") + tokenizer.strings[identifier]
    assert sorted(joined) == list(joined)
    for (start, end), pieces in joined.items():
        part = data[start:end].decode("utf8")
        normal = "".join(theirs.tokenize(part)).replace("\u2581", "")
        assert normal in pieces.replace("\u2581", "") or pieces.replace("\u2581", "") in normal
    covered = {i for start, end in joined for i in range(start, end)}
    assert all(data[i : i + 1].isspace() for i in set(range(len(data))) - covered)


# Components


@pytest.mark.parametrize("text", SCRIPTS)
def test_luke_ner_equals_transformers(ner, text) -> None:
    folder, nlp = ner
    model = LukeForEntitySpanClassification.from_pretrained(folder).eval()
    doc = one_sentence(nlp.make_doc(text))
    [(spans, logits)] = nlp.get_pipe("luke_ner").logits([doc])
    encoded = mluke_tokenizer(folder, "entity_span_classification")(
        text,
        entity_spans=[(span.start_char, span.end_char) for span in spans],
        max_entity_length=len(spans),
        return_tensors="pt",
    )
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(**encoded).logits[0].numpy(), atol=1e-4)
    longest = (encoded["entity_end_positions"] - encoded["entity_start_positions"]).max() + 1
    assert longest <= 16
    assert len(spans) >= len(doc)


@pytest.mark.parametrize("bias", [False, True])
def test_luke_relations_equals_transformers_but_for_the_bias_that_it_ignores(tmp_path, bias) -> None:
    model = write_mluke(tmp_path, LukeForEntityPairClassification, classifier_bias=bias, **RELATIONS)
    values = torch.zeros(2)
    if bias:
        values = torch.tensor([0.5, -0.25])
        model.classifier.bias = torch.nn.Parameter(values)
        model.save_pretrained(tmp_path)
    nlp = spacy_luke.from_checkpoint(tmp_path, lang="xx", sentences=None)
    reference = LukeForEntityPairClassification.from_pretrained(tmp_path).eval()
    tokenizer = mluke_tokenizer(tmp_path, "entity_pair_classification")
    for text in SCRIPTS:
        doc = one_sentence(nlp.make_doc(text))
        doc.set_ents([Span(doc, 0, 1, "X"), Span(doc, len(doc) - 1, len(doc), "X")])
        [(pairs, logits)] = nlp.get_pipe("luke_relations").logits([doc])
        for (head, tail), row in zip(pairs, logits, strict=True):
            spans = [(head.start_char, head.end_char), (tail.start_char, tail.end_char)]
            with torch.no_grad():
                expected = reference(**tokenizer(text, entity_spans=spans, return_tensors="pt")).logits[0] + values
            np.testing.assert_allclose(row, expected.numpy(), atol=1e-4)
        assert len(pairs) == 2


def test_titles_have_their_language(qa) -> None:
    """ "ja:日本" is the entity "en:Japan"; "Japan" is not known."""
    pipe = qa.get_pipe("luke_qa")
    vocab = pipe._require_weights().entity_vocab
    assert vocab["en:Japan"] == vocab["ja:\u65e5\u672c"] == 3
    assert vocab["Japan"] == vocab["[UNK]"] == 2
    logits = {}
    for title in ("en:Japan", "ja:\u65e5\u672c", "Japan", ""):
        doc = qa.make_doc(SCRIPTS[1])
        doc._.questions = ["Tokyo?"]
        doc.set_ents([Span(doc, 2, 3, "LOC", kb_id=title)])
        [(_, rows)] = pipe.logits([doc])
        logits[title] = rows[0]
    assert np.array_equal(logits["en:Japan"], logits["ja:\u65e5\u672c"])
    assert np.array_equal(logits["Japan"], logits[""])
    assert np.abs(logits["en:Japan"] - logits["Japan"]).max() > 1e-3


@settings(max_examples=60)
@given(items=words)
def test_no_word_is_lost_whatever_the_text(ner, items) -> None:
    _, nlp = ner
    items = [(word, space) for word, space in items if word][:8]
    doc = one_sentence(Doc(nlp.vocab, words=[word for word, _ in items], spaces=[space for _, space in items]))
    pipe = nlp.get_pipe("luke_ner")
    [(spans, logits)] = pipe.logits([doc])
    pieces = doc_pieces(doc, pipe._require_weights().tokenizer).pieces
    short = {t.i for t in doc if not t.is_space and pieces.ends[t.i] - pieces.starts[t.i] <= 16}
    assert {span.start for span in spans if len(span) == 1} == short
    assert all(pieces.ends[t.i] > pieces.starts[t.i] for t in doc if not t.is_space)
    assert np.isfinite(logits).all()


@settings(max_examples=60)
@given(items=words)
def test_answers_lie_in_the_text(qa, items) -> None:
    items = [(word, space) for word, space in items if word][:8]
    doc = Doc(qa.vocab, words=[word for word, _ in items], spaces=[space for _, space in items])
    if len(doc):
        for answer in qa.get_pipe("luke_qa").answer(doc, "Who?", n_best=5):
            assert answer.span is None or (answer.text in doc.text and answer.text in answer.span.text)


# Saving


def test_a_saved_component_is_opened_by_transformers_and_again(ner, tmp_path) -> None:
    folder, nlp = ner
    nlp.to_disk(tmp_path / "saved")
    saved = tmp_path / "saved" / "luke_ner"
    theirs = AutoTokenizer.from_pretrained(saved)
    assert isinstance(theirs, MLukeTokenizer)
    assert theirs(SCRIPTS[0])["input_ids"] == mluke_tokenizer(folder)(SCRIPTS[0])["input_ids"]
    assert LukeForEntitySpanClassification.from_pretrained(saved).config.id2label == LABELS["id2label"]
    loaded = spacy.load(tmp_path / "saved")
    for text in SCRIPTS:
        docs = [one_sentence(pipeline.make_doc(text)) for pipeline in (nlp, loaded)]
        [(_, before)] = nlp.get_pipe("luke_ner").logits(docs[:1])
        [(_, after)] = loaded.get_pipe("luke_ner").logits(docs[1:])
        np.testing.assert_array_equal(before, after)


def test_an_xlm_r_with_only_a_sentencepiece_model_is_upcycled(tmp_path) -> None:
    """Its markers come after the pieces, and transformers reads the folder that is written."""
    write_mluke(tmp_path / "in", LukeModel)
    for name in ("entity_vocab.json", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"):
        (tmp_path / "in" / name).unlink()
    reference = XLMRobertaTokenizer(str(tmp_path / "in" / "sentencepiece.bpe.model"))
    size = len(reference)
    config = XLMRobertaConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    randomise(XLMRobertaModel(config)).save_pretrained(tmp_path / "in")
    upcycle_folder(tmp_path / "in", tmp_path / "out")
    checkpoint = open_checkpoint(tmp_path / "out")
    assert (checkpoint.tokenizer.vocab["<ent>"], checkpoint.tokenizer.vocab["<ent2>"]) == (size, size + 1)
    for text in SCRIPTS:
        assert [0, *checkpoint.tokenizer.encode_text(text, []).ids.tolist(), 2] == reference(text)["input_ids"]
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs("Ada met <ent>Babbage")["input_ids"][-1] == 2
    assert theirs("Ada met <ent>Babbage")["input_ids"].count(size) == 1
    assert json.loads((tmp_path / "out" / "entity_vocab.json").read_text()).keys() >= set(list(TITLES)[:3])
