"""`luke_relations` and `luke_entity_typer`: what is scored, and what is seen with it. Nothing is lost unsaid."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

import spacy_luke
from spacy_luke import has_annotation
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.relations.component import LukeRelations
from tests.pipeline.entity_markers.model import (
    ENTITY,
    PAIR,
    TEXT,
    one_sentence,
    open_reference,
    reference_logits,
    with_ents,
    write_checkpoint,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("pairs"), PAIR)


@pytest.fixture(scope="module")
def typer_checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("entities"), ENTITY)


@pytest.fixture(scope="module")
def typer(typer_checkpoint):
    return spacy_luke.from_checkpoint(typer_checkpoint, config={"spans_key": "sc"}).get_pipe("luke_entity_typer")


@pytest.fixture(scope="module")
def reference(checkpoint):
    return open_reference(checkpoint, PAIR)


_MADE: dict = {}


def pipeline(checkpoint, pairs=None, **config):
    """A pipeline and its component; each is made once and must not be changed."""
    if pairs is not None:
        config["pairs"] = {"@misc": "spacy-luke.entity_pairs.v1", **pairs}
    key = (checkpoint, repr(config))
    if key not in _MADE:
        _MADE[key] = spacy_luke.from_checkpoint(checkpoint, config=config)
    return _MADE[key], _MADE[key].get_pipe("luke_relations")


def windows(max_pieces: int = 510, context: str = "none") -> dict:
    return {"@misc": "spacy-luke.sentence_windows.v1", "max_pieces": max_pieces, "context": context}


def texts(items) -> list[tuple[str, ...]]:
    return [tuple(span.text for span in pair) for pair in items]


# Candidates


def test_all_ordered_pairs_of_a_sentence_are_scored(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint)
    doc = nlp.get_pipe("sentencizer")(with_ents(nlp.make_doc(TEXT)))
    [(items, logits)] = pipe.logits([doc])
    assert len(items) == 3 * 2 + 2 * 1
    assert logits.shape == (8, 4)
    assert texts(items)[:2] == [("Ada Lovelace", "Charles Babbage"), ("Charles Babbage", "Ada Lovelace")]


def test_pairs_across_sentences_are_seen_with_their_sentences(checkpoint, reference) -> None:
    nlp, pipe = pipeline(checkpoint, {"across_sentences": True})
    doc = nlp.get_pipe("sentencizer")(with_ents(nlp.make_doc(TEXT)))
    [(items, logits)] = pipe.logits([doc])
    assert len(items) == 5 * 4
    for pair, row in zip(items, logits, strict=True):
        if pair[0].sent != pair[1].sent:
            np.testing.assert_allclose(row, reference_logits(reference, TEXT, pair), atol=1e-4)


def test_document_context_shows_the_other_sentences(checkpoint, reference) -> None:
    nlp, pipe = pipeline(checkpoint, windows=windows(context="document"))
    doc = nlp.get_pipe("sentencizer")(with_ents(nlp.make_doc(TEXT)))
    [(items, logits)] = pipe.logits([doc])
    assert len(items) == 8
    for pair, row in zip(items, logits, strict=True):
        np.testing.assert_allclose(row, reference_logits(reference, TEXT, pair), atol=1e-4)


def test_any_function_may_choose_the_pairs(checkpoint, reference) -> None:
    @spacy.registry.misc("tests.first_and_last.v1")
    def build():
        def pairs(doc: Doc):
            yield from ((doc[0:2], doc[i : i + 1]) for i in (6, 6, 8))
            yield doc[6:7], doc[0:2]

        return pairs

    nlp, pipe = pipeline(checkpoint, {"@misc": "tests.first_and_last.v1"})
    doc = one_sentence(nlp.make_doc(TEXT))
    [(items, logits)] = pipe.logits([doc])
    expected = [("Ada Lovelace", "London"), ("Ada Lovelace", "Élodie"), ("London", "Ada Lovelace")]
    assert texts(items) == expected, "each pair once, and as it is"
    for i in (1, 2):
        np.testing.assert_allclose(logits[i], reference_logits(reference, TEXT, items[i]), atol=1e-4)


@pytest.mark.parametrize(
    ("code", "pairs"),
    [
        ("L071.*head.*not a spaCy Span", lambda doc: [(0, 1)]),
        ("L071.*tail.*not a spaCy Span", lambda doc: [(doc[0:1], "Babbage")]),
        ("L071.*head.*not a spaCy Span", lambda doc: [7]),
        ("L071.*empty", lambda doc: [(doc[0:1], doc[2:2])]),
        ("L071.*another Doc", lambda doc: [(doc[0:1], doc.copy()[1:2])]),
        ("L071.*pair getter, None,.*no list of pairs", lambda doc: None),
    ],
)
def test_what_is_no_pair_is_an_error(checkpoint, monkeypatch, code: str, pairs) -> None:
    nlp, pipe = pipeline(checkpoint)
    monkeypatch.setattr(pipe, "pairs", pairs)
    with pytest.raises(LukeError, match=code):
        pipe.logits([one_sentence(nlp.make_doc(TEXT))])


def test_pairs_must_be_a_function() -> None:
    model = spacy.blank("en").add_pipe("luke_relations").model
    settings = {"windows": None, "max_mention_pieces": 30, "multi_label": None, "threshold": None, "symmetric": []}
    settings |= {
        "markers": None,
        "label_thresholds": [],
        "max_negatives": None,
        "negative_label": None,
        "directed_labels": None,
        "single_tail": None,
        "max_batch_pieces": 4096,
        "max_doc_pieces": None,
        "scorer": None,
    }
    with pytest.raises(LukeError, match=r"L047.*pairs = \[\]"):
        LukeRelations(Vocab(), model, "luke_relations", pairs=[], **settings)


def test_spans_that_overlap_are_marked_and_seen_whole(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint, {"spans_key": "sc"})
    doc = one_sentence(nlp.make_doc(TEXT))
    doc.spans["sc"] = [doc[0:5], doc[3:5], doc[4:7], Span(doc, 3, 5, label="X")]
    [(items, logits)] = pipe.logits([doc])
    assert len(items) == 12
    assert len({row.tobytes() for row in logits}) == 6 + 1, "the labels of spans are not seen"
    inside = next(i for i, pair in enumerate(texts(items)) if pair == ("Charles Babbage", "Charles Babbage"))
    assert np.isfinite(logits[inside]).all()


# Bad input


def test_no_entity_one_entity_and_no_token(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint)
    docs = [*map(nlp.make_doc, ("", "   ", TEXT)), with_ents(nlp.make_doc(TEXT), [(0, 2, "PER")])]
    docs = [one_sentence(doc) for doc in docs]
    for (items, logits), doc in zip(pipe.logits(docs), docs, strict=True):
        assert items == []
        assert logits.shape == (0, 4)
        done = nlp(doc)
        assert done._.relations == ()
        assert has_annotation(done, "relations"), "none found"


def test_entities_over_a_sentence_end_are_in_pairs_across_sentences(checkpoint) -> None:
    for across, count in ((False, 0), (True, 2)):
        nlp, pipe = pipeline(checkpoint, {"across_sentences": across})
        doc = with_ents(nlp.make_doc(TEXT), [(0, 2, "PER"), (6, 10, "LOC")])
        doc[8].is_sent_start = True
        assert len(pipe.logits([doc])[0][0]) == count


def test_spans_of_white_space_are_reported(checkpoint, typer) -> None:
    nlp, pipe = pipeline(checkpoint, {"spans_key": "sc"})
    doc = one_sentence(Doc(nlp.vocab, words=["Ada", "\n\n", "Bo"]))
    doc.spans["sc"] = [doc[0:1], doc[1:2], doc[1:3]]
    with pytest.warns(LukeWarning, match=r"W014.*luke_relations.*4 pairs.*4 white space only"):
        [(items, _)] = pipe.logits([doc])
    assert texts(items) == [("Ada", "\n\n Bo"), ("\n\n Bo", "Ada")]
    with pytest.warns(LukeWarning, match=r"W014.*luke_entity_typer.*1 spans.*1 white space only"):
        [(spans, _)] = typer.logits([doc])
    assert [span.start for span in spans] == [0, 1]


def test_empty_spans_are_an_error(checkpoint, typer) -> None:
    nlp, pipe = pipeline(checkpoint, {"spans_key": "sc"})
    doc = one_sentence(nlp.make_doc(TEXT))
    doc.spans["sc"] = [doc[0:1], doc[3:3]]
    for component in (pipe, typer):
        with pytest.raises(LukeError, match=r"L045.*\(3, 3\)"):
            component.logits([doc])


# Long texts

FILLER = "the engine is for what they know "


def long_doc(nlp, words_between: int) -> Doc:
    words = ["Ada", *(FILLER.split() * 40)[:words_between], "Babbage", *(FILLER.split() * 40)[:200]]
    return one_sentence(
        with_ents(Doc(nlp.vocab, words=words), [(0, 1, "A"), (words_between + 1, words_between + 2, "B")])
    )


def test_a_long_sentence_is_cut_around_the_pair(checkpoint, reference) -> None:
    nlp, pipe = pipeline(checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        [(items, logits)] = pipe.logits([long_doc(nlp, 15)])
    assert len(items) == 2
    spans = [(span.start_char, span.end_char) for span in items[0]]
    doc = items[0][0].doc
    end = len(doc)
    while len(reference[1](doc[:end].text, entity_spans=spans)["input_ids"]) > 128:
        end -= 1
    np.testing.assert_allclose(logits[0], reference_logits(reference, doc[:end].text, items[0]), atol=1e-4)


def test_a_pair_that_no_window_holds_is_reported_and_has_no_logits(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint)
    near, far = long_doc(nlp, 5), long_doc(nlp, 200)
    with pytest.warns(LukeWarning, match=r"W014.*luke_relations.*2 pairs.*2 too far apart for a window"):
        (near_items, near_logits), (far_items, far_logits) = pipe.logits([near, far])
    assert (len(near_items), near_logits.shape) == (2, (2, 4))
    assert (far_items, far_logits.shape) == ([], (0, 4))
    with pytest.warns(LukeWarning, match="W014"):
        done = pipe(far)
    assert done._.relations == ()


def test_entities_at_the_end_of_long_docs_are_not_lost(checkpoint) -> None:
    nlp, pipe = pipeline(checkpoint, {"max_pairs": 20_000}, windows=windows(30), max_doc_pieces=None)
    words = ("Ada met Babbage in London . " * 60).split()
    doc = with_ents(Doc(nlp.vocab, words=words), [(i, i + 1, "X") for i, w in enumerate(words) if w[0] in "ABL"])
    for token in doc:
        token.is_sent_start = token.i % 120 == 0  # sentences longer than a window
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        [(items, _)] = pipe.logits([doc])
    expected = 3 * 20 * (3 * 20 - 1) * 3
    [message] = {str(w.message) for w in caught if "W014" in str(w.message)} or [""]
    left_out = int(message.split(": ")[1].split()[0])
    assert len(items) + left_out == expected
    assert {len(doc) - 2} <= {span.start for pair in items for span in pair}


def test_a_mention_longer_than_a_window_is_reported(typer) -> None:
    doc = one_sentence(Doc(typer.vocab, words=FILLER.split() * 40))
    doc.spans["sc"] = [doc[0:3], doc[3:200]]
    with pytest.warns(LukeWarning, match=r"W014.*luke_entity_typer.*1 spans.*1 too long for a window"):
        [(spans, logits)] = typer.logits([doc])
    assert [span.start for span in spans] == [0]
    assert logits.shape == (1, 4)


def test_a_row_that_its_own_cuts_make_too_long_is_reported(typer, monkeypatch) -> None:
    from spacy_luke.pipeline.entity_markers import markers

    monkeypatch.setattr(markers, "marked_row", lambda passage, vocab: None)
    doc = one_sentence(typer.vocab and Doc(typer.vocab, words=["Ada"]))
    doc.spans["sc"] = [doc[0:1]]
    with pytest.warns(LukeWarning, match=r"W014.*1 too long for a window"):
        assert typer.logits([doc])[0][0] == []


def test_long_mentions_keep_the_positions_of_their_beginning(typer_checkpoint) -> None:
    nlp = spacy_luke.from_checkpoint(typer_checkpoint, config={"spans_key": "sc", "max_mention_pieces": 4})
    pipe = nlp.get_pipe("luke_entity_typer")
    model, tokenizer = open_reference(typer_checkpoint, ENTITY)
    tokenizer.max_mention_length = 4
    doc = one_sentence(nlp.make_doc(TEXT))
    doc.spans["sc"] = [doc[0:7]]
    [(items, logits)] = pipe.logits([doc])
    np.testing.assert_allclose(logits[0], reference_logits((model, tokenizer), TEXT, items), atol=1e-4)
