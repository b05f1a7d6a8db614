"""`luke_token_classifier`: transformers' logits, entities and tags, and a defined result for every text."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import assume, given, settings
from spacy.tokens import Doc, Span, Token

import spacy_luke
from spacy_luke import extensions as package_extensions
from spacy_luke.annotations import get_tag
from spacy_luke.batching.pieces import doc_pieces
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.base.losses import softmax
from spacy_luke.pipeline.token_classifier.decoding import tagged_spans
from spacy_luke.pipeline.token_classifier.tag_scheme import TagScheme
from spacy_luke.tokenization.pieces import WordPieces
from tests.pipeline.longformer_model import cut, watch
from tests.pipeline.token_classifier.model import BILUO, CLASSES, POS, TEXT, reference_logits, write_tagger
from tests.tokenization.ugly import texts
from tests.util import restored

ENCODERS = list(CLASSES)
LONG = " ".join(f"{TEXT} In {year} Ada saw London." for year in range(1800, 1806))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {encoder: write_tagger(tmp_path_factory.mktemp(encoder), encoder, BILUO) for encoder in ENCODERS}


@pytest.fixture
def nlp(pipelines, encoder):
    """A pipeline; settings of its component that a test changes are restored."""
    with restored(pipelines[encoder].get_pipe("luke_token_classifier")):
        yield pipelines[encoder]


@pytest.fixture
def pipe(nlp):
    return nlp.get_pipe("luke_token_classifier")


def annotations(doc: Doc) -> list[tuple[int, int, str, float]]:
    return [(ent.start, ent.end, ent.label_, round(ent._.score, 4)) for ent in doc.ents]


def predict(pipe, monkeypatch, tags: str, doc: Doc, sure: float = 5.0) -> Doc:
    """Annotate a Doc as if these were the most probable tags of its words."""
    scored = pipe.predict([doc])
    scored[0].logits[:] = 0
    for row, tag in zip(scored[0].logits, tags.split(), strict=True):
        row[pipe.logit_labels.index(tag)] = sure
    monkeypatch.setattr(pipe, "predict", lambda docs: scored)
    return pipe(doc)


def pieces_of(pipe, doc: Doc) -> WordPieces:
    return doc_pieces(doc, pipe._require_weights().tokenizer).pieces


# Scores


def test_logits_equal_those_of_transformers(nlp, pipe, folders, encoder) -> None:
    doc = cut(nlp.make_doc(TEXT))
    [(tokens, logits)] = pipe.logits([doc])
    assert logits.dtype == np.float32
    expected = reference_logits(folders[encoder], pipe, doc)
    assert [token.i for token in tokens] == list(expected)
    assert not any(token.is_space for token in tokens)
    for row, token in zip(logits, tokens, strict=True):
        np.testing.assert_allclose(row, expected[token.i], atol=1e-4, err_msg=token.text)


@settings(max_examples=30)
@given(text=texts)
def test_logits_of_ugly_texts_are_those_of_transformers(pipelines, folders, text: str) -> None:
    assume(len(text.encode("utf8")) < 120)
    for encoder, nlp in pipelines.items():
        pipe = nlp.get_pipe("luke_token_classifier")
        doc = cut(nlp.make_doc(text))
        [(tokens, logits)] = pipe.logits([doc])
        words = [token.i for token in doc if not token.is_space]
        assert [token.i for token in tokens] == words, "every word has a label"
        if words:
            expected = reference_logits(folders[encoder], pipe, doc)
            for i, row in zip(words, logits, strict=True):
                np.testing.assert_allclose(row, expected[i], atol=1e-4)
        assert nlp(doc).text == text
        assert all(0 <= ent._.score <= 1 for ent in doc.ents)


def test_a_token_is_scored_where_most_is_seen_around_its_first_piece(nlp, pipe, folders, encoder) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=126, stride=94)
    doc = cut(nlp.make_doc(LONG))
    [(tokens, logits)] = pipe.logits([doc])
    assert len(tokens) == sum(not token.is_space for token in doc)
    pieces = pieces_of(pipe, doc)
    windows = [(start, min(start + 126, len(pieces.ids))) for start in range(0, len(pieces.ids) - 126 + 94, 94)]
    found = [reference_logits(folders[encoder], pipe, doc, *window) for window in windows]
    for token, row in zip(tokens, logits, strict=True):
        first = int(pieces.starts[token.i])
        best = int(np.argmax([min(first - a, b - first - 1) for a, b in windows]))
        np.testing.assert_allclose(row, found[best][token.i], atol=1e-4, err_msg=token.text)


def test_context_around_a_sentence_is_seen_if_wanted(nlp, pipe, folders, encoder) -> None:
    doc = cut(nlp.make_doc("Ada met Bo. He ran to London."), 4)
    for context, first in (("none", 4), ("document", 0)):
        pipe._windows_setting = spacy.registry.misc.get("spacy-luke.sentence_windows.v1")(context=context)
        [(tokens, logits)] = pipe.logits([doc])
        start = int(pieces_of(pipe, doc).starts[first])
        expected = reference_logits(folders[encoder], pipe, doc, start)
        np.testing.assert_allclose(logits[-1], expected[tokens[-1].i], atol=1e-4)


def test_the_default_windows_are_sentences_for_luke_and_documents_for_longformer(pipelines, monkeypatch) -> None:
    rows = {}
    for encoder, nlp in pipelines.items():
        batches = watch(nlp.get_pipe("luke_token_classifier"), monkeypatch)
        nlp(cut(nlp.make_doc("Ada met Bo. He ran."), 4))
        rows[encoder] = sum(batch.piece_ids.shape[0] for batch in batches)
    assert rows == {"luke": 2, "longformer": 1}


@pytest.mark.parametrize("budget", [1, 300])
def test_scores_do_not_depend_on_batches_or_other_docs(nlp, pipe, budget: int) -> None:
    docs = [cut(nlp.make_doc(text), 8) for text in (TEXT, LONG, "Ada met Bo.", "", TEXT[:40])]
    alone = [pipe.logits([doc])[0][1] for doc in docs]
    pipe.max_batch_pieces = budget
    for (_, found), expected in zip(pipe.logits(docs), alone, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pipe_gives_what_call_gives(nlp) -> None:
    def docs() -> list[Doc]:
        return [cut(nlp.make_doc(text), 3) for text in (TEXT, "", "  \n", LONG, "Ada met Bo in London.")]

    assert [annotations(doc) for doc in nlp.pipe(docs())] == [annotations(nlp(doc)) for doc in docs()]
    assert any(doc.ents for doc in nlp.pipe(docs()))


@pytest.mark.parametrize("text", ["", "  ", "\n\n\t"])
def test_a_doc_without_words_reaches_no_encoder(nlp, pipe, monkeypatch, text: str) -> None:
    batches = watch(pipe, monkeypatch)
    doc = nlp(cut(nlp.make_doc(text)))
    assert (doc.text, doc.ents, batches) == (text, (), [])


def test_a_token_longer_than_a_window_and_its_neighbours_have_labels(nlp, pipe) -> None:
    doc = Doc(nlp.vocab, words=["Ada", "☃" * 200, "London"], sent_starts=[True, False, False])
    [(tokens, logits)] = pipe.logits([doc])
    assert [token.i for token in tokens] == [0, 1, 2]
    assert np.abs(logits).max(axis=1).min() > 0


def test_only_windows_of_sentences_want_sentences(pipelines) -> None:
    doc = pipelines["luke"].make_doc("Ada met Bo")
    with pytest.warns(LukeWarning, match="W002"):
        pipelines["luke"](doc)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        pipelines["longformer"](pipelines["longformer"].make_doc("Ada met Bo"))


# Entities


def test_tags_become_entities_whose_score_is_the_product_of_theirs(nlp, pipe, monkeypatch) -> None:
    doc = predict(pipe, monkeypatch, "U-PER O B-PER L-PER I-LOC O", cut(nlp.make_doc("Ada met Charles Babbage here .")))
    probability = float(softmax(np.array([5.0] + [0.0] * (len(BILUO) - 1)))[0])
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == [(0, 1, "PER"), (2, 4, "PER"), (4, 5, "LOC")]
    assert [ent._.score for ent in doc.ents] == pytest.approx([probability, probability**2, probability])
    group = doc.spans["luke_token_classifier"]
    assert [(span.start, span.end, span.label_) for span in group] == [(e.start, e.end, e.label_) for e in doc.ents]
    assert group.attrs["scores"] == [ent._.score for ent in doc.ents]


@pytest.mark.parametrize("overwrite", [False, True])
def test_blocked_tokens_are_in_no_entity_and_stay_blocked(nlp, pipe, monkeypatch, overwrite) -> None:
    pipe.overwrite = overwrite
    doc = cut(nlp.make_doc("Ada met Charles Babbage here ."))
    doc.set_ents([], blocked=[doc[3:4]], default="missing")
    doc = predict(pipe, monkeypatch, "U-PER O B-PER L-PER U-LOC O", doc)
    assert [(ent.start, ent.end) for ent in doc.ents] == [(0, 1), (4, 5)]
    assert [(token.ent_iob_, token.ent_type_) for token in doc[2:4]] == [("O", ""), ("B", "")]


def test_an_entity_ends_with_its_sentence(nlp, pipe, monkeypatch) -> None:
    doc = predict(pipe, monkeypatch, "O B-PER I-PER I-PER L-PER O", cut(nlp.make_doc("x Ada Bo Cy Di x"), 3))
    assert [(ent.start, ent.end) for ent in doc.ents] == [(1, 3), (3, 5)]


def test_white_space_inside_an_entity_belongs_to_it_and_beside_it_does_not(nlp, pipe, monkeypatch) -> None:
    words = ["\n", "São", "\n\n", "Paulo", " \n", "Ada"]
    doc = Doc(nlp.vocab, words=words, sent_starts=[True] + [False] * 5)
    doc = predict(pipe, monkeypatch, "B-LOC L-LOC U-PER", doc)
    assert [(ent.start, ent.end) for ent in doc.ents] == [(1, 4), (5, 6)]
    assert [token.ent_iob_ for token in doc] == ["O", "B", "I", "I", "O", "B"]


def test_existing_entities_stay_and_win_unless_overwritten(nlp, pipe, monkeypatch) -> None:
    def doc() -> Doc:
        made = cut(nlp.make_doc("Ada met Bo"))
        made.set_ents([Span(made, 1, 3, label="MINE")])
        return made

    found = predict(pipe, monkeypatch, "U-PER B-PER L-PER", doc())
    assert [(ent.start, ent.end, ent.label_) for ent in found.ents] == [(0, 1, "PER"), (1, 3, "MINE")]
    assert [span.text for span in found.spans["luke_token_classifier"]] == ["Ada"]
    pipe.overwrite = True
    assert [(ent.start, ent.label_) for ent in pipe(doc()).ents] == [(0, "PER"), (1, "PER")]


def test_unsure_entities_are_left_out_from_a_threshold_on(nlp, pipe, monkeypatch) -> None:
    pipe.threshold = 0.92
    doc = predict(pipe, monkeypatch, "U-PER O B-PER L-PER", cut(nlp.make_doc("Ada met Bo Cy")), sure=5.0)
    assert [ent.start for ent in doc.ents] == [0], "0.949 is enough, 0.900 is not"


def test_a_probability_equal_to_the_threshold_is_enough(nlp, pipe) -> None:
    [scored] = pipe.predict([nlp.make_doc("Ada met Bo")])
    scored.logits[:] = 0
    scored.logits[0, pipe.logit_labels.index("U-PER")] = 5
    scored.logits[1:, pipe.logit_labels.index("O")] = 5
    scheme = TagScheme.find(pipe.logit_labels)
    assert scheme is not None
    [sure] = tagged_spans(scored, scheme, 0.0).probabilities.tolist()
    assert len(tagged_spans(scored, scheme, sure).spans) == 1
    assert len(tagged_spans(scored, scheme, math.nextafter(sure, 1)).spans) == 0


# Tags


@pytest.fixture(scope="module")
def tagger_folder(tmp_path_factory) -> Path:
    return write_tagger(tmp_path_factory.mktemp("pos"), "luke", POS)


@pytest.mark.parametrize(("attribute", "written"), [(None, "luke_tag"), ("tag", "tag_"), ("pos", "pos_")])
def test_labels_that_are_no_tags_of_entities_are_tags_of_tokens(tagger_folder, attribute, written: str) -> None:
    nlp = spacy_luke.from_checkpoint(tagger_folder, config={"attribute": attribute})
    pipe = nlp.get_pipe("luke_token_classifier")
    doc = nlp(f" {TEXT}")
    [(tokens, logits)] = pipe.logits([doc])
    place = {i: POS[row.argmax()] for i, row in zip([token.i for token in tokens], logits, strict=True)}
    for token in doc:
        holder = token._ if written == "luke_tag" else token
        assert (getattr(holder, written) or None) == place.get(token.i)
    assert len(set(place.values())) > 1
    assert not doc.ents
    assert not doc.spans


def test_tags_stay_unless_overwritten_and_unsure_ones_are_none(tagger_folder) -> None:
    nlp = spacy_luke.from_checkpoint(tagger_folder)
    pipe = nlp.get_pipe("luke_token_classifier")
    doc = nlp.make_doc("Ada met Bo")
    doc[0]._.luke_tag = "MINE"
    assert nlp(doc)[0]._.luke_tag == "MINE"
    assert doc[1]._.luke_tag in POS
    pipe.threshold, pipe.overwrite = 1.0, True
    assert [token._.luke_tag for token in nlp(doc)] == [None] * 3


def test_a_tag_with_a_probability_equal_to_the_threshold_is_written(tagger_folder) -> None:
    nlp = spacy_luke.from_checkpoint(tagger_folder)
    pipe = nlp.get_pipe("luke_token_classifier")
    [(_, [row])] = pipe.logits([nlp.make_doc("Ada")])
    pipe.threshold = float(softmax(row).max())
    assert nlp("Ada")[0]._.luke_tag == POS[row.argmax()]
    pipe.threshold = math.nextafter(pipe.threshold, 1)
    assert nlp("Ada")[0]._.luke_tag is None


@pytest.mark.parametrize("labels", [["O", "PER", "LOC"], ["O", "COMMA"]])
def test_labels_without_prefix_are_entities_only_if_one_says_so(tmp_path, labels: list[str]) -> None:
    folder = write_tagger(tmp_path, "luke", labels)
    plain = spacy_luke.from_checkpoint(folder).get_pipe("luke_token_classifier")
    assert (plain.attribute, plain.label_data) == ("luke_tag", tuple(labels))
    nlp = spacy_luke.from_checkpoint(folder, config={"attribute": "ents"})
    assert nlp.get_pipe("luke_token_classifier").label_data == tuple(labels[1:])
    doc = nlp(TEXT)
    assert {ent.label_ for ent in doc.ents} <= set(labels[1:])
    assert doc.ents


def test_labels_that_do_not_suit_the_attribute_are_errors(tagger_folder, folders) -> None:
    for config, folder, match in (
        ({"attribute": "ents"}, tagger_folder, r"L058.*ADJ, NOUN.*luke_tag"),
        ({"attribute": "pos"}, folders["luke"], r"L059.*B-LOC"),
    ):
        pipe = spacy.blank("en").add_pipe("luke_token_classifier", config=config)
        with pytest.raises(LukeError, match=match):
            pipe.load_checkpoint(folder)
        assert not pipe.has_weights


@pytest.mark.parametrize(
    "config", [{"attribute": "lemma"}, {"scheme": "IOB3"}, {"threshold": 1.5}, {"max_batch_pieces": 0}]
)
def test_wrong_settings_are_named(config: dict) -> None:
    with pytest.raises(LukeError, match=f"L047.*{next(iter(config))}"):
        spacy.blank("en").add_pipe("luke_token_classifier", config=config)


def test_a_component_without_weights_says_so() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_token_classifier")
    with pytest.raises(LukeError, match=r"L040.*luke_token_classifier"):
        nlp("Ada met Bo")


def test_another_packages_tag_is_left_alone(tagger_folder, monkeypatch) -> None:
    nlp = spacy_luke.from_checkpoint(tagger_folder)
    monkeypatch.setattr(package_extensions, "_ours", set(package_extensions._ours) - {(Token, "luke_tag")})
    saved = Token.get_extension("luke_tag")
    Token.set_extension("luke_tag", getter=lambda token: "theirs", force=True)
    try:
        with pytest.warns(LukeWarning, match=r"W004.*Token.*luke_tag.*token_classifier.test_predict"):
            package_extensions.register_extensions()
        doc = nlp("Ada met Bo")
        assert {token._.luke_tag for token in doc} == {"theirs"}
        assert all(get_tag(token) in POS for token in doc)
    finally:
        Token.set_extension("luke_tag", getter=saved[2], setter=saved[3], force=True)


# Saving


def check_same(nlp, other) -> None:
    docs = [cut(made.make_doc(TEXT), 8) for made in (nlp, other)]
    [(_, expected)], [(_, found)] = (
        made.get_pipe("luke_token_classifier").logits([doc]) for made, doc in zip((nlp, other), docs, strict=True)
    )
    np.testing.assert_array_equal(found, expected)
    assert annotations(other(docs[1])) == annotations(nlp(docs[0]))


def test_a_saved_pipeline_gives_the_same(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path)
    check_same(nlp, spacy.load(tmp_path))


def test_a_pipeline_goes_through_bytes(nlp) -> None:
    other = spacy.util.load_model_from_config(nlp.config, auto_fill=True)
    check_same(nlp, other.from_bytes(nlp.to_bytes()))


def test_a_saved_component_is_a_checkpoint_that_transformers_opens(nlp, pipe, folders, encoder, tmp_path) -> None:
    pipe.to_disk(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [CLASSES[encoder].__name__]
    assert config["id2label"] == {str(i): label for i, label in enumerate(BILUO)}
    doc = cut(nlp.make_doc(TEXT))
    ours, theirs = (reference_logits(folder, pipe, doc) for folder in (tmp_path, folders[encoder]))
    for i, row in theirs.items():
        np.testing.assert_allclose(ours[i], row, atol=1e-6)
    check_same(nlp, spacy_luke.from_checkpoint(tmp_path, sentences=None))


def test_entities_of_bare_labels_are_saved_as_such_and_a_wrong_attribute_is_named(tmp_path) -> None:
    folder = write_tagger(tmp_path / "in", "luke", ["O", "PER", "LOC"])
    nlp = spacy_luke.from_checkpoint(folder, config={"attribute": "ents"})
    nlp.get_pipe("luke_token_classifier").to_disk(tmp_path / "out")
    again = spacy_luke.from_checkpoint(tmp_path / "out")
    assert [annotations(made(TEXT)) for made in (nlp, again)] == [annotations(nlp(TEXT))] * 2
    file = tmp_path / "out" / "config.json"
    config = json.loads(file.read_text())
    for attribute, labels, match in (("lemma", "O PER LOC", r"L004.*lemma"), ("ents", "X PER LOC", "L058")):
        config["spacy_luke"]["attribute"] = attribute
        config["id2label"] = dict(enumerate(labels.split()))
        file.write_text(json.dumps(config))
        with pytest.raises(LukeError, match=match):
            spacy_luke.from_checkpoint(tmp_path / "out")


def test_the_attribute_is_saved_with_the_weights(tagger_folder, tmp_path) -> None:
    nlp = spacy_luke.from_checkpoint(tagger_folder, config={"attribute": "pos"})
    nlp.get_pipe("luke_token_classifier").to_disk(tmp_path)
    assert spacy_luke.from_checkpoint(tmp_path).get_pipe("luke_token_classifier").attribute == "pos"
