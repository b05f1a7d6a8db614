"""Progress of long work. The library says how far it is; whoever runs it, such as the command line, may show that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")
# Takes the number of units that were done since the last call.
Advance = Callable[[int], None]


class Reporter(Protocol):
    """Shows a piece of work, which lasts as long as the `with` block."""

    def __call__(self, what: str, unit: str, total: int | None) -> AbstractContextManager[Advance]: ...


# A thread that is started in the middle of the work has none: what it does is not shown.
_REPORTER: ContextVar[Reporter | None] = ContextVar("reporter", default=None)


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Report to `reporter` what is done inside the `with` block. Outside of any, progress is reported to nobody."""
    token = _REPORTER.set(reporter)
    try:
        yield
    finally:
        _REPORTER.reset(token)


@contextmanager
def work(what: str, unit: str, total: int | None = None) -> Iterator[Advance]:
    """Report work of which the `with` block says how much it has done.

    what: a few words. unit: what is counted, in the plural, or "B" for bytes. total: of all that is to be done.
    """
    reporter = _REPORTER.get()
    if reporter is None:
        yield _to_nobody
        return
    with reporter(what, unit, total) as advance:
        yield advance


def track(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Pass items on and report how many there have been.

    total: number of items; default: their length, if they have one.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with work(what, unit, total) as advance:
        for item in items:
            yield item
            advance(1)


def _to_nobody(_: int) -> None:
    """Take a number of nobody's concern."""
