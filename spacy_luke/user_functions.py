"""Functions that a user gives to a component in its config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from .errors import LukeError


@contextmanager
def naming_key_errors(name: str, setting: str, function: Any) -> Iterator[None]:
    """L111 for a KeyError in a function of the user; all other errors pass as they are.

    spaCy takes a KeyError in a component for a sign that it is not initialised, and says so (E109).

    name: of the component. setting: what the function is called in its config.
    """
    try:
        yield
    except KeyError as error:
        while isinstance(function, partial):
            function = function.func
        named = function if hasattr(function, "__qualname__") else type(function)
        place = f"{named.__module__}.{named.__qualname__}"
        raise LukeError("L111", name=name, setting=setting, function=place, error=repr(error)) from error


class NamedWindows:
    """Windows of the user, with `naming_key_errors` around what they compute.

    name: of the component.
    """

    def __init__(self, windows: Any, name: str):
        self._windows = windows
        self._name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedWindows) and bool(self._windows == other._windows)

    def __hash__(self) -> int:
        return hash(type(self))  # what the user gave may have none

    def __call__(self, *args: Any) -> Any:
        return self._named(self._windows)(*args)

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._windows, attribute)
        return self._named(found) if callable(found) else found

    def _named(self, function: Any) -> Any:
        return naming_key_errors(self._name, "windows", self._windows)(function)
