"""Processes that work on tasks, each replaced when it dies.

`multiprocessing.Pool` waits for ever for what a dead process had; `concurrent.futures` gives up all of its tasks. A
queue that processes share may stay locked by one that was killed: here each has a pipe of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from ..errors import LukeError

MAX_DEATHS = 3
Task = Any
Reply = Any
# Of the number of a worker, from 0: makes in its process what replies to tasks.
Setup = Callable[[int], Callable[[Task], Reply]]


@dataclass(frozen=True)
class Done:
    """A task and what the worker said; a LukeError if it raised one."""

    task: Task
    reply: Reply


@dataclass(frozen=True)
class GivenUp:
    """A task at which `MAX_DEATHS` workers died. cause: of the last death."""

    task: Task
    cause: str


class DiedEarly(Exception):
    """`MAX_DEATHS` workers in a row died before their setup had ended. The text is the cause of the last death."""


@dataclass
class _Job:
    task: Task
    deaths: int = 0


class Pool:
    """Workers, which are started when there is a task for them.

    count: most of them. setup: has to be picklable; a LukeError that it raises is raised by `run`.
    """

    def __init__(self, count: int, setup: Setup):
        self._count = count
        self._setup = setup
        self._workers: dict[Connection, _Worker] = {}
        self._again: deque[_Job] = deque()
        self._early_deaths = 0
        self.deaths = 0

    def run(self, take: Callable[[], Task | None]) -> Iterator[Done | GivenUp]:
        """Do tasks until there is none left; the workers end with it.

        take: gives the next task, and None if there is none now. It is asked again after each that is done.
        """
        try:
            while self._deal(take):
                for connection in wait(list(self._workers)):
                    worker = self._workers[connection]  # type: ignore[index]
                    try:
                        message = worker.connection.recv()
                    except (EOFError, OSError):
                        yield from self._replace(worker)
                        continue
                    if worker.is_ready:
                        assert worker.job is not None
                        task, worker.job = worker.job.task, None
                        yield Done(task, message)
                    elif isinstance(message, LukeError):
                        raise message
                    else:
                        self._early_deaths = 0
                        worker.set_ready()
        finally:
            for worker in self._workers.values():
                worker.terminate()
            for worker in self._workers.values():
                worker.end()

    def _deal(self, take: Callable[[], Task | None]) -> bool:
        """Give every worker a task, as long as there are any; False if nobody has one."""
        while True:
            idle = next((worker for worker in self._workers.values() if worker.job is None), None)
            if idle is None and len(self._workers) == self._count:
                return True
            if not self._again and (task := take()) is not None:
                self._again.append(_Job(task))
            if not self._again:
                return any(worker.job is not None for worker in self._workers.values())
            if idle is None:
                taken = {worker.number for worker in self._workers.values()}
                idle = _Worker(self._setup, next(n for n in range(self._count) if n not in taken))
                self._workers[idle.connection] = idle
            idle.give(self._again.popleft())

    def _replace(self, worker: _Worker) -> Iterator[GivenUp]:
        del self._workers[worker.connection]
        cause = worker.end()
        self.deaths += 1
        job = worker.job
        if not worker.is_ready:
            self._early_deaths += 1
            if self._early_deaths == MAX_DEATHS:
                raise DiedEarly(cause)
        elif job is not None:
            job.deaths += 1
            if job.deaths == MAX_DEATHS:
                yield GivenUp(job.task, cause)
                return
        if job is not None:
            self._again.append(job)


class _Worker:
    """A process, and the task that it has."""

    def __init__(self, setup: Setup, number: int):
        context = get_context("spawn")  # a fork would take over the locks of threads that it does not have
        self.connection, others_end = context.Pipe()
        self.number = number
        self.job: _Job | None = None
        self.is_ready = False
        self._process = context.Process(target=_serve, args=(others_end, setup, number), daemon=True)
        with _interrupts_blocked():
            self._process.start()
        others_end.close()  # the process alone has it now: when it dies, there is an end of file here

    def give(self, job: _Job) -> None:
        """Send a task, at once or when the process is ready: until then nobody reads, and a long one would block."""
        self.job = job
        if self.is_ready:
            with suppress(OSError):  # it is dead, which `wait` finds out
                self.connection.send(job.task)

    def set_ready(self) -> None:
        self.is_ready = True
        if self.job is not None:
            self.give(self.job)

    def terminate(self) -> None:
        """Tell the process to end."""
        self._process.terminate()

    def end(self) -> str:
        """Wait for the end of a process that was told to, or whose connection is closed; say how it ended."""
        self.connection.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit status {code}"


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C goes to all processes of a terminal. One that is started here never gets it: the first process ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, setup: Setup, number: int) -> None:
    """Reply to tasks until the other end of the connection is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        reply_to = setup(number)
    except LukeError as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):  # the first process is gone
            return
        try:
            reply = reply_to(task)
        except LukeError as error:
            reply = error
        try:
            connection.send(reply)
        except OSError:
            return


def _end_with_parent() -> None:
    """A process whose parent was killed would finish its task, beside those of the next run."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
