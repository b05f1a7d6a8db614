"""Training shows and weighs the scores of what a component writes under its settings."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config

from spacy_luke.errors import LukeWarning
from spacy_luke.pipeline.base.score_weights import fit_score_weights
from spacy_luke.pipeline.relations.scorer import build_relations_scorer
from tests.pipeline.short_training import CONFIGS
from tests.pipeline.token_classifier.model import BILUO, write_tagger

WINDOWS = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}


def gold_doc(nlp, key: str) -> Doc:
    """A sentence with entities and nested spans, tags and parts of speech."""
    doc = nlp.make_doc("The Royal Society is in London.")
    for token in doc:
        token.is_sent_start = token.i == 0
        token.tag_ = token.pos_ = token._.luke_tag = "NOUN"
    doc.set_ents([doc.char_span(4, 17, "ORG"), doc.char_span(24, 30, "LOC")])
    doc.spans[key] = [*doc.ents, doc.char_span(4, 9, "PER")]
    return doc


def gold(nlp, key: str = "sc") -> list[Example]:
    return [Example(nlp.make_doc(doc.text), doc) for doc in [gold_doc(nlp, key)]]


def weights(nlp) -> dict[str, float | None]:
    return {name: weight for name, weight in nlp.config["training"]["score_weights"].items() if weight is not None}


def ner(checkpoint: Path, *others: str, **settings) -> spacy.language.Language:
    """An initialised pipeline of luke_ner after other components."""
    nlp = spacy.blank("en")
    for other in others:
        nlp.add_pipe(other)
    nlp.add_pipe("luke_ner", config={"windows": WINDOWS, **settings})
    nlp.config["initialize"]["components"] = {"luke_ner": {"checkpoint": str(checkpoint)}}
    nlp.initialize(lambda: gold(nlp))
    return nlp


def test_entities_are_weighed_where_they_do_not_overlap(checkpoint) -> None:
    assert weights(ner(checkpoint)) == {"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0}


@pytest.mark.parametrize("key", ["luke_ner", "sc"])
def test_spans_under_the_key_are_weighed_with_overlap(checkpoint, key) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner", config={"overlap": True, "spans_key": key, "windows": WINDOWS})
    nlp.config["initialize"]["components"] = {"luke_ner": {"checkpoint": str(checkpoint)}}
    nlp.initialize(lambda: gold(nlp, key))
    assert weights(nlp) == {f"spans_{key}_f": 1.0, f"spans_{key}_p": 0.0, f"spans_{key}_r": 0.0}
    assert nlp.config["training"]["score_weights"]["ents_f"] is None


def test_weights_of_the_config_stay(checkpoint) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner", config={"overlap": True, "spans_key": "sc", "windows": WINDOWS})
    nlp.config["training"]["score_weights"] = {"spans_sc_r": 1.0}
    nlp.config["initialize"]["components"] = {"luke_ner": {"checkpoint": str(checkpoint)}}
    nlp.initialize(lambda: gold(nlp))
    assert weights(nlp) == {"spans_sc_r": 1.0}


def test_a_weight_under_the_default_key_moves_to_the_key(checkpoint) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner", config={"overlap": True, "spans_key": "sc", "windows": WINDOWS})
    nlp.config["training"]["score_weights"] = {"ents_f": None, "spans_luke_ner_f": 1.0}
    nlp.config["initialize"]["components"] = {"luke_ner": {"checkpoint": str(checkpoint)}}
    nlp.initialize(lambda: gold(nlp))
    assert {name for name, weight in weights(nlp).items() if weight} == {"spans_sc_f"}


def test_scores_of_entities_that_another_component_gives_are_weighed_beside_spans(checkpoint) -> None:
    found = weights(ner(checkpoint, "ner", overlap=True, spans_key="sc"))
    assert {name: weight for name, weight in found.items() if weight} == {"ents_f": 0.5, "spans_sc_f": 0.5}


def test_weights_fit_a_renamed_component_and_a_saved_pipeline(checkpoint, tmp_path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner", config={"overlap": True, "spans_key": "sc", "windows": WINDOWS})
    nlp.rename_pipe("luke_ner", "mentions")
    nlp.get_pipe("mentions").initialize(lambda: gold(nlp), nlp=nlp, checkpoint=str(checkpoint))
    assert weights(nlp)["spans_sc_f"] == 1.0
    nlp.to_disk(tmp_path / "saved")
    assert weights(spacy.load(tmp_path / "saved"))["spans_sc_f"] == 1.0


@pytest.mark.parametrize("attribute", ["tag", "pos", "luke_tag"])
def test_tags_are_weighed_by_what_the_classifier_writes(tmp_path, attribute) -> None:
    folder = write_tagger(tmp_path / "tagger", "luke", BILUO)
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_token_classifier", config={"attribute": attribute})
    pipe = {"checkpoint": str(folder), "labels": ["NOUN", "VERB"]}
    nlp.config["initialize"]["components"] = {"luke_token_classifier": pipe}
    with pytest.warns(LukeWarning, match="W006"):
        nlp.initialize(lambda: gold(nlp))
    assert weights(nlp) == {f"{attribute}_acc": 1.0}


@pytest.mark.parametrize("scorer_key", ["luke_ner", "sc"])
def test_spacy_train_sees_the_spans_under_a_key_of_the_components_own(checkpoint, tmp_path, scorer_key) -> None:
    """The scorer's block may have the default key, as in every saved config."""
    blank = spacy.blank("en")
    DocBin(docs=[gold_doc(blank, "sc")] * 2).to_disk(tmp_path / "corpus.spacy")
    overrides = {
        "paths.train": str(tmp_path / "corpus.spacy"),
        "paths.dev": str(tmp_path / "corpus.spacy"),
        "paths.checkpoint": str(checkpoint),
        "components.luke_ner.overlap": True,
        "components.luke_ner.spans_key": "sc",
        "components.luke_ner.scorer.spans_key": scorer_key,
        "components.luke_ner.windows.max_pieces": 100,
        "training.max_steps": 60,
        "training.max_epochs": 0,
        "training.eval_frequency": 60,
        "training.accumulate_gradient": 1,
        "training.optimizer.learn_rate": 0.003,
    }
    nlp = init_nlp(Config().from_disk(CONFIGS / "ner.cfg", overrides=overrides))
    (tmp_path / "out").mkdir()
    log = io.StringIO()
    train(nlp, tmp_path / "out", stdout=log)
    [columns] = [line.split() for line in log.getvalue().splitlines() if line.endswith("SCORE ")]
    assert columns[-4:] == ["SPANS_SC_F", "SPANS_SC_P", "SPANS_SC_R", "SCORE"]
    assert "ENTS_F" not in columns
    performance = spacy.load(tmp_path / "out" / "model-best").meta["performance"]
    last = next(line.split() for line in reversed(log.getvalue().splitlines()) if line.strip()[:1].isdigit())
    assert float(last[-1]) == pytest.approx(performance["spans_sc_f"], abs=0.01)
    assert performance["spans_sc_f"] > 0.5


def test_relations_are_scored_with_the_settings_of_the_component() -> None:
    """Relations between spans under a key, in either direction, and a name of its own for "not related"."""
    nlp = spacy.blank("en")
    pairs = {"@misc": "spacy-luke.entity_pairs.v1", "spans_key": "sc"}
    settings = {"symmetric": ["met"], "negative_label": "apart", "pairs": pairs}
    pipe = nlp.add_pipe("luke_relations", config=settings)
    docs = [nlp.make_doc("Ada met Bo") for _ in range(2)]
    for doc in docs:
        doc.spans["sc"] = [doc[0:1], doc[2:3]]
    predicted, reference = docs
    predicted._.relations = [(predicted[0:1], predicted[2:3], "met", 0.5)]
    reference._.relations = [(reference[2:3], reference[0:1], "met"), (reference[0:1], reference[2:3], "apart")]
    scores = pipe.score([Example(predicted, reference)])
    assert scores["rel_micro_f"] == 1.0
    assert scores["rel_found_f"] == 1.0


def test_settings_of_the_scorer_win_over_those_of_the_component() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_relations", config={"symmetric": ["saw"]})
    pipe.scorer = build_relations_scorer(symmetric=["met"])
    predicted, reference = nlp.make_doc("Ada met Bo"), nlp.make_doc("Ada met Bo")
    predicted._.relations = [(predicted[0:1], predicted[2:3], "met", 0.5)]
    reference._.relations = [(reference[2:3], reference[0:1], "met")]
    assert pipe.score([Example(predicted, reference)])["rel_micro_f"] == 1.0


@pytest.mark.parametrize(
    ("config", "setting", "value", "scores"),
    [
        ("ner.cfg", "luke_ner.overlap", False, {"ents_f": 1.0}),
        ("ner.cfg", "luke_ner.overlap", True, {"spans_luke_ner_f": 1.0}),
        ("ner_longformer.cfg", "luke_ner.overlap", False, {"ents_f": 1.0}),
        ("ner_longformer.cfg", "luke_ner.spans_key", "sc", {"spans_sc_f": 1.0}),
        ("token_classifier.cfg", "luke_token_classifier.attribute", "tag", {"tag_acc": 1.0}),
        ("shared.cfg", "luke_ner.overlap", True, {"spans_luke_ner_f": 0.5, "rel_micro_f": 0.5}),
    ],
)
def test_a_setting_of_the_configs_is_enough(config, setting, value, scores) -> None:
    loaded = Config().from_disk(CONFIGS / config, overrides={f"components.{setting}": value})
    nlp = spacy.util.load_model_from_config(loaded, auto_fill=True)
    fit_score_weights(nlp, nlp.get_pipe(setting.split(".")[0]))
    assert {name: weight for name, weight in weights(nlp).items() if weight} == scores


def test_a_component_of_no_pipeline_changes_no_weights() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner")
    before = dict(nlp.config["training"]["score_weights"])
    fit_score_weights(nlp, object())
    assert dict(nlp.config["training"]["score_weights"]) == before
