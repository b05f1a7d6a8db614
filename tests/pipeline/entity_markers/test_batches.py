"""`luke_relations` and `luke_entity_typer`: results do not depend on batches, and memory does not grow with items."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import replace

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc

import spacy_luke
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.entity_markers import component as marked
from spacy_luke.pipeline.entity_markers import markers
from tests.pipeline.entity_markers.model import ENTITY, KINDS, PAIR, TEXT, with_ents, write_checkpoint

FACTORY = {PAIR: "luke_relations", ENTITY: "luke_entity_typer"}
SHORT = "Ada met Bo in London."


@pytest.fixture(scope="module", params=KINDS, ids=FACTORY.values())
def nlp(request, tmp_path_factory) -> spacy.language.Language:
    return spacy_luke.from_checkpoint(write_checkpoint(tmp_path_factory.mktemp("marked"), request.param))


@pytest.fixture
def pipe(nlp):
    """The component; settings that a test changes are restored."""
    pipe = nlp.get_pipe(nlp.pipe_names[-1])
    before = dict(vars(pipe))
    yield pipe
    vars(pipe).update(before)


def docs(nlp) -> list[Doc]:
    """Docs of several lengths, one without entities, one without tokens."""
    texts = [TEXT, "Nothing here.", "", SHORT, TEXT]
    made = [nlp.get_pipe("sentencizer")(nlp.make_doc(text)) for text in texts]
    for doc in (made[0], made[4]):
        with_ents(doc)
    with_ents(made[3], [(0, 1, "PER"), (2, 3, "PER"), (4, 5, "LOC")])
    return made


def results(done: list[Doc]) -> list:
    return [
        (
            [(r.head.start, r.tail.start, r.label, round(r.score, 4)) for r in doc._.relations],
            [(e._.entity_types, {k: round(v, 4) for k, v in e._.entity_type_scores.items()}) for e in doc.ents],
        )
        for doc in done
    ]


def test_pipe_gives_what_a_call_gives(nlp) -> None:
    one_by_one = results([nlp(doc) for doc in docs(nlp)])
    assert any(relations or any(types for types, _ in ents) for relations, ents in one_by_one)
    assert results(list(nlp.pipe(docs(nlp)))) == one_by_one
    assert results(list(nlp.pipe(docs(nlp), batch_size=2))) == one_by_one


def test_two_processes_give_the_same_results(nlp) -> None:
    # Docs that go to another process keep what they are given.
    assert results(list(nlp.pipe(docs(nlp) * 2, n_process=2, batch_size=3))) == results([*map(nlp, docs(nlp) * 2)])


def test_a_row_does_not_depend_on_those_beside_it(nlp, pipe) -> None:
    alone = pipe.logits(docs(nlp)[:1])[0][1]
    together = pipe.logits(docs(nlp))
    np.testing.assert_allclose(together[0][1], alone, atol=1e-5)
    pipe.max_batch_pieces = 1
    np.testing.assert_allclose(pipe.logits(docs(nlp)[:1])[0][1], alone, atol=1e-5)


@pytest.mark.parametrize("budget", [60, 200])
def test_batches_stay_within_the_budget(nlp, pipe, monkeypatch, budget: int) -> None:
    sizes = []
    forward = pipe._module.forward

    def measured(batch):
        sizes.append((len(batch.piece_ids), batch.piece_ids.shape[1] + batch.entity_ids.shape[1]))
        return forward(batch)

    monkeypatch.setattr(pipe._module, "forward", measured)
    pipe.max_batch_pieces = budget
    list(nlp.pipe(docs(nlp)))
    assert all(rows * length <= budget or rows == 1 for rows, length in sizes)
    assert max(rows for rows, _ in sizes) > 1


def test_three_hundred_entities_are_bounded_in_number_and_memory(nlp, pipe, monkeypatch) -> None:
    doc = Doc(nlp.vocab, words=["Ada"] * 900)
    for token in doc:
        token.is_sent_start = token.i % 150 == 0
    with_ents(doc, [(3 * i, 3 * i + 1, "PER") for i in range(300)])
    if pipe.name == "luke_relations":
        pipe.max_doc_pieces, pipe.pairs = None, replace(pipe.pairs, max_pairs=5000)
    alive, most, biggest = weakref.WeakSet(), [], []
    make = markers.marked_row

    class Row:  # a dataclass that compares its arrays cannot be in a set
        pass

    def watched(*args):
        row = make(*args)
        mark = Row()
        object.__setattr__(row, "mark", mark)
        alive.add(mark)
        return row

    def no_model(batch):
        most.append(len(alive))
        biggest.append(batch.piece_ids.numel() + batch.entity_ids.numel())
        return torch.zeros(len(batch.piece_ids), len(pipe.logit_labels))

    monkeypatch.setattr(markers, "marked_row", watched)
    monkeypatch.setattr(pipe._module, "forward", no_model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        [(items, _)] = pipe.logits([doc])
    if pipe.name == "luke_relations":
        assert len(items) == 5000
        assert [w for w in caught if "W013" in str(w.message)]
    else:
        assert len(items) == 300
        assert not [w for w in caught if issubclass(w.category, LukeWarning)]
    assert max(most) <= 2 * marked._AT_A_TIME
    assert max(biggest) <= pipe.max_batch_pieces


def test_a_doc_is_tokenised_once_whatever_the_number_of_items(nlp, pipe, monkeypatch) -> None:
    seen = []
    original = markers.doc_pieces
    monkeypatch.setattr(markers, "doc_pieces", lambda doc, tokenizer: seen.append(doc) or original(doc, tokenizer))
    pipe.logits(docs(nlp))
    assert len(seen) == 3, "only those with items"


def test_docs_without_sentences_are_read_whole_with_a_warning(nlp, pipe) -> None:
    pipe._warned_sentences = False
    with pytest.warns(LukeWarning, match=rf"W002.*{pipe.name}"):
        pipe.logits([nlp.make_doc(TEXT)])


# Settings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_mention_pieces", 0),
        ("threshold", 1.5),
        ("threshold", -0.1),
        ("max_batch_pieces", 0),
        ("windows", {"@misc": "spacy-luke.span_suggester.v1"}),
    ],
)
@pytest.mark.parametrize("factory", FACTORY.values())
def test_settings_out_of_range_are_errors(factory: str, setting: str, value) -> None:
    blank = spacy.blank("en")
    with pytest.raises((LukeError, ValueError), match=setting) as caught:
        blank.add_pipe(factory, config={setting: value})
    assert setting == "windows" or caught.value.code == "L047"


def test_windows_that_show_no_given_spans_are_an_error(nlp, pipe) -> None:
    settings = {
        "markers": None,
        "max_mention_pieces": 30,
        "multi_label": None,
        "threshold": None,
        "label_thresholds": [],
        "max_batch_pieces": 10,
    }
    more = {"pairs": None, "max_negatives": None, "negative_label": None, "directed_labels": None, "symmetric": []}
    more["max_doc_pieces"] = None
    more["single_tail"] = None
    settings.update(more if pipe.name == "luke_relations" else {"spans_key": None})
    with pytest.raises(LukeError, match=r"L047.*windows"):
        type(pipe)(nlp.vocab, pipe.model, "x", windows="all", scorer=None, **settings)


def test_luke_marks_items_in_their_sentences_only(nlp, pipe, tmp_path) -> None:
    pipe.to_disk(tmp_path)
    other = spacy.blank("en").add_pipe(pipe.name, config={"windows": {"@misc": "spacy-luke.strided_windows.v1"}})
    with pytest.raises(LukeError, match=r"L047.*sentence_windows.v1 for LUKE"):
        other.load_checkpoint(tmp_path)
    assert not other.has_weights


@pytest.mark.parametrize("factory", FACTORY.values())
def test_a_checkpoint_with_another_head_is_refused(factory: str, checkpoint) -> None:
    with pytest.raises(LukeError, match=r"L042.*LukeForEntitySpanClassification"):
        spacy.blank("en").add_pipe(factory).load_checkpoint(checkpoint)


def test_a_checkpoint_without_markers_is_refused_and_nothing_changes(nlp, pipe, tmp_path) -> None:
    task = PAIR if pipe.name == "luke_relations" else ENTITY
    write_checkpoint(tmp_path, task, vocab_size=422)
    before = pipe.logits(docs(nlp))[0][1]
    with pytest.raises(LukeError, match="L033"):
        pipe.load_checkpoint(tmp_path)
    np.testing.assert_array_equal(pipe.logits(docs(nlp))[0][1], before)


def test_a_pipeline_goes_through_bytes_and_can_be_sourced(nlp, pipe) -> None:
    expected = results([*map(nlp, docs(nlp))])
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    other.add_pipe(pipe.name)
    other.from_bytes(nlp.to_bytes())
    assert results([*map(other, docs(other))]) == expected
    sourced = spacy.blank("en")
    sourced.add_pipe("sentencizer")
    sourced.add_pipe(pipe.name, source=nlp)
    assert results([*map(sourced, docs(sourced))]) == expected
