"""A run that was stopped in any way goes on as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spacy_luke.models.adamw import ThincAdamW
from tests.training.pretraining.linked import read_weights, run


def same(one: Path, other: Path) -> bool:
    a, b = read_weights(one), read_weights(other)
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 7])
def test_a_run_that_was_stopped_gives_the_weights_of_one_that_was_not(folder, stop):
    _, whole = run(folder, "whole")
    run(folder, "parts", max_steps=stop)
    assert not same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    _, rest = run(folder, "parts", resume=True)
    assert same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    assert rest[-1].dev == whole[-1].dev
    assert rest[-1].words == whole[-1].words
    state = [load_file(folder / out / "state.safetensors") for out in ("whole", "parts")]
    assert all(torch.equal(state[0][name], state[1][name]) for name in state[0])


@pytest.mark.parametrize("step", [5, 6, 8])
def test_a_run_that_was_killed_goes_on_from_its_last_evaluation(folder, monkeypatch, step):
    """Killed in the middle of a step, and in the middle of a save."""
    run(folder, "whole", eval_frequency=2)
    steps = 0
    take = ThincAdamW.step

    def killed(self: ThincAdamW) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise KeyboardInterrupt
        take(self)

    with monkeypatch.context() as patch:
        patch.setattr(ThincAdamW, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(folder, "parts", eval_frequency=2)
    _, rest = run(folder, "parts", resume=True, eval_frequency=2)
    assert rest[0].step == step - step % 2 + (2 if step % 2 else 0)
    assert same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    assert same(folder / "whole" / "model-best", folder / "parts" / "model-best")


def test_a_save_that_was_killed_leaves_the_state_before_it(folder, monkeypatch):
    run(folder, "whole")
    saves = 0

    def save(tensors: dict[str, torch.Tensor], path: Path, **rest: Any) -> None:
        nonlocal saves
        saves += 1
        if saves == 2:
            Path(path).write_bytes(b"half of it")
            raise KeyboardInterrupt
        save_file(tensors, path, **rest)

    with monkeypatch.context() as patch:
        patch.setattr("spacy_luke.training.pretraining.state.save_file", save)
        with pytest.raises(KeyboardInterrupt):
            run(folder, "parts")
    _, rest = run(folder, "parts", resume=True)
    assert rest[0].step == 4
    assert same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    assert not list((folder / "parts").glob(".state*"))


def test_a_run_that_is_over_stays_as_it_is(folder):
    run(folder)
    before = read_weights(folder / "out" / "model-last")
    _, reports = run(folder, resume=True)
    assert not reports
    after = read_weights(folder / "out" / "model-last")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_seeds_give_other_weights_and_the_same_seed_the_same(folder):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(folder, out, seed=seed)
    assert same(folder / "a" / "model-last", folder / "b" / "model-last")
    assert not same(folder / "a" / "model-last", folder / "c" / "model-last")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log, without what differs from run to run."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf8").splitlines()]
    assert all(line.pop("words_per_second") > 0 for line in lines)
    return lines


@pytest.mark.parametrize("stop", [3, 4])
def test_the_log_has_every_evaluation_of_the_whole_run_once(folder, stop):
    _, reports = run(folder, "whole", eval_frequency=3)
    whole = read_log(folder / "whole")
    assert [(line["stage"], line["step"]) for line in whole] == [(report.stage, report.step) for report in reports]
    assert [line["train"]["loss"] for line in whole] == [report.train.loss for report in reports]
    assert [line["dev"]["loss"] for line in whole] == [report.dev.loss for report in reports]
    assert [line["best"] for line in whole] == [report.best for report in reports]
    assert [line["learn_rate"] for line in whole] == [report.learn_rate for report in reports]
    run(folder, "parts", eval_frequency=3, max_steps=stop)
    run(folder, "parts", eval_frequency=3, resume=True)
    parts = [line for line in read_log(folder / "parts") if line["step"] in {line["step"] for line in whole}]
    assert [(line["step"], line["dev"]) for line in parts] == [(line["step"], line["dev"]) for line in whole]


def test_a_run_that_was_killed_between_log_and_save_has_no_line_twice(folder, monkeypatch):
    run(folder, "whole")
    saves = 0

    def killed(tensors: dict[str, torch.Tensor], path: Path, **rest: Any) -> None:
        nonlocal saves
        saves += 1
        if saves == 2:
            raise KeyboardInterrupt
        save_file(tensors, path, **rest)

    with monkeypatch.context() as patch:
        patch.setattr("spacy_luke.training.pretraining.state.save_file", killed)
        with pytest.raises(KeyboardInterrupt):
            run(folder, "parts")
    assert [line["step"] for line in read_log(folder / "parts")] == [3, 4]
    run(folder, "parts", resume=True)
    assert read_log(folder / "parts") == read_log(folder / "whole")


def test_lines_of_a_run_that_never_got_to_its_first_save_are_gone(folder):
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / "log.jsonl").write_text('{"step": 99}\n', encoding="utf8")
    run(folder, max_steps=3)
    assert [line["step"] for line in read_log(folder / "out")] == [3]


def test_a_run_without_a_log_or_with_a_damaged_one_goes_on(folder):
    run(folder, "none", max_steps=3)
    (folder / "none" / "log.jsonl").unlink()
    run(folder, "none", resume=True)
    assert [line["step"] for line in read_log(folder / "none")] == [4, 6, 8]
    run(folder, "damaged", max_steps=3)
    with (folder / "damaged" / "log.jsonl").open("a", encoding="utf8") as log:
        log.write('no JSON\n{"a": 1}\n{"step": "4"}\n[]\n')
    run(folder, "damaged", resume=True)
    assert [line["step"] for line in read_log(folder / "damaged")] == [3, 4, 6, 8]
