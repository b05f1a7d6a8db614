"""`luke_relations` and `luke_entity_typer`: raw scores become annotations."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, Span

import spacy_luke
from spacy_luke.errors import LukeError
from spacy_luke.pipeline.base.losses import softmax
from spacy_luke.pipeline.base.negative_label import NO_RELATION, find_negative
from spacy_luke.pipeline.entity_markers.component import ScoredItems
from spacy_luke.pipeline.relations.gold import related_types
from spacy_luke.pipeline.relations.labels import (
    RelationLabels,
    both_directions,
    in_text_order,
    is_directed,
    split_direction,
)
from tests.pipeline.entity_markers.model import ENTITY, PAIR, RELATIONS, TYPES, one_sentence, write_checkpoint

SEMEVAL = ("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Member(e1,e2)", "Member(e2,e1)", "Other")
_MADE: dict = {}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    made = {"plain": (PAIR, RELATIONS), "directed": (PAIR, SEMEVAL), "types": (ENTITY, TYPES)}
    return {name: write_checkpoint(tmp_path_factory.mktemp(name), *what) for name, what in made.items()}


def component(folder: Path, **config):
    """The component of a checkpoint; each is made once and must not be changed."""
    key = (folder, repr(config))
    if key not in _MADE:
        nlp = spacy_luke.from_checkpoint(folder, config=config)
        _MADE[key] = nlp.get_pipe(nlp.pipe_names[-1])
    return _MADE[key]


def make_doc(pipe) -> Doc:
    return one_sentence(Doc(pipe.vocab, words=["Ada", "met", "Bo", "and", "Cy"]))


def relations(pipe, rows: dict[tuple[int, int], list[float]]) -> list[tuple]:
    """Decode raw scores of pairs of tokens."""
    doc = make_doc(pipe)
    items = [(doc[a : a + 1], doc[b : b + 1]) for a, b in rows]
    pipe.set_annotations([doc], [ScoredItems(items, np.array([*rows.values()], dtype=np.float32))])
    return [(r.head.start, r.label, r.tail.start, round(r.score, 4)) for r in doc._.relations]


def probability(row: list[float], label: int) -> float:
    return round(float(torch.tensor(row).double().softmax(0)[label]), 4)


LIVES = [0.0, 2.0, 1.0, -1.0]
NONE = [3.0, 2.0, 1.0, -1.0]


def test_the_most_probable_label_is_predicted_unless_it_is_the_negative_one(folders) -> None:
    pipe = component(folders["plain"])
    assert relations(pipe, {(0, 2): LIVES, (2, 0): NONE}) == [(0, "lives_in", 2, probability(LIVES, 1))]
    assert relations(pipe, {}) == []


def test_a_threshold_leaves_out_what_is_less_probable(folders) -> None:
    score = probability(LIVES, 1)
    for threshold, count in ((score - 0.01, 1), (score + 0.01, 0)):
        assert len(relations(component(folders["plain"], threshold=threshold), {(0, 2): LIVES})) == count


def test_a_probability_equal_to_the_threshold_is_enough(folders) -> None:
    exact = float(softmax(np.array([LIVES], dtype=np.float32))[0, 1])
    for threshold, count in ((exact, 1), (math.nextafter(exact, 1), 0)):
        assert len(relations(component(folders["plain"], threshold=threshold), {(0, 2): LIVES})) == count
    several = component(folders["plain"], multi_label=True, threshold=0.5)
    assert relations(several, {(0, 2): [0.0, 0.0, -0.1, -0.1]}) == [(0, "lives_in", 2, 0.5)]


def test_the_threshold_can_be_changed(folders) -> None:
    pipe = component(folders["plain"])
    assert pipe.threshold == 0
    pipe.threshold = probability(LIVES, 1) + 0.01
    assert relations(pipe, {(0, 2): LIVES}) == []
    with pytest.raises(LukeError, match="L047"):
        pipe.threshold = 2
    pipe.threshold = None
    assert pipe.threshold == 0
    assert len(relations(pipe, {(0, 2): LIVES})) == 1


def test_a_label_may_have_a_threshold_of_its_own(folders) -> None:
    met, lives = [0.0, -1.0, 2.0, -1.0], LIVES
    pair = {(0, 2): lives, (2, 4): met}
    own = probability(met, 2) + 0.01
    pipe = component(folders["plain"], label_thresholds=[["met", own]])
    assert pipe.label_thresholds == {"met": own}
    assert [label for _, label, *_ in relations(pipe, pair)] == ["lives_in"]
    lax = component(folders["plain"], threshold=0.99, label_thresholds=[["met", own - 0.02]])
    assert [label for _, label, *_ in relations(lax, pair)] == ["met"]


def test_both_directions_of_a_label_have_its_threshold(folders) -> None:
    rows = {(0, 2): [5.0, 0, 0, 0, 0], (0, 4): [0, 5.0, 0, 0, 0], (2, 4): [0, 0, 5.0, 0, 0]}
    pipe = component(folders["directed"], label_thresholds=[["Cause-Effect", 1.0]])
    assert [label for _, label, *_ in relations(pipe, rows)] == ["Member"]


def test_thresholds_of_labels_can_be_changed(folders) -> None:
    pipe = spacy_luke.from_checkpoint(folders["plain"]).get_pipe("luke_relations")
    pipe.label_thresholds = {"lives_in": 1.0}
    assert relations(pipe, {(0, 2): LIVES}) == []
    with pytest.raises(LukeError, match=r"L190.*label_thresholds names born_in,.*lives_in, met, works_for"):
        pipe.label_thresholds = {"born_in": 0.5}
    assert pipe.label_thresholds == {"lives_in": 1.0}
    pipe.label_thresholds = []
    assert len(relations(pipe, {(0, 2): LIVES})) == 1


@pytest.mark.parametrize(
    "value",
    ["met", 0.5, [["met"]], [["met", 2]], [["met", "0.5"]], [[1, 0.5]], ["ab"], [["met", 0.5], ["met", 0.6]], None],
)
def test_what_are_no_thresholds_of_labels_is_an_error(value) -> None:
    for factory in ("luke_relations", "luke_entity_typer"):
        with pytest.raises(LukeError, match=r"L047.*label_thresholds"):
            spacy.blank("en").add_pipe(factory, config={"label_thresholds": value})


@pytest.mark.parametrize("setting", [{"label_thresholds": [["born_in", 0.5]]}, {"single_tail": ["born_in"]}])
def test_settings_for_labels_that_a_checkpoint_lacks_are_errors(folders, setting) -> None:
    pipe = spacy.blank("en").add_pipe("luke_relations", config=setting)
    with pytest.raises(LukeError, match=rf"L190.*{next(iter(setting))} names born_in"):
        pipe.load_checkpoint(folders["plain"])
    assert not pipe.has_weights


def test_the_negative_label_has_no_threshold(folders) -> None:
    with pytest.raises(LukeError, match=r"L190.*no_relation"):
        component(folders["plain"], label_thresholds=[["no_relation", 0.5]])


def test_thresholds_of_labels_are_saved_whatever_the_labels_look_like(tmp_path) -> None:
    labels = ("no_relation", "per:title", "#1", "a=b")
    write_checkpoint(tmp_path / "checkpoint", PAIR, labels)
    pairs = [["per:title", 0.25], ["#1", 0.5], ["a=b", 1.0]]
    nlp = spacy_luke.from_checkpoint(tmp_path / "checkpoint", config={"label_thresholds": pairs})
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved").get_pipe("luke_relations")
    assert loaded.label_thresholds == {"per:title": 0.25, "#1": 0.5, "a=b": 1.0}


def test_several_labels_of_a_pair(folders) -> None:
    pipe = component(folders["plain"], multi_label=True)
    row = [3.0, 1.0, 0.1, -0.1]
    sigmoid = torch.tensor(row).sigmoid().tolist()
    assert relations(pipe, {(0, 2): row}) == [
        (0, "lives_in", 2, round(sigmoid[1], 4)),
        (0, "met", 2, round(sigmoid[2], 4)),
    ], "the negative label is no relation"
    assert len(relations(component(folders["plain"], multi_label=True, threshold=0.7), {(0, 2): row})) == 1


def test_predictions_replace_earlier_relations(folders) -> None:
    pipe = component(folders["plain"])
    doc = make_doc(pipe)
    doc._.relations = [(doc[0:1], doc[2:3], "old")]
    pipe.set_annotations([doc], [ScoredItems([], np.zeros((0, 4), dtype=np.float32))])
    assert doc._.relations == ()


def test_the_labels_of_the_entities_are_kept(folders) -> None:
    pipe = component(folders["plain"])
    doc = make_doc(pipe)
    doc.set_ents([Span(doc, 0, 1, label="PER"), Span(doc, 2, 3, label="LOC")])
    items = [(doc.ents[0], doc.ents[1])]
    pipe.set_annotations([doc], [ScoredItems(items, np.array([LIVES], dtype=np.float32))])
    [relation] = doc._.relations
    assert (relation.head.label_, relation.tail.label_) == ("PER", "LOC")


def test_a_symmetric_relation_is_predicted_once_with_the_higher_score(folders) -> None:
    pipe = component(folders["plain"], symmetric=["met"])
    weak, strong = [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 3.0, 0.0]
    for rows in ({(0, 2): weak, (2, 0): strong}, {(2, 0): strong, (0, 2): weak}, {(2, 0): strong}):
        assert relations(pipe, rows) == [(0, "met", 2, probability(strong, 2))]
    both = relations(component(folders["plain"]), {(0, 2): weak, (2, 0): strong})
    assert len(both) == 2, "other relations have a direction"


def test_identical_spans_have_a_defined_result(folders) -> None:
    pipe = component(folders["plain"], symmetric=["met"])
    assert relations(pipe, {(0, 0): LIVES}) == [(0, "lives_in", 0, probability(LIVES, 1))]


# One tail for a head


def linked(pipe, links: dict[int, str], ids: dict[int, str]) -> Doc:
    doc = Doc(pipe.vocab, words=["Ada", "in", "Rome", "or", "Bonn", "or", "Rome", "said", "she"])
    ends = (0, 2, 4, 6, 8)
    ents = [Span(doc, i, i + 1, "X", kb_id=links.get(i, ""), span_id=ids.get(i, "")) for i in ends]
    doc.set_ents(ents)
    return one_sentence(doc)


def lives(pipe, rows: dict[tuple[int, int], float], links=None, ids=None) -> list[tuple[int, int]]:
    """Head and tail of the relations "lives_in" that are predicted. rows: logits of that label."""
    doc = linked(pipe, links or {}, ids or {})
    ents = {ent.start: ent for ent in doc.ents}
    items = [(ents[a], ents[b]) for a, b in rows]
    logits = np.array([[0, logit, 0, 0] for logit in rows.values()], dtype=np.float32)
    pipe.set_annotations([doc], [ScoredItems(items, logits)])
    return [(r.head.start, r.tail.start) for r in doc._.relations]


def test_of_several_tails_of_a_head_the_most_probable_stays(folders) -> None:
    rows = {(0, 2): 2.0, (0, 4): 3.0, (8, 2): 1.0}
    assert lives(component(folders["plain"]), rows) == [(0, 2), (0, 4), (8, 2)]
    for labels in (["lives_in"], ["lives_in", "met"]):
        assert lives(component(folders["plain"], single_tail=labels), rows) == [(0, 4), (8, 2)]
    assert lives(component(folders["plain"], single_tail=["met"]), rows) == [(0, 2), (0, 4), (8, 2)]


def test_relations_with_other_labels_have_as_many_tails_as_there_are(folders) -> None:
    rows = {(0, 2): [0.0, 0.0, 9.0, 0.0], (0, 4): [0.0, 2.0, 0.0, 0.0], (2, 4): [0.0, 0.0, 8.0, 0.0]}
    rows |= {(0, 3): [0.0, 0.0, 7.0, 0.0], (0, 1): [0.0, 1.0, 0.0, 0.0]}
    found = [
        (head, tail) for head, _, tail, _ in relations(component(folders["plain"], single_tail=["lives_in"]), rows)
    ]
    assert found == [(0, 2), (0, 3), (0, 4), (2, 4)]


def test_a_tail_may_have_several_heads(folders) -> None:
    assert lives(component(folders["plain"], single_tail=["lives_in"]), {(0, 2): 2.0, (8, 2): 1.0}) == [(0, 2), (8, 2)]


def test_of_equal_tails_the_first_stays(folders) -> None:
    assert lives(component(folders["plain"], single_tail=["lives_in"]), {(0, 2): 2.0, (0, 4): 2.0}) == [(0, 2)]


def test_mentions_of_one_head_have_one_tail_together(folders) -> None:
    pipe = component(folders["plain"], single_tail=["lives_in"])
    rows = {(0, 2): 2.0, (8, 4): 3.0}
    assert lives(pipe, rows) == [(0, 2), (8, 4)]
    assert lives(pipe, rows, links={0: "Q1", 8: "Q1"}) == [(8, 4)]
    assert lives(pipe, rows, ids={0: "1", 8: "1"}) == [(8, 4)]
    assert lives(pipe, rows, links={0: "NIL", 8: "NIL"}) == [(0, 2), (8, 4)], "no link is no entity"


def test_mentions_of_one_tail_are_one(folders) -> None:
    pipe = component(folders["plain"], single_tail=["lives_in"])
    assert lives(pipe, {(0, 2): 2.0, (0, 6): 3.0}) == [(0, 2), (0, 6)], "they read the same"
    rows = {(0, 2): 2.0, (0, 4): 3.0}
    assert lives(pipe, rows, links={2: "Q2", 4: "Q2"}) == [(0, 2), (0, 4)]
    assert lives(pipe, rows, links={2: "Q2", 4: "Q3"}) == [(0, 4)]


def test_a_label_without_direction_has_one_partner_for_either_end(folders) -> None:
    pipe = component(folders["plain"], single_tail=["lives_in"], symmetric=["lives_in"])
    assert lives(pipe, {(0, 2): 2.0, (2, 4): 3.0, (6, 8): 1.0}) == [(2, 4), (6, 8)]


@pytest.mark.parametrize("value", ["lives_in", 1, [1], {"lives_in": True}])
def test_what_are_no_labels_with_one_tail_is_an_error(value) -> None:
    with pytest.raises(LukeError, match=r"L047.*single_tail"):
        spacy.blank("en").add_pipe("luke_relations", config={"single_tail": value})


# Directed labels


def test_directed_labels_become_plain_labels_with_the_right_head(folders) -> None:
    pipe = component(folders["directed"])
    assert pipe.directed_labels
    assert pipe.negative_label == "Other"
    rows = {(0, 2): [5.0, 0, 0, 0, 0], (0, 4): [0, 5.0, 0, 0, 0], (2, 4): [0, 0, 0, 0, 5.0]}
    score = probability([5.0, 0, 0, 0, 0], 0)
    assert relations(pipe, rows) == [(0, "Cause-Effect", 2, score), (4, "Cause-Effect", 0, score)]


def test_directed_labels_score_each_pair_once_in_text_order(folders, monkeypatch) -> None:
    for both in (True, False):
        pairs = {"@misc": "spacy-luke.entity_pairs.v1", "both_directions": both}
        pipe = component(folders["directed"], pairs=pairs)
        doc = make_doc(pipe)
        doc.set_ents([Span(doc, i, i + 1, label="X") for i in (0, 2, 4)])
        [(items, _)] = pipe.logits([doc])
        assert [(a.start, b.start) for a, b in items] == [(0, 2), (0, 4), (2, 4)]
    monkeypatch.setattr(pipe, "pairs", lambda doc: [(doc[4:5], doc[0:1]), (doc[0:1], doc[4:5])])
    [(items, _)] = pipe.logits([doc])
    assert [(a.start, b.start) for a, b in items] == [(0, 4)]


@pytest.mark.parametrize("types", [[["A", "B"]], [["B", "A"]]])
def test_directed_labels_do_not_care_for_the_order_of_type_pairs(folders, types) -> None:
    """Unless the pairs are those in text order alone."""
    for both, expected in ((True, [(0, 2), (2, 4)]), (False, [(0, 2)] if types == [["A", "B"]] else [(2, 4)])):
        pairs = {"@misc": "spacy-luke.entity_pairs.v1", "type_pairs": types, "both_directions": both}
        pipe = component(folders["directed"], pairs=pairs)
        doc = make_doc(pipe)
        doc.set_ents([Span(doc, 0, 1, label="A"), Span(doc, 2, 3, label="B"), Span(doc, 4, 5, label="A")])
        [(items, _)] = pipe.logits([doc])
        assert [(a.start, b.start) for a, b in items] == expected


def test_plain_labels_cannot_be_directed(folders, tmp_path) -> None:
    with pytest.raises(LukeError, match=r"L047.*directed_labels = True.*\(e1,e2\)"):
        component(folders["plain"], directed_labels=True)
    write_checkpoint(tmp_path, PAIR, ("Other", "met"))
    assert component(tmp_path, directed_labels=True, symmetric=["met"]).directed_labels


def test_labels_may_look_directed_and_not_be(folders) -> None:
    pipe = component(folders["directed"], directed_labels=False)
    row = [0, 5.0, 0, 0, 0]
    assert relations(pipe, {(0, 2): row}) == [(0, "Cause-Effect(e2,e1)", 2, probability(row, 1))]


def test_directions_of_labels() -> None:
    assert split_direction("Cause-Effect(e2,e1)") == ("Cause-Effect", True)
    assert split_direction("Cause-Effect(e1,e2)") == ("Cause-Effect", False)
    assert split_direction("Other") == ("Other", False)
    assert [is_directed(label) for label in ("a(e1,e2)", "(e1,e2)", "a(e1,e1)", "a")] == [True, False, False, False]
    assert both_directions(["a", "b(e2,e1)", "b(e1,e2)", "c"], {"c"}) == (
        "a(e1,e2)",
        "a(e2,e1)",
        "b(e1,e2)",
        "b(e2,e1)",
        "c",
    )


# The negative label


@pytest.mark.parametrize("name", NO_RELATION)
def test_usual_names_of_the_negative_label_are_known(name: str) -> None:
    for labels in itertools.permutations((name, "founded", "met")):
        assert find_negative("x", labels, None, NO_RELATION) == name


def test_labels_need_not_have_a_negative_one(tmp_path) -> None:
    pipe = component(write_checkpoint(tmp_path, PAIR, ("founded", "met")))
    assert pipe.negative_label is None
    assert pipe.label_data == ("founded", "met")
    assert [label for _, label, *_ in relations(pipe, {(0, 2): [1.0, 0.0], (2, 0): [0.0, 1.0]})] == ["founded", "met"]


def test_a_negative_label_can_be_set(folders) -> None:
    pipe = component(folders["plain"], negative_label="met")
    assert pipe.negative_label == "met"
    assert pipe.label_data == ("no_relation", "lives_in", "works_for")
    assert [label for _, label, *_ in relations(pipe, {(0, 2): NONE, (2, 0): [0, 0, 3.0, 0]})] == ["no_relation"]


def test_a_negative_label_that_is_no_label_is_an_error(folders) -> None:
    with pytest.raises(LukeError, match=r"L044.*'NA'.*luke_relations.*no_relation"):
        component(folders["plain"], negative_label="NA")
    pipe = spacy.blank("en").add_pipe("luke_relations", config={"negative_label": "NA"})
    with pytest.raises(LukeError, match="L044"):
        pipe.load_checkpoint(folders["plain"])
    assert not pipe.has_weights


# Labels and their order


def test_of_two_spans_the_first_is_that_which_begins_first_or_is_longer() -> None:
    doc = Doc(spacy.blank("en").vocab, words=["a", "b", "c", "d"])
    short, long, later = doc[1:2], doc[1:3], doc[2:4]
    for first, second in ((short, later), (long, short), (long, later), (doc[0:1], doc[0:1])):
        assert [in_text_order(first, second), in_text_order(second, first)] == [(first, second)] * 2
    same = doc[0:1], doc[0:1]
    assert in_text_order(*same)[0] is same[0]


def test_types_of_related_pairs_are_learned_from_all_relations() -> None:
    doc = Doc(spacy.blank("en").vocab, words=["Ada", "met", "Bo", "in", "Rome"])
    doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, 4, 5, "LOC")])
    doc._.relations = [
        (doc[4:5], doc[0:1], "no_relation"),
        (doc[0:1], doc[4:5], "lives_in"),
        (Span(doc, 0, 1, "HERO"), doc[2:3], "met"),
    ]
    scheme = RelationLabels(RELATIONS, "no_relation", False, directed=False, symmetric=frozenset(["met"]))
    found = related_types([doc], lambda doc: doc.ents, scheme)
    assert found == {("PER", "LOC"), ("HERO", ""), ("", "HERO")}, "no label: none is given, and it is no entity"
    directed = RelationLabels(RELATIONS, "no_relation", False, directed=True, symmetric=frozenset())
    assert ("LOC", "PER") in related_types([doc], lambda doc: doc.ents, directed)


# Types


def typed(pipe, row: list[float]) -> tuple[tuple[str, ...], dict[str, float]]:
    doc = make_doc(pipe)
    doc[0:1]._.entity_types = ["old"]
    pipe.set_annotations([doc], [ScoredItems([(doc[0:1],)], np.array([row], dtype=np.float32))])
    return doc[0:1]._.entity_types, doc[0:1]._.entity_type_scores


def test_types_above_the_threshold_come_most_probable_first(folders) -> None:
    row = [0.1, -0.1, 2.0, 0.0]
    types, scores = typed(component(folders["types"]), row)
    assert types == ("person", "artist", "writer"), "a probability of 0.5 is enough"
    assert list(scores) == list(TYPES)
    np.testing.assert_allclose([*scores.values()], torch.tensor(row).sigmoid().numpy(), atol=1e-6)
    assert typed(component(folders["types"], threshold=0.8), row)[0] == ("person",)
    assert typed(component(folders["types"], threshold=0.99), row)[0] == ()


def test_one_type_is_the_most_probable(folders) -> None:
    row = [0.1, -0.1, 2.0, 0.0]
    types, scores = typed(component(folders["types"], multi_label=False), row)
    assert types == ("person",)
    np.testing.assert_allclose([*scores.values()], torch.tensor(row).softmax(0).numpy(), atol=1e-6)
    assert typed(component(folders["types"], multi_label=False, threshold=0.9), row)[0] == ()


def test_a_type_with_a_probability_equal_to_the_threshold_is_predicted(folders) -> None:
    row = [0.1, -0.1, 2.0, 0.0]
    exact = float(softmax(np.array([row], dtype=np.float32)).max())
    for threshold, types in ((exact, ("person",)), (math.nextafter(exact, 1), ())):
        assert typed(component(folders["types"], multi_label=False, threshold=threshold), row)[0] == types


def test_spans_that_differ_in_label_only_are_typed_once(folders) -> None:
    pipe = component(folders["types"], spans_key="sc")
    doc = make_doc(pipe)
    doc.spans["sc"] = [Span(doc, 0, 1, label="A"), Span(doc, 0, 1, label="B"), doc[0:3], doc[2:3]]
    [(spans, logits)] = pipe.logits([doc])
    assert [(s.start, s.end) for s in spans] == [(0, 1), (0, 3), (2, 3)]
    assert logits.shape == (3, 4)
    pipe(doc)
    assert all(span._.entity_type_scores.keys() == set(TYPES) for span in doc.spans["sc"])


def test_docs_without_spans_have_no_types(folders) -> None:
    pipe = component(folders["types"])
    docs = [make_doc(pipe), Doc(pipe.vocab)]
    for (spans, logits), doc in zip(pipe.logits(docs), docs, strict=True):
        assert (spans, logits.shape) == ([], (0, 4))
        assert not spacy_luke.has_annotation(pipe(doc), "entity_types")
