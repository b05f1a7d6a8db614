"""The names that this package registers are a promise: saved pipelines and configs refer to them."""

from __future__ import annotations

import configparser
import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import spacy

import spacy_luke

ROOT = Path(__file__).parents[1]
GOLDEN = {
    "spacy_architectures": [
        "spacy-luke.EntityClassifier.v1",
        "spacy-luke.EntityPrediction.v1",
        "spacy-luke.LongformerEncoder.v1",
        "spacy-luke.LukeEncoder.v1",
        "spacy-luke.MultipleChoice.v1",
        "spacy-luke.PairClassifier.v1",
        "spacy-luke.QuestionAnswering.v1",
        "spacy-luke.SequenceClassifier.v1",
        "spacy-luke.SharedEncoder.v1",
        "spacy-luke.SpanClassifier.v1",
        "spacy-luke.Tok2VecTransformer.v1",
        "spacy-luke.TokenClassifier.v1",
        "spacy-luke.TransformerModel.v1",
    ],
    "spacy_callbacks": ["spacy-luke.freeze_encoder.v1"],
    "spacy_cli": ["luke"],
    "spacy_factories": [
        "luke_dates",
        "luke_encoder",
        "luke_entity_linker",
        "luke_entity_typer",
        "luke_multiple_choice",
        "luke_ner",
        "luke_qa",
        "luke_relations",
        "luke_textcat",
        "luke_token_classifier",
    ],
    "spacy_misc": [
        "spacy-luke.candidates.v1",
        "spacy-luke.entity_pairs.v1",
        "spacy-luke.joined_sentences.v1",
        "spacy-luke.sentence_windows.v1",
        "spacy-luke.span_filter.v1",
        "spacy-luke.span_suggester.v1",
        "spacy-luke.strided_windows.v1",
    ],
    "spacy_readers": ["spacy-luke.gold_mentions_corpus.v1", "spacy-luke.mixed_corpus.v1"],
    "spacy_scorers": [
        "spacy-luke.entity_linker_scorer.v1",
        "spacy-luke.entity_typer_scorer.v1",
        "spacy-luke.multiple_choice_scorer.v1",
        "spacy-luke.ner_scorer.v1",
        "spacy-luke.qa_scorer.v1",
        "spacy-luke.relations_scorer.v1",
        "spacy-luke.textcat_scorer.v1",
        "spacy-luke.token_classifier_scorer.v1",
    ],
}
FUNCTIONS = [
    (group.removeprefix("spacy_"), name)
    for group, names in GOLDEN.items()
    if group not in ("spacy_cli", "spacy_factories")
    for name in names
]


def setup_cfg(folder: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(delimiters=("=",))
    config.optionxform = str  # type: ignore[assignment,method-assign]
    config.read(folder / "setup.cfg", encoding="utf8")
    return config


def declared_names() -> dict[str, list[str]]:
    groups = setup_cfg(ROOT)["options.entry_points"]
    return {
        group: sorted(line.split("=")[0].strip() for line in lines.strip().splitlines())
        for group, lines in groups.items()
    }


def test_the_declared_names_are_the_golden_ones():
    assert declared_names() == GOLDEN


def test_the_installed_names_are_the_golden_ones():
    installed = {
        group: sorted(entry.name for entry in entry_points(group=group) if entry.value.startswith("spacy_luke"))
        for group in GOLDEN
    }
    assert installed == GOLDEN


@pytest.mark.parametrize(("registry", "name"), FUNCTIONS)
def test_spacy_finds_every_function(registry, name):
    assert callable(spacy.registry.get(registry, name))


@pytest.mark.parametrize("name", GOLDEN["spacy_factories"])
def test_spacy_finds_every_factory(name):
    nlp = spacy.blank("en")
    nlp.add_pipe(name)
    assert nlp.get_factory_meta(name).factory == name


def test_the_versions_of_package_and_model_package_agree():
    version = spacy_luke.__version__
    model = ROOT / "packages" / "en_luke_mini"
    assert setup_cfg(ROOT)["metadata"]["version"] == version
    assert setup_cfg(model)["metadata"]["version"] == version
    meta = (model / "en_luke_mini" / "meta.json").read_bytes()
    assert json.loads(meta)["version"] == version
    assert (model / "en_luke_mini" / f"en_luke_mini-{version}" / "meta.json").read_bytes() == meta
