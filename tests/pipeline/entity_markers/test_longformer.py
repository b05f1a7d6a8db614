"""`luke_relations` and `luke_entity_typer` on a Longformer: a Doc is read once, and its mentions are global."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.longformer_model import (
    ENTS,
    LABELS,
    LONGFORMER,
    TEXT,
    cut,
    make,
    mention_states,
    piece_ranges,
    reference_pair_logits,
    reference_states,
    watch,
    with_ents,
    write_encoder,
)
from tests.tokenization.ugly import texts
from tests.util import restored

ACROSS = {"@misc": "spacy-luke.entity_pairs.v1", "across_sentences": True}
CONFIG = {"luke_relations": {"pairs": {**ACROSS, "spans_key": "sc"}}, "luke_entity_typer": {"spans_key": "sc"}}
FACTORIES = list(CONFIG)
SENTENCES = {"@misc": "spacy-luke.sentence_windows.v1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module", params=FACTORIES)
def made(request, folder):
    return make(request.param, folder, **CONFIG[request.param])


@pytest.fixture
def nlp(made):
    return made[0]


@pytest.fixture
def pipe(made):
    """The component; settings that a test changes are restored."""
    with restored(made[1]) as pipe:
        yield pipe


def doc_with(nlp, text: str = TEXT, spans=tuple(ent[:2] for ent in ENTS), starts=(8,)):
    doc = cut(nlp.make_doc(text), *starts)
    doc.spans["sc"] = [doc[start:end] for start, end in spans]
    return doc


def items_of(pipe, doc) -> dict[tuple, np.ndarray]:
    """Token ranges of each item and its logits."""
    [(items, logits)] = pipe.logits([doc])
    assert logits.shape == (len(items), len(pipe.logit_labels))
    assert logits.dtype == np.float32
    items = [item if isinstance(item, tuple) else (item,) for item in items]
    return {tuple((span.start, span.end) for span in item): row for item, row in zip(items, logits, strict=True)}


def check_reference(pipe, doc, folder: Path, window=(0, None)) -> None:
    """Compare with transformers' states when all mentions of the window and <s> are global."""
    found = items_of(pipe, doc)
    spans = sorted({span for item in found for span in item})
    ranges = piece_ranges(pipe, doc, spans) - window[0]
    states = reference_states(folder, pipe, doc, ranges.tolist(), window)
    span_states = dict(zip(spans, mention_states(pipe._module, states, ranges), strict=True))
    for item, row in found.items():
        if len(item) == 2:
            expected = reference_pair_logits(pipe._module, span_states[item[0]], span_states[item[1]])
        else:
            expected = pipe._module.classifier(span_states[item[0]]).detach().numpy()
        np.testing.assert_allclose(row, expected, atol=1e-4, err_msg=str(item))


# Scores


def test_logits_are_those_of_transformers_states_with_global_mentions(nlp, pipe, folder) -> None:
    check_reference(pipe, doc_with(nlp), folder)


@settings(max_examples=40)
@given(text=texts, data=st.data())
def test_logits_of_ugly_texts_and_overlapping_spans_are_those_of_transformers(made, folder, text, data) -> None:
    nlp, pipe = made
    doc = cut(nlp.make_doc(text))
    words = [token.i for token in doc if not token.is_space]
    assume(len(words) > 1 and len(text.encode("utf8")) < 120)
    edges = data.draw(st.lists(st.tuples(st.sampled_from(words), st.sampled_from(words)), min_size=2, max_size=5))
    doc.spans["sc"] = [doc[min(edge) : max(edge) + 1] for edge in edges]
    assume(len({(span.start, span.end) for span in doc.spans["sc"]}) > 1)
    check_reference(pipe, doc, folder)


def test_a_doc_is_read_once_whatever_the_number_of_items(nlp, pipe, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    for count in (2, 5, 20):
        spans = [(token.i, token.i + 1) for token in nlp.make_doc(TEXT) if not token.is_space]
        found = items_of(pipe, doc_with(nlp, spans=spans[:count]))
        assert len(found) == (count * (count - 1) if pipe.name == "luke_relations" else count)
        [batch] = batches
        assert batch.piece_ids.shape[0] == 1
        assert batch.entity_spans.shape[1] == count, "each mention once"
        batches.clear()


def test_the_first_piece_and_those_of_mentions_are_global(nlp, pipe, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    doc = doc_with(nlp)
    pipe.logits([doc])
    expected = {0}
    for start, end in piece_ranges(pipe, doc, [ent[:2] for ent in ENTS]).tolist():
        expected.update(range(start + 1, end + 1))
    [is_global] = batches[0].global_mask.tolist()
    assert {i for i, value in enumerate(is_global) if value} == expected


def test_docs_of_a_batch_do_not_change_each_other(nlp, pipe) -> None:
    docs = [doc_with(nlp), doc_with(nlp, "Ada met Bo.", [(0, 1), (2, 3)], ()), doc_with(nlp, f"{TEXT} {TEXT}")]
    docs.append(doc_with(nlp, TEXT, [], ()))
    alone = [pipe.logits([doc])[0][1] for doc in docs]
    for budget in (1, 150, 4096):
        pipe.max_batch_pieces = budget
        for (_, found), expected in zip(pipe.logits(docs), alone, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_items_of_the_same_mentions_do_not_change_each_other(folder) -> None:
    """Other mentions are global and matter; other pairs of the same mentions do not."""
    spans = [ent[:2] for ent in ENTS]
    nlp, pipe = make("luke_relations", folder, **CONFIG["luke_relations"])
    every = items_of(pipe, doc_with(nlp))
    assert len(every) == 20
    pipe.pairs = lambda doc: [(doc[slice(*a)], doc[slice(*b)]) for a, b in itertools.pairwise(spans)]
    some = items_of(pipe, doc_with(nlp))
    assert len(some) == 4
    for item, row in some.items():
        np.testing.assert_allclose(row, every[item], atol=1e-5)
    pipe.pairs = lambda doc: [(doc[slice(*spans[0])], doc[slice(*spans[1])])]
    [alone] = items_of(pipe, doc_with(nlp)).values()
    assert np.abs(alone - every[spans[0], spans[1]]).max() > 1e-3


def test_pairs_of_different_sentences_are_scored_together(folder) -> None:
    nlp, pipe = make("luke_relations", folder, pairs=ACROSS)
    doc = with_ents(cut(nlp.make_doc(TEXT), 8))
    pairs = items_of(pipe, doc)
    assert len(pairs) == 20
    assert ((0, 2), (13, 15)) in pairs
    inside = make("luke_relations", folder)[1]
    assert len(items_of(inside, doc)) == 8


# Windows


FAR = "Ada met Bo . " + "They walked and talked . " * 30 + "Cy saw Di ."
FAR_SPANS = [(0, 1), (2, 3), (154, 155), (156, 157)]


def far(nlp):
    doc = doc_with(nlp, FAR, FAR_SPANS, [token.i + 1 for token in nlp.make_doc(FAR) if token.text == "."])
    assert [span.text for span in doc.spans["sc"]] == ["Ada", "Bo", "Cy", "Di"]
    return doc


def test_pairs_farther_apart_than_a_window_are_reported_and_the_others_kept(folder) -> None:
    nlp, pipe = make("luke_relations", folder, **CONFIG["luke_relations"])
    with pytest.warns(LukeWarning, match=r"W014.*luke_relations.*8 pairs.*8 too far apart for a window"):
        found = items_of(pipe, far(nlp))
    near = {frozenset(pair) for pair in found}
    assert near == {frozenset(FAR_SPANS[:2]), frozenset(FAR_SPANS[2:])}
    assert len(found) == 4
    with pytest.warns(LukeWarning, match="W014"):
        doc = pipe(far(nlp))
    assert {frozenset(((r.head.start, r.head.end), (r.tail.start, r.tail.end))) for r in doc._.relations} <= near


def test_mentions_of_a_long_doc_are_read_in_their_windows(nlp, pipe, folder, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)  # W014 of pairs that are too far apart
        found = items_of(pipe, far(nlp))
    assert len(found) == 4
    assert sum(batch.piece_ids.shape[0] for batch in batches) == 2
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=120, stride=120)
    doc = doc_with(nlp, FAR, FAR_SPANS[:2], ())
    check_reference(pipe, doc, folder, window=(0, 120))


def test_a_mention_longer_than_a_window_is_reported(folder) -> None:
    nlp, pipe = make("luke_entity_typer", folder, **CONFIG["luke_entity_typer"])
    doc = doc_with(nlp, FAR, [(0, 1), (0, 157)], ())
    with pytest.warns(LukeWarning, match=r"W014.*1 spans.*too long for a window"):
        assert list(items_of(pipe, doc)) == [((0, 1),)]


@pytest.mark.parametrize("factory", FACTORIES)
def test_windows_of_sentences_are_refused_with_a_longformer(folder, factory: str) -> None:
    pipe = spacy.blank("en").add_pipe(factory, config={"model": LONGFORMER, "windows": SENTENCES})
    with pytest.raises(LukeError, match=r"L047.*windows.*strided_windows.v1 for Longformer"):
        pipe.initialize(lambda: [], checkpoint=str(folder), labels=LABELS[factory])
    assert not pipe.has_weights


# Bad input


def test_white_space_is_no_mention(nlp, pipe) -> None:
    text = "Ada  met Bo."
    assert nlp.make_doc(text)[1].is_space
    with pytest.warns(LukeWarning, match=r"W014.*white space only"):
        found = items_of(pipe, doc_with(nlp, text, [(0, 1), (1, 2), (3, 4)], ()))
    assert {span for item in found for span in item} == {(0, 1), (3, 4)}
    trimmed = items_of(pipe, doc_with(nlp, text, [(0, 2), (3, 4)], ()))
    [wide, narrow] = (next(iter(rows.values())) for rows in (trimmed, found))
    np.testing.assert_allclose(wide, narrow, atol=1e-5)
