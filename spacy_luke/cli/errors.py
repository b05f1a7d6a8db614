"""Errors of the user, shown as one line instead of a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import typer

from ..errors import LukeError

# An environment variable: with any value but "" and "0", errors of this package have their traceback, too.
TRACEBACK = "SPACY_LUKE_TRACEBACK"
SPACY_COMMANDS = "spacy.cli."


# Errors of the system are those of our own commands, such as a file that is not there.
OURS = (LukeError, OSError)


@contextmanager
def one_line_errors(kinds: tuple[type[Exception], ...] = OURS) -> Iterator[None]:
    """End the command with exit status 1 and the message of an error of these kinds; others keep their traceback."""
    try:
        yield
    except kinds as error:
        if os.environ.get(TRACEBACK, "0") not in ("", "0"):
            raise
        typer.secho(" ".join(str(error).split()), fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


def shorten_errors_of_spacy(app: typer.Typer) -> None:
    """Let spaCy's commands, such as `spacy train`, end with the message of an error of this package.

    Only what its command line calls is changed, and only for LukeErrors: errors of anybody else, and spaCy's functions
    called from Python, are as they were. A `sys.excepthook` would be that of every program that imports this module.
    """
    for command in app.registered_commands:
        function = command.callback
        if function is not None and function.__module__.startswith(SPACY_COMMANDS):
            command.callback = _with_short_errors(function)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            shorten_errors_of_spacy(group.typer_instance)


def _with_short_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)  # from which Typer reads the options
    def command(*args: Any, **options: Any) -> Any:
        with one_line_errors((LukeError,)):
            return function(*args, **options)

    return command
