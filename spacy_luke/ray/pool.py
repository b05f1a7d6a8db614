"""The workers of `spacy_luke.scale.annotate` as actors of Ray. Of this package, only this module needs Ray: the extra
`ray`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from spacy.language import Language

from ..errors import LukeError, warn
from ..scale.memory import release_memory
from ..scale.pool import MAX_DEATHS, Done, GivenUp
from ..scale.worker import AnnotatePart, Annotator, JoinParts, PartResults, join_parts, part_results, write_part

try:
    import ray
    from ray.exceptions import RayActorError, RayError
except ImportError as error:
    raise LukeError("L176", what="--engine ray", package="Ray", reason=error, extra="ray") from error

# Seconds without any worker after which that is said.
PATIENCE = 60.0


class RayPool:
    """Does the tasks of a run with actors of a Ray cluster: a `scale.run.Engine`.

    The cluster is the one that this process is connected to; else that of RAY_ADDRESS, or one that `ray start` started
    on this machine; else one that is started here and ends with the run.

    Actors get parts and give back what is to be written, which this process writes: they need the pipeline, but not the
    folders of the corpus and of the results, and one that is out of reach can do no harm.

    count: most actors, of one CPU each, or also one GPU each if the annotator says so. Those that the cluster has no
        room for wait for it while the others work.
    """

    def __init__(self, count: int, annotator: Annotator, /):
        self._count = count
        self._annotator = annotator
        self._workers: list[_Worker] = []
        self._jobs: deque[_Job] = deque()
        self._early_deaths = 0
        self._is_warned = False
        self.deaths = 0

    def run(self, take: Callable[[], AnnotatePart | JoinParts | None]) -> Iterator[Done | GivenUp]:
        """Do tasks until there is none left; the actors end with it.

        take: gives the next task, and None if there is none now. It is asked again after each that is done.

        L182 without a cluster, L183 if actors die before they have loaded the pipeline.
        """
        with _connected(self._count, self._annotator.gpus):
            try:
                while True:
                    yield from self._deal(take)
                    if not self._jobs and all(worker.job is None for worker in self._workers):
                        return
                    yield from self._wait()
            finally:
                for worker in self._workers:
                    ray.kill(worker.actor)

    def _deal(self, take: Callable[[], AnnotatePart | JoinParts | None]) -> Iterator[Done]:
        """Have a job for every actor that lacks one, and give it to those that have loaded the pipeline."""
        lacking = self._count - sum(worker.job is not None for worker in self._workers)
        while len(self._jobs) < lacking and (task := take()) is not None:
            if isinstance(task, JoinParts):
                yield Done(task, _attempt(join_parts, task, self._annotator))
            else:
                self._jobs.append(_Job(task))
        for worker in self._workers:
            if self._jobs and worker.is_ready and worker.job is None:
                worker.give(self._jobs.popleft())
        loading = sum(not worker.is_ready for worker in self._workers)
        for _ in range(min(len(self._jobs) - loading, self._count - len(self._workers))):
            self._workers.append(_Worker(self._annotator))

    def _wait(self) -> Iterator[Done | GivenUp]:
        """Take what the next actor says."""
        nobody = not any(worker.is_ready for worker in self._workers)
        waited_for = {worker.reply: worker for worker in self._workers if worker.reply is not None}
        ready, _ = ray.wait(list(waited_for), timeout=PATIENCE if nobody and not self._is_warned else None)
        if not ready:
            self._is_warned = True
            _warn_of_waiting(self._annotator.gpus)
            return
        worker = waited_for[ready[0]]
        try:
            reply = ray.get(ready[0])
        except RayError as error:
            yield from self._replace(worker, error)
            return
        worker.reply = None
        if worker.job is not None:
            job, worker.job = worker.job, None
            yield Done(job.task, reply if isinstance(reply, LukeError) else self._write(job.task, reply))
        elif isinstance(reply, LukeError):
            raise reply
        else:
            self._early_deaths = 0
            worker.is_ready = True

    def _write(self, task: AnnotatePart, results: PartResults) -> Any:
        error = _attempt(write_part, task, results, self._annotator.folder)
        return results.counts if error is None else error

    def _replace(self, worker: _Worker, error: RayError) -> Iterator[GivenUp]:
        self._workers.remove(worker)
        ray.kill(worker.actor)  # it may be there still: what is out of reach is as good as dead
        self.deaths += 1
        job = worker.job
        if job is None:
            self._early_deaths += 1
            if self._early_deaths == MAX_DEATHS:
                raise LukeError("L183", deaths=MAX_DEATHS, model=self._annotator.model, cause=_last_line(error))
            return
        if not (isinstance(error, RayActorError) and error.preempted):  # a machine that was taken away blames no text
            job.deaths += 1
        if job.deaths == MAX_DEATHS:
            yield GivenUp(job.task, _last_line(error))
        else:
            self._jobs.append(job)


@dataclass
class _Job:
    task: AnnotatePart
    deaths: int = 0


class _Worker:
    """An actor, the job that it has, and the reply that is to come. is_ready: whether it has loaded the pipeline."""

    def __init__(self, annotator: Annotator):
        resources: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1 if annotator.gpus else 0}
        self.actor = cast(Any, ray.remote(_Actor)).options(**resources).remote(annotator)
        self.reply = self.actor.load.remote()
        self.job: _Job | None = None
        self.is_ready = False

    def give(self, job: _Job) -> None:
        self.job = job
        self.reply = self.actor.annotate.remote(job.task)


class _Actor:
    """What is in the process of Ray. A LukeError is a reply: Ray would wrap it, if it were raised."""

    def __init__(self, annotator: Annotator):
        self._annotator = annotator
        self._nlp: Language | None = None

    def load(self) -> LukeError | None:
        """Load the pipeline."""
        return _attempt(self._load)

    def _load(self) -> None:
        self._nlp = self._annotator.load(0)  # of several GPUs, Ray shows an actor its own

    def annotate(self, task: AnnotatePart) -> PartResults | LukeError:
        """What is to be written of a part."""
        assert self._nlp is not None
        found = _attempt(part_results, task, self._nlp, self._annotator)
        release_memory()
        return found


def _attempt(do: Callable[..., Any], *args: Any) -> Any:
    """What a function returns, or the LukeError that it raises."""
    try:
        return do(*args)
    except LukeError as error:
        return error


@contextmanager
def _connected(workers: int, gpus: bool) -> Iterator[None]:
    """A cluster inside the `with` block; L182 if there is none."""
    if ray.is_initialized():
        yield
        return
    # A cluster that is started here would send statistics of its use to the makers of Ray.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        is_own = _connect(workers)
    except Exception as error:  # Ray raises whatever it has, among it Exception itself
        where = os.environ.get("RAY_ADDRESS") or "this machine"
        raise LukeError("L182", where=where, reason=_last_line(error)) from error
    try:
        found = int(ray.cluster_resources().get("GPU", 0))
        if is_own and gpus and workers > found:  # that of others may grow
            raise LukeError("L047", setting="gpus", value=workers, reason=f"Ray finds {found} GPUs here")
        yield
    finally:
        ray.shutdown()


def _connect(workers: int) -> bool:
    """Connect to the cluster that there is, or start one; whether one was started."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
    except ValueError:  # there is one, which has its own number of CPUs
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # one attempt, of 41 s; by default there are 20
        ray.init(**quiet)
        return False
    return True


def _warn_of_waiting(gpus: bool) -> None:
    total, free = ray.cluster_resources(), ray.available_resources()
    names = ["CPU", "GPU"] if gpus else ["CPU"]
    there = ", ".join(f"{free.get(name, 0):g} of {total.get(name, 0):g} {name}s" for name in names)
    warn("W050", seconds=round(PATIENCE), needed=" and ".join(f"1 {name}" for name in names), free=there)


def _last_line(error: Exception) -> str:
    """The first sentence of the last line of an error of Ray: before it are a traceback, or facts of the actor."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip().split(". ")[0].rstrip(".") if lines else type(error).__name__
