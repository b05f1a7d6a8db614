"""Training `luke_token_classifier` inside spaCy: labels, targets, loss, and what cannot be learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import Adam, Config
from transformers import LukeForTokenClassification

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.token_classifier.tag_scheme import SCHEMES
from tests.pipeline.longformer_model import cut
from tests.pipeline.short_training import CONFIGS, gradients, short, trained
from tests.pipeline.token_classifier.model import BILUO, write_tagger
from tests.util import write_luke

CONFIG = CONFIGS / "token_classifier.cfg"
TEXT = "Ada Lovelace met Charles Babbage in London ."
ENTS = [(0, 2, "PER"), (3, 5, "PER"), (6, 7, "LOC")]
NLP = spacy.blank("en")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """A LukeModel without head."""
    path = tmp_path_factory.mktemp("encoder")
    write_luke(path)
    return str(path)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory) -> str:
    return str(write_tagger(tmp_path_factory.mktemp("tagger"), "luke", BILUO))


def add(**config):
    nlp = spacy.blank("en")
    return nlp, nlp.add_pipe("luke_token_classifier", config=config)


def example(
    text: str = TEXT, ents: Sequence[tuple[int, int, str]] = ENTS, words: str | None = None, starts: Sequence[int] = ()
) -> Example:
    """words: tokens of the predicted Doc, if others. starts: of its sentences."""
    made = []
    for words_of_doc in (words or text, text):
        tokens = words_of_doc.split()
        made.append(Doc(NLP.vocab, words=tokens))
    cut(made[0], *starts)
    made[1].set_ents([Span(made[1], *ent) for ent in ents])
    return Example(*made)


def tagged(tags: str, text: str = TEXT, attribute: str = "luke_tag", words: str | None = None) -> Example:
    """Tags of the reference; "-" = none."""
    made = example(text, (), words)
    for token, tag in zip(made.reference, tags.split(), strict=True):
        if tag != "-":
            holder, name = (token._, attribute) if attribute == "luke_tag" else (token, f"{attribute}_")
            setattr(holder, name, tag)
    return made


def targets(pipe, gold: Example) -> list[str]:
    """The label that each word is to learn; "?" = none."""
    [words], _ = pipe._rows([gold.predicted], 0)
    found = pipe._gold(gold, words)
    return [pipe.logit_labels[i] if known else "?" for i, known in zip(found.targets, found.known, strict=True)]


def learn(nlp, examples: list[Example], steps: int = 60) -> float:
    sgd = Adam(0.003, use_averages=False)
    for _ in range(steps):
        loss = nlp.update(examples, sgd=sgd, losses={})["luke_token_classifier"]
        if loss < 0.02:
            break
    return loss


# Labels and heads


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_learns_entities(folder, scheme: str) -> None:
    nlp, pipe = add(scheme=scheme)
    gold = [example()]
    pipe.initialize(lambda: gold, checkpoint=folder)
    assert pipe.logit_labels[0] == "O"
    assert {label[0] for label in pipe.logit_labels[1:]} == set(SCHEMES[scheme])
    assert pipe.label_data == ("LOC", "PER")
    learn(nlp, gold)
    scores = nlp.evaluate([example()])
    assert scores["ents_f"] == 1.0
    assert "luke_tag_acc" not in scores


@pytest.mark.parametrize("attribute", ["luke_tag", "tag", "pos"])
def test_tags_are_learned(folder, attribute: str) -> None:
    nlp, pipe = add(attribute=attribute)
    tags = "PROPN PROPN VERB PROPN PROPN ADP PROPN PUNCT"
    gold = [tagged(tags, attribute=attribute)]
    pipe.initialize(lambda: gold, checkpoint=folder)
    assert pipe.labels == pipe.label_data == ("ADP", "PROPN", "PUNCT", "VERB")
    learn(nlp, gold)
    scores = nlp.evaluate([tagged(tags, attribute=attribute)])
    assert scores[f"{attribute}_acc"] == 1.0
    assert "ents_f" not in scores


def test_a_head_that_has_the_types_is_kept_with_its_scheme(tagger) -> None:
    _, pipe = add(scheme="BIO")
    pipe.initialize(lambda: [example()], checkpoint=tagger)
    assert pipe.logit_labels == tuple(BILUO)
    theirs = LukeForTokenClassification.from_pretrained(tagger)
    assert torch.equal(pipe._module.classifier.weight, theirs.classifier.weight)


def test_other_types_get_a_new_head(tagger) -> None:
    _, pipe = add(scheme="IO")
    with pytest.warns(LukeWarning, match=r"W006.*HERO"):
        pipe.initialize(lambda: [example(ents=[(0, 2, "HERO")])], checkpoint=tagger)
    assert pipe.logit_labels == ("O", "I-HERO")


def test_given_labels_win_over_those_of_the_data_and_are_what_label_data_gives(folder) -> None:
    _, pipe = add()
    pipe.initialize(lambda: [example()], checkpoint=folder, labels=["PER", "LOC", "ORG"])
    assert pipe.label_data == ("PER", "LOC", "ORG")
    _, again = add()
    again.initialize(lambda: [], checkpoint=folder, labels=list(pipe.label_data))
    assert again.logit_labels == pipe.logit_labels


def test_given_labels_are_types_not_tags(folder) -> None:
    with pytest.raises(LukeError, match=r"L047.*labels.*without O"):
        add()[1].initialize(lambda: [], checkpoint=folder, labels=["O", "B-PER"])


def test_without_a_checkpoint_the_encoder_of_the_box_is_trained() -> None:
    nlp, pipe = add()
    pipe.initialize(lambda: [example()])
    assert pipe.label_data == ("LOC", "PER")
    assert nlp.update([example()], losses={})["luke_token_classifier"] > 0


@pytest.mark.parametrize(
    ("attribute", "place"),
    [(None, r"doc\.ents"), ("luke_tag", r"token\._\.luke_tag.*store_user_data"), ("tag", r"token\.tag_")],
)
def test_without_labels_the_message_says_where_they_are_looked_for(folder, attribute, place: str) -> None:
    with pytest.raises(LukeError, match=rf"L043.*{place}"):
        add(attribute=attribute)[1].initialize(lambda: [example(ents=())], checkpoint=folder)


def test_parts_of_speech_are_those_of_universal_dependencies(folder) -> None:
    with pytest.raises(LukeError, match=r"L059.*NNP"):
        add(attribute="pos")[1].initialize(lambda: [], checkpoint=folder, labels=["NOUN", "NNP"])


@pytest.mark.parametrize("gold", [example(ents=[(0, 1, "HERO")]), tagged("NN NN - - - - - -")])
def test_a_label_that_the_component_does_not_have_is_an_error(folder, gold: Example) -> None:
    attribute = None if gold.reference.ents else "luke_tag"
    nlp, pipe = add(attribute=attribute)
    pipe.initialize(lambda: [], checkpoint=folder, labels=["PER", "VB"])
    with pytest.raises(LukeError, match=r"L041.*(HERO|NN).*PER"):
        nlp.update([gold])


# Targets


@pytest.fixture
def pipe(tagger):
    return add()[1].load_checkpoint(tagger)


def test_targets_are_the_tags_of_the_entities(pipe) -> None:
    expected = ["B-PER", "L-PER", "O", "B-PER", "L-PER", "O", "U-LOC", "O"]
    assert targets(pipe, example()) == expected
    assert targets(pipe, example(ents=[(0, 5, "LOC")])) == ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "L-LOC", "O", "O", "O"]


def test_white_space_in_an_entity_is_no_target(pipe) -> None:
    words = ["São", "\n", "Paulo", "\n"]
    docs = [Doc(NLP.vocab, words=words, sent_starts=[True] + [False] * 3) for _ in range(2)]
    docs[1].set_ents([Span(docs[1], 0, 3, "LOC")])
    assert targets(pipe, Example(*docs)) == ["B-LOC", "L-LOC"]


def test_targets_follow_other_tokens(pipe) -> None:
    gold = example("Ada met O'Neil .", [(2, 3, "PER")], words="Ada met O' Neil .")
    assert targets(pipe, gold) == ["O", "O", "B-PER", "L-PER", "O"]


def test_tokens_without_annotation_are_not_known(pipe) -> None:
    assert targets(pipe, Example(NLP.make_doc("Ada ran"), NLP.make_doc("Ada ran"))) == ["?", "?"]
    words = ["Ada", "met", "Bo"]
    partial = Example.from_dict(Doc(NLP.vocab, words=words), {"words": words, "entities": ["U-PER", "-", "O"]})
    assert targets(pipe, partial) == ["U-PER", "?", "O"]


def test_tags_are_aligned_and_those_that_disagree_on_a_token_are_not_known(folder) -> None:
    pipe = add(attribute="luke_tag")[1]
    pipe.initialize(lambda: [], checkpoint=folder, labels=["A", "B"])
    gold = tagged("A B A A - B", "x y c d e f", words="xy cd e f")
    assert targets(pipe, gold) == ["?", "A", "?", "B"]
    [words], _ = pipe._rows([gold.predicted], 0)
    assert pipe._gold(gold, words).total == 3


MISSED = [
    (example("New York", [(0, 1, "LOC")], words="NewYork"), "1 not on token boundaries", ["?"]),
    (example(starts=[1]), "1 across a sentence boundary", ["?", "?", "O", "B-PER", "L-PER", "O", "U-LOC", "O"]),
]


@pytest.mark.parametrize(("gold", "reason", "expected"), MISSED, ids=[reason for _, reason, _ in MISSED])
def test_entities_that_have_no_tags_are_counted_and_reported(tagger, gold, reason: str, expected: list[str]) -> None:
    nlp, pipe = add()
    with pytest.warns(LukeWarning, match=rf"W020.*1 of {len(gold.reference.ents)} gold entities.*{reason}.*First"):
        pipe.initialize(lambda: [gold], checkpoint=tagger)
    assert targets(pipe, gold) == expected
    nlp.update([gold])
    assert pipe.missed_gold.total() == 1


def test_neighbours_of_one_type_cannot_be_told_apart_without_a_label_for_the_first_token(folder) -> None:
    gold = example("Ada Bo Cy", [(0, 1, "PER"), (1, 2, "PER"), (2, 3, "LOC")])
    pipe = add(scheme="IO")[1]
    with pytest.warns(LukeWarning, match=r"W020.*1 directly after another of their type.*'Bo' \(PER\)"):
        pipe.initialize(lambda: [gold], checkpoint=folder)
    assert targets(pipe, gold) == ["I-PER", "?", "I-LOC"]
    assert targets(pipe, example("Ada O Bo", [(0, 1, "PER"), (2, 3, "PER")])) == ["I-PER", "O", "I-PER"]


def test_entities_whose_tags_the_head_lacks_and_blank_ones_are_reported(tmp_path) -> None:
    folder = write_tagger(tmp_path, "luke", ["O", "B-PER", "U-LOC"])
    reference = Doc(NLP.vocab, words=["Ada", "Lovelace", "\n", "Bo"])
    reference.set_ents([Span(reference, 0, 2, "PER"), Span(reference, 2, 3, "PER"), Span(reference, 3, 4, "PER")])
    gold = Example(cut(Doc(NLP.vocab, words=["Ada", "Lovelace", "\n", "Bo"])), reference)
    pipe = add()[1]
    with pytest.warns(LukeWarning, match=r"W020.*2 of 3.*1 without a label.*1 white space only"):
        pipe.initialize(lambda: [gold], checkpoint=str(folder))
    assert targets(pipe, gold) == ["?", "?", "B-PER"]


def test_tags_that_disagree_on_a_token_are_reported(folder) -> None:
    with pytest.warns(LukeWarning, match=r"W020.*1 of 1 gold tags.*on parts of a token.*'xy' \(A, B\)"):
        add(attribute="luke_tag")[1].initialize(lambda: [tagged("A B", "x y", words="xy")], checkpoint=folder)


# Updates


def test_the_loss_is_the_mean_over_annotated_tokens_of_all_docs(tagger) -> None:
    nlp, pipe = add()
    pipe.initialize(lambda: [example()], checkpoint=tagger)
    golds = [example(), example("Bo ran .", [(0, 1, "PER")])]
    rows = [pipe.logits([gold.predicted])[0][1] for gold in golds]
    labels = [pipe.logit_labels.index(tag) for gold in golds for tag in targets(pipe, gold)]
    expected = torch.nn.functional.cross_entropy(torch.tensor(np.concatenate(rows)), torch.tensor(labels))
    assert nlp.update(golds, losses={})["luke_token_classifier"] == pytest.approx(float(expected), abs=1e-4)


def test_gradients_equal_those_of_transformers(tagger) -> None:
    nlp, pipe = add()
    pipe.initialize(lambda: [example()], checkpoint=tagger)
    gold = example()
    [(tokens, _)] = pipe.logits([gold.predicted])
    nlp.update([gold], sgd=False)
    found = gradients(pipe)
    theirs = LukeForTokenClassification.from_pretrained(tagger).eval()
    [words], [row] = pipe._rows([gold.predicted], 0)
    ids = row.make(pipe._description.tokenizer.special).piece_ids
    labels = torch.full((1, len(ids)), -100)
    for place, tag in zip(row.places.tolist(), targets(pipe, gold), strict=True):
        labels[0, place] = pipe.logit_labels.index(tag)
    assert len(tokens) == len(words.tokens) == (labels >= 0).sum()
    theirs(torch.tensor(ids)[None], labels=labels).loss.backward()
    for ours, name in (("classifier.weight", "classifier.weight"), ("classifier.bias", "classifier.bias")):
        torch.testing.assert_close(found[ours], theirs.get_parameter(name).grad, atol=1e-5, rtol=1e-3)
    query = theirs.luke.encoder.layer[0].attention.self.query.weight.grad
    torch.testing.assert_close(found["encoder.layers.0.attention.query.weight"], query, atol=1e-5, rtol=1e-3)


def test_docs_without_annotation_give_no_loss_and_no_gradient(tagger) -> None:
    nlp, pipe = add()
    pipe.initialize(lambda: [example()], checkpoint=tagger)
    unknown = Example(NLP.make_doc("Ada met Bo."), NLP.make_doc("Ada met Bo."))
    assert nlp.update([unknown, Example(NLP.make_doc(""), NLP.make_doc(""))], sgd=False, losses={}) == {
        "luke_token_classifier": 0.0
    }
    assert not gradients(pipe)
    alone = nlp.update([example()], sgd=False, losses={})
    first = gradients(pipe)
    assert nlp.update([example(), unknown], sgd=False, losses={}) == pytest.approx(alone)
    for name, gradient in gradients(pipe).items():
        torch.testing.assert_close(gradient, first[name])


def test_the_budget_does_not_change_the_gradient(tagger) -> None:
    nlp, pipe = add()
    pipe.initialize(lambda: [example()], checkpoint=tagger)
    golds = [example(starts=[8]), example("Bo ran .", [(0, 1, "PER")]), example()]
    found = []
    for budget in (4096, 1):
        pipe.max_batch_pieces = budget
        nlp.update(golds, sgd=False)
        found.append(gradients(pipe))
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-3)


# The config


@pytest.mark.parametrize("attribute", [None, "tag", "luke_tag"])
def test_the_config_trains_entities_and_tags(folder, tmp_path, attribute) -> None:
    docs = []
    for _ in range(4):
        doc = example().reference if attribute is None else tagged("A A B A A B A C", attribute=attribute).reference
        docs.append(cut(doc))
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    score = "ents_f" if attribute is None else f"{attribute}_acc"
    overrides = {
        **short(tmp_path / "corpus.spacy", folder),
        "components.luke_token_classifier.attribute": attribute,
        "training.score_weights.ents_f": None,
        f"training.score_weights.{score}": 1.0,
    }
    best = trained(Config().from_disk(CONFIG, overrides=overrides), tmp_path / "out")
    pipe = best.get_pipe("luke_token_classifier")
    assert pipe.label_data == (("LOC", "PER") if attribute is None else ("A", "B", "C"))
    assert best.meta["performance"][score] is not None
    assert str(tmp_path) not in (tmp_path / "out" / "model-best" / "luke_token_classifier" / "config.json").read_text()
