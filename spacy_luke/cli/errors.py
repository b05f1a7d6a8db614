"""Errors of the user, shown as one line instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ..errors import LukeError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with exit status 1 and the message; anything unexpected keeps its traceback."""
    try:
        yield
    except (LukeError, OSError) as error:
        typer.secho(" ".join(str(error).split()), fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
