"""What the last round of the recipe learns from, and how its pipeline is measured."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
import spacy
import torch
from hypothesis import given
from hypothesis import strategies as st
from spacy.kb import InMemoryLookupKB
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.annotations import (
    Answer,
    Relation,
    get_answers,
    get_questions,
    get_relations,
    set_answers,
    set_entity_type_scores,
    set_entity_types,
    set_questions,
    set_relations,
)
from spacy_luke.default_model import bundled_pipeline
from tests.test_recipe import import_script

annotated_relations = import_script("annotated_relations")
documents = import_script("prepare_documents")
evaluation = import_script("evaluate_documents")
certain_links = import_script("certain_links")
average_models = import_script("average_models")

NLP = spacy.blank("en")
LOGITS = st.lists(st.integers(-3, 3), min_size=1, max_size=8)


@given(LOGITS, LOGITS)
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(high: list[int], low: list[int]) -> None:
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(high, low)]
    assert evaluation.area_under_curve(high, low) == pytest.approx(sum(wins) / len(wins))


def docred(relations: list[tuple[int, int, str]]) -> Doc:
    words = [
        "Ada",
        "was",
        "born",
        "in",
        "London",
        ".",
        "She",
        "died",
        "there",
        "in",
        "1852",
        ".",
        "London",
        "is",
        "in",
        "England",
        ".",
    ]
    doc = Doc(Vocab(), words, sent_starts=[word in ("Ada", "She") or i == 12 for i, word in enumerate(words)])
    places = [(0, "PER"), (4, "LOC"), (10, "TIME"), (12, "LOC"), (15, "LOC")]
    numbers = {0: "0", 4: "1", 10: "2", 12: "1", 15: "3"}
    doc.ents = [Span(doc, start, start + 1, label=label, span_id=numbers[start]) for start, label in places]
    at = {ent.start: ent for ent in doc.ents}
    set_relations(doc, [Relation(at[head], at[tail], label) for head, tail, label in relations])
    return doc


def triples(doc: Doc) -> list[tuple[str, str, str]]:
    return [(relation.head.text, relation.label, relation.tail.text) for relation in get_relations(doc)]


def test_documents_have_our_labels_for_pairs_of_one_sentence() -> None:
    doc = docred([(0, 4, "P19"), (0, 10, "P570"), (12, 15, "P17"), (15, 12, "P150"), (0, 4, "P27"), (0, 4, "P9999")])
    [made] = documents.documents([doc])
    # The special label before the general one; P150 is P131 the other way round.
    assert triples(made) == [
        ("Ada", "PLACE_OF_BIRTH", "London"),
        ("Ada", "NATIONALITY", "London"),
        ("London", "LOCATED_IN", "England"),
    ]
    assert [span.label_ for span in made.spans["mentions"]] == ["PER", "LOC", "DATE", "LOC", "LOC"]
    assert "DATE" not in {ent.label_ for ent in made.ents}


class Says:
    """A pipeline that finds given entities and relations in any text."""

    def __init__(self, spans: list[str], relations: list[tuple[int, int, str, float]]):
        self.spans, self.relations = spans, relations

    def pipe(self, texts: list[str]) -> list[Doc]:
        docs = []
        for text in texts:
            doc = NLP.make_doc(text)
            found = [doc.char_span(text.index(span), text.index(span) + len(span), label="X") for span in self.spans]
            set_relations(doc, [Relation(found[a], found[b], label, score) for a, b, label, score in self.relations])
            docs.append(doc)
        return docs


def test_a_relation_counts_once_for_two_entities_and_is_wrong_on_other_spans() -> None:
    gold = docred([(0, 4, "P19"), (0, 10, "P570"), (12, 15, "P17")])
    said = Says(
        ["Ada", "London", "England", "born"],
        [(0, 1, "PLACE_OF_BIRTH", 0.9), (1, 2, "LOCATED_IN", 0.8), (3, 1, "PLACE_OF_BIRTH", 0.7)],
    )
    counts = evaluation.relations(said, [gold], ["PLACE_OF_BIRTH", "LOCATED_IN", "DATE_OF_DEATH"])
    everything = counts["all"]
    assert (everything.right, everything.predicted, everything.gold) == (2, 3, 3)
    # No sentence has both Ada and 1852.
    assert (everything.right_in_sentence, everything.in_sentence) == (2, 2)
    assert sorted(everything.confidence) == [(0.7, False), (0.8, True), (0.9, True)]
    assert counts["DATE_OF_DEATH"].scores() == {"p": None, "r": 0.0, "f": 0.0}


def paragraphs() -> list[Doc]:
    made = []
    for i in range(12):
        doc = NLP.make_doc(f"Person{i} lives in Town{i % 5} since {1900 + i}.")
        doc.user_data["title"] = f"article {i % 3}"
        asked = {f"Where does Person{i} live?": f"Town{i % 5}", f"Since when does {i} live there?": str(1900 + i)}
        set_questions(doc, list(asked))
        starts = {question: doc.text.index(text) for question, text in asked.items()}
        spans = {q: doc.char_span(start, start + len(asked[q])) for q, start in starts.items()}
        set_answers(doc, [Answer(question, span) for question, span in spans.items()])
        made.append(doc)
    return made


@pytest.mark.parametrize("share", [0.2, 0.4, 0.5])
def test_a_share_of_the_questions_is_asked_of_a_paragraph_without_their_answer(share: float) -> None:
    right = {answer.question: answer.text for doc in paragraphs() for answer in get_answers(doc)}
    made = documents.Paragraphs(paragraphs(), "test").mixed(share)
    answers = [(doc, answer) for doc in made for answer in get_answers(doc)]
    without = [(doc, answer) for doc, answer in answers if answer.span is None]
    assert len(without) / len(answers) == pytest.approx(share, abs=0.03)
    assert len(answers) - len(without) == len(right)
    for doc, answer in answers:
        if answer.span is None:
            assert right[answer.question] not in doc.text
        else:
            assert answer.text == answer.span.text == right[answer.question]
    assert max(len(doc._.questions) for doc in made) <= documents.QUESTIONS_PER_DOC


def test_names_stay_in_the_knowledge_base_if_they_are_a_title_and_nothing_else() -> None:
    kb = InMemoryLookupKB(Vocab(), entity_vector_length=1)
    titles = ["Poland", "Phoenix", "Phoenix (spacecraft)", "Georgia", "Georgia (country)", "United States", "Rice"]
    for title in titles:
        kb.add_entity(entity=title, freq=1, entity_vector=[0])
    kb.add_alias(alias="Poland", entities=["Poland", "Rice"], probabilities=[0.95, 0.05])
    kb.add_alias(alias="poland", entities=["Poland"], probabilities=[1.0])
    kb.add_alias(alias="Phoenix", entities=["Phoenix"], probabilities=[1.0])
    kb.add_alias(alias="U.S.", entities=["United States"], probabilities=[1.0])
    kb.add_alias(alias="Rice", entities=["Rice", "Poland"], probabilities=[0.7, 0.3])
    assert certain_links.certain_names(kb) == {"Poland": "Poland", "poland": "Poland"}
    kept = certain_links.certain_kb(kb, Vocab())
    assert kept.get_entity_strings() == ["Poland"]
    assert [(c.entity_, c.prior_prob) for c in kept.get_alias_candidates("Poland")] == [("Poland", 1.0)]


def test_the_second_copy_of_a_document_keeps_the_relations_whose_mentions_were_found() -> None:
    nlp = Language()
    for name in ("luke_encoder", "luke_ner", "luke_dates"):
        Language.component(f"test_{name}", func=(finds_ada if name == "luke_ner" else lambda doc: doc))
        nlp.add_pipe(f"test_{name}", name=name)
    [gold] = documents.documents([docred([(0, 4, "P19"), (12, 15, "P17")])])
    [copy] = documents.with_found_mentions([gold], nlp)
    assert [span.text for span in copy.spans["mentions"]] == ["Ada", "London"]
    assert triples(copy) == [("Ada", "PLACE_OF_BIRTH", "London")]
    assert triples(gold) == [("Ada", "PLACE_OF_BIRTH", "London"), ("London", "LOCATED_IN", "England")]


def finds_ada(doc: Doc) -> Doc:
    doc.ents = [Span(doc, 0, 1, label="PER"), Span(doc, 4, 5, label="LOC")]
    return doc


def test_snippets_have_the_answer_or_the_text_of_none() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PER", "pattern": [{"TEXT": {"REGEX": "Person"}}]}])
    docs = []
    for i in range(40):
        doc = nlp.make_doc(f"Person{i} lives in Town{i}. It rains. Person{i} was born in {1900 + i}. It snows.")
        doc.user_data["title"] = f"article {i % 4}"
        question = f"Who was born in {1900 + i}?"
        set_questions(doc, [question])
        set_answers(doc, [Answer(question, doc[8:9])])
        docs.append(doc)
    made = documents.snippets(documents.Paragraphs(docs, "test"), list(nlp.pipe(doc.copy() for doc in docs)))
    given = [(doc, answer) for doc in made for answer in get_answers(doc)]
    right = {answer.question: answer.text for doc in docs for answer in get_answers(doc)}
    assert len(given) == len(made)
    assert {answer.span is None for _, answer in given} == {True, False}
    for doc, answer in given:
        assert 1 <= len(list(doc.sents)) <= 3
        assert not doc.ents
        if answer.span is None:
            assert right[answer.question] not in doc.text
        else:
            assert answer.text == answer.span.text == right[answer.question]
    of_persons = sum("Person" in doc.text for doc, answer in given if answer.span is None)
    assert of_persons > 0.6 * sum(answer.span is None for _, answer in given)


def paragraphs_of(*texts: tuple[str, str, str]) -> list[Doc]:
    """A paragraph, the question of it and its answer each; each is an article of its own."""
    docs = []
    for number, (text, question, answer) in enumerate(texts):
        doc = NLP.make_doc(text)
        doc.user_data["title"] = f"article {number}"
        start = text.index(answer)
        set_questions(doc, [question])
        set_answers(doc, [Answer(question, doc.char_span(start, start + len(answer)))])
        docs.append(doc)
    return docs


def sentences_of(docs: list[Doc]) -> list[Doc]:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return list(nlp.pipe(doc.copy() for doc in docs))


def test_similar_sentences_are_of_another_article_and_share_rare_words_but_not_the_answer() -> None:
    docs = paragraphs_of(
        ("The abbey was built in 1203. It rains.", "When was the abbey built?", "1203"),
        ("A bridge was built in 1950. It snows.", "When was the bridge built?", "1950"),
        ("The abbey burned down. Monks left.", "Who left?", "Monks"),
        ("An abbey was built in 1203.", "What was built?", "An abbey"),
    )
    made = documents.similar(documents.Paragraphs(docs, "test"), sentences_of(docs))
    asked = {get_questions(doc)[0]: doc for doc in made}
    abbey = asked["When was the abbey built?"]
    assert abbey.text.startswith("The abbey burned down.")
    assert [answer.span for answer in get_answers(abbey)] == [None]
    assert "bridge" not in asked["When was the bridge built?"].text


def test_renamed_questions_are_about_a_name_that_the_paragraph_does_not_have() -> None:
    docs = paragraphs_of(
        ("Ada Byron was born in 1815. It rains.", "When was Ada Byron born?", "1815"),
        ("Kurt was born in 1906. It snows.", "When was Kurt born?", "1906"),
        ("He was born in 1912.", "When was Alan born?", "1912"),
    )
    ruler = spacy.blank("en")
    patterns = [{"label": "PER", "pattern": name} for name in ("Ada Byron", "Kurt", "Alan")]
    ruler.add_pipe("entity_ruler").add_patterns(patterns)
    paragraphs = documents.Paragraphs(docs, "test")
    asked = list(ruler.pipe(item.question for item in paragraphs.asked))
    made = [doc for seed in range(20) for doc in documents.renamed(paragraphs, sentences_of(docs), asked, seed)]
    questions = {(get_questions(doc)[0], doc.text.split()[0]) for doc in made}
    assert questions == {
        ("When was Kurt born?", "Ada"),
        ("When was Alan born?", "Ada"),
        ("When was Ada Byron born?", "Kurt"),
        ("When was Alan born?", "Kurt"),
    }
    assert all(answer.span is None for doc in made for answer in get_answers(doc))


def test_facts_without_labels_have_the_same_mentions_and_relations() -> None:
    [doc] = documents.documents([docred([(0, 4, "P19")])])
    copy = documents.without_labels(doc)
    mentions = [(span.text, span.label_) for span in copy.spans["mentions"]]
    assert mentions == [(span.text, "") for span in doc.spans["mentions"]]
    assert triples(copy) == triples(doc) == [("Ada", "PLACE_OF_BIRTH", "London")]
    assert doc.spans["mentions"][0].label_ == "PER"


def test_types_count_where_the_characters_are_those_of_a_gold_mention() -> None:
    gold = docred([])
    gold.spans["mentions"] = [gold[0:1], gold[4:5]]
    set_entity_types(gold[0:1], ["person", "writer"])
    set_entity_types(gold[4:5], ["place"])

    class Types:
        def pipe(self, texts: list[str]) -> list[Doc]:
            [doc] = [NLP.make_doc(text) for text in texts]
            doc.ents = [Span(doc, 0, 1, label="X"), Span(doc, 3, 5, label="X")]
            for ent, label, score in zip(doc.ents, ("person", "place"), (0.9, 0.6), strict=True):
                set_entity_types(ent, [label])
                set_entity_type_scores(ent, {label: score})
            return [doc]

    found = evaluation.types(Types(), [gold])
    assert (found["types_micro_p"], found["types_micro_r"]) == (1 / 2, 1 / 3)
    assert found["types_ece"] == pytest.approx((0.1 + 0.6) / 2)


def test_the_mean_of_two_pipelines_is_that_of_the_weights_and_leaves_out_components() -> None:
    first, second = (spacy.load(bundled_pipeline(), exclude=["luke_entity_linker"]) for _ in range(2))
    names = ("luke_encoder", "luke_ner", "luke_qa")
    assert not any(name.startswith("encoder.") for part in names[1:] for name in average_models.weights(first, part))
    for name in names:
        for tensor in average_models.weights(first, name).values():
            tensor.data.zero_()
    before = {n: {k: t.clone() for k, t in average_models.weights(second, n).items()} for n in names}
    for name in names[:2]:
        average_models.average(average_models.weights(first, name), average_models.weights(second, name), 0.25)
    for name, share in zip(names, (0.25, 0.25, 1.0), strict=True):
        for key, tensor in average_models.weights(second, name).items():
            assert torch.equal(tensor, before[name][key] * share)
    assert average_models.weights(second, "sentencizer") == {}
    with pytest.raises(SystemExit, match="differ"):
        average_models.average(
            average_models.weights(first, "luke_qa"), average_models.weights(second, "luke_ner"), 0.5
        )


TEXT = "It rained. Ada Lovelace was English. Ada met Byron."


def annotation(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "file": "texts.jsonl",
        "record": 1,
        "text": [0, len(TEXT)],
        "sha1": annotated_relations.sha1(TEXT),
        "sentence": [11, 36],
        "entities": [[11, 23, "PER"], [28, 35, "LOC"], [28, 33, "LOC"]],
        "relations": [[0, "NATIONALITY", 1], [0, "NATIONALITY", 2]],
    }
    return {**values, **changes}


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_annotated_sentences_have_their_mentions_and_relations_and_the_rest_of_the_text_none(tmp_path: Path) -> None:
    written(tmp_path / "texts.jsonl", [{"text": "Another."}, {"text": TEXT + " More."}])
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    path = written(tmp_path / "relations.jsonl", [annotation()])
    parts = annotated_relations.annotated(tmp_path, nlp, path)
    (doc,) = (*parts[0], *parts[1])
    assert doc.text == TEXT
    assert [(span.text, span.label_) for span in doc.spans["mentions"]] == [("Ada Lovelace", "PER"), ("English", "LOC")]
    assert triples(doc) == [("Ada Lovelace", "NATIONALITY", "English")]
    assert len(list(doc.sents)) == 3
    with pytest.raises(ValueError, match="record 1"):
        annotated_relations.annotated(tmp_path, nlp, written(path, [annotation(text=[0, 10])]))


def test_texts_are_those_of_the_paragraphs_rows_and_lines_of_a_file(tmp_path: Path) -> None:
    squad = tmp_path / "squad.json"
    paragraphs = [[{"context": "A."}, {"context": "B."}], [{"context": "C."}]]
    squad.write_text(json.dumps({"data": [{"paragraphs": article} for article in paragraphs]}), encoding="utf-8")
    table = tmp_path / "table.csv"
    table.write_text('key,sentence\n1,"A, b."\n2,C.\n', encoding="utf-8")
    assert annotated_relations.texts(squad) == ["A.", "B.", "C."]
    assert annotated_relations.texts(table) == ["A, b.", "C."]


def test_the_annotated_relations_are_well_formed() -> None:
    labels = {label for label, _ in documents.PROPERTIES.values()} | documents.ROLES.keys()
    for line in annotated_relations.ANNOTATIONS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        start, end = row["sentence"]
        assert all(start <= first < last <= end for first, last, _ in row["entities"])
        for head, label, tail in row["relations"]:
            assert label in labels
            assert head != tail
            assert max(head, tail) < len(row["entities"])
