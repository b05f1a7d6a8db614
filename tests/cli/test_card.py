"""`luke card`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from spacy.cli.evaluate import evaluate
from spacy.tokens import DocBin
from typer.testing import CliRunner, Result

from spacy_luke.cli import luke_cli
from spacy_luke.model_card import code, plain

TWITTER: dict[str, Any] = {
    "task": "Named entities",
    "dataset": "Twitter, dev",
    "hub_id": "some/twitter",
    "docs": 1234,
    "metrics": ["ents_p", "ents_f", "ents_ece"],
    "scores": {
        "ents_p": 0.75,
        "ents_f": 0.6,
        "ents_ece": 0.031,
        "ents_per_type": {"PER": {"p": 0.1, "r": 0.2, "f": 0.125}},
    },
    "baselines": {"a baseline": 0.5},
    "note": "not trained on",
}
QUESTIONS: dict[str, Any] = {
    "task": "Questions",
    "dataset": "SQuAD",
    "hub_task": "question-answering",
    "metrics": ["qa_em", "qa_f1"],
    "scores": {"qa_em": None, "qa_f1": 0.4567},
}
NEWS: dict[str, Any] = {**TWITTER, "dataset": "News", "hub_id": "", "docs": None, "baselines": {}, "note": ""}
GOOD: dict[str, Any] = {
    "results": [TWITTER, NEWS, QUESTIONS],
    "speed": [{"what": "nlp.pipe", "value": 3210, "unit": "words/s"}],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    nlp = spacy.blank("en", meta={"name": "small", "license": "CC BY-SA 4.0", "description": "It finds names."})
    nlp.add_pipe("sentencizer")
    nlp.meta["sources"] = [
        {
            "name": "Tweets",
            "url": "https://tweets",
            "license": "MIT",
            "author": "Ann",
            "use": "names",
            "hub_id": "b/tweets",
        },
        {"name": "Encoder", "license": "Apache-2.0", "base_model": "c/encoder"},
    ]
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def run(model: Path, evaluation: Any, *options: object) -> Result:
    file = model.parent / "evaluation.json"
    file.write_text(evaluation if isinstance(evaluation, str) else json.dumps(evaluation))
    return CliRunner().invoke(luke_cli, ["card", str(model), str(file), *(str(option) for option in options)])


def test_a_card_has_all_that_was_measured(model: Path) -> None:
    about = model.parent / "about.md"
    about.write_text("## Limits\n\nIt knows nothing.\n")
    result = run(model, GOOD, "--about", about)
    assert result.exit_code == 0, result.output
    card = (model / "README.md").read_text()
    for line in (
        "# en_small",
        "It finds names.",
        "It knows nothing.",
        "| data | Docs | P | F1 | ECE | a baseline |",
        "| Twitter, dev | 1,234 | 75.0 | 60.0 | 3.1 | 50.0 |",
        "| News | – | 75.0 | 60.0 | 3.1 | – |",
        "- Twitter, dev: not trained on",
        "| PER | 12.5 | 12.5 |",
        "| SQuAD | – | – | 45.7 |",
        "| nlp.pipe | 3,210 words/s |",
        "| [Tweets](https://tweets) | MIT | Ann | names |",
        "The model is under CC BY-SA 4.0.",
        "| `sentencizer` |  |",
    ):
        assert line in card.splitlines(), line


def test_its_front_matter_is_what_the_hub_reads(model: Path) -> None:
    assert run(model, GOOD).exit_code == 0
    front = srsly.yaml_loads((model / "README.md").read_text().split("---\n")[1])
    assert front["license"] == "cc-by-sa-4.0"
    assert front["language"] == ["en"]
    assert front["datasets"] == ["b/tweets", "some/twitter"]
    assert front["base_model"] == "c/encoder"
    assert front["tags"] == ["spacy", "luke", "token-classification", "question-answering"]
    [entry] = front["model-index"]
    assert entry["name"] == "en_small"
    assert entry["results"][0]["dataset"] == {"name": "Twitter, dev", "type": "some/twitter"}
    assert {"name": "F1", "type": "ents_f", "value": 0.6} in entry["results"][0]["metrics"]
    assert [m["type"] for m in entry["results"][2]["metrics"]] == ["qa_f1"], "what was not measured is left out"


def test_the_size_does_not_count_the_card_itself(model: Path) -> None:
    run(model, GOOD)
    first = (model / "README.md").read_text()
    run(model, GOOD)
    assert (model / "README.md").read_text() == first


def test_it_may_be_written_elsewhere(model: Path) -> None:
    assert run(model, GOOD, "--output", model.parent / "deep" / "card.md").exit_code == 0
    assert (model.parent / "deep" / "card.md").is_file()
    assert not (model / "README.md").exists()


@pytest.mark.parametrize(
    "evaluation",
    [
        "no JSON",
        [],
        {},
        {"results": {}},
        {"results": [3]},
        {"results": [{**TWITTER, "task": None}]},
        {"results": [{k: v for k, v in TWITTER.items() if k != "scores"}]},
        {"results": [{**TWITTER, "metrics": ["unknown"]}]},
        {"results": [{**TWITTER, "metrics": []}]},
        {"results": [], "speed": [{"what": "nlp.pipe"}]},
        {"results": [], "speed": [{"what": "nlp.pipe", "value": "many", "unit": "words/s"}]},
        {"results": [{**TWITTER, "scores": {**TWITTER["scores"], "ents_f": "good"}}]},
        {"results": [{**TWITTER, "scores": {**TWITTER["scores"], "ents_f": float("nan")}}]},
        {"results": [{**TWITTER, "scores": {**TWITTER["scores"], "ents_per_type": [1]}}]},
        {"results": [{**TWITTER, "metrics": "ents_f"}]},
        {"results": [{**TWITTER, "metrics": [["ents_f"]]}]},
        {"results": [{**TWITTER, "baselines": [1]}]},
        {"results": [{**TWITTER, "docs": "many"}]},
        "[" * 10**5,
        '{"results": [], "results": []}',
    ],
)
def test_another_evaluation_is_an_error_and_nothing_is_written(model: Path, evaluation: Any) -> None:
    result = run(model, evaluation)
    assert result.exit_code == 1
    assert "L083" in result.output
    assert not (model / "README.md").exists()


@pytest.mark.parametrize(
    "changes",
    [{"lang": None}, {"name": 3}, {"pipeline": "ner"}, {"labels": [1]}, {"labels": {"x": 3}}, {"sources": [3]}],
)
def test_a_meta_json_of_another_kind_is_an_error(model: Path, changes: dict[str, Any]) -> None:
    meta = {**json.loads((model / "meta.json").read_text()), **changes}
    (model / "meta.json").write_text(json.dumps({key: value for key, value in meta.items() if value is not None}))
    result = run(model, GOOD)
    assert result.exit_code == 1
    assert "[L141]" in result.output
    assert next(iter(changes)) in result.output
    (model / "meta.json").write_text("{")
    assert "[L022]" in run(model, GOOD).output


UGLY = "a|b `c` *d* _e_ <b>f</b> [g](h) &amp; \\ \n# i"


def test_names_and_labels_are_shown_as_they_are(model: Path) -> None:
    """Whatever they are, the card has the same lines, and no markup of theirs."""
    meta = json.loads((model / "meta.json").read_text())
    meta["labels"] = {"sentencizer": [UGLY]}
    meta["sources"] = [{"name": UGLY, "url": "https://x/a) [b](c", "author": UGLY, "license": UGLY, "use": UGLY}]
    meta["sources"].append({"name": "No link", "url": "javascript:alert(1)"})
    (model / "meta.json").write_text(json.dumps({**meta, "license": UGLY}))
    scores = {**TWITTER["scores"], UGLY: 0.5, "ents_per_type": {UGLY: {"f": 0.5}}}
    named = {"task": UGLY, "dataset": UGLY, "metrics": ["ents_p", UGLY], "baselines": {UGLY: 0.5}, "scores": scores}
    speed = [{"what": UGLY, "value": 1, "unit": UGLY}]
    assert run(model, {"results": [{**TWITTER, **named}], "speed": speed}).exit_code == 0
    body = (model / "README.md").read_text().split("---\n", 2)[2]
    shown = r"a\|b \`c\` \*d\* \_e\_ \<b\>f\</b\> \[g\](h) \&amp; \\ # i"
    assert f"### {shown}" in body.splitlines()
    assert f"| {shown} | 1,234 | 75.0 | 50.0 | 50.0 |" in body.splitlines()
    assert f"| {shown} | 50.0 |" in body.splitlines()
    assert f"- {shown}: not trained on" in body.splitlines()
    assert f"| [{shown}](https://x/a%29%20%5Bb%5D%28c) | {shown} | {shown} | {shown} |" in body.splitlines()
    assert "| No link |  |  |  |" in body.splitlines()
    assert r"| `sentencizer` | `` a\|b `c` *d* _e_ <b>f</b> [g](h) &amp; \ # i `` |" in body.splitlines()
    assert "javascript" not in body


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no_relation", "no_relation"),
        ("__init__", r"\_\_init\_\_"),
        ("org:founded_by", "org:founded_by"),
        ("# x", r"\# x"),
        ("- x", r"\- x"),
        ("12. x", r"12\. x"),
        ("CoNLL-2003, dev", "CoNLL-2003, dev"),
        ("a\nb", "a b"),
    ],
)
def test_plain_text_in_markdown(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"), [("PER", "`PER`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("a|b", r"`a\|b`"), ("", "` `")]
)
def test_code_in_markdown(text: str, shown: str) -> None:
    assert code(text).replace("  ", " ") == shown


def test_a_folder_without_pipeline_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", GOOD)
    assert result.exit_code == 1
    assert "L096" in result.output


EVALUATED: dict[str, Any] = {
    "token_acc": 1.0,
    "sents_p": None,
    "ents_p": 0.75,
    "ents_r": 0.5,
    "ents_f": 0.6,
    "ents_per_type": {"PER": {"p": 0.1, "r": 0.2, "f": 0.125}},
    "spans_key_f": 0.25,
    "qa_em": 0.4,
    "qa_f1": 0.4567,
    "speed": 3210.4,
}


def test_what_spacy_evaluate_writes_is_an_evaluation(model: Path) -> None:
    result = run(model, EVALUATED, "--dataset", "News, test")
    assert result.exit_code == 0, result.output
    card = (model / "README.md").read_text()
    for line in (
        "### Named entities",
        "| data | Docs | P | R | F1 |",
        "| News, test | – | 75.0 | 50.0 | 60.0 |",
        "| PER | 12.5 |",
        "### Spans",
        "### Questions",
        "| News, test | – | 40.0 | 45.7 |",
        "| spacy evaluate | 3,210 words/s |",
    ):
        assert line in card.splitlines(), line
    assert "### Sentences" not in card, "what was not measured is left out"
    front = srsly.yaml_loads(card.split("---\n")[1])
    assert [r["task"]["type"] for r in front["model-index"][0]["results"]][-1] == "question-answering"


def test_the_command_spacy_evaluate_and_the_card_go_together(tmp_path: Path) -> None:
    nlp = spacy.blank("en", meta={"name": "small"})
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PER", "pattern": "Ada"}])
    nlp.to_disk(tmp_path / "model")
    doc = nlp("Ada runs.")
    DocBin(docs=[doc]).to_disk(tmp_path / "test.spacy")
    evaluate(str(tmp_path / "model"), tmp_path / "test.spacy", output=tmp_path / "evaluation.json")
    result = CliRunner().invoke(luke_cli, ["card", str(tmp_path / "model"), str(tmp_path / "evaluation.json")])
    assert result.exit_code == 0, result.output
    assert "| evaluation data | – | 100.0 | 100.0 | 100.0 |" in (tmp_path / "model" / "README.md").read_text()


def test_scores_that_are_no_score_of_a_component_are_no_evaluation(model: Path) -> None:
    result = run(model, {"token_acc": 1.0, "speed": 100.0})
    assert result.exit_code == 1
    assert "L083" in result.output


CALIBRATED = {
    **TWITTER,
    "scores": {**TWITTER["scores"], "ents_calibration": [{"probability": 0.9, "right": 0.8, "count": 10}]},
}


def test_pictures_are_beside_the_card_that_shows_them(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "elsewhere" / "card.md"
    assert run(model, {**GOOD, "results": [CALIBRATED, QUESTIONS]}, "--pictures", "--output", target).exit_code == 0
    assert {file.name for file in target.parent.iterdir()} == {"card.md", "labels-1.svg", "calibration.svg"}
    text = target.read_text(encoding="utf8")
    assert "![F1 by label: Named entities](labels-1.svg)" in text
    assert "![Reliability diagrams](calibration.svg)" in text
    assert text.index("labels-1.svg") < text.index("### Questions") < text.index("calibration.svg")


def test_pictures_do_not_count_as_size_of_the_model(model: Path) -> None:
    pytest.importorskip("matplotlib")
    evaluation = {**GOOD, "results": [CALIBRATED]}
    assert run(model, evaluation).exit_code == 0
    lines = (model / "README.md").read_text(encoding="utf8").splitlines()
    for _ in range(2):
        assert run(model, evaluation, "--pictures").exit_code == 0
        size = next(line for line in lines if line.startswith("| size on disk"))
        assert size in (model / "README.md").read_text(encoding="utf8")


def test_without_pictures_none_is_shown(model: Path) -> None:
    assert run(model, {**GOOD, "results": [CALIBRATED]}).exit_code == 0
    assert "![" not in (model / "README.md").read_text(encoding="utf8")
    assert not list(model.glob("*.svg"))


@pytest.mark.parametrize("bins", ["many", [3], [{"probability": 0.9}], [{"probability": "x", "right": 1, "count": 2}]])
def test_bins_of_another_kind_are_an_error(model: Path, bins: Any) -> None:
    wrong = {**TWITTER, "scores": {**TWITTER["scores"], "ents_calibration": bins}}
    result = run(model, {"results": [wrong]})
    assert result.exit_code == 1
    assert result.stderr.startswith("[L083]")
