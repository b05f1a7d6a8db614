"""Pieces that are encoded once for all components that share an encoder with independent attention."""

from __future__ import annotations

import gc
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from transformers import LukeModel

from spacy_luke.annotations import get_relations, set_entity_types, set_relations
from spacy_luke.batching.pieces import doc_pieces
from spacy_luke.batching.windows import Window
from spacy_luke.models.piece_store import MAX_KEPT_BYTES, EncodedBatch, words_to_keep
from tests.pipeline.encoder.shared_model import SHARED, adam, encoder_of, state
from tests.pipeline.entity_markers.model import TEXT, with_ents
from tests.util import luke_config, randomise, write_luke

ENCODER = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "independent"}
SENTENCES = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
FILTER = {"@misc": "spacy-luke.span_filter.v1", "layer": 1, "threshold": 0.0, "floor": 2, "hard_negatives": 2}
READERS = ("luke_ner", "luke_entity_typer", "luke_relations")
TEXTS = [TEXT, "Ada met Bo in Rome. Bo left.", "", " ", "Élodie O'Neil moved to São Paulo.", TEXT + " " + TEXT]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    write_luke(folder, randomise(LukeModel(luke_config())))
    return folder


def build(bare: Path, *, readers=READERS, span_filter=None, **encoder) -> Language:
    """A pipeline whose components read the same pieces."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    settings = {"set_vectors": False, "windows": SENTENCES, "model": ENCODER, **encoder}
    nlp.add_pipe("luke_encoder", config=settings)
    for name in readers:
        own = {"span_filter": span_filter} if name == "luke_ner" else {"threshold": 0.0}
        nlp.add_pipe(name, config={"model": SHARED, **own})
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(bare)}}
    torch.manual_seed(0)
    nlp.initialize(lambda: gold_examples(nlp))
    return nlp


def gold_examples(nlp: Language) -> list[Example]:
    reference, predicted = (with_ents(nlp.make_doc(TEXT)) for _ in range(2))
    for doc in (reference, predicted):
        for token in doc:
            token.is_sent_start = token.i in (0, 8)
    spans = list(reference.ents)
    set_relations(reference, [(spans[0], spans[1], "met"), (spans[3], spans[4], "lives_in")])
    for span in spans:
        set_entity_types(span, ["person"] if span.label_ == "PER" else ["city", "place"])
    return [Example(predicted, reference)]


class Counted:
    """How many pieces were encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.pieces = self.batches = 0
        encode = EncodedBatch.encode

        def counting(encoded: EncodedBatch, layers):
            self.pieces += int(encoded.batch.piece_mask.sum())
            self.batches += 1
            return encode(encoded, layers)

        monkeypatch.setattr(EncodedBatch, "encode", counting)


def outcome(doc: Doc) -> tuple:
    """All that the components have written."""
    return (
        [(e.start, e.end, e.label_, e._.score, e._.entity_type_scores) for e in doc.ents],
        [(r.head.text, r.tail.text, r.label, r.score) for r in get_relations(doc)],
    )


def store(nlp: Language):
    return nlp.get_pipe("luke_encoder").piece_store


@pytest.mark.parametrize("span_filter", [None, FILTER], ids=["all spans", "span filter"])
def test_the_pieces_of_a_doc_are_encoded_once(bare: Path, monkeypatch, span_filter) -> None:
    nlp = build(bare, span_filter=span_filter)
    assert nlp.get_pipe("luke_encoder").piece_readers(nlp.get_pipe("luke_ner").windows) == set(READERS)
    pieces = len(doc_pieces(nlp.make_doc(TEXT), nlp.get_pipe("luke_ner")._require_weights().tokenizer).pieces.ids)
    counted = Counted(monkeypatch)
    doc = nlp(TEXT)
    assert len(doc.ents) > 1
    assert counted.batches == 1
    assert counted.pieces == pieces + 2 * len(list(doc.sents))
    assert store(nlp).nbytes == 0


def test_a_stream_encodes_each_doc_once_and_keeps_nothing(bare: Path, monkeypatch) -> None:
    nlp = build(bare)
    counted = Counted(monkeypatch)
    docs = list(nlp.pipe(TEXTS, batch_size=2))
    once = counted.batches
    assert 0 < once <= len(TEXTS)
    assert store(nlp).nbytes == 0
    assert any(len(doc.ents) for doc in docs)


def test_docs_are_passed_on_in_batches_that_can_be_kept(bare: Path, monkeypatch) -> None:
    """However many Docs a batch may have, all components of the encoder take the same few, whose pieces are encoded
    once; one that reads no pieces, too, or those behind it would find nothing."""
    nlp = build(bare)
    nlp.add_pipe("luke_entity_typer", "marked", after="luke_ner", config={"model": SHARED, "markers": True})
    nlp.get_pipe("marked").initialize(lambda: gold_examples(nlp), nlp=nlp)
    expected = [outcome(doc) for doc in nlp.pipe([TEXT] * 9, batch_size=2)]
    batches: dict[str, list[int]] = {name: [] for name in (*READERS, "marked")}
    for name, sizes in batches.items():
        component = nlp.get_pipe(name)

        def noted(docs, predict=component.predict, sizes=sizes):
            sizes.append(len(docs))
            return predict(docs)

        monkeypatch.setattr(component, "predict", noted)
    config = encoder_of(nlp, "luke_encoder").config
    words = 2 * len(nlp.make_doc(TEXT))  # 3 rows for a word, of 8 bytes for keys and values
    monkeypatch.setattr(
        "spacy_luke.models.piece_store.MAX_KEPT_BYTES", words * 3 * 8 * config.hidden_size * config.num_hidden_layers
    )
    counted = Counted(monkeypatch)
    assert [outcome(doc) for doc in nlp.pipe([TEXT] * 9)] == expected
    assert batches == {name: [2, 2, 2, 2, 1] for name in batches}
    assert counted.batches == 5
    assert all(nlp.get_pipe(name)._most_words == words for name in batches)
    with torch.device("meta"):
        nlp.get_pipe("luke_ner")._module.encoder.embeddings.word.weight = torch.nn.Parameter(torch.empty(1, 1))
    assert nlp.get_pipe("luke_ner")._most_words == float("inf"), "only CPUs were measured"


def test_the_words_to_keep_are_those_of_the_default(bare: Path) -> None:
    encoder = build(bare).get_pipe("luke_encoder")
    assert encoder.piece_store.max_bytes == MAX_KEPT_BYTES
    size = 8 * encoder.encoder.config.hidden_size * encoder.encoder.config.num_hidden_layers
    assert words_to_keep(encoder.encoder) == MAX_KEPT_BYTES // size // 3


def test_sizes_of_batches_may_be_a_schedule(bare: Path, monkeypatch) -> None:
    nlp = build(bare)
    component, sizes = nlp.get_pipe("luke_ner"), []
    predict = component.predict
    monkeypatch.setattr(component, "predict", lambda docs: sizes.append(len(docs)) or predict(docs))
    docs = [nlp.get_pipe("sentencizer")(nlp.make_doc(TEXT)) for _ in range(6)]
    assert list(component.pipe(iter(docs), batch_size=iter([1, 2, 4]))) == docs
    assert sizes == [1, 2, 3]


def test_an_error_goes_to_the_handler_and_the_next_batch_is_annotated(bare: Path, monkeypatch) -> None:
    nlp = build(bare)
    component = nlp.get_pipe("luke_ner")
    predict, failed = component.predict, []

    def fails(docs):
        if "wrong" in docs[0].text:
            raise ValueError("wrong")
        return predict(docs)

    monkeypatch.setattr(component, "predict", fails)
    nlp.set_error_handler(lambda name, _, docs, error: failed.append((name, [doc.text for doc in docs], str(error))))
    found = [doc.text for doc in nlp.pipe([TEXT, "wrong", "also", TEXT], batch_size=1)]
    assert found == [TEXT, "also", TEXT]
    assert failed == [("luke_ner", ["wrong"], "wrong")]


@pytest.mark.parametrize("max_kept_bytes", [0, 5000, 20_000])
def test_results_are_the_same_bit_for_bit_whatever_is_kept(bare: Path, monkeypatch, max_kept_bytes: int) -> None:
    all_kept = [outcome(doc) for doc in build(bare, span_filter=FILTER).pipe(TEXTS)]
    nlp = build(bare, span_filter=FILTER, max_kept_bytes=max_kept_bytes)
    counted = Counted(monkeypatch)
    seen = []
    keep = EncodedBatch.encode

    def watching(encoded, layers):
        seen.append(store(nlp).nbytes)
        return keep(encoded, layers)

    monkeypatch.setattr(EncodedBatch, "encode", watching)
    assert [outcome(doc) for doc in nlp.pipe(TEXTS)] == all_kept
    assert max(seen) <= max_kept_bytes
    if max_kept_bytes == 0:
        assert counted.batches >= 3


def test_who_reads_pieces_follows_weights_and_settings(bare: Path) -> None:
    nlp = build(bare)
    encoder, ner = nlp.get_pipe("luke_encoder"), nlp.get_pipe("luke_ner")
    assert encoder.piece_readers(ner.windows) == set(READERS)
    encoder.set_vectors = True
    assert encoder.piece_readers(ner.windows) == {"luke_encoder", *READERS}
    encoder.set_vectors = False
    assert encoder.piece_readers(ner.windows) == set(READERS)
    nlp.add_pipe("luke_ner", name="other", config={"model": SHARED})
    assert encoder.piece_readers(ner.windows) == set(READERS), "the new component has no weights yet"
    nlp.get_pipe("other").initialize(lambda: gold_examples(nlp), nlp=nlp)
    assert encoder.piece_readers(ner.windows) == {"other", *READERS}
    ner.from_bytes(build(bare, windows={**SENTENCES, "max_pieces": 80}).get_pipe("luke_ner").to_bytes())
    assert encoder.piece_readers(nlp.get_pipe("luke_relations").windows) == {"other", *READERS} - {"luke_ner"}
    assert encoder.piece_readers(ner.windows) == {"luke_ner"}


def test_shared_pieces_give_what_each_component_gives_alone(bare: Path) -> None:
    nlp = build(bare)
    docs = [with_ents(nlp.get_pipe("sentencizer")(nlp.make_doc(TEXT)))]
    for name in READERS:
        shared = nlp.get_pipe(name).logits(docs)
        with nlp.select_pipes(enable=["luke_encoder", name]):  # then nobody else reads, and nothing is shared
            assert nlp.get_pipe("luke_encoder").piece_readers(nlp.get_pipe(name).windows) == {name}
            alone = nlp.get_pipe(name).logits(docs)
        for (_, a), (_, b) in zip(shared, alone, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)


def test_pipe_gives_what_call_gives(bare: Path) -> None:
    nlp = build(bare)
    for a, b in zip(nlp.pipe(TEXTS), map(nlp, TEXTS), strict=True):
        (ents, relations), (other_ents, other_relations) = outcome(a), outcome(b)
        assert [e[:3] for e in ents] == [e[:3] for e in other_ents]
        assert [r[:3] for r in relations] == [r[:3] for r in other_relations]
        for x, y in zip(relations, other_relations, strict=True):
            assert abs(x[3] - y[3]) < 1e-5


def test_any_order_and_any_part_of_the_pipeline_gives_the_same(bare: Path) -> None:
    nlp = build(bare)
    whole = outcome(nlp(TEXT))
    with nlp.select_pipes(disable=["luke_entity_typer"]):
        assert nlp.get_pipe("luke_encoder").piece_readers(nlp.get_pipe("luke_ner").windows) == {
            "luke_ner",
            "luke_relations",
        }
        part = nlp(TEXT)
        assert store(nlp).nbytes == 0
    assert [e[:4] for e in outcome(part)[0]] == [e[:4] for e in whole[0]]
    assert outcome(part)[1] == whole[1]
    nlp.remove_pipe("luke_entity_typer")
    assert outcome(nlp(TEXT))[1] == whole[1]
    assert store(nlp).nbytes == 0


def test_nothing_is_kept_of_docs_that_are_gone(bare: Path) -> None:
    nlp = build(bare)
    doc = with_ents(nlp.get_pipe("sentencizer")(nlp.make_doc(TEXT)))
    nlp.get_pipe("luke_relations").logits([doc])
    assert store(nlp).nbytes > 0  # the others have not read it yet
    del doc
    gc.collect()
    assert store(nlp).nbytes == 0


@pytest.mark.parametrize("change", ["merged", "sentences"])
def test_a_doc_that_changes_in_between_is_encoded_again(bare: Path, change: str) -> None:
    nlp = build(bare)

    def changed(doc: Doc) -> Doc:
        if change == "merged":
            with doc.retokenize() as retokenizer:
                retokenizer.merge(doc[0:2])
        else:
            for token in doc:
                token.is_sent_start = token.i in (0, 7)
        return with_ents(doc, [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "LOC")])

    relations = nlp.get_pipe("luke_relations")
    fresh = changed(nlp.get_pipe("sentencizer")(nlp.make_doc(TEXT)))
    expected = relations.logits([fresh])[0][1]
    doc = nlp.get_pipe("sentencizer")(nlp.make_doc(TEXT))
    nlp.get_pipe("luke_ner").predict([doc])
    found = relations.logits([changed(doc)])[0][1]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_new_weights_are_used_at_once(bare: Path) -> None:
    nlp = build(bare)
    doc = with_ents(nlp.get_pipe("sentencizer")(nlp.make_doc(TEXT)))
    relations, encoder = nlp.get_pipe("luke_relations"), encoder_of(nlp, "luke_encoder")
    before = relations.logits([doc])[0][1]
    with torch.no_grad():
        encoder.layers[0].attention.key.weight += 0.1
    after = relations.logits([doc])[0][1]
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(relations.logits([with_ents(doc.copy())])[0][1], after, atol=2e-6)


def test_threads_that_share_a_pipeline_give_what_one_gives(bare: Path) -> None:
    nlp = build(bare)
    expected = {text: outcome(nlp(text)) for text in TEXTS}
    wrong: list[str] = []

    def work(offset: int) -> None:
        for i in range(12):
            text = TEXTS[(i + offset) % len(TEXTS)]
            doc = nlp(text) if i % 2 else next(iter(nlp.pipe([text])))
            if outcome(doc) != expected[text]:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store(nlp).nbytes == 0


def test_copies_have_an_empty_store_and_the_same_results(bare: Path, tmp_path: Path) -> None:
    nlp = build(bare, max_kept_bytes=12345)
    expected = outcome(nlp(TEXT))
    nlp.to_disk(tmp_path)
    for copied in (spacy.load(tmp_path), pickle.loads(pickle.dumps(nlp))):
        assert store(copied).max_bytes == 12345
        assert outcome(copied(TEXT)) == expected


def test_several_processes_give_what_one_gives(bare: Path) -> None:
    nlp = build(bare)
    expected = [[e[:3] for e in outcome(doc)[0]] for doc in nlp.pipe(TEXTS)]
    found = [[e[:3] for e in outcome(doc)[0]] for doc in nlp.pipe(TEXTS, n_process=2, batch_size=2)]
    assert found == expected


@given(texts=st.lists(st.sampled_from(TEXTS), max_size=5), batch_size=st.integers(1, 4), kept=st.integers(0, 30_000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_streams_keep_to_the_bound_and_leave_nothing(bare, texts, batch_size, kept) -> None:
    nlp = build(bare, max_kept_bytes=kept)
    alone = {text: [e[:3] for e in outcome(nlp(text))[0]] for text in set(texts)}
    for doc, text in zip(nlp.pipe(texts, batch_size=batch_size), texts, strict=True):
        assert [e[:3] for e in outcome(doc)[0]] == alone[text]
        assert store(nlp).nbytes <= kept
    assert store(nlp).nbytes == 0


# Training


def gradients(nlp: Language) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in encoder_of(nlp, "luke_encoder").named_parameters() if p.grad is not None}


def added_gradients(bare: Path, **settings) -> dict[str, torch.Tensor]:
    """The gradients of each component when no other reads pieces, added up: today's way."""
    total: dict[str, torch.Tensor] = {}
    for name in READERS:
        nlp = build(bare, **settings)
        for other in READERS:
            if other != name:
                nlp.disable_pipe(other)
        assert nlp.get_pipe("luke_encoder").piece_readers(nlp.get_pipe(name).windows) == {name}
        np.random.seed(0)  # noqa: NPY002
        nlp.update(gold_examples(nlp), sgd=False, drop=0.0)
        for key, gradient in gradients(nlp).items():
            total[key] = total.get(key, 0) + gradient
    return total


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
@pytest.mark.parametrize("span_filter", [None, FILTER], ids=["all spans", "span filter"])
def test_gradients_are_those_of_each_component_alone(bare: Path, monkeypatch, span_filter, checkpointing: bool) -> None:
    more = {"model": {**ENCODER, "gradient_checkpointing": checkpointing}}
    expected = added_gradients(bare, span_filter=span_filter, **more)
    nlp = build(bare, span_filter=span_filter, **more)
    counted = Counted(monkeypatch)
    np.random.seed(0)  # noqa: NPY002
    nlp.update(gold_examples(nlp), sgd=False, drop=0.0)
    assert counted.batches == 1
    found = gradients(nlp)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def stepped_gradients(nlp: Language, drop: float = 0.0) -> dict[str, torch.Tensor]:
    """The gradients that an update with an optimiser steps on."""
    found: dict[str, torch.Tensor] = {}
    encoder = nlp.get_pipe("luke_encoder")
    [shim] = encoder.model.shims
    shim.finish_update = lambda sgd: found.update(gradients(nlp))
    nlp.update(gold_examples(nlp), sgd=adam(), drop=drop)
    encoder.flush_step()
    return found


@pytest.mark.parametrize("clip", [None, 0.01, {"luke_ner": 0.01, "luke_relations": 1e9, "luke_entity_typer": 0.5}])
def test_a_step_is_the_same_whatever_is_kept_for_the_backward_pass(bare: Path, monkeypatch, clip) -> None:
    counted = Counted(monkeypatch)
    found, batches = [], []
    for max_trained_pieces in (4096, 0):
        nlp = build(bare, component_grad_clip=clip)
        store(nlp).max_trained_pieces = max_trained_pieces
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(1)
        counted.batches = 0
        found.append(stepped_gradients(nlp, drop=0.3))
        batches.append(counted.batches)
        assert store(nlp).nbytes == 0
    kept, again = found
    assert kept.keys() == again.keys()
    for name, gradient in kept.items():
        assert torch.equal(gradient, again[name]), name
    # Without room the pieces are encoded once more for the backward pass, or for that of each component.
    assert batches == [1, 2 if clip is None else 1 + len(READERS)]


@pytest.mark.parametrize("clip", [None, 0.01, {"luke_ner": 0.01, "luke_relations": 1e9, "luke_entity_typer": 0.5}])
def test_a_step_is_that_of_separate_encodings(bare: Path, monkeypatch, clip) -> None:
    found = stepped_gradients(build(bare, component_grad_clip=clip))
    separate = build(bare, component_grad_clip=clip)
    for name in READERS:
        monkeypatch.setattr(type(separate.get_pipe(name)), "reads_pieces", False)
    expected = stepped_gradients(separate)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_a_step_that_a_component_adds_nothing_to_has_the_gradients_of_pieces(bare: Path, monkeypatch) -> None:
    nlp, separate = build(bare), build(bare)
    with nlp.select_pipes(disable=["luke_entity_typer"]):
        found = stepped_gradients(nlp)
    for name in READERS:
        monkeypatch.setattr(type(separate.get_pipe(name)), "reads_pieces", False)
    with separate.select_pipes(disable=["luke_entity_typer"]):
        expected = stepped_gradients(separate)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_several_updates_before_a_step_add_up(bare: Path) -> None:
    once, twice = build(bare), build(bare)
    once.update(gold_examples(once), sgd=False, drop=0.0)
    for _ in range(2):
        twice.update(gold_examples(twice), sgd=False, drop=0.0)
    for name, gradient in gradients(twice).items():
        torch.testing.assert_close(gradient, 2 * gradients(once)[name], atol=1e-5, rtol=1e-4)


def test_predictions_after_an_update_are_without_dropout(bare: Path) -> None:
    nlp = build(bare)
    nlp.update(gold_examples(nlp), sgd=False, drop=0.5)
    assert not any(module.training for module in encoder_of(nlp, "luke_encoder").modules())
    docs = [gold_examples(nlp)[0].predicted for _ in range(2)]
    first, second = (nlp.get_pipe("luke_ner").logits([doc])[0][1] for doc in docs)
    np.testing.assert_array_equal(first, second)


def test_a_component_with_a_frozen_encoder_adds_nothing(bare: Path) -> None:
    for frozen in READERS:
        nlp = build(bare)
        nlp.get_pipe(frozen).freeze_encoder()
        nlp.update(gold_examples(nlp), sgd=False, drop=0.0)
        expected = build(bare)
        expected.update(gold_examples(expected), sgd=False, drop=0.0, exclude=[frozen])
        expected.get_pipe("luke_encoder")._take_piece_gradients()
        for name, gradient in gradients(expected).items():
            torch.testing.assert_close(gradients(nlp)[name], gradient, atol=1e-5, rtol=1e-4)
        assert any(
            p.grad is not None for n, p in nlp.get_pipe(frozen)._module.named_parameters() if "encoder." not in n
        )


def test_a_frozen_provider_stays_as_it_is(bare: Path) -> None:
    nlp = build(bare)
    nlp.get_pipe("luke_encoder").freeze_encoder()
    before = state(encoder_of(nlp, "luke_encoder"))
    nlp.update(gold_examples(nlp), sgd=adam(), drop=0.1)
    nlp.get_pipe("luke_encoder").flush_step()
    after = state(encoder_of(nlp, "luke_encoder"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_together_learns_and_predicts_in_between(bare: Path) -> None:
    nlp = build(bare, span_filter=FILTER)
    gold = gold_examples(nlp)
    sgd = adam(0.003)
    first = last = {}
    for step in range(100):
        losses = nlp.update(gold_examples(nlp), sgd=sgd, drop=0.0)
        first = first or losses
        last = losses
        if step % 10 == 0:
            nlp(TEXT)
    assert all(last[name] < 0.5 * first[name] for name in READERS)
    doc = nlp(TEXT)
    assert [(e.text, e.label_) for e in doc.ents] == [(e.text, e.label_) for e in gold[0].reference.ents]
    assert store(nlp).nbytes == 0


def test_vectors_and_links_read_the_same_pieces(bare: Path, monkeypatch) -> None:
    nlp = build(bare, readers=("luke_ner", "luke_relations"))
    config = {"model": SHARED["encoder"], "windows": SENTENCES}
    nlp.add_pipe("luke_encoder", name="vectors", config=config)
    assert nlp.get_pipe("luke_encoder").piece_readers(nlp.get_pipe("luke_ner").windows) == {
        "luke_ner",
        "luke_relations",
        "vectors",
    }
    counted = Counted(monkeypatch)
    doc = nlp(TEXT)
    assert counted.batches == 1
    shared = doc.tensor.copy(), [span._.entity_vector for span in doc.ents]
    again = Doc(nlp.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc])
    for token in doc:
        again[token.i].is_sent_start = token.is_sent_start
    again.set_ents([Span(again, e.start, e.end, e.label) for e in doc.ents])
    with nlp.select_pipes(enable=["luke_encoder", "vectors"]):
        nlp.get_pipe("vectors")(again)
    np.testing.assert_allclose(shared[0], again.tensor, atol=1e-5)
    for ours, theirs in zip(shared[1], again.ents, strict=True):
        np.testing.assert_allclose(ours, theirs._.entity_vector, atol=1e-5)


def test_components_with_other_windows_share_nothing(bare: Path, monkeypatch) -> None:
    nlp = build(bare, readers=("luke_ner",))
    windows = {"@misc": "spacy-luke.joined_sentences.v1", "joined_pieces": 60}
    nlp.add_pipe("luke_relations", config={"model": SHARED, "windows": windows, "threshold": 0.0})
    nlp.get_pipe("luke_relations").initialize(lambda: gold_examples(nlp), nlp=nlp)
    for name in nlp.pipe_names[2:]:
        pipe = nlp.get_pipe(name)
        assert nlp.get_pipe("luke_encoder").piece_readers(pipe.windows) == {name}
    counted = Counted(monkeypatch)
    assert get_relations(nlp(TEXT))
    assert counted.batches == 0  # each by itself


def test_windows_of_the_user_are_shared_if_they_are_equal(bare: Path, monkeypatch) -> None:
    nlp = build(bare, windows=None)
    own = OneWindow()
    for name in READERS:
        nlp.get_pipe(name)._windows_setting = own
    counted = Counted(monkeypatch)
    nlp(TEXT)
    assert counted.batches == 1


class OneWindow:
    """Windows of a user: the whole Doc."""

    max_pieces = 100

    def shortened(self, max_pieces: int) -> OneWindow:
        return self

    def __call__(self, pieces: int, sentences: np.ndarray, longest_mention: int) -> list[Window]:
        return [Window(0, pieces, (0, pieces))] if pieces else []
