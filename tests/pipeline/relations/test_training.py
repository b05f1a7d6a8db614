"""Training `luke_relations`: targets, loss and gradient beside transformers, and every start of training."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import Config
from transformers import BertConfig, BertModel, LukeModel

import spacy_luke
from spacy_luke.checkpoints.key_maps import to_hugging_face
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.relations.single_tail import MIN_HEADS
from tests.pipeline.entity_markers.model import (
    PAIR,
    RELATIONS,
    open_reference,
    with_ents,
    write_checkpoint,
)
from tests.pipeline.short_training import CONFIGS, adam, assert_complete, gradients, short, trained
from tests.util import luke_config, randomise, write_luke, write_word_piece

CONFIG = CONFIGS / "relations.cfg"
ENTS = [(0, 1, "PER"), (2, 3, "PER"), (4, 5, "LOC")]
DATA = [
    ("Ada met Bo in London .", [(0, 2, "met"), (0, 4, "lives_in")]),
    ("Cy left Di for Paris .", [(2, 4, "lives_in")]),
    ("Jo saw Al near Rome .", []),
]


def make_doc(nlp, text: str) -> Doc:
    doc = Doc(nlp.vocab, words=text.split())
    for token in doc:
        token.is_sent_start = token.i == 0
    return with_ents(doc, ENTS)


def example(nlp, text: str, facts) -> Example:
    """facts: tokens of head and tail, label; None = not annotated."""
    reference = make_doc(nlp, text)
    if facts is not None:
        ents = {ent.start: ent for ent in reference.ents}
        token_spans = {i: ents.get(i) or reference[i : i + 1] for i in range(len(reference))}
        reference._.relations = [(token_spans[a], token_spans[b], label) for a, b, label in facts]
    return Example(make_doc(nlp, text), reference)


def examples(nlp, data=DATA) -> list[Example]:
    return [example(nlp, *item) for item in data]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("pairs"), PAIR)


def component(folder: Path | None = None, *, data=None, initialize=None, **config):
    """A pipeline and its component, with the head of the checkpoint, or initialised with data."""
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_relations", config=config)
    if initialize is not None or data is not None:
        gold = examples(nlp, DATA if data is None else data)
        settings = {"checkpoint": str(folder) if folder else None, **(initialize or {})}
        pipe.initialize(lambda: gold, **settings)
    elif folder:
        pipe.load_checkpoint(folder)
    return nlp, pipe


def targets(pipe, gold: Example) -> dict[tuple[int, int], set[str]]:
    """Gold labels of each candidate pair."""
    items = pipe._items(gold.predicted, pipe._layout())
    found = pipe._targets(gold, items)
    return {
        (head.start, tail.start): {pipe.logit_labels[i] for i in np.flatnonzero(row)}
        for (head, tail), row, known in zip(items, found.labels, found.known, strict=True)
        if known
    }


# Loss


@pytest.mark.parametrize("multi", [False, True])
def test_loss_and_gradient_are_those_of_transformers(folder, multi: bool) -> None:
    nlp, pipe = component(folder, multi_label=multi)
    gold = examples(nlp)
    loss = pipe.update(gold, losses={})["luke_relations"]
    ours = gradients(pipe)
    model, tokenizer = open_reference(folder, PAIR)
    rows, wanted = [], []
    for one in gold:
        for (a, b), labels in targets(pipe, one).items():
            spans = [one.predicted[i : i + 1] for i in (a, b)]
            rows.append(tokenizer(one.predicted.text, entity_spans=[(s.start_char, s.end_char) for s in spans]))
            wanted.append([float(label in labels) for label in pipe.logit_labels])
    assert len(rows) == 18
    batch = tokenizer.pad(rows, return_tensors="pt")
    labels = torch.tensor(wanted)
    expected = model(**batch, labels=labels if multi else labels.argmax(1)).loss
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    compared = 0
    for name, parameter in model.named_parameters():
        found = {to_hugging_face(n): g for n, g in ours.items()}.get(name)
        if found is None or "entity_embeddings.entity_embeddings" in name:  # rows that nobody uses are not kept
            assert parameter.grad is None or not parameter.grad.any() or found is not None
            continue
        reference = parameter.grad
        if name.endswith(("word_embeddings.weight", "luke.embeddings.position_embeddings.weight")):
            found[1] = reference[1]  # padding
        torch.testing.assert_close(found, reference, atol=1e-4, rtol=1e-3)
        compared += 1
    assert compared > 30


def test_the_budget_does_not_change_the_gradient(folder) -> None:
    nlp, pipe = component(folder)
    found = []
    for budget in (10_000, 60):
        pipe.max_batch_pieces = budget
        pipe.update(examples(nlp))
        found.append(gradients(pipe))
    assert found[0].keys() == found[1].keys() >= {"classifier.weight", "encoder.embeddings.word.weight"}
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-5, rtol=1e-3)


def test_gradients_of_several_updates_add_up(folder) -> None:
    nlp, pipe = component(folder)
    each = []
    for one in examples(nlp):
        pipe.update([one])
        each.append(gradients(pipe)["classifier.weight"])
    for one in examples(nlp):
        pipe.update([one])
    torch.testing.assert_close(gradients(pipe)["classifier.weight"], sum(each))


def test_dropout_is_the_one_asked_for(folder) -> None:
    nlp, pipe = component(folder)
    gold = examples(nlp)
    plain = [pipe.update(gold, losses={})["luke_relations"] for _ in range(2)]
    assert plain[0] == plain[1]
    dropped = [pipe.update(gold, losses={}, drop=0.5)["luke_relations"] for _ in range(2)]
    assert dropped[0] != dropped[1]
    docs = [gold[0].predicted]
    np.testing.assert_array_equal(pipe.logits(docs)[0][1], pipe.logits(docs)[0][1])


@pytest.mark.parametrize("multi", [False, True])
def test_training_learns_the_examples(folder, multi: bool) -> None:
    nlp, _ = component(folder, multi_label=multi)
    gold = examples(nlp)
    sgd = adam()
    for _ in range(40):
        loss = nlp.update(gold, sgd=sgd, losses={})["luke_relations"]
        if loss < 0.02:
            break
    assert loss < 0.05
    scores = nlp.evaluate(examples(nlp))
    assert scores["rel_micro_f"] == 1.0
    assert set(scores["rel_per_type"]) == {"met", "lives_in"}


# Targets


def test_pairs_without_a_relation_are_negative(folder) -> None:
    nlp, pipe = component(folder)
    assert targets(pipe, examples(nlp)[0]) == {
        (0, 2): {"met"},
        (0, 4): {"lives_in"},
        **{pair: {"no_relation"} for pair in [(2, 0), (2, 4), (4, 0), (4, 2)]},
    }


def test_without_a_negative_label_unrelated_pairs_take_no_part(tmp_path) -> None:
    nlp, pipe = component(write_checkpoint(tmp_path, PAIR, ("met", "lives_in")))
    assert targets(pipe, examples(nlp)[0]) == {(0, 2): {"met"}, (0, 4): {"lives_in"}}


def test_several_labels_without_a_negative_one_may_be_none(folder) -> None:
    nlp, pipe = component(folder, data=DATA, initialize={"labels": ["lives_in", "met"]}, multi_label=True)
    assert pipe.logit_labels == RELATIONS, "the checkpoint has them"
    with pytest.warns(LukeWarning, match="W006"):
        nlp, pipe = component(folder, data=[(DATA[0][0], [(0, 2, "met"), (0, 2, "saw")])], multi_label=True)
    assert pipe.logit_labels == ("met", "saw")
    assert pipe.negative_label is None
    assert targets(pipe, example(nlp, DATA[0][0], [(0, 2, "met"), (0, 2, "saw")])) == {
        (0, 2): {"met", "saw"},
        **{pair: set() for pair in [(0, 4), (2, 0), (2, 4), (4, 0), (4, 2)]},
    }


def test_of_several_labels_where_one_is_learned_it_is_the_first_and_the_rest_is_reported(folder) -> None:
    data = [(DATA[0][0], [(0, 2, "works_for"), (0, 2, "met"), (0, 2, "works_for")])]
    with pytest.warns(LukeWarning, match=r"W009.*luke_relations.*1 gold pairs"):
        nlp, pipe = component(folder, data=data)
    assert targets(pipe, examples(nlp, data)[0])[0, 2] == {"works_for"}


def test_symmetric_relations_are_learned_in_both_directions(folder) -> None:
    nlp, pipe = component(folder, symmetric=["met"])
    for facts in ([(0, 2, "met")], [(2, 0, "met")], [(0, 2, "met"), (2, 0, "met")]):
        found = targets(pipe, example(nlp, DATA[0][0], facts))
        assert {pair for pair, labels in found.items() if labels == {"met"}} == {(0, 2), (2, 0)}
    assert pipe.logit_labels == RELATIONS


def test_a_gold_negative_relation_is_no_relation(folder) -> None:
    nlp, pipe = component(folder)
    for label in ("no_relation", "Other", "NA"):
        gold = example(nlp, DATA[0][0], [(0, 2, label), (0, 4, "lives_in")])
        found = targets(pipe, gold)
        assert {pair: labels for pair, labels in found.items() if labels != {"no_relation"}} == {(0, 4): {"lives_in"}}


def test_labels_that_the_component_does_not_have_are_errors(folder) -> None:
    nlp, pipe = component(folder)
    data = [(DATA[0][0], [(0, 2, "hates"), (2, 4, "adores"), (0, 4, "lives_in")])]
    with pytest.raises(LukeError, match=r"L041.*adores, hates.*luke_relations.*lives_in") as caught:
        nlp.update(examples(nlp, data))
    assert caught.value.code == "L041"
    pipe = component(folder, negative_label="no_relation")[1]
    with pytest.raises(LukeError, match=r"L041.*Other"):
        pipe.update([example(nlp, DATA[0][0], [(0, 2, "Other")])])


def test_gold_spans_in_other_tokens_are_found(folder) -> None:
    nlp, pipe = component(folder)
    reference = make_doc(nlp, DATA[0][0])
    reference._.relations = [(reference.ents[0], reference.ents[1], "met")]
    predicted = Doc(nlp.vocab, words=["A", "da", "met", "Bo", "in", "London", "."], spaces=[False] + [True] * 6)
    for token in predicted:
        token.is_sent_start = token.i == 0
    with_ents(predicted, [(0, 2, "PER"), (3, 4, "PER")])
    assert targets(pipe, Example(predicted, reference)) == {(0, 3): {"met"}, (3, 0): {"no_relation"}}


# Directed labels


@pytest.mark.parametrize("directed", [True, None], ids=["set", "seen in the data"])
def test_directed_labels_are_learned_once_a_pair(folder, directed) -> None:
    facts = [(0, 2, "cause(e1,e2)"), (4, 2, "cause"), (0, 4, "near")]
    with pytest.warns(LukeWarning, match="W006"):
        nlp, pipe = component(folder, data=[(DATA[0][0], facts)], directed_labels=directed, symmetric=["near"])
    assert pipe.logit_labels == ("no_relation", "cause(e1,e2)", "cause(e2,e1)", "near")
    assert targets(pipe, example(nlp, DATA[0][0], facts)) == {
        (0, 2): {"cause(e1,e2)"},
        (2, 4): {"cause(e2,e1)"},
        (0, 4): {"near"},
    }
    backward = example(nlp, DATA[0][0], [(0, 2, "cause(e2,e1)"), (4, 0, "near")])
    assert targets(pipe, backward)[0, 2] == {"cause(e2,e1)"}
    assert targets(pipe, backward)[0, 4] == {"near"}


def test_a_directed_head_is_kept_for_plain_labels_and_predicts_them(tmp_path) -> None:
    labels = ("cause(e1,e2)", "cause(e2,e1)", "Other")
    write_checkpoint(tmp_path, PAIR, labels)
    data = [(DATA[0][0], [(0, 2, "cause"), (4, 2, "cause"), (0, 4, "Other")])]
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp, pipe = component(tmp_path, data=data)
    assert pipe.logit_labels == labels
    sgd = adam()
    for _ in range(40):
        nlp.update(examples(nlp, data), sgd=sgd)
    doc = nlp(make_doc(nlp, data[0][0]))
    assert [(r.head.start, r.label, r.tail.start) for r in doc._.relations] == [(0, "cause", 2), (4, "cause", 2)]
    assert nlp.evaluate(examples(nlp, [(DATA[0][0], data[0][1][:2])]))["rel_micro_f"] == 1.0


def test_directions_that_a_head_lacks_need_a_new_head(folder) -> None:
    data = [(DATA[0][0], [(0, 2, "met")])]
    with pytest.warns(LukeWarning, match="W006"):
        _, pipe = component(folder, data=data, directed_labels=True)
    assert pipe.logit_labels == ("no_relation", "met(e1,e2)", "met(e2,e1)")
    assert pipe.labels == pipe.label_data == ("met",)
    with pytest.warns(LukeWarning, match="W006"):
        _, pipe = component(folder, data=[(DATA[0][0], [(0, 2, "met(e1,e2)")])])
    assert pipe.logit_labels == ("no_relation", "met(e1,e2)", "met(e2,e1)")
    assert pipe.labels == ("met",)
    assert pipe.label_data == ("met(e1,e2)", "met(e2,e1)"), "the settings do not say that labels are directed"


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({}, [(0, 2, "met"), (0, 4, "saw")]),
        ({}, [(0, 2, "met"), (0, 4, "Other")]),
        ({"negative_label": "nothing"}, [(0, 2, "met"), (0, 4, "saw")]),
        ({"multi_label": True}, [(0, 2, "met"), (0, 4, "NA")]),
        ({"directed_labels": True, "symmetric": ["saw"]}, [(0, 2, "met"), (0, 4, "saw")]),
        ({"symmetric": ["saw"]}, [(0, 2, "met(e1,e2)"), (0, 4, "saw")]),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::spacy_luke.errors.LukeWarning")
def test_label_data_makes_a_head_that_learns_the_same(folder, config, facts) -> None:
    nlp, pipe = component(folder, data=[(DATA[0][0], facts)], **config)
    assert pipe.negative_label not in pipe.label_data
    _, again = component(folder, data=[], initialize={"labels": list(pipe.label_data)}, **config)
    assert again.label_data == pipe.label_data
    gold = example(nlp, DATA[0][0], facts)
    first, second = targets(pipe, gold), targets(again, gold)
    for pair, labels in first.items():
        assert labels - {pipe.negative_label} == second[pair] - {again.negative_label}


def test_a_symmetric_label_may_have_two_directions_in_the_checkpoint(tmp_path) -> None:
    labels = ("Other", "met(e1,e2)", "met(e2,e1)")
    write_checkpoint(tmp_path, PAIR, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp, pipe = component(tmp_path, data=[(DATA[0][0], [(0, 2, "met"), (4, 2, "met")])], symmetric=["met"])
    assert pipe.logit_labels == labels
    gold = example(nlp, DATA[0][0], [(0, 2, "met"), (4, 2, "met")])
    assert targets(pipe, gold) == {(0, 2): {"met(e1,e2)"}, (2, 4): {"met(e2,e1)"}, (0, 4): {"Other"}}


# What cannot be learned


def test_gold_relations_that_are_no_candidate_pair_are_reported(folder) -> None:
    data = [*DATA, ("Ada met Bo in London .", [(0, 1, "met"), (2, 4, "lives_in")])]
    with pytest.warns(
        LukeWarning, match=r"W019.*1 of 5 gold relations.*their spans are no candidate pair.*'Ada' met 'met'"
    ):
        component(folder, data=data)


def test_predicted_docs_without_entities_are_reported(folder) -> None:
    nlp, pipe = component(folder)
    gold = examples(nlp)
    for one in gold:
        one.predicted.set_ents([])
    with pytest.warns(LukeWarning, match=r"W019.*3 of 3 gold relations"):
        pipe.initialize(lambda: gold, checkpoint=str(folder))
    assert pipe.update(gold, losses={})["luke_relations"] == 0.0
    assert not gradients(pipe)


def test_a_reference_without_annotation_gives_no_loss_and_no_score(folder) -> None:
    nlp, pipe = component(folder)
    none, empty = example(nlp, DATA[0][0], None), example(nlp, DATA[0][0], [])
    assert pipe.update([none], losses={})["luke_relations"] == 0.0
    assert not gradients(pipe)
    assert pipe.update([empty], losses={})["luke_relations"] > 0, "annotated, with none found"
    gradients(pipe)
    [first, *_] = examples(nlp)
    losses = [pipe.update(gold, losses={})["luke_relations"] for gold in ([first], [first, none])]
    assert losses[0] == pytest.approx(losses[1])
    assert nlp.evaluate([example(nlp, DATA[0][0], None)])["rel_micro_f"] is None
    pipe.pairs = lambda doc: pytest.fail("the pairs of a Doc that takes no part are not made")
    pipe.update([none])


def test_components_of_one_corpus_learn_from_what_is_there_for_each(folder) -> None:
    nlp, _ = component(folder)
    nlp.add_pipe("luke_entity_typer").initialize(lambda: [typed(nlp)], checkpoint=str(folder))
    losses = nlp.update([*examples(nlp), typed(nlp)], sgd=False, losses={})
    parts = {"luke_relations": examples(nlp), "luke_entity_typer": [typed(nlp)]}
    assert losses == pytest.approx({name: nlp.get_pipe(name).update(part)[name] for name, part in parts.items()})


def typed(nlp) -> Example:
    gold = example(nlp, DATA[0][0], None)
    gold.reference[0:1]._.entity_types = ["person"]
    gold.reference[4:5]._.entity_types = ["place", "city"]
    return gold


# Learned type pairs

LEARNED = {"@misc": "spacy-luke.entity_pairs.v1", "type_pairs": "learned"}


def test_type_pairs_are_those_of_related_pairs_of_the_data(folder, tmp_path) -> None:
    data = [("Ada met Bo in London .", [(0, 4, "lives_in"), (4, 2, "no_relation")])]
    nlp, pipe = component(folder, data=data, pairs=LEARNED)

    def pairs(nlp, text: str = "Cy saw Di in Rome .") -> list[tuple[int, int]]:
        component = nlp.get_pipe("luke_relations")
        return [(a.start, b.start) for a, b in component.logits([make_doc(nlp, text)])[0][0]]

    assert pairs(nlp) == [(0, 4), (2, 4)]
    nlp.to_disk(tmp_path / "saved")
    assert pairs(spacy.load(tmp_path / "saved")) == [(0, 4), (2, 4)]
    copy = spacy.blank("en")
    copy.add_pipe("luke_relations", config={"pairs": LEARNED})
    assert pairs(copy.from_bytes(nlp.to_bytes())) == [(0, 4), (2, 4)]
    assert targets(pipe, examples(nlp, data)[0]).keys() == {(0, 4), (2, 4)}


def test_settings_that_are_not_to_be_learned_are_not(folder) -> None:
    _, pipe = component(folder, data=DATA)
    assert not {"type_pairs", "single_tail"} & pipe._require_weights().settings.keys()


def test_type_pairs_are_learned_from_the_entities_where_relations_have_plain_spans(folder) -> None:
    nlp = spacy.blank("en")
    gold = example(nlp, DATA[0][0], [])
    gold.reference._.relations = [(gold.reference[0:1], gold.reference[4:5], "lives_in")]
    pipe = nlp.add_pipe("luke_relations", config={"pairs": LEARNED})
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        pipe.initialize(lambda: [gold], checkpoint=str(folder))
    assert len(pipe.logits([gold.predicted])[0][0]) == 2


def test_type_pairs_of_symmetric_and_directed_labels_are_learned_in_both_orders(folder) -> None:
    data = [(DATA[0][0], [(0, 4, "lives_in")])]
    nlp, pipe = component(folder, data=data, pairs=LEARNED, symmetric=["lives_in"])
    assert len(pipe.logits([make_doc(nlp, DATA[0][0])])[0][0]) == 4
    with pytest.warns(LukeWarning, match="W006"):
        nlp, pipe = component(folder, data=[(DATA[0][0], [(4, 0, "lives_in")])], pairs=LEARNED, directed_labels=True)
    [(items, _)] = pipe.logits([make_doc(nlp, DATA[0][0])])
    assert [(a.start, b.start) for a, b in items] == [(0, 4), (2, 4)]


def test_before_type_pairs_were_learned_any_are_taken(folder) -> None:
    nlp, pipe = component(folder, pairs=LEARNED)
    assert len(pipe.logits([make_doc(nlp, DATA[0][0])])[0][0]) == 6


def test_type_pairs_are_chosen_before_the_nearest(folder) -> None:
    data = [(DATA[0][0], [(0, 4, "lives_in")])]
    nlp, pipe = component(folder, data=data, pairs={**LEARNED, "max_pairs": 2})
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        [(items, _)] = pipe.logits([make_doc(nlp, DATA[0][0])])
    assert len(items) == 2


# Learned labels with one tail

ONCE = [(DATA[0][0], [(0, 4, "lives_in"), (0, 2, "met")])] * MIN_HEADS


def learned(folder, data, **config) -> list[str]:
    _, pipe = component(folder, data=data, single_tail="learned", **config)
    return pipe._single_tail_labels


def test_labels_with_one_tail_are_learned_and_saved(folder, tmp_path) -> None:
    twice = (DATA[0][0], [(0, 2, "met"), (0, 4, "met"), (2, 0, "no_relation"), (2, 4, "no_relation")])
    nlp, pipe = component(folder, data=[*ONCE, twice, twice], single_tail="learned")
    assert pipe._single_tail_labels == ["lives_in"]
    nlp.to_disk(tmp_path / "saved")
    assert spacy.load(tmp_path / "saved").get_pipe("luke_relations")._single_tail_labels == ["lives_in"]


def test_a_label_with_few_heads_is_not_learned_to_have_one_tail(folder) -> None:
    assert learned(folder, ONCE[1:]) == []
    assert learned(folder, ONCE) == ["lives_in", "met"]
    twice = (DATA[0][0], [(0, 1, "no_relation"), (0, 2, "met"), (0, 4, "met"), (0, 4, "lives_in")])
    assert learned(folder, [*ONCE[1:], twice]) == ["lives_in", "met"], "one error in 50 heads"
    assert learned(folder, [*ONCE, twice]) == ["lives_in", "met"], "one error in 51 heads"
    assert learned(folder, [*ONCE, twice, twice]) == ["lives_in"]
    ada_in_all = (DATA[0][0], [(0, other, "met") for other in (2, 3, 4, 5)])
    assert learned(folder, [*ONCE, ada_in_all]) == ["lives_in", "met"], "a head with four tails is one error"


def test_before_labels_with_one_tail_were_learned_there_are_none(folder) -> None:
    _, pipe = component(folder, single_tail="learned")
    assert list(pipe._single_tail_labels) == []


def test_directions_count_where_labels_with_one_tail_are_learned(folder) -> None:
    two_heads = (DATA[0][0], [(0, 4, "lives_in"), (2, 4, "lives_in")])
    assert learned(folder, [*ONCE, two_heads]) == ["lives_in", "met"]
    assert learned(folder, [*ONCE, *[two_heads] * 3], symmetric=["lives_in"]) == ["met"]


# Where training starts from


def test_a_checkpoint_with_all_labels_keeps_its_head(folder) -> None:
    _, pipe = component(folder, data=DATA)
    head = open_reference(folder, PAIR)[0].classifier
    assert torch.equal(pipe._module.classifier.weight, head.weight)
    assert pipe.logit_labels == RELATIONS
    assert pipe.label_data == RELATIONS[1:]


def test_other_labels_get_a_new_head(folder) -> None:
    with pytest.warns(LukeWarning, match=r"W006.*hates"):
        _, pipe = component(folder, data=[(DATA[0][0], [(0, 2, "hates")])])
    assert pipe.logit_labels == ("no_relation", "hates")
    assert pipe._module.classifier.weight.shape == (2, 64)
    assert pipe._module.classifier.bias is None


def test_a_negative_label_of_the_data_or_the_settings_comes_first(folder) -> None:
    with pytest.warns(LukeWarning, match="W006"):
        _, pipe = component(folder, data=[(DATA[0][0], [(0, 2, "hates"), (0, 4, "Other")])])
    assert pipe.logit_labels == ("Other", "hates")
    with pytest.warns(LukeWarning, match="W006"):
        _, pipe = component(folder, data=[(DATA[0][0], [(0, 2, "hates")])], negative_label="nothing")
    assert pipe.logit_labels == ("nothing", "hates")
    assert pipe.negative_label == "nothing"
    with pytest.warns(LukeWarning, match="W006"):
        _, pipe = component(folder, data=DATA, negative_label="nothing")
    assert pipe.logit_labels == ("nothing", "lives_in", "met"), "the checkpoint calls it no_relation"


@pytest.mark.parametrize("facts", [[], [(0, 2, "no_relation")]])
def test_no_labels_at_all_is_an_error(tmp_path, facts) -> None:
    write_luke(tmp_path, randomise(LukeModel(luke_config())))
    with pytest.raises(LukeError, match=r"L043.*luke_relations"):
        component(tmp_path, data=[(DATA[0][0], facts)])


def write_bare(folder: Path) -> None:
    write_luke(folder, randomise(LukeModel(luke_config())))


def write_bert(folder: Path) -> None:
    pieces = write_word_piece(folder)
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=pieces, max_position_embeddings=128, **settings)).save_pretrained(folder)


@pytest.mark.parametrize("write", [write_bare, write_bert])
def test_other_encoders_get_a_new_head(tmp_path, write) -> None:
    write(tmp_path)
    nlp, pipe = component(tmp_path, data=DATA)
    assert pipe.logit_labels == ("no_relation", "lives_in", "met")
    sgd = adam()
    losses = [nlp.update(examples(nlp), sgd=sgd, losses={})["luke_relations"] for _ in range(20)]
    assert losses[-1] < losses[0] / 2
    pipe.to_disk(tmp_path / "saved")
    assert spacy_luke.from_checkpoint(tmp_path / "saved").get_pipe("luke_relations").logit_labels == pipe.logit_labels


def test_without_a_checkpoint_the_encoder_of_the_box_is_trained() -> None:
    nlp, pipe = component(data=DATA)
    assert pipe.logit_labels == ("no_relation", "lives_in", "met")
    before = pipe._module.classifier.weight.detach().clone()
    assert nlp.update(examples(nlp), sgd=adam(1e-3), losses={})["luke_relations"] > 0
    assert not torch.equal(pipe._module.classifier.weight, before)


def test_a_frozen_encoder_does_not_change(folder) -> None:
    nlp, pipe = component(folder)
    spacy.registry.callbacks.get("spacy-luke.freeze_encoder.v1")()(nlp)
    before = {name: p.detach().clone() for name, p in pipe._module.named_parameters()}
    nlp.update(examples(nlp), sgd=adam())
    changed = {name for name, p in pipe._module.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"classifier.weight"}


@pytest.mark.filterwarnings("ignore:.*W001")
def test_a_component_that_was_not_initialised_has_the_labels_of_the_model_in_the_box() -> None:
    nlp, pipe = component()
    with pytest.raises(LukeError, match=r"L041.*lives_in, met .*CEO, .*add_label"):
        nlp.update(examples(nlp))
    pipe.add_label("lives_in")
    pipe.add_label("met")
    assert nlp.update(examples(nlp))["luke_relations"] > 0


def test_training_resumes_from_a_saved_pipeline(folder, tmp_path) -> None:
    nlp, _ = component(folder, data=DATA)
    nlp.update(examples(nlp), sgd=adam())
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    sgd = loaded.resume_training()
    first = loaded.update(examples(loaded), sgd=sgd, losses={})["luke_relations"]
    assert first == pytest.approx(nlp.update(examples(nlp), losses={})["luke_relations"], abs=1e-5)
    assert loaded.update(examples(loaded), losses={})["luke_relations"] != first


# The config


def test_the_config_trains_and_is_complete(folder, tmp_path) -> None:
    nlp = spacy.blank("en")
    references = [one.reference for one in examples(nlp) * 3]
    DocBin(docs=references, store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    overrides = {
        **short(tmp_path / "corpus.spacy", folder),
        "training.accumulate_gradient": 2,
    }
    config = Config().from_disk(CONFIG, overrides=overrides)
    assert_complete(config)
    best = trained(config, tmp_path / "out")
    assert best.get_pipe("luke_relations").logit_labels == RELATIONS
    assert 0 <= best.meta["performance"]["rel_micro_f"] <= 1


def test_relations_of_unlabelled_spans_can_be_learned(folder) -> None:
    nlp, pipe = component(folder)
    gold = example(nlp, DATA[0][0], [])
    reference = gold.reference
    reference._.relations = [(Span(reference, 0, 1), Span(reference, 2, 3, label="OTHER"), "met")]
    assert targets(pipe, gold)[0, 2] == {"met"}


@pytest.mark.parametrize("drawn", [0, 2])
def test_drawn_negatives_are_corrected_for_their_rate(folder, drawn) -> None:
    nlp, pipe = component(folder, data=DATA, max_negatives=drawn)
    [gold] = examples(nlp, DATA[:1])
    targets = pipe._targets(gold, pipe._items(gold.predicted, pipe._layout()))
    sampled = pipe._sampled(targets)
    negative = pipe.logit_labels.index(pipe.negative_label)
    assert targets.known.sum() == 6
    assert sampled.known.sum() == 2 + drawn
    assert sampled.known[targets.labels[:, negative] == 0].all()
    expected = np.zeros(len(pipe.logit_labels))
    expected[negative] = np.log(drawn / 4) if drawn else 0
    np.testing.assert_allclose(sampled.log_rates, expected, rtol=1e-6)


def test_the_loss_on_drawn_negatives_is_that_of_corrected_logits(folder) -> None:
    nlp, pipe = component(folder, data=DATA, max_negatives=2)
    [gold] = examples(nlp, DATA[:1])
    items = pipe._items(gold.predicted, pipe._layout(), gold)
    np.random.seed(0)  # noqa: NPY002
    sampled = pipe._sampled(pipe._targets(gold, items))
    [(scored, logits)] = pipe.logits([gold.predicted])
    row_of = {(head.start, tail.start): row for (head, tail), row in zip(scored, logits, strict=True)}
    corrected = np.array([row_of[head.start, tail.start] for head, tail in items]) + sampled.log_rates
    wanted = sampled.labels[sampled.known].argmax(axis=1)
    expected = torch.nn.functional.cross_entropy(torch.tensor(corrected[sampled.known]), torch.tensor(wanted))
    np.random.seed(0)  # noqa: NPY002
    assert pipe.update([gold], drop=0.0)["luke_relations"] == pytest.approx(expected.item(), abs=1e-5)


def test_drawing_all_negatives_changes_no_gradient(folder) -> None:
    found = []
    for limit in (None, 100):
        nlp, pipe = component(folder, max_negatives=limit)
        pipe.update(examples(nlp))
        found.append(gradients(pipe))
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name])


def test_training_on_drawn_negatives_learns_the_examples(folder) -> None:
    nlp, pipe = component(folder, data=DATA, max_negatives=2)
    sgd = adam()
    for _ in range(40):
        pipe.update(examples(nlp), sgd=sgd)
    assert nlp.evaluate(examples(nlp))["rel_micro_f"] == 1.0


def test_negatives_cannot_be_drawn_with_several_labels(folder) -> None:
    nlp, pipe = component(folder, data=DATA, max_negatives=2, multi_label=True)
    with pytest.raises(LukeError, match=r"L047.*max_negatives"):
        pipe.update(examples(nlp))
