"""`luke_ner`: parity with the paper's pipeline, decoding, and a defined result for every text."""

import itertools
import math
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from transformers import LukeForEntitySpanClassification, LukeTokenizer

import spacy_luke
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.base.entities import DECODINGS, LabelledSpans, SpanLogits, greedy, joint, positive_spans
from tests.pipeline.conftest import TEXT

UGLY = [
    "",
    "   ",
    "\n\n\t",
    "a",
    "\u0301\u0301",
    "👨‍👩‍👧‍👦🏳️‍🌈 hi",
    "שלום עולם",
    "literal </s> and <ent> and <pad> and <mask>",
    "two  spaces\u00a0nbsp\u2003em",
    " leading and trailing  ",
]


def annotations(doc: Doc) -> list[tuple[int, int, str, float]]:
    return [(e.start, e.end, e.label_, round(e._.score, 4)) for e in doc.ents]


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> LukeForEntitySpanClassification:
    return LukeForEntitySpanClassification.from_pretrained(checkpoint).eval()


def reference_logits(model, checkpoint: Path, sentence: Span, chunk_size: int) -> dict[tuple[int, int], np.ndarray]:
    """Logits of transformers for all candidate spans of a sentence alone, in the paper's chunks."""
    tokenizer = LukeTokenizer.from_pretrained(checkpoint, task="entity_span_classification")
    spans = [
        (start, end)
        for start in range(sentence.start, sentence.end)
        for end in range(start + 1, sentence.end + 1)
        if not sentence.doc[start].is_space and not sentence.doc[end - 1].is_space
    ]
    offset = sentence.start_char
    chars = [
        (sentence.doc[s].idx - offset, sentence.doc[e - 1].idx + len(sentence.doc[e - 1]) - offset) for s, e in spans
    ]
    encoded = tokenizer(sentence.text, entity_spans=chars, max_entity_length=len(spans), return_tensors="pt")
    size = (encoded["entity_end_positions"] - encoded["entity_start_positions"])[0] + 1
    keep = torch.nonzero(size <= 16)[:, 0]
    chunks = -(-len(keep) // chunk_size)
    logits = {}
    entity_keys = [k for k in encoded if k.startswith("entity_")]
    for part in keep.split(-(-len(keep) // chunks)):
        inputs = {k: v[:, part] if k in entity_keys else v for k, v in encoded.items()}
        with torch.no_grad():
            rows = model(**inputs).logits[0].numpy()
        logits.update({spans[i]: row for i, row in zip(part.tolist(), rows, strict=True)})
    return logits


@pytest.mark.parametrize("chunk_size", [128, 20])
@pytest.mark.parametrize("text", TEXT)
def test_logits_equal_those_of_transformers(nlp, reference, checkpoint, text: str, chunk_size: int) -> None:
    pipe = nlp.get_pipe("luke_ner")
    pipe.chunk_size = chunk_size
    doc = nlp.make_doc(text)
    doc[0].is_sent_start = True
    for token in doc[1:]:
        token.is_sent_start = False
    [(spans, logits)] = pipe.logits([doc])
    expected = reference_logits(reference, checkpoint, doc[:], chunk_size)
    assert {(s.start, s.end) for s in spans} == set(expected)
    for span, row in zip(spans, logits, strict=True):
        np.testing.assert_allclose(row, expected[span.start, span.end], atol=1e-3)


def test_document_context_gives_pieces_around_the_sentence(checkpoint, reference) -> None:
    nlp = spacy_luke.from_checkpoint(checkpoint)
    pipe = nlp.get_pipe("luke_ner")
    doc = nlp.make_doc("Ada met Charles. London was big.")
    for token in doc:
        token.is_sent_start = token.i in (0, 4)
    tokenizer = LukeTokenizer.from_pretrained(checkpoint, task="entity_span_classification")
    chars = [(t.idx, t.idx + len(t)) for t in doc]
    encoded = tokenizer(doc.text, entity_spans=chars, return_tensors="pt", add_prefix_space=False)
    pipe.suggester = spacy.registry.misc.get("spacy.ngram_suggester.v1")([1])
    by_sentence = {}
    for first, last in ((0, 4), (4, len(doc))):
        inputs = {k: v[:, first:last] if k.startswith("entity_") else v for k, v in encoded.items()}
        with torch.no_grad():
            by_sentence.update(zip(range(first, last), reference(**inputs).logits[0].numpy(), strict=True))
    [(spans, logits)] = pipe.logits([doc])
    for span, row in zip(spans, logits, strict=True):
        np.testing.assert_allclose(row, by_sentence[span.start], atol=1e-3)


@pytest.mark.parametrize("text", UGLY)
def test_ugly_text_has_a_defined_result(nlp, text: str) -> None:
    doc = nlp(text)
    assert doc.text == text
    assert all(0 <= e._.score <= 1 for e in doc.ents)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.sampled_from(UGLY + TEXT), st.text(max_size=40)), max_size=6))
def test_pipe_gives_what_call_gives(nlp, texts: list[str]) -> None:
    texts = [t.encode("utf8", "ignore").decode("utf8") for t in texts]
    assert [annotations(d) for d in nlp.pipe(texts)] == [annotations(nlp(t)) for t in texts]


def test_the_memory_budget_does_not_change_results(nlp) -> None:
    pipe = nlp.get_pipe("luke_ner")
    docs = [nlp.make_doc(t) for t in TEXT * 2]
    before = pipe.logits(docs)
    pipe.max_batch_pieces = 150
    for (_, a), (_, b) in zip(before, pipe.logits(docs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_no_forward_pass_exceeds_the_memory_budget(nlp, monkeypatch) -> None:
    pipe = nlp.get_pipe("luke_ner")
    pipe.max_batch_pieces = 400
    sizes = []
    predict = pipe.model.predict
    monkeypatch.setattr(
        type(pipe.model),
        "predict",
        lambda self, b: sizes.append(b.piece_ids.numel() + b.entity_ids.numel()) or predict(b),
    )
    pipe.predict([nlp.make_doc(" ".join(TEXT) * 5) for _ in range(3)])
    assert len(sizes) > 1
    assert max(sizes) <= 400


def test_a_long_doc_without_sentence_boundaries_is_one_sentence_in_several_windows(checkpoint) -> None:
    nlp = spacy_luke.from_checkpoint(checkpoint, sentences=None)
    pipe = nlp.get_pipe("luke_ner")
    pipe.suggester = spacy.registry.misc.get("spacy.ngram_suggester.v1")([1])
    doc = nlp.make_doc("Ada met Charles in London . " * 3400)
    assert len(doc) > 20_000
    with pytest.warns(LukeWarning, match="W002"):
        [(spans, logits)] = pipe.logits([doc])
    assert len(spans) == len(doc)
    assert np.abs(logits).max(axis=1).min() > 0, "every candidate has been scored"


def test_a_token_of_600_pieces_is_no_candidate_and_hides_no_other(nlp) -> None:
    doc = Doc(nlp.vocab, words=["Ada", "☃" * 200, "London"], sent_starts=[True, False, False])
    [(spans, _)] = nlp.get_pipe("luke_ner").logits([doc])
    assert [s.text for s in spans] == ["Ada", "London"]


def test_candidates_left_out_are_reported(nlp) -> None:
    pipe = nlp.get_pipe("luke_ner")
    pipe.suggester = spacy.registry.misc.get("spacy.ngram_suggester.v1")([2])
    doc = Doc(nlp.vocab, words=["Ada", ".", "Bo", "."], sent_starts=[True, False, True, False])
    with pytest.warns(LukeWarning, match="W005.*1 across a sentence boundary"):
        [(spans, _)] = pipe.logits([doc])
    assert [s.text for s in spans] == ["Ada .", "Bo ."]


RANGES = st.tuples(st.integers(0, 11), st.integers(1, 4)).map(lambda p: (p[0], min(p[0] + p[1], 12)))


def labelled_spans(spans: list[tuple[int, int]], logits: list[float], probabilities: list[float]) -> LabelledSpans:
    array = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return LabelledSpans(array, np.zeros(len(spans), dtype=np.int64), np.array(logits), np.array(probabilities))


def apart(spans: Iterable[tuple[int, int]]) -> bool:
    """Whether they do not overlap."""
    return all(a[1] <= b[0] or b[1] <= a[0] for a, b in itertools.combinations(spans, 2))


@given(st.data())
def test_greedy_decoding_takes_the_best_of_overlapping_spans(data) -> None:
    spans = data.draw(st.lists(RANGES, max_size=12))
    scores = data.draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=len(spans), max_size=len(spans)))
    taken: list[int] = []
    for i in sorted(range(len(spans)), key=lambda i: -scores[i]):
        if apart([spans[i], *(spans[j] for j in taken)]):
            taken.append(i)
    assert sorted(greedy(labelled_spans(spans, scores, scores))) == sorted(taken)


def test_greedy_decoding_ranks_by_raw_score_and_not_by_probability() -> None:
    """As the paper's code. The first has the higher logit, the second the higher probability."""
    spans = np.array([[0, 2], [1, 3]])
    found = positive_spans(SpanLogits(spans, np.array([[4.0, 5.0, 4.5], [0.0, 3.0, 0.0]], dtype=np.float32)), 0, 0.0)
    assert found.logits.tolist() == [5.0, 3.0]
    assert found.probabilities[0] < 0.6 < 0.9 < found.probabilities[1]
    assert greedy(found) == [0]
    assert joint(found) == [1]


def test_a_probability_equal_to_the_threshold_is_enough() -> None:
    scored = SpanLogits(np.array([[0, 1], [1, 2]]), np.array([[0.0, 2.0, 1.0], [0.0, 1.0, 1.5]], dtype=np.float32))
    [first, second] = positive_spans(scored, 0, 0.0).probabilities.tolist()
    assert first > second
    assert positive_spans(scored, 0, first).spans.tolist() == [[0, 1]]
    assert positive_spans(scored, 0, second).spans.tolist() == [[0, 1], [1, 2]]
    assert positive_spans(scored, 0, math.nextafter(first, 1)).spans.tolist() == []


@given(st.data())
def test_joint_decoding_takes_the_most_probable_spans_together(data) -> None:
    spans = data.draw(st.lists(RANGES, max_size=8))
    p = data.draw(st.lists(st.floats(0, 1), min_size=len(spans), max_size=len(spans)))
    labelled = labelled_spans(spans, [0.0] * len(spans), p)
    found = joint(labelled)
    sums = [
        labelled.log_odds[list(some)].sum()
        for size in range(len(spans) + 1)
        for some in itertools.combinations(range(len(spans)), size)
        if apart([spans[i] for i in some])
    ]
    assert apart([spans[i] for i in found])
    assert found == sorted(found, key=lambda i: spans[i])
    assert all(p[i] >= 0.5 for i in found)
    assert labelled.log_odds[found].sum() == pytest.approx(max(sums))


def test_joint_decoding_takes_two_sure_entities_instead_of_one_that_is_surer() -> None:
    spans, p = [(0, 1), (1, 2), (0, 2), (3, 4)], [0.8, 0.8, 0.9, 0.4]
    labelled = labelled_spans(spans, p, p)
    assert joint(labelled) == [0, 1]
    assert greedy(labelled) == [2, 3]


def test_how_overlapping_spans_are_decided_is_a_setting(nlp) -> None:
    pipe, text = nlp.get_pipe("luke_ner"), " ".join(TEXT)
    doc = nlp.make_doc(text)
    nlp.get_pipe("sentencizer")(doc)
    [scored] = pipe.predict([doc])
    found = positive_spans(scored, pipe.logit_labels.index(pipe.negative_label), 0.0)
    written = {}
    for pipe.decoding in DECODINGS:
        written[pipe.decoding] = [(e.start, e.end) for e in nlp(text).ents]
    assert written["joint"] == [tuple(span) for span in found.spans[joint(found)].tolist()]
    assert written["greedy"] == [tuple(span) for span in found.spans[greedy(found)].tolist()]
    assert written["joint"] != written["greedy"]
    with pytest.raises(LukeError, match=r"L047.*decoding.*greedy, joint"):
        spacy.blank("en").add_pipe("luke_ner", config={"decoding": "beam"})


def test_existing_entities_stay_unless_overwritten(nlp) -> None:
    pipe = nlp.get_pipe("luke_ner")
    free = nlp(TEXT[0])
    assert free.ents
    doc = nlp.make_doc(TEXT[0])
    mine = Span(doc, 0, len(doc), label="MINE")
    doc.set_ents([mine])
    nlp.get_pipe("sentencizer")(doc)
    assert [e.label_ for e in pipe(doc).ents] == ["MINE"]
    pipe.overwrite = True
    assert annotations(pipe(doc)) == annotations(free)


def test_overlap_writes_all_positive_spans_with_scores(nlp) -> None:
    pipe = nlp.get_pipe("luke_ner")
    pipe.overlap = True
    doc = nlp(TEXT[0])
    [(spans, logits)] = pipe.logits([doc])
    positive = [s for s, row in zip(spans, logits, strict=True) if row.argmax() != pipe.logit_labels.index("NIL")]
    group = doc.spans["luke_ner"]
    assert [(s.start, s.end) for s in group] == [(s.start, s.end) for s in positive]
    assert len(group.attrs["scores"]) == len(group) > len(nlp.make_doc(TEXT[0]).ents)
    assert not doc.ents


def test_scores_are_probabilities_of_the_labels(nlp) -> None:
    doc = nlp(TEXT[0])
    pipe = nlp.get_pipe("luke_ner")
    [(spans, logits)] = pipe.logits([doc])
    rows = {(s.start, s.end): torch.softmax(torch.tensor(r), 0) for s, r in zip(spans, logits, strict=True)}
    for ent in doc.ents:
        assert ent._.score == pytest.approx(
            float(rows[ent.start, ent.end][pipe.logit_labels.index(ent.label_)]), abs=1e-6
        )
    assert doc.spans["luke_ner"].attrs["scores"] == [e._.score for e in doc.ents]


def test_threshold_removes_unsure_entities(nlp) -> None:
    scores = [e._.score for t in TEXT for e in nlp(t).ents]
    nlp.get_pipe("luke_ner").threshold = float(np.median(scores))
    kept = [e._.score for t in TEXT for e in nlp(t).ents]
    assert kept
    assert min(kept) >= np.median(scores)


def marks(doc: Doc) -> list[str]:
    """Entity annotation of each token: B or I of an entity, O outside, "" nothing, X blocked."""
    return ["X" if token.ent_iob_ == "B" and not token.ent_type_ else token.ent_iob_ for token in doc]


@pytest.mark.parametrize("decoding", ["greedy", "joint"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_blocked_tokens_are_in_no_entity_and_stay_blocked(nlp, decoding, overwrite) -> None:
    pipe = nlp.get_pipe("luke_ner")
    pipe.decoding, pipe.overwrite = decoding, overwrite
    free = nlp(TEXT[0])
    assert free.ents
    doc = nlp.make_doc(TEXT[0])
    blocked = [token.i for ent in free.ents[:2] for token in ent[:1]]
    given = Span(doc, len(doc) - 1, len(doc), label="GIVEN")
    doc.set_ents([given], blocked=[doc[i : i + 1] for i in blocked], default="missing")
    doc = nlp(doc)
    assert [i for i, mark in enumerate(marks(doc)) if mark == "X"] == blocked
    assert doc.ents
    assert not {token.i for ent in doc.ents for token in ent}.intersection(blocked)
    assert ("GIVEN" in {ent.label_ for ent in doc.ents}) is not overwrite
    assert not {span.start for span in doc.spans["luke_ner"]}.intersection(blocked)
    assert "" not in marks(doc)
    [back] = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab)
    assert marks(nlp(back)) == marks(doc), "blocked in a copy, and when it is run again"


def test_a_doc_that_is_blocked_throughout_has_no_entities(nlp) -> None:
    doc = nlp.make_doc(TEXT[0])
    doc.set_ents([], blocked=[doc[:]])
    assert set(marks(nlp(doc))) == {"X"}
    assert not doc.spans["luke_ner"]


@pytest.mark.parametrize("default", ["outside", "missing"])
def test_tokens_marked_as_outside_or_missing_may_become_entities(nlp, default) -> None:
    """As with spaCy's `ner`, which keeps to entities and to what is blocked."""
    doc = nlp.make_doc(TEXT[0])
    doc.set_ents([], default=default)
    assert annotations(nlp(doc)) == annotations(nlp(TEXT[0]))
    assert "" not in marks(doc)


def test_an_entity_with_another_label_has_no_score(nlp) -> None:
    doc = nlp(TEXT[0])
    first, *others = doc.ents
    doc.set_ents([Span(doc, first.start, first.end, label="RULE"), *others])
    assert [ent._.score is None for ent in doc.ents] == [True] + [False] * len(others)
    doc.set_ents([first, *others])
    assert doc.ents[0]._.score == doc.spans["luke_ner"].attrs["scores"][0]


def test_a_ruler_that_overwrites_entities_leaves_them_without_scores(nlp) -> None:
    text = next(ent.text for ent in nlp(TEXT[0]).ents)
    rules = nlp.add_pipe("entity_ruler", config={"overwrite_ents": True})
    rules.add_patterns([{"label": "RULE", "pattern": text}])
    [ent] = [ent for ent in nlp(TEXT[0]).ents if ent.label_ == "RULE"]
    assert ent._.score is None


def test_scores_of_an_earlier_run_go_with_its_spans(nlp) -> None:
    doc = nlp(TEXT[0])
    first = doc.ents[0]
    nlp.get_pipe("luke_ner").threshold = 1.0
    doc.set_ents([])
    doc = nlp(doc)
    assert not doc.ents
    doc.set_ents([first])
    assert doc.ents[0]._.score is None


def test_results_survive_docbin(nlp) -> None:
    doc = nlp(TEXT[0])
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    [back] = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert annotations(back) == annotations(doc)
    assert back.spans["luke_ner"].attrs["scores"] == doc.spans["luke_ner"].attrs["scores"]


def test_adding_the_component_twice_keeps_both_results_apart(checkpoint) -> None:
    nlp = spacy_luke.from_checkpoint(checkpoint)
    nlp.add_pipe("luke_ner", name="second", config={"spans_key": "second"}).load_checkpoint(checkpoint)
    doc = nlp(TEXT[0])
    assert {"luke_ner", "second"} <= set(doc.spans)


@pytest.mark.parametrize(
    "config",
    [
        {"chunk_size": 0},
        {"max_mention_pieces": 0},
        {"max_negatives": -1},
        {"threshold": 1.5},
        {"max_batch_pieces": 0},
    ],
)
def test_wrong_settings_are_named(config: dict) -> None:
    with pytest.raises(LukeError, match=f"L047.*{next(iter(config))}"):
        spacy.blank("en").add_pipe("luke_ner", config=config)


@pytest.mark.parametrize("config", [{"chunk_size": 1}, {"max_mention_pieces": 1}, {"max_negatives": 0}])
def test_the_smallest_settings_are_taken(config: dict) -> None:
    [(name, value)] = config.items()
    assert getattr(spacy.blank("en").add_pipe("luke_ner", config=config), name) == value


def test_unknown_negative_label_is_named_and_leaves_the_component_without_weights(checkpoint) -> None:
    pipe = spacy.blank("en").add_pipe("luke_ner", config={"negative_label": "NOTHING"})
    with pytest.raises(LukeError, match=r"L044.*NOTHING"):
        pipe.load_checkpoint(checkpoint)
    assert not pipe.has_weights


def test_warning_about_sentences_is_given_once(checkpoint) -> None:
    nlp = spacy_luke.from_checkpoint(checkpoint, sentences=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp("")
    with pytest.warns(LukeWarning, match="W002"):
        nlp("Ada met Bo")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp("Ada met Bo")
