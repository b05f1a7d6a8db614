"""`luke_entity_linker`: parity with transformers, both decodings, and a defined link for every entity."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.kb import InMemoryLookupKB
from spacy.tokens import Doc, Span
from transformers import LongformerForMaskedLM

import spacy_luke
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.knowledge_base import build_candidates
from tests.pipeline.entity_linker.model import (
    ALIASES,
    ENTS,
    MASK,
    TEXT,
    TITLES,
    VOCAB,
    links,
    make_doc,
    make_kb,
    ranked,
    reference_logits,
    write_linker,
)
from tests.tokenization.ugly import texts
from tests.util import longformer_config, randomise, write_longformer

NAME = "luke_entity_linker"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("linker")


@pytest.fixture(scope="module")
def reference(folder):
    return write_linker(folder)


@pytest.fixture(scope="module")
def nlp(folder, reference):
    nlp = spacy_luke.from_checkpoint(folder, sentences=None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*W023")
        nlp.get_pipe(NAME).set_kb(make_kb)
    return nlp


@pytest.fixture
def pipe(nlp):
    """The component; settings that a test changes are restored."""
    pipe = nlp.get_pipe(NAME)
    before, kb = dict(vars(pipe)), pipe.kb
    yield pipe
    vars(pipe).update(before)
    pipe._kept.kb = kb


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()


def expected_ranking(logits: np.ndarray, priors: dict[str, float], weight: float) -> list[tuple[str, float]]:
    """The definition in `KnowledgeBaseCandidates`, written down once more."""
    known = [t for t in priors if t in VOCAB]
    total = sum(priors.values())
    share = sum(priors[t] for t in known) / total
    scores = np.array([logits[VOCAB[t]] + weight * np.log(priors[t] / total) for t in known])
    found = dict(zip(known, share * softmax(scores), strict=True))
    found |= {t: prior / total for t, prior in priors.items() if t not in VOCAB}
    return sorted(((t, round(float(p), 4)) for t, p in found.items()), key=lambda item: -item[1])


# Parity


def test_logits_of_candidates_equal_those_of_transformers(nlp, pipe, reference) -> None:
    doc = make_doc(nlp)
    items, scores = pipe.logits([doc])[0]
    with torch.no_grad():
        expected = reference_logits(reference, pipe, doc).numpy()
    assert [span for span, _ in items] == list(doc.ents)
    for i, (span, kb_ids) in enumerate(items):
        assert set(kb_ids) == {t for t in ALIASES[span.text] if t in VOCAB}
        np.testing.assert_allclose(scores[i, : len(kb_ids)], expected[i, [VOCAB[t] for t in kb_ids]], atol=1e-4)
        assert (scores[i, len(kb_ids) :] == -np.inf).all()


def test_without_a_knowledge_base_logits_of_all_titles_equal_those_of_transformers(nlp, pipe, reference) -> None:
    pipe.set_kb(None)
    doc = make_doc(nlp)
    items, scores = pipe.logits([doc])[0]
    with torch.no_grad():
        np.testing.assert_allclose(scores, reference_logits(reference, pipe, doc).numpy(), atol=1e-4)
    assert {kb_id for kb_id in items[0][1] if kb_id} == set(TITLES)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_local_decoding_is_one_pass_over_masked_entities(nlp, pipe, reference, weight) -> None:
    pipe.prior_weight = weight
    doc = nlp(make_doc(nlp))
    with torch.no_grad():
        logits = reference_logits(reference, pipe, doc).numpy()
    expected = [expected_ranking(row, ALIASES[ent.text], weight) for row, ent in zip(logits, doc.ents, strict=True)]
    assert ranked(doc) == expected
    assert links(doc) == [ranking[0][0] for ranking in expected]


@pytest.mark.parametrize("per_pass", [1, 2, 10])
@pytest.mark.parametrize("with_kb", [True, False])
def test_global_decoding_gives_the_surest_link_to_the_next_pass(nlp, pipe, reference, with_kb, per_pass) -> None:
    pipe.decoding, pipe.mentions_per_pass = "global", per_pass
    if not with_kb:
        pipe.set_kb(None)
    doc = nlp(make_doc(nlp))
    priors = [ALIASES[ent.text] if with_kb else dict.fromkeys(TITLES, 1.0) for ent in doc.ents]
    ids = [VOCAB[next(iter(p))] if len(p) == 1 else MASK for p in priors]  # one candidate: known before the first pass
    found: dict[int, list[tuple[str, float]]] = {i: [(next(iter(p)), 1.0)] for i, p in enumerate(priors) if len(p) == 1}
    while len(found) < len(doc.ents):
        with torch.no_grad():
            logits = reference_logits(reference, pipe, doc, ids).numpy()
        weight = pipe.prior_weight if with_kb else 0.0
        rankings = {i: expected_ranking(logits[i], p, weight) for i, p in enumerate(priors) if i not in found}
        for i in sorted(rankings, key=lambda i: -rankings[i][0][1])[:per_pass]:
            found[i] = rankings[i]
            ids[i] = VOCAB.get(rankings[i][0][0], MASK)
    assert ranked(doc) == [found[i][: pipe.n_best] for i in range(len(doc.ents))]


def test_the_decodings_differ(nlp, pipe) -> None:
    local = ranked(nlp(make_doc(nlp)))
    pipe.decoding = "global"
    assert ranked(nlp(make_doc(nlp))) != local


# Candidates


def test_an_entity_is_found_in_lower_case_and_with_other_white_space(nlp, pipe) -> None:
    pipe.set_kb(lambda vocab: make_kb(vocab, {"ada lovelace": {"Ada Lovelace": 1.0}}))
    doc = Doc(nlp.vocab, words=["ADA", " ", "Lovelace", "met", "Bo"])
    doc.ents = [Span(doc, 0, 3, "PER"), Span(doc, 4, 5, "PER")]
    assert links(nlp(doc)) == ["Ada Lovelace", "NIL"]
    pipe.get_candidates = build_candidates(lowercase=False)
    assert links(nlp(doc)) == ["NIL", "NIL"]


def test_candidates_are_those_with_the_largest_priors(nlp, pipe) -> None:
    pipe.max_candidates = 2
    doc = nlp(make_doc(nlp))
    assert {kb_id for kb_id, _ in doc.ents[3]._.linked_entities} == {"Ada, Ohio", "Ada (language)"}
    assert {kb_id for kb_id, _ in doc.ents[2]._.linked_entities} == {"London", "Qx"}


def test_candidates_that_the_model_does_not_know_keep_their_prior_or_are_left_out(nlp, pipe) -> None:
    london = make_doc(nlp, ents=[ENTS[2]])
    assert dict(nlp(london).ents[0]._.linked_entities)["Qx"] == pytest.approx(0.2)
    pipe.unknown_candidates = "drop"
    found = dict(nlp(london).ents[0]._.linked_entities)
    assert set(found) == {"London", "London, Ontario"}
    assert sum(found.values()) == pytest.approx(1.0)


def test_entities_that_the_model_knows_nothing_of_are_linked_by_prior(nlp, pipe) -> None:
    with pytest.warns(LukeWarning, match="W023"):
        pipe.set_kb(lambda vocab: make_kb(vocab, {"London": {"Q1": 0.2, "Q2": 0.6}}))
    doc = nlp(make_doc(nlp, ents=[ENTS[2]]))
    assert ranked(doc) == [[("Q2", 0.75), ("Q1", 0.25)]]
    assert links(doc) == ["Q2"]
    assert pipe.logits([doc])[0][0] == []


def test_ids_of_the_knowledge_base_may_stand_for_titles(nlp, pipe, reference) -> None:
    titles = {f"Q{i}": title for i, title in enumerate(TITLES)}
    ids = {title: kb_id for kb_id, title in titles.items()}
    named = {a: {ids.get(t, t): p for t, p in priors.items()} for a, priors in ALIASES.items()}
    before = ranked(nlp(make_doc(nlp)))
    with pytest.warns(LukeWarning, match=r"W023.*1 of 8 entities.*keep their prior.*Qx"):
        pipe.set_kb(lambda vocab: make_kb(vocab, named), titles)
    after = ranked(nlp(make_doc(nlp)))
    assert after == [[(ids.get(t, t), score) for t, score in ranking] for ranking in before]
    pipe._kept.kb = None
    assert {kb_id for ranking in ranked(nlp(make_doc(nlp))) for kb_id, _ in ranking} <= set(titles)


def test_an_alias_may_have_priors_of_zero(nlp, pipe) -> None:
    pipe.set_kb(lambda vocab: make_kb(vocab, {"London": {"London": 0.0, "London, Ontario": 0.0}}))
    found = nlp(make_doc(nlp, ents=[ENTS[2]])).ents[0]._.linked_entities
    assert sum(score for _, score in found) == pytest.approx(1.0)


def test_special_entities_are_no_candidates(nlp, pipe) -> None:
    with pytest.warns(LukeWarning, match=r"W023.*1 of 2"):
        pipe.set_kb(lambda vocab: make_kb(vocab, {"London": {"[MASK]": 0.5, "London": 0.5}}))
    assert pipe.logits([make_doc(nlp, ents=[ENTS[2]])])[0][0][0][1] == ("London",)


def entities_alone(kb: InMemoryLookupKB) -> InMemoryLookupKB:
    kb.set_entities(["London", "Ada, Ohio"], [1, 1], [[0.0], [0.0]])
    return kb


def test_a_knowledge_base_without_aliases_is_warned_of(nlp, pipe) -> None:
    """It links nothing."""
    with pytest.warns(LukeWarning, match=r"W042.*2 entities and no alias.*NIL.*add_alias"):
        pipe.set_kb(lambda vocab: entities_alone(InMemoryLookupKB(vocab, 1)))
    assert set(links(nlp(make_doc(nlp)))) == {"NIL"}


class WithoutLookup(InMemoryLookupKB):
    def get_candidates(self, mention):
        return []


def test_candidates_that_are_found_otherwise_need_no_aliases(pipe) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.set_kb(lambda vocab: entities_alone(WithoutLookup(vocab, 1)))
        pipe.get_candidates = lambda kb, mention: []
        pipe.set_kb(lambda vocab: entities_alone(InMemoryLookupKB(vocab, 1)))


# What is written


def test_improbable_links_are_nil_and_are_not_given_to_the_next_pass(nlp, pipe) -> None:
    pipe.threshold = 1.0
    doc = nlp(make_doc(nlp))
    assert links(doc) == ["Ada Lovelace", *["NIL"] * 6]
    local = ranked(doc)
    assert all(local)
    pipe.decoding = "global"
    ids = [VOCAB["Ada Lovelace"], *[MASK] * 6]
    doc = nlp(make_doc(nlp))
    [again] = pipe.predict([doc])
    assert again.ids.tolist() == ids


@pytest.mark.parametrize("decoding", ["local", "global"])
def test_a_probability_equal_to_the_threshold_is_enough(nlp, pipe, decoding: str) -> None:
    pipe.decoding, pipe.mentions_per_pass = decoding, len(ENTS)
    [before] = pipe.predict([make_doc(nlp)])
    surest = max((ranking for ranking in before.rankings if len(ranking.kb_ids) > 1), key=lambda r: r.probabilities[0])
    pipe.threshold = float(surest.probabilities[0])
    linked = links(nlp(make_doc(nlp)))
    assert sorted(linked) == sorted(["Ada Lovelace", surest.kb_ids[0], *["NIL"] * 5])
    [mentions] = pipe.predict([make_doc(nlp)])
    given = [VOCAB.get(kb_id, MASK) for kb_id in linked]
    assert mentions.ids.tolist() == (given if decoding == "global" else before.ids.tolist())


def test_links_that_are_there_stay_and_are_given_to_the_encoder(nlp, pipe, reference) -> None:
    doc = make_doc(nlp, links={3: "Ada (language)", 4: "Elsewhere"})
    assert links(nlp(doc.copy()))[4] != "Elsewhere"
    pipe.overwrite = False
    ids = [MASK] * len(ENTS)
    ids[3] = VOCAB["Ada (language)"]
    doc = nlp(doc)
    assert links(doc)[3:5] == ["Ada (language)", "Elsewhere"]
    assert doc.ents[3]._.linked_entities == ()
    with torch.no_grad():
        logits = reference_logits(reference, pipe, doc, ids).numpy()
    assert ranked(doc)[6] == expected_ranking(logits[6], ALIASES["Ada"], pipe.prior_weight)


def test_entities_with_a_discarded_label_are_nil_and_not_shown(nlp, pipe, reference) -> None:
    pipe.labels_discard = frozenset({"LOC"})
    doc = nlp(make_doc(nlp))
    assert [links(doc)[i] for i in (2, 4)] == ["NIL", "NIL"]
    assert doc.ents[2]._.linked_entities == ()
    people = [ent for ent in doc.ents if ent.label_ == "PER"]
    with torch.no_grad():
        logits = reference_logits(reference, pipe, doc, ents=people).numpy()
    assert ranked(doc)[6] == expected_ranking(logits[4], ALIASES["Ada"], pipe.prior_weight)


def test_a_link_of_a_discarded_label_stays_unless_overwritten(nlp, pipe) -> None:
    pipe.labels_discard = frozenset({"LOC"})
    doc = make_doc(nlp, links={4: "Elsewhere"})
    assert [links(nlp(doc.copy()))[i] for i in (2, 4)] == ["NIL", "NIL"]
    pipe.overwrite = False
    assert [links(nlp(doc))[i] for i in (2, 4)] == ["NIL", "Elsewhere"]


def test_the_n_best_are_kept(nlp, pipe) -> None:
    full = ranked(nlp(make_doc(nlp)))
    pipe.n_best = 2
    assert ranked(nlp(make_doc(nlp))) == [ranking[:2] for ranking in full]


def test_a_doc_without_entities_and_an_empty_one_are_left_alone(nlp, pipe) -> None:
    docs = list(nlp.pipe([Doc(nlp.vocab), nlp.make_doc("No one ."), make_doc(nlp)]))
    assert [len(doc.ents) for doc in docs] == [0, 0, 7]
    assert pipe.logits(docs[:2])[0][1].shape == (0, 0)


def test_an_entity_that_is_white_space_is_nil_and_counted(nlp, pipe) -> None:
    pipe.set_kb(None)
    doc = Doc(nlp.vocab, words=["London", "\n\n", "London"])
    doc.ents = [Span(doc, 0, 1, "LOC"), Span(doc, 1, 2, "LOC")]
    with pytest.warns(LukeWarning, match=r"W014.*1 entities.*1 white space only"):
        doc = nlp(doc)
    assert links(doc)[1] == "NIL"
    assert links(doc)[0] in TITLES


# Windows and batches


def test_a_long_doc_is_linked_window_by_window(nlp, pipe, reference) -> None:
    """Each entity in the window that shows most around it, together with the others of that window."""
    doc = make_doc(
        nlp, " ".join([TEXT] * 8), [(a + 16 * i, b + 16 * i, label) for i in range(8) for a, b, label in ENTS]
    )
    mentions = pipe._mentions([doc])[0]
    assert len(mentions.placed.windows) > 2
    assert (mentions.placed.window_of >= 0).all()
    doc = nlp(doc)
    for number in set(mentions.placed.window_of.tolist()):
        window = mentions.placed.windows[number]
        members = np.flatnonzero(mentions.placed.window_of == number)
        assert window.end - window.start <= 126
        ents = [doc.ents[i] for i in members]
        with torch.no_grad():
            logits = reference_logits(reference, pipe, doc, window=(window.start, window.end), ents=ents).numpy()
        for row, ent in zip(logits, ents, strict=True):
            found = [(kb_id, round(score, 4)) for kb_id, score in ent._.linked_entities]
            assert found == expected_ranking(row, ALIASES[ent.text], pipe.prior_weight)


def test_sentences_may_be_windows(folder, reference) -> None:
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
    nlp = spacy_luke.from_checkpoint(folder, sentences=None, config={"windows": windows})
    pipe = nlp.get_pipe(NAME)
    doc = make_doc(nlp)
    for token in doc:
        token.is_sent_start = token.i in (0, 7)
    end = int(pipe._place(doc, doc.ents).pieces.pieces.ends[6])
    with torch.no_grad():
        first = reference_logits(reference, pipe, doc, window=(0, end), ents=doc.ents[:3]).numpy()
    np.testing.assert_allclose(pipe.logits([doc])[0][1][:3], first, atol=1e-4)


def test_a_mention_that_is_long_is_placed_by_its_beginning(nlp, pipe, reference) -> None:
    pipe.set_kb(None)
    doc = make_doc(nlp, TEXT, [(0, 16, "X")])
    with torch.no_grad():
        expected = reference_logits(reference, pipe, doc).numpy()
    assert len(pipe._place(doc, doc.ents).pieces.pieces.ids) > 30
    np.testing.assert_allclose(pipe.logits([doc])[0][1], expected, atol=1e-4)


@pytest.mark.parametrize("decoding", ["local", "global"])
@pytest.mark.parametrize("with_kb", [True, False])
def test_pipe_gives_what_single_calls_give(nlp, pipe, with_kb, decoding) -> None:
    pipe.decoding = decoding
    if not with_kb:
        pipe.set_kb(None)
    made = [make_doc(nlp), make_doc(nlp, TEXT[20:], []), make_doc(nlp, ents=ENTS[1:4]), make_doc(nlp, ents=ENTS[3:])]
    single = [ranked(nlp(doc.copy())) for doc in made]
    assert [ranked(doc) for doc in nlp.pipe(made, batch_size=3)] == single


def test_a_batch_counts_pieces_and_entities_and_the_logits_of_a_vocabulary(nlp, pipe, monkeypatch) -> None:
    pipe.set_kb(None)
    sizes = []
    batches = pipe._batches
    monkeypatch.setattr(pipe, "_batches", lambda *given: (sizes.append(b) or (g, b) for g, b in batches(*given)))
    docs = [make_doc(nlp) for _ in range(6)]
    expected = [ranked(doc) for doc in nlp.pipe(docs)]
    pipe.max_batch_pieces = 200
    assert [ranked(doc) for doc in nlp.pipe([make_doc(nlp) for _ in range(6)])] == expected
    assert [(len(b.piece_ids), b.piece_ids.shape[1] + b.entity_ids.shape[1]) for b in sizes] == [
        (6, 52),
        (3, 52),
        (3, 52),
    ]
    sizes.clear()
    pipe.max_batch_pieces = 4096
    monkeypatch.setattr("spacy_luke.pipeline.entity_linker.decoding._MOST_LOGITS", 2 * 7 * len(VOCAB))
    assert [ranked(doc) for doc in nlp.pipe([make_doc(nlp) for _ in range(6)])] == expected
    assert [len(b.piece_ids) for b in sizes] == [2, 2, 2]


@given(text=texts, data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_text_gives_every_entity_a_link(nlp, text, data) -> None:
    doc = nlp.make_doc(text)
    if len(doc):
        start = data.draw(st.integers(0, len(doc) - 1))
        end = data.draw(st.integers(start + 1, len(doc)))
        doc.ents = [Span(doc, start, end, "X")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        doc = nlp(doc)
    assert all(ent.kb_id_ in {"NIL", "Qx", *TITLES} for ent in doc.ents)


# Settings and checkpoints


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("decoding", "greedy"),
        ("unknown_candidates", "keep"),
        ("loss", "mse"),
        ("threshold", 1.5),
        ("mask_rate", -0.1),
        ("prior_weight", -1.0),
        ("max_candidates", 0),
        ("n_best", 0),
        ("mentions_per_pass", 0),
        ("max_mention_pieces", 0),
    ],
)
def test_an_impossible_setting_raises_l047(setting: str, value: Any) -> None:
    with pytest.raises(LukeError, match=f"L047.*{setting}"):
        spacy.blank("en").add_pipe(NAME, config={setting: value})


def test_a_vocabulary_without_titles_raises_l085(folder, reference) -> None:
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "special"}
    pipe = spacy.blank("en").add_pipe(NAME, config={"model": {"encoder": encoder}})
    with pytest.raises(LukeError, match=r"L085.*entity_vocab = 'full'"):
        pipe.load_checkpoint(folder)
    assert not pipe.has_weights


@pytest.mark.parametrize("value", ["/nowhere", lambda vocab: "no kb", 3])
def test_what_is_no_knowledge_base_raises_l086(nlp, pipe, value) -> None:
    before = pipe.kb
    with pytest.raises(LukeError, match=f"L086.*{NAME}"):
        pipe.set_kb(value)
    assert pipe.kb is before


def test_an_empty_knowledge_base_raises_l087(nlp, pipe) -> None:
    with pytest.raises(LukeError, match="L087"):
        pipe.set_kb(lambda vocab: make_kb(vocab, {}))


def test_longformer_predicts_no_entities(tmp_path, folder, reference) -> None:
    write_longformer(tmp_path, randomise(LongformerForMaskedLM(longformer_config())))
    with pytest.raises(LukeError, match=r"L049.*LongformerForMaskedLM"):
        spacy_luke.from_checkpoint(tmp_path)
    with pytest.raises(LukeError, match=r"L051.*LongformerEncoder"):
        spacy.blank("en").add_pipe(NAME).load_checkpoint(tmp_path)
    encoder = {"@architectures": "spacy-luke.LongformerEncoder.v1"}
    pipe = spacy.blank("en").add_pipe(NAME, config={"model": {"encoder": encoder}})
    with pytest.raises(LukeError, match=r"L023.*LongformerForMaskedLM.*Read: LukeForMaskedLM"):
        pipe.load_checkpoint(tmp_path)
    with pytest.raises(LukeError, match="L051"):
        pipe.load_checkpoint(folder)
