"""`luke_relations` and `luke_entity_typer` without markers: a window is encoded once for all of its items."""

from __future__ import annotations

import json
import pickle
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from transformers import AutoModel, LukeModel

from spacy_luke.annotations import get_entity_types, get_relations, set_entity_types, set_relations
from spacy_luke.errors import LukeError
from tests.pipeline.encoder.shared_model import SHARED
from tests.pipeline.short_training import adam
from tests.util import luke_config, randomise, write_luke

from .model import ENTITY, PAIR, TEXT, with_ents, write_checkpoint

NAMES = ("luke_relations", "luke_entity_typer")
ENCODER = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "independent"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    write_luke(folder, randomise(LukeModel(luke_config())))
    return folder


def gold_examples(nlp: Language) -> list[Example]:
    reference, predicted = (with_ents(sentences(nlp.make_doc(TEXT))) for _ in range(2))
    spans = list(reference.ents)
    set_relations(reference, [(spans[0], spans[1], "met"), (spans[3], spans[4], "lives_in")])
    for span in spans:
        set_entity_types(span, ["person"] if span.label_ == "PER" else ["city", "place"])
    return [Example(predicted, reference)]


def sentences(doc: Doc) -> Doc:
    for token in doc:
        token.is_sent_start = token.i in (0, 8)
    return doc


def blank(name: str, *, encoder=None, **config) -> tuple[Language, object]:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe(name, config={"model": {"encoder": encoder or ENCODER}, "threshold": 0.0, **config})
    return nlp, pipe


def initialized(name: str, checkpoint: Path, **config) -> tuple[Language, object]:
    nlp, pipe = blank(name, **config)
    torch.manual_seed(0)
    pipe.initialize(lambda: gold_examples(nlp), checkpoint=str(checkpoint))
    return nlp, pipe


@pytest.fixture(params=NAMES)
def trained(request, bare: Path) -> tuple[Language, object]:
    return initialized(request.param, bare)


def example_doc(nlp: Language, text: str = TEXT) -> Doc:
    return with_ents(sentences(nlp.make_doc(text)))


def test_a_new_head_on_independent_attention_has_no_markers(bare: Path) -> None:
    for name in NAMES:
        assert not initialized(name, bare)[1].markers
        assert initialized(name, bare, markers=True)[1].markers
        assert initialized(name, bare, encoder={**ENCODER, "entity_attention": None})[1].markers


def test_full_attention_cannot_do_without_markers(bare: Path) -> None:
    nlp, pipe = blank("luke_relations", encoder={**ENCODER, "entity_attention": None}, markers=False)
    with pytest.raises(LukeError, match=r"L186.*'luke_relations'"):
        pipe.initialize(lambda: gold_examples(nlp), checkpoint=str(bare))
    assert not pipe.has_weights


@pytest.mark.filterwarnings("ignore:.*W030")
def test_a_head_without_markers_stands_on_no_encoder_with_full_attention(bare: Path, tmp_path: Path) -> None:
    initialized("luke_relations", bare)[1].to_disk(tmp_path)
    pipelines = []
    for folder in (tmp_path, bare):
        nlp = spacy.blank("en")
        encoder: Any = nlp.add_pipe("luke_encoder", config={"set_vectors": False})
        encoder.load_checkpoint(folder)
        pipelines.append((nlp, encoder))
    (nlp, encoder), (full, _) = pipelines
    pipe: Any = nlp.add_pipe("luke_relations", config={"model": SHARED})
    pipe.initialize(lambda: gold_examples(nlp))
    assert not pipe.markers
    before = encoder.encoder
    with pytest.raises(LukeError, match=r"L186.*'luke_relations'"):
        encoder.load_checkpoint(bare)
    assert encoder.encoder is before, "nothing has changed"
    with pytest.raises(LukeError, match=r"L186.*'luke_relations'"):
        full.add_pipe("luke_relations", source=nlp)


@pytest.mark.parametrize(("name", "task"), zip(NAMES, (PAIR, ENTITY), strict=True))
def test_a_head_is_used_as_it_was_trained(bare: Path, tmp_path: Path, name: str, task: str) -> None:
    initialized(name, bare)[1].to_disk(tmp_path / "unmarked")
    marked = write_checkpoint(tmp_path / "marked", task)
    for folder, markers, attention in (("unmarked", True, "independent"), ("marked", False, "full")):
        _, pipe = blank(name, encoder={**ENCODER, "entity_attention": attention}, markers=markers)
        with pytest.raises(LukeError, match=f"L185.*markers = {markers}.*markers = {not markers}"):
            pipe.load_checkpoint(tmp_path / folder)
        _, other = blank(name, encoder={**ENCODER, "entity_attention": attention})
        assert other.load_checkpoint(tmp_path / folder).markers is not markers
    assert marked.is_dir()


def test_logits_survive_saving_and_pickling(trained, tmp_path: Path) -> None:
    nlp, pipe = trained
    doc = example_doc(nlp)
    [(items, before)] = pipe.logits([doc])
    assert len(items) == len(before) > 4
    pipe.to_disk(tmp_path / "saved")
    _, from_disk = blank(pipe.name)
    _, from_bytes = blank(pipe.name)
    copies = [from_disk.from_disk(tmp_path / "saved"), from_bytes.from_bytes(pipe.to_bytes())]
    copies.append(pickle.loads(pickle.dumps(pipe)))
    for copied in copies:
        assert not copied.markers
        np.testing.assert_array_equal(copied.logits([doc])[0][1], before)


@pytest.mark.parametrize(("name", "problem"), zip(NAMES, ("single_label", "multi_label"), strict=True))
def test_a_new_head_says_what_kind_of_labels_it_has(bare: Path, tmp_path: Path, name: str, problem: str) -> None:
    initialized(name, bare, markers=True)[1].to_disk(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["problem_type"] == f"{problem}_classification"


def test_config_json_says_so_and_transformers_refuses_it(trained, tmp_path: Path) -> None:
    _, pipe = trained
    pipe.to_disk(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf8"))
    types = ["LOC", "PER"] if pipe.name == "luke_relations" else []
    assert config["model_type"] == "independent_luke"
    assert config["spacy_luke"]["unmarked"] == {"types": types}
    with pytest.raises(ValueError, match="independent_luke"):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("unmarked", [{"types": "LOC"}, {"types": [1]}, {"kinds": []}, []])
def test_damaged_settings_of_such_a_head_have_a_code(bare: Path, tmp_path: Path, unmarked) -> None:
    _, pipe = initialized("luke_relations", bare)
    pipe.to_disk(tmp_path)
    (tmp_path / "checksums.json").unlink(missing_ok=True)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf8"))
    config["spacy_luke"]["unmarked"] = unmarked
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf8")
    with pytest.raises(LukeError, match=r"L0(04|24|48|40).*"):
        blank("luke_relations")[1].load_checkpoint(tmp_path)


@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_items_logits_depend_on_no_other_item_doc_or_chunk(trained, data) -> None:
    """Whichever entities are there beside its own, in whichever Docs and batches."""
    nlp, pipe = trained
    every = list(example_doc(nlp).ents)
    kept = data.draw(st.lists(st.sampled_from(range(len(every))), min_size=2, unique=True))
    some = sentences(nlp.make_doc(TEXT))
    some.set_ents([Span(some, every[i].start, every[i].end, every[i].label) for i in kept])
    before = pipe.max_batch_pieces
    pipe.max_batch_pieces = data.draw(st.sampled_from([1, 30, 60, before]))
    beside = [sentences(nlp.make_doc(TEXT)) for _ in range(data.draw(st.integers(0, 2)))]
    found = pipe.logits([*beside, some])[-1]
    pipe.max_batch_pieces = before
    [(items, logits)] = pipe.logits([example_doc(nlp)])
    known = {key(item): row for item, row in zip(items, logits, strict=True)}
    for item, row in zip(*found, strict=True):
        np.testing.assert_allclose(row, known[key(item)], atol=2e-6)


def key(item) -> tuple:
    return tuple((span.start, span.end, span.label_) for span in (item if isinstance(item, tuple) else (item,)))


def test_pipe_gives_what_call_gives(trained) -> None:
    nlp, pipe = trained
    texts = [TEXT, "Ada met Bo.", "", TEXT]
    one_by_one = [pipe(mark(nlp, text)) for text in texts]
    streamed = list(pipe.pipe((mark(nlp, text) for text in texts), batch_size=3))
    for a, b in zip(one_by_one, streamed, strict=True):
        if pipe.name == "luke_relations":
            found = [[(r.head.text, r.tail.text, r.label) for r in get_relations(doc)] for doc in (a, b)]
        else:
            found = [[get_entity_types(span) for span in doc.ents] for doc in (a, b)]
        assert found[0] == found[1]


def mark(nlp: Language, text: str) -> Doc:
    if text == TEXT:
        return example_doc(nlp)
    doc = nlp.make_doc(text)
    doc.set_ents([Span(doc, i, i + 1, "PER") for i in (0, 2) if i < len(doc)])
    return doc


def test_types_of_head_and_tail_are_read_where_they_are_known(bare: Path) -> None:
    nlp, pipe = initialized("luke_relations", bare)
    docs = []
    for labels in (("PER", "PER"), ("PER", "LOC"), ("LOC", "PER"), ("ROBOT", "ROBOT"), ("X", "Y")):
        doc = nlp.make_doc("Ada met Bo.")
        doc.set_ents([Span(doc, i, i + 1, label) for i, label in zip((0, 2), labels, strict=True)])
        docs.append(doc)
    logits = [found for _, found in pipe.logits(docs)]
    for a, b in permutations(range(3), 2):
        assert np.abs(logits[a][0] - logits[b][0]).max() > 1e-5
    np.testing.assert_allclose(logits[3], logits[4], atol=1e-6)  # a type that was not learned is not known
    assert np.abs(logits[0] - logits[3]).max() > 1e-5


def test_training_learns_relations_and_types(trained) -> None:
    nlp, pipe = trained
    gold = gold_examples(nlp)
    sgd = adam()
    losses = [pipe.update(gold, sgd=sgd, drop=0.0)[pipe.name] for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]
    if pipe.name == "luke_relations":
        doc = pipe(example_doc(nlp))
        found = {(r.head.text, r.tail.text, r.label) for r in get_relations(doc)}
        assert found == {(r.head.text, r.tail.text, r.label) for r in get_relations(gold[0].reference)}
    else:
        pipe.threshold = 0.5
        doc = pipe(example_doc(nlp))
        assert [set(get_entity_types(span)) for span in doc.ents] == [
            set(get_entity_types(span)) for span in gold[0].reference.ents
        ]


def test_added_labels_and_calibration_work_as_with_markers(trained) -> None:
    nlp, pipe = trained
    before = pipe.logits([example_doc(nlp)])[0][1]
    assert pipe.add_label("new") == 1
    after = pipe.logits([example_doc(nlp)])[0][1]
    assert after.shape[1] == before.shape[1] + 1
    np.testing.assert_allclose(after[:, :-1], before, atol=1e-6)


def test_a_pair_that_no_window_shows_is_told(bare: Path) -> None:
    pairs = {"@misc": "spacy-luke.entity_pairs.v1", "across_sentences": True}
    nlp, pipe = initialized("luke_relations", bare, pairs=pairs)
    with pytest.warns(UserWarning, match=r"W014.*12 pairs.*too far apart"):
        [(items, _)] = pipe.logits([example_doc(nlp)])
    assert len(items) == 8
    joined = {"@misc": "spacy-luke.joined_sentences.v1"}
    nlp, pipe = initialized("luke_relations", bare, pairs=pairs, windows=joined)
    assert len(pipe.logits([example_doc(nlp)])[0][0]) == 20
