"""Checks of settings and texts that several parts make."""

from __future__ import annotations

from typing import Any

from .errors import LukeError


def require_at_least(minimum: int, **settings: Any) -> None:
    """L047 for a setting that is no whole number or below the minimum."""
    for setting, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            reason = f"it must be a whole number, at least {minimum}"
            raise LukeError("L047", setting=setting, value=value, reason=reason)


def require_one_of(choices: tuple[str, ...], **settings: Any) -> None:
    """L047 for a setting that is none of the choices."""
    for setting, value in settings.items():
        if value not in choices:
            raise LukeError("L047", setting=setting, value=value, reason=f"it must be one of {', '.join(choices)}")


def require_probability(**settings: Any) -> None:
    """L047 for a setting outside [0, 1]."""
    for setting, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise LukeError("L047", setting=setting, value=value, reason="it is a probability in [0, 1]")


def has_surrogate(text: str) -> bool:
    """Whether a text has half a character, which no UTF-8 can write."""
    if text.isascii():
        return False
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return True
    return False
