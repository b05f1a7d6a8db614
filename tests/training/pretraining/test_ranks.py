"""Several processes pretrain as one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

from spacy_luke.errors import LukeError
from spacy_luke.training.pretraining.batches import MaskedWindows, Part, dropout_seed
from spacy_luke.training.pretraining.ranks import ONE_PROCESS, OneProcess, TorchrunRanks, torchrun_ranks
from spacy_luke.training.pretraining.run import Run
from spacy_luke.training.pretraining.scores import Tally, batch_loss
from tests.training.pretraining.linked import RATE, STAGE_2, config_of, run

# Without dropout, which differs between processes. The second stage learns enough to show a difference.
SETTINGS: dict[str, Any] = {"dropout": 0.0, "batch_size": 300, "accumulate_gradient": 3, f"{STAGE_2}__{RATE}": 0.0005}
# A process that kills itself in the sixth step, when the fourth was the last to be saved.
KILLED = """
import os, signal
from spacy_luke.models.adamw import ThincAdamW

steps, take = 0, ThincAdamW.step

def step(self):
    global steps
    steps += 1
    if steps == {step} and os.environ["RANK"] == "{rank}" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    take(self)

ThincAdamW.step = step
"""
# What the second of two processes does in `test_sums_are_over_both_processes`.
SECOND = """
import torch
from torch import nn
from spacy_luke.training.pretraining.ranks import TorchrunRanks

ranks = TorchrunRanks()
ranks.connect(-1)
assert (ranks.rank, ranks.world_size) == (1, 2)
module = nn.Linear(2, 1)
ranks.broadcast(module)
parameters = [nn.Parameter(torch.zeros(2)) for _ in range(4)]
parameters[0].grad = module.weight.detach()[0].clone()
parameters[1].grad = torch.tensor([10.0, 20.0])
ranks.all_reduce_gradients(parameters)
assert [p.grad is None for p in parameters] == [False, False, False, True]
assert parameters[2].grad.tolist() == [7.0, 8.0]
torch.distributed.destroy_process_group()  # its threads may abort a process that ends beside them
"""


class Member(OneProcess):
    """One of several processes, alone."""

    def __init__(self, rank: int, world_size: int):
        self.rank = rank
        self.world_size = world_size


def torchrun(
    folder: Path, *options: str, launcher: tuple[str, ...] = (), **settings: Any
) -> subprocess.CompletedProcess[str]:
    """`luke pretrain` in two processes, with the output folder `out`."""
    config_of(folder, **{**SETTINGS, **settings}).to_disk(folder / "config.cfg")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *launcher]
    command = ["-m", "spacy", "luke", "pretrain", str(folder / "config.cfg"), "--output", str(folder / "out"), *options]
    return subprocess.run(
        [sys.executable, *launch, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def difference(folder: Path) -> float:
    """Largest difference of a weight, and of the optimiser's state, between the runs `whole` and `out`."""
    largest = 0.0
    for file in ("model-last/model.safetensors", "model-best/model.safetensors", "state.safetensors"):
        one, other = (load_file(folder / out / file) for out in ("whole", "out"))
        assert one.keys() == other.keys()
        largest = max(largest, *(float((one[name] - other[name]).abs().max()) for name in one))
    return largest


def steps_of(output: str) -> list[int]:
    """The steps that were reported."""
    return [int(line.split()[1]) for line in output.splitlines() if line.split()[0] in ("1_entities", "2_all")]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- with torchrun


def test_two_processes_one_of_which_is_killed_end_with_the_weights_of_one_process(folder):
    _, whole = run(folder, "whole", **SETTINGS)
    (folder / "killed.py").write_text(KILLED.format(step=6, rank=1))
    done = torchrun(folder, "--resume-or-start", "--code", str(folder / "killed.py"), launcher=("--max-restarts", "1"))
    assert done.returncode == 0, done.stderr
    assert "by 2 processes" in done.stdout
    assert "4 done" in done.stdout
    assert steps_of(done.stdout) == [report.step for report in whole] == [3, 4, 6, 8], "each is told once"
    assert [line.split()[3] for line in done.stdout.splitlines() if "2_all" in line][-1] == str(whole[-1].words)
    assert difference(folder) < 1e-6
    one, other = (
        json.loads((folder / out / "model-last" / "pretraining.json").read_text()) for out in ("whole", "out")
    )
    assert other["train"] == pytest.approx(one["train"], rel=1e-5), "of both processes"
    assert other["dev"] == pytest.approx(one["dev"], rel=1e-5)
    assert files_of(folder / "out").keys() == files_of(folder / "whole").keys()
    log = [json.loads(line)["step"] for line in (folder / "out" / "log.jsonl").read_text().splitlines()]
    assert log == [3, 4, 6, 8]


def test_a_run_of_one_process_goes_on_in_two_and_then_in_one(folder):
    run(folder, "whole", **SETTINGS)
    run(folder, "out", **SETTINGS, max_steps=3)
    (folder / "killed.py").write_text(KILLED.format(step=3, rank=0))
    done = torchrun(folder, "--resume", "--code", str(folder / "killed.py"))
    assert done.returncode == 1
    assert "SIGKILL" in done.stderr
    assert steps_of(done.stdout) == [4], "the step that was its third, the sixth of all, was not saved"
    _, rest = run(folder, "out", resume=True, **SETTINGS)
    assert [report.step for report in rest] == [6, 8]
    assert difference(folder) < 1e-6


def test_more_processes_than_batches_of_a_step_are_one_coded_error(folder):
    done = torchrun(folder, accumulate_gradient=1)
    assert done.returncode == 1
    assert done.stderr.count("[L192] accumulate_gradient = 1 gives 2 processes too few batches") == 1
    assert done.stdout == ""
    assert not files_of(folder / "out")


@pytest.fixture
def left() -> Iterator[None]:
    """Leaves no process group to the tests after it."""
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_sums_are_over_both_processes_and_a_lost_one_is_a_coded_error(monkeypatch, left):
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    environment = {
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": "2",
    }
    for name, value in {**environment, "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    second = {**os.environ, "RANK": "1", "LOCAL_RANK": "1"}
    with subprocess.Popen([sys.executable, "-c", SECOND], env=second) as process:
        ranks = TorchrunRanks()
        assert ranks.connect(-1) == torch.device("cpu")
        assert dist.get_backend() == "gloo"
        module = nn.Linear(2, 1)
        weights = module.weight.detach().clone()
        ranks.broadcast(module)
        assert torch.equal(module.weight, weights)
        parameters = [nn.Parameter(torch.zeros(2)) for _ in range(4)]
        parameters[1].grad = torch.tensor([1.0, 2.0])
        parameters[2].grad = torch.tensor([7.0, 8.0])
        ranks.all_reduce_gradients(parameters)
    assert process.returncode == 0
    assert parameters[0].grad.tolist() == weights[0].tolist(), "those that rank 0 has sent"
    assert parameters[1].grad.tolist() == [11.0, 22.0]
    assert parameters[2].grad.tolist() == [7.0, 8.0]
    assert parameters[3].grad is None
    with pytest.raises(LukeError, match=r"L193.*Process 0 of 2"):
        ranks.all_reduce(torch.ones(1))


# --- one of several processes, alone


@pytest.mark.parametrize("world_size", [2, 3, 40])
def test_each_batch_is_one_process_s_and_the_loss_of_a_step_is_that_of_all(folder, world_size):
    made, _ = run(folder, max_steps=1, dropout=0.0, batch_size=300, accumulate_gradient=3)
    module = made.model.module.eval()

    def steps(rank: int, world_size: int) -> tuple[list[list[tuple[Part, Any]]], list[float], Tally]:
        made._ranks = Member(rank, world_size)
        masked: MaskedWindows = made._masked(made.train.store, made.model._source.tokenizer)
        found: list[list[tuple[Part, Any]]] = [[]]
        for part, batch in masked.steps(made.settings, 3, 0):
            found[-1].append((part, batch))
            if part.seen is not None:
                found.append([])
        tally = Tally(made.device)
        with torch.no_grad():
            losses = [sum(float(batch_loss(module, *pair, tally)) for pair in step) for step in found[:-1]]
        return found[:-1], losses, tally

    whole, losses, tally = steps(0, 1)
    ranks = [steps(rank, world_size) for rank in range(world_size)]
    for number, step in enumerate(whole):
        shares = [found[number] for found, _, _ in ranks]
        texts = [batch.piece_ids.numpy().tobytes() for share in shares for _, batch in share if batch is not None]
        assert sorted(texts) == sorted(batch.piece_ids.numpy().tobytes() for _, batch in step)
        for share in shares:
            assert sum(part.words for part, _ in share) == sum(part.words for part, _ in step)
            assert share[-1][0].seen == step[-1][0].seen
            assert {(part.pieces, part.entities) for part, _ in share} == {(step[0][0].pieces, step[0][0].entities)}
            assert all(batch is not None for _, batch in share[:-1]), "other processes' batches take no place"
        assert sum(lost[number] for _, lost, _ in ranks) == pytest.approx(losses[number], rel=1e-5)
    together = sum(one._sums for _, _, one in ranks)
    torch.testing.assert_close(together, tally._sums, rtol=1e-5, atol=0)


def test_the_dropout_of_a_step_differs_between_processes():
    seeds = [dropout_seed(0, step, rank) for step in range(4) for rank in range(4)]
    assert len(set(seeds)) == 16
    assert [dropout_seed(0, step) for step in range(4)] == seeds[::4]


def test_only_rank_0_writes(folder):
    run(folder, max_steps=3)
    before = files_of(folder / "out")
    made = Run(config_of(folder), folder / "out", resume=True, ranks=Member(1, 2))
    assert [report.step for report in made.steps()] == [4, 6, 8]
    assert files_of(folder / "out") == before


def test_windows_that_another_process_does_not_find_raise_l194(folder):
    with pytest.raises(LukeError, match=r"L194.*Process 1.*data/train"):
        Run(config_of(folder), folder / "out", ranks=Member(1, 2))
    assert not (folder / "out" / "data").exists()


def test_a_loss_that_is_no_number_in_another_process_raises_l104(folder):
    class Diverged(Member):
        def all_reduce(self, tensor: torch.Tensor) -> None:
            tensor += float("nan")

    made = Run(config_of(folder), folder / "out", ranks=Diverged(0, 2))
    with pytest.raises(LukeError, match=r"L104.*nan at step 3"):
        list(made.steps())
    assert not (folder / "out" / "model-last").exists()


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    ranks = object.__new__(TorchrunRanks)
    ranks.rank, ranks.world_size, ranks._local_rank, ranks._store = 3, 6, 3, dist.HashStore()
    backends: list[str] = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **_: backends.append(backend))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 6)
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert ranks.connect(2) == torch.device("cuda", 5)
    assert chosen == [torch.device("cuda", 5)]
    assert backends == ["nccl"]
    with pytest.raises(LukeError, match=r"L047.*gpu_id = 6"):
        ranks.connect(3)


@pytest.mark.parametrize("environment", [{}, {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1"}, {"WORLD_SIZE": "2"}])
def test_a_process_that_torchrun_has_not_started_or_alone_is_one(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with torchrun_ranks() as ranks:
        assert ranks is ONE_PROCESS
    assert not dist.is_initialized()
