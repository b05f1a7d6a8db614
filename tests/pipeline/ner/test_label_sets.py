"""Training on Docs whose entities are annotated with some of the labels, or without label."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import Adam

from spacy_luke.annotations import get_entity_labels, set_entity_labels
from spacy_luke.errors import LukeError
from tests.pipeline.ner.test_span_filter import FILTER
from tests.util import write_luke

TEXT = "Ada Lovelace met Charles Babbage in London ."
NLP = spacy.blank("en")
FACTORIES = ["luke_ner", "luke_token_classifier"]


def example(ents: Iterable[tuple[int, int, str]], labels: Iterable[str] | None) -> Example:
    """labels: those that the reference is annotated with."""
    predicted, reference = (Doc(NLP.vocab, words=TEXT.split(), sent_starts=[True] + [False] * 7) for _ in range(2))
    reference.set_ents([Span(reference, *ent) for ent in ents])
    set_entity_labels(reference, labels)
    return Example(predicted, reference)


ALL = [(0, 2, "PER"), (3, 5, "PER"), (6, 7, "LOC")]


def component(factory: str, checkpoint: Path, **config):
    nlp = spacy.blank("en")
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
    pipe = nlp.add_pipe(factory, config={"windows": windows, **config})
    pipe.initialize(lambda: [example(ALL, None)], checkpoint=str(checkpoint))
    return nlp, pipe


def test_labels_of_a_doc_are_kept_in_files(tmp_path: Path) -> None:
    doc = Doc(NLP.vocab, words=["Ada"])
    assert get_entity_labels(doc) is None
    set_entity_labels(doc, ["PER", "LOC", "PER"])
    DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "a.spacy")
    [read] = DocBin().from_disk(tmp_path / "a.spacy").get_docs(NLP.vocab)
    assert get_entity_labels(read) == {"PER", "LOC"}
    set_entity_labels(read, None)
    assert get_entity_labels(read) is None


@pytest.mark.parametrize("labels", ["PER", ["PER", ""], [3], 7])
def test_labels_of_a_doc_are_strings(labels) -> None:
    with pytest.raises(LukeError, match="L070"):
        set_entity_labels(Doc(NLP.vocab, words=["Ada"]), labels)


@pytest.mark.filterwarnings("ignore:.*W006")
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_label_that_is_not_annotated_is_not_unlearned(factory: str, checkpoint: Path) -> None:
    """The gradient leaves the odds of "none" and the label that is not annotated as they are."""
    _, pipe = component(factory, checkpoint)
    annotated, partial = example([], None), example([], ["PER"])
    gradients = []
    for one in (annotated, partial):
        pipe.model.shims[0]._model.zero_grad()
        pipe.update([one])
        gradients.append(pipe._module.classifier.bias.grad.clone())
    location = [i for i, label in enumerate(pipe.logit_labels) if label.endswith("LOC")]
    person = [i for i, label in enumerate(pipe.logit_labels) if label.endswith("PER")]
    none = 0
    assert (gradients[0][location] > 0).all(), "all is negative, so that LOC is made less probable"
    assert (gradients[1][location] < 0).all(), "PER alone is made less probable, all others more"
    assert gradients[1][none] < 0
    assert (gradients[1][person] > 0).all()


@pytest.mark.parametrize("overlap", [False, True])
def test_what_overlaps_an_entity_has_no_label_that_is_not_annotated(overlap: bool, checkpoint: Path) -> None:
    """A person of several words fills the sentence, so that nothing in it is a place, unless entities may overlap."""
    suggester = {"@misc": "spacy.ngram_suggester.v1", "sizes": [1, 2]}
    _, pipe = component("luke_ner", checkpoint, suggester=suggester, overlap=overlap)
    one = example([(0, 2, "PER"), (2, 3, "PER"), (3, 5, "PER"), (5, 6, "PER"), (6, 8, "PER")], ["PER"])
    one.reference.spans["luke_ner"] = list(one.reference.ents)
    pipe.update([one])
    gradient = pipe._module.classifier.bias.grad
    none, location = pipe.logit_labels.index("NIL"), pipe.logit_labels.index("LOC")
    assert gradient[none] < 0
    assert (gradient[location] < 0) == overlap


@pytest.mark.filterwarnings("ignore:.*W006")
@pytest.mark.parametrize("factory", FACTORIES)
def test_labels_are_learned_from_docs_that_have_one_each(factory: str, checkpoint: Path) -> None:
    nlp, _ = component(factory, checkpoint)
    gold = [example(ALL[:2], ["PER"]), example(ALL[2:], ["LOC"])]
    sgd = Adam(0.003, use_averages=False)
    for _ in range(60):
        nlp.update(gold, sgd=sgd)
    [doc] = nlp.pipe([example([], None).predicted])
    assert {(e.start, e.end, e.label_) for e in doc.ents} >= set(ALL)


@pytest.mark.filterwarnings("ignore:.*W006")
@pytest.mark.parametrize("factory", FACTORIES)
def test_predicted_labels_that_are_not_annotated_do_not_count(factory: str, checkpoint: Path) -> None:
    _, pipe = component(factory, checkpoint)
    one = example(ALL[:1], ["PER"])
    one.predicted.set_ents([Span(one.predicted, *ent) for ent in (ALL[0], ALL[2])])
    assert pipe.score([one])["ents_p"] == 1.0
    assert [ent.label_ for ent in one.predicted.ents] == ["PER", "LOC"], "the Doc itself stays as it was"
    set_entity_labels(one.reference, None)
    assert pipe.score([one])["ents_p"] == 0.5


@pytest.mark.filterwarnings("ignore:.*W006")
@pytest.mark.parametrize("factory", FACTORIES)
def test_gold_entities_of_labels_that_are_not_annotated_are_not_missed(factory: str, checkpoint: Path) -> None:
    _, pipe = component(factory, checkpoint)
    one = example([*ALL[:2], (6, 7, "HERO")], ["PER"])
    one.predicted.set_ents([Span(one.predicted, *ent) for ent in (ALL[0], (6, 7, "PER"))])
    scores = pipe.score([one])
    assert (scores["ents_p"], scores["ents_r"]) == (1.0, 0.5), "what is where the HERO is does not count"
    assert len(one.reference.ents) == 3
    set_entity_labels(one.reference, ())
    assert pipe.score([one])["ents_f"] is None


@pytest.mark.filterwarnings("ignore:.*W006")
@pytest.mark.parametrize("factory", FACTORIES)
def test_gold_entities_of_labels_that_are_not_annotated_say_nothing(factory: str, checkpoint: Path) -> None:
    _, pipe = component(factory, checkpoint)
    assert pipe.update([example([(0, 2, "HERO")], [])]) == {factory: 0.0}
    assert all(p.grad is None for p in pipe._module.parameters())
    assert pipe.update([example([(0, 2, "HERO"), ALL[2]], ["LOC"])])[factory] > 0
    assert not pipe.missed_gold
    with pytest.raises(LukeError, match="L041"):
        pipe.update([example([(0, 2, "HERO")], None)])


@pytest.mark.parametrize("factory", FACTORIES)
def test_labels_that_are_not_annotated_are_not_learned(factory: str, tmp_path: Path) -> None:
    write_luke(tmp_path)
    pipe = spacy.blank("en").add_pipe(factory)
    with pytest.raises(LukeError, match="L043"):
        pipe.initialize(lambda: [example(ALL, [])], checkpoint=str(tmp_path))
    pipe.initialize(lambda: [example(ALL, ["LOC"])], checkpoint=str(tmp_path))
    assert pipe.label_data == ("LOC",)


@pytest.mark.filterwarnings("ignore:.*W006")
def test_the_span_filter_learns_what_the_classifier_says_of_labels_that_are_not_annotated(checkpoint: Path) -> None:
    """Of a span that may be a LOC, the filter is not told that it is none, if the classifier says LOC."""
    config = {
        "span_filter": FILTER,
        "model": {
            "@architectures": "spacy-luke.SpanClassifier.v1",
            "encoder": {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "independent"},
        },
    }
    _, pipe = component("luke_ner", checkpoint, **config)
    location = pipe.logit_labels.index("LOC")
    with torch.no_grad():
        pipe._module.classifier.bias[location] = 50.0
    found = []
    for labels in (None, ["PER"]):
        pipe._module.zero_grad()
        pipe.update([example([], labels)])
        bias = [p.grad for name, p in pipe._module.span_filter.named_parameters() if name.endswith("bias")][-1]
        found.append(float(bias.sum()))
    assert found[0] > 0, "nothing is an entity: less probable"
    assert found[1] < found[0]
