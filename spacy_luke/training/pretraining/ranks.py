"""Processes that pretrain together: batches are dealt to them, sums are taken over all, rank 0 writes and prints.

The loss of a batch is its share in the loss of its step (`batch_loss`), so the gradients of a step are the sum over its
batches, whichever process computes them. One process and several take the same step, but for the rounding of that sum.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, redirect_stdout
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...errors import LukeError

# Where all ranks fail in the same way, rank 0 has failed within so many seconds.
_ERROR_WAIT = 10.0
# What rank 0 lets the others know of.
_WRITTEN, _FAILED = "rank 0 has written", "rank 0 has failed"


class Ranks(Protocol):
    """The processes of a run, as one of them sees them.

    rank: number of this process, from 0.
    world_size: how many there are.
    """

    rank: int
    world_size: int

    def connect(self, gpu_id: int) -> torch.device:
        """Connect the ranks. RETURNS: the device of this one: the CPU for -1, else a GPU of its own, counted from
        `gpu_id`. L047 if PyTorch has no such GPU."""

    def rank_0_first(self) -> AbstractContextManager[None]:
        """A `with` block that other ranks enter when rank 0 has left it."""

    def broadcast(self, module: nn.Module) -> None:
        """Give all ranks the weights of rank 0."""

    def all_reduce(self, tensor: Tensor) -> None:
        """Sum a tensor over the ranks, in place."""

    def all_reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients over the ranks. A parameter without gradient in every rank stays without, so that the
        optimiser leaves it alone as in one process."""


class OneProcess:
    """A run in one process: there is nobody to sum over or to wait for."""

    rank = 0
    world_size = 1

    def connect(self, gpu_id: int) -> torch.device:
        return _device(gpu_id)

    def rank_0_first(self) -> AbstractContextManager[None]:
        return nullcontext()

    def broadcast(self, module: nn.Module) -> None:
        pass

    def all_reduce(self, tensor: Tensor) -> None:
        pass

    def all_reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        pass


ONE_PROCESS = OneProcess()


class TorchrunRanks:
    """The processes that torchrun has started, connected by NCCL on GPUs and by Gloo on CPUs.

    L193 for a collective operation that another rank does not take part in any more.
    """

    def __init__(self) -> None:
        from torch.distributed.rendezvous import rendezvous  # not in every build of PyTorch

        store, self.rank, self.world_size = next(rendezvous("env://"))
        # Processes that torchrun starts again find the store of those before, with addresses where nobody is any more.
        self._store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        self._local_rank = int(os.environ["LOCAL_RANK"])

    def connect(self, gpu_id: int) -> torch.device:
        device = _device(gpu_id + self._local_rank if gpu_id >= 0 else gpu_id)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # else each process also takes memory of the first GPU
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore("group", self._store),
            rank=self.rank,
            world_size=self.world_size,
        )
        return device

    @contextmanager
    def rank_0_first(self) -> Iterator[None]:
        if self.rank:
            with self._with_others():
                self._wait(_WRITTEN)
        yield
        if not self.rank:
            self._store.add(_WRITTEN, 1)

    def broadcast(self, module: nn.Module) -> None:
        with self._with_others():
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)

    def all_reduce(self, tensor: Tensor) -> None:
        with self._with_others():
            dist.all_reduce(tensor)

    def all_reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        every = list(parameters)
        with self._with_others():
            counts = torch.tensor([p.grad is not None for p in every], dtype=torch.int32, device=every[0].device)
            dist.all_reduce(counts)
            # Without copies into one buffer: the sums of all parameters are under way at once.
            sums = []
            for parameter, count in zip(every, counts.tolist(), strict=True):
                if count:
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
                    sums.append(dist.all_reduce(parameter.grad, async_op=True))
            for started in sums:
                started.wait()

    def failed_with_rank_0(self) -> bool:
        """In an error: whether rank 0 has one, too, and tells it."""
        try:
            if self.rank:
                return self._wait(_FAILED, _ERROR_WAIT)
            self._store.add(_FAILED, 1)
        except RuntimeError:  # the store's process has ended
            pass
        return False

    def _wait(self, event: str, seconds: float = math.inf) -> bool:
        """Wait until rank 0 has counted up an event; RETURNS: whether it has. Not a barrier, which would be over after
        some minutes, while rank 0 may tokenise a corpus for hours."""
        end = time.monotonic() + seconds
        while not self._store.add(event, 0):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    @contextmanager
    def _with_others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as e:
            reason = str(e).splitlines()[0]
            raise LukeError("L193", rank=self.rank, world_size=self.world_size, reason=reason) from e


@contextmanager
def torchrun_ranks() -> Iterator[Ranks]:
    """The processes that torchrun has started, or this one, if it was started in another way.

    Only rank 0 prints and warns. An error that rank 0 has, too, ends the other ranks without a message.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ONE_PROCESS
        return
    ranks = TorchrunRanks()
    with ExitStack() as silence:
        if ranks.rank:
            silence.enter_context(redirect_stdout(silence.enter_context(open(os.devnull, "w"))))
            silence.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        try:
            yield ranks
        except BaseException:
            if ranks.failed_with_rank_0():
                raise SystemExit(1) from None
            raise
    dist.destroy_process_group()


def _device(gpu_id: int) -> torch.device:
    if gpu_id < 0:
        return torch.device("cpu")
    if gpu_id >= torch.cuda.device_count():
        reason = f"PyTorch sees {torch.cuda.device_count()} CUDA devices"
        raise LukeError("L047", setting="gpu_id", value=gpu_id, reason=reason)
    return torch.device("cuda", gpu_id)
