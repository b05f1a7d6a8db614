"""Progress on the terminal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from ..progress import Advance, reporting_to

if TYPE_CHECKING:
    from tqdm import tqdm

Quiet = Annotated[bool, Option("--quiet", "-q", help="Show no progress.")]
# Work that is done sooner is not shown, so that nothing flickers.
DELAY = 0.5  # seconds


@contextmanager
def shown_progress(quiet: bool) -> Iterator[None]:
    """Show on the terminal how far the work inside the `with` block is; nothing if standard error is no terminal."""
    with ExitStack() as stack:
        if quiet:
            from ..checkpoints.source import downloading_quietly

            stack.enter_context(downloading_quietly())
        elif sys.stderr.isatty():
            stack.enter_context(reporting_to(_show))
            stack.enter_context(_warnings_above_bars())
        yield


def progress_bar(*, quiet: bool = False, **settings: Any) -> tqdm:
    """A bar of tqdm on standard error, which is not shown if that is no terminal."""
    from tqdm import tqdm

    return tqdm(disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True, **settings)


@contextmanager
def _show(what: str, unit: str, total: int | None) -> Iterator[Advance]:
    """Show a piece of work as a bar until it is done; what it consists of as bars below. One thing needs no bar."""
    if total == 1 and unit != "B":
        yield lambda _: None
        return
    bytes_ = {"unit_scale": True} if unit == "B" else {}
    unit = unit if unit == "B" else f" {unit}"
    with progress_bar(desc=what, unit=unit, total=total, leave=False, delay=DELAY, **bytes_) as bar:
        yield bar.update


@contextmanager
def _warnings_above_bars() -> Iterator[None]:
    """Let warnings have lines of their own, not the rest of a line with a bar."""
    from tqdm import tqdm

    show = warnings.showwarning

    def show_above(*args: Any, **options: Any) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            show(*args, **options)

    warnings.showwarning = show_above
    try:
        yield
    finally:
        warnings.showwarning = show
