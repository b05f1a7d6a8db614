"""`luke evaluate`, on the bundled model and Docs that it annotated, with some of the annotation changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.training import Example
from typer.testing import CliRunner, Result

from spacy_luke.annotations import get_relations, set_answers, set_entity_types, set_questions, set_relations
from spacy_luke.cli import luke_cli
from spacy_luke.default_model import bundled_pipeline
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.evaluation import evaluate, finds_entities

TEXTS = [
    "Steve Jobs was born in San Francisco in 1955. He founded Apple in Cupertino.",
    "Angela Merkel was born in Hamburg in 1954. She studied at Leipzig University.",
]
QUESTION = "Who founded Apple?"
SCORED = ["luke_ner", "luke_entity_typer", "luke_relations", "luke_entity_linker", "luke_qa"]
FIND_ENTITIES = ["luke_ner", "luke_dates"]


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.load(bundled_pipeline())


@pytest.fixture(scope="module")
def gold(nlp: Language) -> list[Doc]:
    """Docs with a mention that the pipeline does not find, with a type, and without the first relation of each."""
    docs = list(nlp.pipe(TEXTS))
    for doc in docs:
        relations = get_relations(doc)
        pronoun = next(token.i for token in doc if token.text in ("He", "She"))
        doc.set_ents([*doc.ents, Span(doc, pronoun, pronoun + 1, "PER")])
        set_entity_types(doc[pronoun : pronoun + 1], ["person"])
        set_relations(doc, relations[1:])
    set_questions(docs[0], [QUESTION])
    set_answers(docs[0], [(QUESTION, docs[0][0:2])])
    return docs


@pytest.fixture(scope="module")
def data(gold: list[Doc], tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "dev.spacy"
    DocBin(docs=gold, store_user_data=True).to_disk(path)
    return path


def run(*args: object) -> Result:
    return CliRunner().invoke(luke_cli, ["evaluate", *(str(arg) for arg in args)])


def record(*args: object) -> dict[str, Any]:
    output = Path(str(args[1])).with_suffix(".json")
    result = run(*args, "--output", output)
    assert result.exit_code == 0, result.output
    return {**json.loads(output.read_text()), "shown": result.output}


def by_component(made: dict[str, Any]) -> dict[str, Any]:
    return {result["component"]: result for result in made["results"]}


def message(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def end_to_end(data: Path) -> dict[str, Any]:
    return record(bundled_pipeline(), data, "--per-label")


@pytest.fixture(scope="module")
def on_gold_entities(data: Path) -> dict[str, Any]:
    return record(bundled_pipeline(), data, "--gold-entities", "--gold-sentences")


def test_end_to_end_scores_are_those_of_the_pipeline_on_plain_text(
    nlp: Language, gold: list[Doc], end_to_end: dict[str, Any]
) -> None:
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in gold]
    set_questions(examples[0].predicted, [QUESTION])
    expected = nlp.evaluate(examples)
    assert list(by_component(end_to_end)) == SCORED
    for result in end_to_end["results"]:
        assert result["scores"]
        for name, score in result["scores"].items():
            if isinstance(score, list):
                assert score == [pytest.approx(one) for one in expected[name]]
                continue
            assert score == (expected[name] if isinstance(score, dict) else pytest.approx(expected[name]))
    found = {name: result["scores"] for name, result in by_component(end_to_end).items()}
    assert 0 < found["luke_ner"]["ents_r"] < 1
    assert 0 < found["luke_relations"]["rel_micro_p"] < 1
    assert found["luke_qa"]["qa_em"] == 1
    assert found["luke_entity_typer"]["types_ece"] > 0
    assert by_component(end_to_end)["luke_qa"]["docs"] == 1
    assert end_to_end["docs"] == 2
    assert end_to_end["words"] == sum(map(len, gold))
    assert end_to_end["speed"][0]["value"] > 0


def test_what_was_given_is_said(end_to_end: dict[str, Any], on_gold_entities: dict[str, Any]) -> None:
    assert (end_to_end["mode"], end_to_end["given"]) == ("end to end", ["questions"])
    assert end_to_end["not_run"] == []
    assert "End to end" in end_to_end["shown"]
    assert on_gold_entities["mode"] == "gold entities"
    assert on_gold_entities["given"] == ["questions", "sentences", "entities"]
    assert on_gold_entities["not_run"] == FIND_ENTITIES
    assert "Gold entities" in on_gold_entities["shown"]
    assert f"Not run: {', '.join(FIND_ENTITIES)}." in " ".join(on_gold_entities["shown"].split())


def test_gold_entities_are_given_to_what_classifies_them(
    end_to_end: dict[str, Any], on_gold_entities: dict[str, Any]
) -> None:
    given, found = by_component(on_gold_entities), by_component(end_to_end)
    assert list(given) == SCORED[1:]
    assert found["luke_relations"]["scores"]["rel_micro_r"] > 0
    assert given["luke_entity_typer"]["scores"]["types_micro_r"] > found["luke_entity_typer"]["scores"]["types_micro_r"]
    assert given["luke_entity_linker"]["scores"]["nel_acc"] is not None


def test_scores_by_label_are_written_and_shown_where_asked(
    end_to_end: dict[str, Any], on_gold_entities: dict[str, Any]
) -> None:
    labels = by_component(end_to_end)["luke_relations"]["scores"]["rel_per_type"]
    assert set(labels["PLACE_OF_BIRTH"]) == {"p", "r", "f"}
    assert "PLACE_OF_BIRTH" in end_to_end["shown"]
    assert "PLACE_OF_BIRTH" not in on_gold_entities["shown"]
    assert by_component(on_gold_entities)["luke_relations"]["scores"]["rel_per_type"]


def test_a_model_card_shows_it(data: Path, end_to_end: dict[str, Any], tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    args = ["card", str(bundled_pipeline()), str(data.with_suffix(".json")), "--output", str(card)]
    assert CliRunner().invoke(luke_cli, args).exit_code == 0
    assert "### Relations" in card.read_text()
    assert "ECE | P | R | F1" in card.read_text()


def test_docs_without_gold_annotation_are_said_and_not_scored(gold: list[Doc], tmp_path: Path) -> None:
    data = tmp_path / "bare.spacy"
    DocBin(docs=gold).to_disk(data)  # without user data
    made = record(bundled_pipeline(), data)
    assert list(by_component(made)) == ["luke_ner", "luke_entity_linker"]
    assert made["without_gold"] == {
        "luke_entity_typer": "entity types",
        "luke_relations": "relations",
        "luke_qa": "answers",
    }
    assert f"luke_relations: no gold relations in {data}" in " ".join(made["shown"].split())
    assert "rel_micro_f" not in made["shown"]


def test_settings_and_components_can_be_named(data: Path) -> None:
    options = ("--component", "luke_qa", "--component", "sentencizer", "--limit", 1)
    made = record(bundled_pipeline(), data, *options, "--components.luke_qa.no_answer_threshold", "-1000")
    found = by_component(made)
    assert list(found) == ["sentencizer", "luke_qa"]
    assert made["docs"] == 1
    assert found["luke_qa"]["scores"]["qa_em"] == 0, "each question is unanswerable"
    assert found["sentencizer"]["docs"] is None, "whether its references are annotated is not known"


def test_spans_and_entities_can_be_taken_from_a_key(gold: list[Doc], tmp_path: Path) -> None:
    data = tmp_path / "mentions.spacy"
    docs = [doc.copy() for doc in gold]
    for doc in docs:
        doc.spans["mentions"] = SpanGroup(doc, name="mentions", spans=list(doc.ents))
        doc.set_ents([], default="missing")
    DocBin(docs=docs, store_user_data=True).to_disk(data)
    made = record(
        bundled_pipeline(), data, "--gold-entities", "--ents-key", "mentions", "--component", "luke_relations"
    )
    assert made["given"] == ["questions", "spans under 'mentions'"]
    assert by_component(made)["luke_relations"]["scores"]["rel_micro_r"] > 0
    assert "L164" in message(run(bundled_pipeline(), data, "--gold-entities"))
    assert "L164" in message(run(bundled_pipeline(), data, "--gold-entities", "--ents-key", "others"))


def test_gold_entities_leave_nothing_for_what_finds_them(data: Path) -> None:
    assert "L161" in message(run(bundled_pipeline(), data, "--gold-entities", "--component", "luke_ner"))


def test_a_component_that_nothing_gives_entities_to_is_said(nlp: Language, gold: list[Doc]) -> None:
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in gold]
    with nlp.select_pipes(disable=FIND_ENTITIES), pytest.warns(LukeWarning, match="W047.*luke_relations"):
        found = evaluate(nlp, examples, ["luke_relations"])
    assert found.components[0].scores["rel_micro_r"] == 0
    assert len(examples[0].predicted.ents) == 0


def test_only_what_writes_entities_finds_them(nlp: Language) -> None:
    assert [name for name in nlp.pipe_names if finds_entities(nlp, name)] == FIND_ENTITIES


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A pipeline of spaCy alone."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "plain")
    return tmp_path / "plain"


def test_a_pipeline_without_our_components_is_for_spacy_evaluate(plain: Path, data: Path) -> None:
    assert "L160" in message(run(plain, data))
    assert "spacy evaluate" in message(run(plain, data))
    assert run(plain, data, "--component", "sentencizer").exit_code == 0


def test_an_unknown_component_is_named_with_those_that_there_are(plain: Path, data: Path) -> None:
    said = message(run(plain, data, "--component", "tagger"))
    assert "L080" in said
    assert "tagger" in said
    assert "sentencizer" in said


def test_data_without_any_gold_annotation_is_an_error(plain: Path, tmp_path: Path) -> None:
    data, output = tmp_path / "plain.spacy", tmp_path / "metrics.json"
    nlp = spacy.blank("en")
    DocBin(docs=[nlp("It rains.")]).to_disk(data)
    assert "L163" in message(run(plain, data, "--component", "sentencizer", "--output", output))
    assert not output.exists()


def test_files_that_cannot_be_read_are_named(plain: Path, tmp_path: Path) -> None:
    damaged, empty = tmp_path / "damaged.spacy", tmp_path / "empty"
    damaged.write_bytes(b"no Docs")
    empty.mkdir()
    assert "L106" in message(run(plain, damaged, "--component", "sentencizer"))
    with pytest.warns(UserWarning, match="W090"):
        assert "L162" in message(run(plain, empty, "--component", "sentencizer"))
    missing = run(plain, tmp_path / "missing.spacy")
    assert missing.exit_code == 2
    assert "missing.spacy" in missing.output


def test_a_model_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    assert "no_model" in message(run(tmp_path / "no_model", data))


def test_a_gpu_that_is_not_there_is_named(plain: Path, data: Path) -> None:
    assert "L047" in message(run(plain, data, "--gpu-id", 99))


def test_several_keys_of_given_spans_have_to_be_told_apart(nlp: Language, data: Path, monkeypatch) -> None:
    monkeypatch.setattr("spacy_luke.pipeline.evaluation.keys_of_given_spans", lambda nlp: ["a", "b"])
    monkeypatch.setattr(spacy, "load", lambda *args, **kwargs: nlp)
    assert "a, b" in message(run(bundled_pipeline(), data, "--gold-entities"))


def test_a_component_of_given_spans_names_their_key() -> None:
    from spacy_luke.pipeline.evaluation import keys_of_given_spans

    nlp = spacy.blank("en")
    nlp.add_pipe("luke_entity_typer", config={"spans_key": "mentions"})
    nlp.add_pipe("luke_relations", config={"pairs": {"@misc": "spacy-luke.entity_pairs.v1", "spans_key": "pairs"}})
    assert keys_of_given_spans(nlp) == ["mentions", "pairs"]


def test_names_of_components_are_checked_in_python_too(nlp: Language) -> None:
    with pytest.raises(LukeError, match="L080"):
        evaluate(nlp, [], ["luke_textcat"])
