"""The corpus reader that gives gold annotation to predicted Docs, and the scorer."""

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_luke.training.corpus import build_gold_mentions_corpus
from spacy_luke.training.ner_scorer import build_ner_scorer

NLP = spacy.blank("en")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A Doc whose tokens and sentences are not those that spaCy would make of its text."""
    words = ["Ada", "can't", "wait", "!", "Bo", "Li", "can"]
    starts = [i in (0, 4) for i in range(7)]
    ents = [*["O"] * 4, "B-PER", "I-PER", "O"]
    doc = Doc(NLP.vocab, words=words, spaces=[True] * 7, sent_starts=starts, ents=ents)
    DocBin(docs=[doc]).to_disk(tmp_path / "gold.spacy")
    return tmp_path / "gold.spacy"


def test_predicted_docs_have_the_gold_sentences_on_their_own_tokens(corpus: Path) -> None:
    [example] = build_gold_mentions_corpus(corpus)(NLP)
    assert [s.text for s in example.predicted.sents] == ["Ada can't wait !", "Bo Li can"]
    assert [t.text for t in example.predicted][1:3] == ["ca", "n't"]
    assert not example.predicted.ents


def test_a_sentencizer_leaves_given_sentences_alone(corpus: Path) -> None:
    [example] = build_gold_mentions_corpus(corpus)(NLP)
    nlp = spacy.blank("en")
    before = [t.is_sent_start for t in example.predicted]
    assert [t.is_sent_start for t in nlp.add_pipe("sentencizer")(example.predicted)] == before


def test_predicted_docs_have_the_gold_entities_if_asked(corpus: Path) -> None:
    [example] = build_gold_mentions_corpus(corpus, sentences=False, mentions=True)(NLP)
    assert [(e.text, e.label_) for e in example.predicted.ents] == [("Bo Li", "PER")]
    assert not example.predicted.has_annotation("SENT_START")


def test_a_missing_path_is_spacys_error() -> None:
    with pytest.raises(ValueError, match="E913"):
        build_gold_mentions_corpus(None)


def test_the_scorer_counts_exact_matches(corpus: Path) -> None:
    [example] = build_gold_mentions_corpus(corpus, mentions=True)(NLP)
    assert build_ner_scorer()([example])["ents_f"] == 1.0
    empty = Example(NLP.make_doc(example.reference.text), example.reference)
    empty.predicted.set_ents([])
    assert build_ner_scorer()([empty])["ents_f"] == 0.0


def test_the_scorer_counts_overlapping_spans() -> None:
    reference, predicted = NLP.make_doc("University of London"), NLP.make_doc("University of London")
    reference.spans["luke_ner"] = [reference.char_span(0, 20, "ORG"), reference.char_span(14, 20, "LOC")]
    predicted.spans["luke_ner"] = [predicted.char_span(14, 20, "LOC")]
    scores = build_ner_scorer()([Example(predicted, reference)])
    assert (scores["spans_luke_ner_p"], scores["spans_luke_ner_r"]) == (1.0, 0.5)
