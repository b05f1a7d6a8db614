"""Curves and scores as SVG."""

from __future__ import annotations

import builtins
import io
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import spacy
from spacy.training.loggers import console_logger_v3
from typer.testing import CliRunner, Result

from spacy_luke import LukeError
from spacy_luke.cli import luke_cli

pytest.importorskip("matplotlib")

from spacy_luke import plots
from spacy_luke.model_card import Result as Scored

TRAINING = [
    {
        "epoch": 0,
        "step": step,
        "losses": {"luke_ner": loss, "luke_relations": 2.0},
        "scores": {"ents_f": f, "rel_micro_f": f / 2, "speed": 4321.0},
        "score": f / 100,
    }
    for step, loss, f in ((0, 900.0, 1.0), (100, 300.0, 50.0), (200, 20.0, 70.0), (300, 25.0, 60.0))
]
PRETRAINING = [
    {
        "stage": stage,
        "step": step,
        "train": {"piece_loss": 7.0, "piece_acc": 0.1, "entity_loss": 5.0, "entity_acc": 0.2},
        "dev": {"piece_loss": 6.0, "piece_acc": 0.1, "entity_loss": None, "entity_acc": None},
    }
    for stage, step in (("1_entities", 2), ("1_entities", 4), ("2_all", 6))
]
RESULT = {
    "task": "Named entities",
    "dataset": "Twitter $x$ & <co>, dev",
    "metrics": ["ents_f"],
    "scores": {
        "ents_f": 0.6,
        "ents_per_type": {"PER": {"p": 0.1, "r": 0.2, "f": 0.125}, "LOC": {"p": 0.5, "r": 0.5, "f": 0.5}},
        "ents_calibration": [
            {"probability": 0.55, "right": 0.4, "count": 3},
            {"probability": 0.95, "right": 0.9, "count": 12},
        ],
    },
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return path


def texts(svg: str) -> list[str]:
    return [e.text for e in ElementTree.fromstring(svg.encode("utf8")).iter("{http://www.w3.org/2000/svg}text")]


def plot(*arguments: object) -> Result:
    return CliRunner().invoke(luke_cli, ["plot", *map(str, arguments)])


def test_a_training_is_drawn_with_its_scores_losses_and_best_step(tmp_path):
    shown = texts(plots.draw_log(write(tmp_path / "log.jsonl", TRAINING)))
    assert {"ents_f", "rel_micro_f", "score", "luke_ner", "luke_relations", "step"} <= set(shown)
    assert "best: 70.0 at 200" in shown
    assert "speed" not in shown


def test_what_spacys_logger_writes_is_drawn(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner")
    nlp.config["training"]["score_weights"] = {"ents_f": 1.0, "ents_p": 0.0, "ents_per_type": None}
    log_step, finalize = console_logger_v3(console_output=False, output_file=tmp_path / "log.jsonl")(nlp, io.StringIO())
    for step in (0, 200):
        scores = {"ents_f": 0.5, "ents_p": 0.25, "ents_per_type": {}}
        log_step({"epoch": 0, "step": step, "losses": {"luke_ner": 1.5}, "other_scores": scores, "score": 0.5})
        log_step(None)
    finalize()
    shown = texts(plots.draw_log(tmp_path / "log.jsonl"))
    assert {"ents_f", "ents_p", "best: 50.0 at 0"} <= set(shown)


def test_a_pretraining_is_drawn_with_its_losses_accuracies_and_stages(tmp_path):
    shown = texts(plots.draw_log(write(tmp_path / "log.jsonl", PRETRAINING)))
    assert {"words, dev", "words, train", "entities, train", "2_all", "loss", "accuracy, percent"} <= set(shown)
    assert "entities, dev" not in shown, "what was not evaluated"
    assert texts(plots.draw_log(write(tmp_path / "log.jsonl", [{**PRETRAINING[0], "dev": None}]))), (
        "without a dev corpus"
    )


@pytest.mark.parametrize("rows", [TRAINING, PRETRAINING])
def test_the_same_data_give_the_same_file_without_a_date(tmp_path, rows):
    log = write(tmp_path / "log.jsonl", rows)
    svg = plots.draw_log(log)
    assert svg == plots.draw_log(log)
    assert "<dc:date>" not in svg


def test_the_style_of_plots_is_not_left_behind(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.draw_log(write(tmp_path / "log.jsonl", TRAINING))
    assert dict(matplotlib.rcParams) == before


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    log = write(tmp_path / "log.jsonl", TRAINING)
    whole = plots.draw_log(log)
    with log.open("a", encoding="utf8") as file:
        file.write('{"epoch": 0, "st')
    assert plots.draw_log(log) == whole


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("E    #   LOSS\n", "line 1 is no JSON"),
        ('{"a": 1}\nx\n{"a": 1}\n', "line 2 is no JSON"),
        ('{"step": 1}\n', "no 'step' with 'losses'"),
        ('{"losses": {}, "scores": {}, "score": 0}\n', "no 'step'"),
        ('{"step": 1, "losses": {}, "scores": {}}\n', "KeyError"),
        ('{"step": 1, "losses": {}, "scores": [], "score": 1}\n', "AttributeError"),
        ('{"step": 1, "losses": {}, "scores": {"ents_f": "high"}, "score": 1}\n', "not as they write them"),
        ('{"step": 1, "train": {"piece_loss": "high"}, "dev": null, "stage": "all"}\n', "not as they write them"),
    ],
)
def test_what_is_no_log_is_an_error(tmp_path, content, reason):
    log = tmp_path / "log.jsonl"
    log.write_text(content, encoding="utf8")
    with pytest.raises(LukeError, match="L181") as error:
        plots.draw_log(log)
    assert reason in str(error.value)


def test_the_command_writes_beside_the_log_or_where_it_is_told(tmp_path):
    log = write(tmp_path / "log.jsonl", TRAINING)
    assert plot(log).exit_code == 0
    assert plot(log, "-o", tmp_path / "a" / "curves.svg").exit_code == 0
    beside, told = (tmp_path / "log.svg"), (tmp_path / "a" / "curves.svg")
    assert beside.read_text(encoding="utf8") == told.read_text(encoding="utf8") == plots.draw_log(log)


def test_mistakes_of_the_command(tmp_path):
    log = write(tmp_path / "log.jsonl", TRAINING)
    wrong = plot(log, "-o", tmp_path / "curves.png")
    assert (wrong.exit_code, "no .svg file" in " ".join(wrong.stderr.replace("│", "").split())) == (2, True)
    missing = plot(tmp_path / "none.jsonl")
    assert missing.exit_code == 1
    assert len(missing.stderr.splitlines()) == 1
    log.write_text("", encoding="utf8")
    assert plot(log).stderr.startswith("[L181]")
    assert not list(tmp_path.glob("*.svg"))


def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return imported(name, *rest)

    monkeypatch.delitem(sys.modules, "spacy_luke.plots")
    monkeypatch.setattr(builtins, "__import__", without)
    result = plot(write(tmp_path / "log.jsonl", TRAINING))
    assert result.exit_code == 1
    assert result.stderr.startswith("[L176]")
    assert "pip install 'spacy-luke[plots]'" in result.stderr


def test_a_card_has_a_picture_of_the_labels_of_each_task_and_one_of_all_probabilities():
    other = {**RESULT, "task": "Entity types", "scores": {**RESULT["scores"], "ents_calibration": None}}
    plain = {**RESULT, "task": "Questions", "scores": {"ents_f": 0.5}}
    pictures = plots.draw_card([Scored(entry, i) for i, entry in enumerate((RESULT, RESULT, other, plain))])
    assert list(pictures) == ["labels-1.svg", "labels-2.svg", "calibration.svg"]
    bars = texts(pictures["labels-1.svg"])
    assert sorted(text for text in bars if "." in text) == ["12.5", "12.5", "50.0", "50.0"]
    assert bars.count(RESULT["dataset"]) == 2
    assert {"PER", "LOC"} <= set(bars)
    assert texts(pictures["calibration.svg"]).count(f"Named entities: {RESULT['dataset']}") == 2
    assert pictures == plots.draw_card([Scored(entry, i) for i, entry in enumerate((RESULT, RESULT, other, plain))])


def test_without_scores_by_label_and_probabilities_there_are_no_pictures():
    assert plots.draw_card([Scored({**RESULT, "scores": {"ents_f": 0.5}}, 0)]) == {}
    assert plots.draw_card([]) == {}
