"""The corpus reader that gives gold annotation to predicted Docs, and the scorer of `luke_ner`."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_luke.annotations import ANSWERS, QUESTIONS, get_questions, has_annotation, set_answers, set_questions
from spacy_luke.errors import LukeWarning
from spacy_luke.pipeline.ner.scorer import build_ner_scorer
from spacy_luke.training.corpus import build_gold_mentions_corpus

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


def write(folder: Path, *docs: Doc) -> Path:
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "more.spacy")
    return folder / "more.spacy"


def read_one(path: Path, **settings: Any) -> Example:
    [example] = build_gold_mentions_corpus(path, **settings)(NLP)
    return example


def can_t() -> Doc:
    """ "can't", one token here, is two in the predicted Doc; "U.K.-based", three here, is one there."""
    words = ["Ada", "can't", "leave", "U.K.", "-", "based", "Acme"]
    return Doc(NLP.vocab, words=words, spaces=[True, True, True, False, False, True, False])


def everything(span: Span) -> tuple[str, str, str, str]:
    return span.text, span.label_, span.kb_id_, span.id_


def test_given_entities_keep_labels_links_and_ids(tmp_path: Path) -> None:
    doc = can_t()
    doc.set_ents([Span(doc, 0, 2, label="PER", kb_id="Q7259", span_id="ada"), Span(doc, 6, 7, label="ORG", kb_id="Q1")])
    example = read_one(write(tmp_path, doc), mentions=True)
    wanted = [("Ada can't", "PER", "Q7259", "ada"), ("Acme", "ORG", "Q1", "")]
    assert [everything(ent) for ent in example.predicted.ents] == wanted
    assert (example.predicted.ents[0].start, example.predicted.ents[0].end) == (0, 3)


def test_given_spans_keep_labels_links_and_ids_and_may_overlap(tmp_path: Path) -> None:
    doc = can_t()
    doc.spans["mentions"] = [
        Span(doc, 0, 2, label="PER", kb_id="Q7259", span_id="ada"),
        Span(doc, 1, 3),
        Span(doc, 1, 3, label="ACT"),
    ]
    doc.spans["others"] = [Span(doc, 0, 1)]
    predicted = read_one(write(tmp_path, doc), spans_key="mentions").predicted
    wanted = [("Ada can't", "PER", "Q7259", "ada"), ("can't leave", "", "", ""), ("can't leave", "ACT", "", "")]
    assert [everything(span) for span in predicted.spans["mentions"]] == wanted
    assert list(predicted.spans) == ["mentions"]
    assert not predicted.has_annotation("ENT_IOB")


def test_mentions_that_end_inside_a_predicted_token_are_reported_once_per_read(tmp_path: Path) -> None:
    doc = can_t()
    doc.set_ents([Span(doc, 0, 1, label="PER"), Span(doc, 3, 4, label="LOC"), Span(doc, 6, 7, label="ORG")])
    doc.spans["mentions"] = list(doc.ents)
    read = build_gold_mentions_corpus(write(tmp_path, doc, doc), mentions=True, spans_key="mentions")
    for _ in range(2):
        with pytest.warns(LukeWarning, match=r"\[W012\] .*more\.spacy: 4 of 12 gold .* 'U\.K\.' \(LOC\)") as given:
            examples = list(read(NLP))
        assert len(given) == 1
    for example in examples:
        assert [ent.text for ent in example.predicted.ents] == ["Ada", "Acme"]
        assert [span.text for span in example.predicted.spans["mentions"]] == ["Ada", "Acme"]


def test_there_is_no_warning_if_nothing_is_lost(corpus: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(build_gold_mentions_corpus(corpus, mentions=True, spans_key="mentions", questions=True)(NLP))


def test_what_a_reference_is_not_annotated_with_is_not_given(tmp_path: Path) -> None:
    predicted = read_one(write(tmp_path, can_t()), mentions=True, spans_key="mentions", questions=True).predicted
    assert not predicted.has_annotation("ENT_IOB")
    assert not predicted.has_annotation("SENT_START")
    assert not list(predicted.spans)
    assert not has_annotation(predicted, QUESTIONS)


def test_none_found_is_an_annotation_too(tmp_path: Path) -> None:
    doc = can_t()
    doc.set_ents([])
    doc.spans["mentions"] = []
    set_questions(doc, [])
    predicted = read_one(write(tmp_path, doc), mentions=True, spans_key="mentions", questions=True).predicted
    assert [token.ent_iob_ for token in predicted] == ["O"] * len(predicted)
    assert not predicted.spans["mentions"]
    assert has_annotation(predicted, QUESTIONS)
    assert not get_questions(predicted)


def test_tokens_without_entity_annotation_stay_without(tmp_path: Path) -> None:
    doc = can_t()
    doc.set_ents([Span(doc, 0, 1, label="PER")], missing=[doc[1:3]])
    predicted = read_one(write(tmp_path, doc), mentions=True).predicted
    assert [(token.text, token.ent_iob_) for token in predicted] == [
        ("Ada", "B"),
        ("ca", ""),
        ("n't", ""),
        ("leave", ""),
        ("U.K.-based", "O"),
        ("Acme", "O"),
    ]


def test_predicted_docs_have_the_options_of_questions_but_not_what_is_right(tmp_path: Path) -> None:
    doc = can_t()
    doc._.choices = [("Who?", ["Ada", "Bo"]), ("", ["Yes.", "No."])]
    doc._.chosen = [0, 1]
    example = read_one(write(tmp_path, doc), questions=True)
    assert example.predicted._.choices == example.reference._.choices == doc._.choices
    assert [choice.index for choice in example.reference._.chosen] == [0, 1]
    assert not has_annotation(example.predicted, "chosen")
    assert not has_annotation(read_one(write(tmp_path, doc)).predicted, "choices")


def test_predicted_docs_have_the_questions_if_asked(tmp_path: Path) -> None:
    doc = can_t()
    set_questions(doc, ["Who?", "Why?"])
    set_answers(doc, [("Where?", doc[3:4]), ("Who?", doc[0:1])])
    assert not has_annotation(read_one(write(tmp_path, doc)).predicted, QUESTIONS)
    predicted = read_one(write(tmp_path, doc), questions=True).predicted
    assert get_questions(predicted) == ("Who?", "Why?", "Where?")
    assert not has_annotation(predicted, ANSWERS)


@pytest.mark.parametrize(
    ("limit", "texts"),
    [(0, "a0 a1 a2 b0 c0 c1 c2"), (2, "a0 b0"), (3, "a0 b0 c0"), (5, "a0 a1 b0 c0"), (99, "a0 a1 a2 b0 c0 c1 c2")],
)
def test_the_files_of_a_folder_share_the_limit(tmp_path: Path, limit: int, texts: str) -> None:
    for name, count in {"a": 3, "b": 1, "c": 3}.items():
        docs = [Doc(NLP.vocab, words=[f"{name}{i}"]) for i in range(count)]
        DocBin(docs=docs).to_disk(tmp_path / f"{name}.spacy")
    read = build_gold_mentions_corpus(tmp_path, limit=limit)
    assert " ".join(example.reference[0].text for example in read(NLP)) == texts


def test_a_limit_of_one_file_is_its_first_docs(tmp_path: Path) -> None:
    path = write(tmp_path, *(Doc(NLP.vocab, words=[word]) for word in "abc"))
    assert [example.reference[0].text for example in build_gold_mentions_corpus(path, limit=2)(NLP)] == ["a", "b"]


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
