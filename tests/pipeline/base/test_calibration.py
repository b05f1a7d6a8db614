"""`calibrate`, `tune` and `spacy luke tune`, on the bundled model with a head that is made too sure of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from typer.testing import CliRunner

from spacy_luke.annotations import (
    Answer,
    get_answers,
    get_entity_types,
    get_relations,
    set_answers,
    set_entity_types,
    set_relations,
    typed_spans,
)
from spacy_luke.cli import luke_cli
from spacy_luke.default_model import bundled_pipeline
from spacy_luke.errors import LukeError
from spacy_luke.pipeline.base.calibration import (
    BIASES,
    TEMPERATURES,
    Calibration,
    calibrated_logits,
    find_calibration,
)
from spacy_luke.pipeline.tuning import tune

TEXTS = (
    "Grace Hopper was born in New York City in 1906. She worked for Remington Rand in Philadelphia.",
    "Marie Curie was born in Warsaw. She studied in Paris with Pierre Curie, her husband.",
    "Steve Jobs and Steve Wozniak founded Apple in California. Tim Cook leads Apple now.",
    "Ada Lovelace lived in London, where Charles Babbage worked on the Analytical Engine.",
)
NAMES = ("luke_ner", "luke_entity_typer", "luke_relations")
SURE = 3.0
NEVER_RIGHT = "algorithm"  # a type of nothing in the texts


@pytest.fixture
def nlp() -> Language:
    return spacy.load(bundled_pipeline())


def with_errors(doc: Doc) -> Doc:
    """A reference in which a part of what the pipeline found is missing or another."""
    gold = doc.copy()
    ents = list(gold.ents)
    for i, ent in enumerate(ents):
        types = get_entity_types(ent)
        set_entity_types(ent, ["person"] if i % 3 == 1 else types)
    set_relations(gold, [r for i, r in enumerate(get_relations(gold)) if i % 2])
    gold.set_ents([ent for i, ent in enumerate(ents) if i % 3])
    return gold


def examples_of(nlp: Language, name: str) -> list[Example]:
    """Predicted Docs as a component of the pipeline gets them."""
    made = []
    for text in TEXTS:
        before, gold = nlp.get_pipe("sentencizer")(nlp.make_doc(text)), with_errors(nlp(text))
        if name != "luke_ner":
            before.set_ents([before.char_span(e.start_char, e.end_char, e.label_) for e in nlp(text).ents])
        made.append(Example(before, gold))
    return made


def make_sure(pipe) -> None:
    with torch.no_grad():
        for parameter in pipe._module.output.parameters():
            parameter.mul_(SURE)


def raw(pipe, examples: list[Example]) -> np.ndarray:
    return np.concatenate([scored.logits for scored in pipe.predict([e.predicted for e in examples])])


def scores(pipe, examples: list[Example]) -> dict:
    copies = [Example(e.predicted.copy(), e.reference) for e in examples]
    docs = [e.predicted for e in copies]
    pipe.set_annotations(docs, pipe.predict(docs))
    return pipe.score(copies)


@pytest.mark.parametrize("name", NAMES)
def test_calibration_divides_the_scores_and_lowers_their_error(nlp: Language, name: str) -> None:
    pipe = nlp.get_pipe(name)
    examples = examples_of(nlp, name)
    make_sure(pipe)
    before, f1 = raw(pipe, examples), scores(pipe, examples)[pipe._calibration_scores[0]]
    docs = [example.predicted.to_bytes() for example in examples]
    found = pipe.calibrate(examples)
    assert [example.predicted.to_bytes() for example in examples] == docs
    assert found.temperature in TEMPERATURES
    assert found.temperature > 1
    assert found.error_after < found.error_before
    if name == "luke_ner":
        before[:, pipe.logit_labels.index(pipe.negative_label)] += found.bias
    else:
        assert found.bias == 0
    np.testing.assert_allclose(raw(pipe, examples), before / found.temperature, rtol=1e-3, atol=1e-4)
    after = scores(pipe, examples)
    assert after[pipe._calibration_scores[1]] == pytest.approx(found.error_after, abs=1e-3)
    assert after[pipe._calibration_scores[0]] >= f1


def test_what_is_calibrated_stays_so_when_it_is_saved(nlp: Language, tmp_path: Path) -> None:
    pipe = nlp.get_pipe("luke_relations")
    examples = examples_of(nlp, "luke_relations")
    pipe.apply_calibration(Calibration(temperature=2.0))
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved").get_pipe("luke_relations")
    np.testing.assert_array_equal(raw(loaded, examples), raw(pipe, examples))


def test_nothing_to_compare_with_is_an_error_and_changes_nothing(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_relations")
    weights = pipe._module.output.weight.clone()
    doc = nlp.make_doc("It rains.")
    with pytest.raises(LukeError, match="L159"):
        pipe.calibrate([Example(doc, doc.copy())])
    assert torch.equal(pipe._module.output.weight, weights)


def test_only_luke_ner_has_a_bias_that_is_calibrated(nlp: Language) -> None:
    with pytest.raises(LukeError, match="L047"):
        nlp.get_pipe("luke_relations").apply_calibration(Calibration(bias=0.2))


def test_the_threshold_with_the_best_f1_is_chosen(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_relations")
    examples = examples_of(nlp, "luke_relations")
    found = tune(pipe, [examples])
    assert pipe.threshold == found.settings["threshold"]
    best = scores(pipe, examples)["rel_micro_f"]
    assert best == pytest.approx(found.f1)
    for threshold in (0.0, 0.5, 0.9):
        pipe.threshold = threshold
        assert (scores(pipe, examples)["rel_micro_f"] or 0.0) <= best


@pytest.mark.parametrize("name", ["luke_relations", "luke_entity_typer"])
def test_each_label_gets_the_threshold_with_its_best_f1(nlp: Language, name: str) -> None:
    pipe = nlp.get_pipe(name)
    examples = examples_of(nlp, name)
    f1_name, _ = pipe._calibration_scores
    per_type = f1_name.replace("micro_f", "per_type")
    found = tune(pipe, [examples], per_label=True)
    assert pipe.label_thresholds == dict(found.settings["label_thresholds"])
    assert set(pipe.label_thresholds) == set(pipe.labels)
    chosen = scores(pipe, examples)[per_type]
    pipe.label_thresholds = {}
    for threshold in (0.0, 0.3, 0.6, 0.9):
        pipe.threshold = threshold
        other = scores(pipe, examples)[per_type] or {}
        assert all(chosen[label]["f"] >= other[label]["f"] for label in set(chosen) & set(other))
        assert all(label in chosen or other[label]["f"] == 0 for label in other)


def test_no_label_is_below_the_precision_that_is_asked_for(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_entity_typer")
    examples = examples_of(nlp, "luke_entity_typer")
    for example in examples:
        set_entity_types(typed_spans(example.reference)[0], [NEVER_RIGHT])
    before = scores(pipe, examples)["types_per_type"]
    assert any(score["p"] < 0.9 for score in before.values())
    tune(pipe, [examples], per_label=True, min_precision=0.9)
    after = scores(pipe, examples)["types_per_type"]
    assert all(score["p"] >= 0.9 or (score["p"], score["r"]) == (0, 0) for score in after.values())
    assert any(score["p"] >= 0.9 for score in after.values())
    assert pipe.label_thresholds[NEVER_RIGHT] == 1.0, "a label that never is precise enough is silent"


def test_a_general_threshold_may_have_to_be_precise(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_entity_typer")
    examples = examples_of(nlp, "luke_entity_typer")
    lax = tune(pipe, [examples])
    tune(pipe, [examples], min_precision=0.9)
    strict = scores(pipe, examples)
    assert strict["types_micro_p"] >= 0.9
    assert strict["types_micro_f"] <= lax.f1
    for example in examples:
        for span in typed_spans(example.reference):
            set_entity_types(span, [NEVER_RIGHT])
    with pytest.raises(LukeError, match=r"L191.*'luke_entity_typer'.*50.00%.*the best has"):
        tune(pipe, [examples], min_precision=0.5)
    with pytest.raises(LukeError, match="L047"):
        tune(pipe, [examples], min_precision=90)


@pytest.mark.parametrize("options", [{"per_label": True}, {"min_precision": 0.9}])
def test_only_labels_of_relations_and_types_are_tuned_one_by_one(nlp: Language, options: dict) -> None:
    with pytest.raises(LukeError, match="L080"):
        tune(nlp.get_pipe("luke_ner"), [[]], **options)


def test_the_command_saves_thresholds_of_labels(nlp: Language, tmp_path: Path) -> None:
    data, output = tmp_path / "dev.spacy", tmp_path / "tuned"
    DocBin(docs=[with_errors(nlp(text)) for text in TEXTS], store_user_data=True).to_disk(data)
    arguments = ["tune", str(bundled_pipeline()), str(data), "--component", "luke_relations", "--per-label"]
    arguments += ["--min-precision", "0.5", "--output", str(output)]
    result = CliRunner().invoke(luke_cli, arguments)
    assert result.exit_code == 0, result.output
    thresholds = spacy.load(output).get_pipe("luke_relations").label_thresholds
    assert thresholds
    for label, threshold in thresholds.items():
        assert f"label_thresholds: {label} = {threshold}\n" in result.output


def test_other_components_are_not_tuned(nlp: Language) -> None:
    with pytest.raises(LukeError, match="L080"):
        tune(nlp.get_pipe("luke_entity_linker"), [[]])


def test_the_command_saves_what_it_chose(nlp: Language, tmp_path: Path) -> None:
    data, output = tmp_path / "dev.spacy", tmp_path / "tuned"
    DocBin(docs=[with_errors(nlp(text)) for text in TEXTS], store_user_data=True).to_disk(data)
    arguments = ["tune", str(bundled_pipeline()), str(data), "--component", "luke_ner", "--output", str(output)]
    result = CliRunner().invoke(luke_cli, arguments)
    assert result.exit_code == 0, result.output
    tuned = spacy.load(output)
    shown = f"span_filter.threshold = {tuned.config['components']['luke_ner']['span_filter']['threshold']}"
    assert shown in result.output
    temperature = float(result.output.split("temperature ")[1].split(",")[0])
    weights = [p.get_pipe("luke_ner")._module.output.weight for p in (nlp, tuned)]
    torch.testing.assert_close(weights[1], weights[0] / temperature)


def test_the_command_asks_for_a_component_where_several_can_be_tuned(tmp_path: Path) -> None:
    result = CliRunner().invoke(luke_cli, ["tune", str(bundled_pipeline()), str(tmp_path / "dev.spacy")])
    assert result.exit_code == 1
    assert "L080" in result.output
    assert "luke_ner, luke_entity_typer, luke_relations" in " ".join(result.output.split())


@dataclass
class Scored:
    logits: np.ndarray


class Component:
    """Its F1 and error are functions of the calibration and of the text, in place of those of annotations."""

    name = "component"
    _calibration_scores = ("f", "error")
    _biased_row = 1
    _biases = BIASES

    def __init__(self, f1: dict[str, Callable[[float], float | None]], error: Callable[[float], float | None]):
        self.f1, self.error = f1, error

    def predict(self, docs: Sequence[Doc]) -> list[Scored]:
        return [Scored(np.array([[2.0, 1.0]])) for _ in docs]

    def set_annotations(self, docs: Sequence[Doc], scored: Sequence[Scored]) -> None:
        self.temperature = 2.0 / float(scored[0].logits[0, 0])
        self.bias = float(scored[0].logits[0, 1]) * self.temperature - 1.0

    def _calibrated(self, scored: Scored, calibration: Calibration) -> Scored:
        return Scored(calibrated_logits(scored.logits, calibration, self._biased_row))

    def score(self, examples: Sequence[Example]) -> dict[str, float | None]:
        f1 = self.f1[examples[0].reference.text]
        return {"f": f1(self.bias), "error": self.error(self.temperature), "other": self.bias}


def corpora(nlp: Language, *texts: str) -> list[list[Example]]:
    return [[Example(nlp.make_doc(text), nlp.make_doc(text))] for text in texts]


def test_the_bias_has_the_best_mean_f1_and_the_temperature_the_least_error() -> None:
    nlp = spacy.blank("en")
    small, large = BIASES[len(BIASES) // 2 + 3], max(BIASES)
    hot = TEMPERATURES[-1]
    component = Component(
        {"a": lambda bias: 1.0 - abs(bias - large), "b": lambda bias: 1.0 - 3 * abs(bias - small)},
        lambda temperature: None if temperature < 1 else abs(temperature - hot),
    )
    found = find_calibration(component, corpora(nlp, "a", "b"))
    assert found.bias == pytest.approx(small)
    assert found.temperature == pytest.approx(hot)
    assert found.f1 == pytest.approx((1.0 - abs(small - large) + 1.0) / 2)
    assert (found.error_before, found.error_after) == (pytest.approx(abs(1 - hot)), pytest.approx(0, abs=1e-9))


def test_of_equal_calibrations_the_one_that_changes_least_is_chosen() -> None:
    nlp = spacy.blank("en")
    component = Component({"a": lambda bias: None}, lambda temperature: 0.5)
    found = find_calibration(component, corpora(nlp, "a"))
    assert (found.bias, found.temperature, found.f1) == (0, 1, 0)
    far = [t for t in TEMPERATURES if abs(t - 1) > 0.2]
    component = Component({"a": lambda bias: None}, lambda temperature: 0.1 if abs(temperature - 1) > 0.2 else 0.5)
    chosen = find_calibration(component, corpora(nlp, "a")).temperature
    assert abs(chosen - 1) == pytest.approx(min(abs(t - 1) for t in far))


QUESTIONS = (
    "Where was she born?",
    "Who founded Apple?",
    "Who leads Apple?",
    "Where did she study?",
    "Who was her husband?",
)


def asked(nlp: Language) -> list[Example]:
    """Texts with questions, for every second of which another answer than the predicted one is gold."""
    examples = []
    for number, text in enumerate(TEXTS):
        doc = nlp.make_doc(text)
        doc._.questions = QUESTIONS
        gold = nlp.get_pipe("luke_qa")(doc.copy())
        answers = [a if (number + i) % 2 else Answer(a.question, gold[:1]) for i, a in enumerate(get_answers(gold))]
        set_answers(gold, answers)
        examples.append(Example(doc, gold))
    return examples


def test_answers_are_calibrated(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_qa")
    examples = asked(nlp)
    make_sure(pipe)
    pipe.no_answer_bias = 0.5
    before = scores(pipe, examples)
    [old] = pipe.predict([examples[0].predicted])
    found = pipe.calibrate(examples)
    assert found.temperature > 1
    assert found.error_after < found.error_before == pytest.approx(before["qa_ece"])
    after = scores(pipe, examples)
    assert (after["qa_ece"], after["qa_f1"]) == pytest.approx((found.error_after, found.f1))
    assert after["qa_f1"] >= before["qa_f1"]
    assert pipe.no_answer_bias == (0.5 + found.bias) / found.temperature
    for raw, new in zip(old, pipe.predict([examples[0].predicted])[0], strict=True):
        np.testing.assert_allclose(np.sort(new.logits), np.sort(raw.logits / found.temperature), rtol=1e-3, atol=1e-3)
        assert new.no_answer == pytest.approx((raw.no_answer + found.bias) / found.temperature, abs=1e-3)


def test_the_bias_of_no_answer_moves_its_score_and_what_is_answered(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_qa")
    doc = nlp.make_doc(TEXTS[0])
    answers = pipe.answer(doc, QUESTIONS[0], n_best=1000)
    best = next(answer for answer in answers if answer.span is not None)
    [nothing] = (answer for answer in answers if answer.span is None)
    pipe.no_answer_bias = best.logit - nothing.logit + 1.0
    first, second = pipe.answer(doc, QUESTIONS[0], n_best=2)
    assert first.span is None
    assert second.text == best.text
    assert (first.logit, second.logit) == pytest.approx((best.logit + 1.0, best.logit))
    assert first.score / second.score == pytest.approx(np.e)
    pipe.no_answer_bias -= 2.0
    assert pipe.answer(doc, QUESTIONS[0])[0].text == best.text
    pipe.no_answer_threshold = None  # no "no answer", no bias
    assert pipe.answer(doc, QUESTIONS[0])[0].logit == pytest.approx(best.logit)


def test_the_bias_of_no_answer_is_tuned(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_qa")
    examples = asked(nlp)
    make_sure(pipe)
    found = tune(pipe, [examples])
    assert found.calibration.temperature > 1
    assert pipe.no_answer_bias == found.settings["no_answer_bias"]
    assert found.calibration.bias == 0  # it is in the setting, which is in the config of what is saved
    assert scores(pipe, examples)["qa_f1"] == pytest.approx(found.f1)


def test_a_component_without_probabilities_of_right_answers_is_not_calibrated(nlp: Language) -> None:
    pipe = nlp.get_pipe("luke_entity_linker")
    doc = nlp.make_doc(TEXTS[0])
    with pytest.raises(LukeError, match="L080"):
        pipe.calibrate([Example(doc, doc.copy())])
