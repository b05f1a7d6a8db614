"""The limits of a server."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..checks import require_at_least
from ..errors import LukeError

MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """What a server takes, and what it refuses. L047 for values that cannot be.

    max_characters: of the texts and questions of a request together; beyond: 413.
    max_texts: in a request, and questions in it; beyond: 413.
    max_waiting: texts that wait for the model, of all requests; beyond: 503. At least `max_texts`.
    max_body: bytes of a request; beyond: 413.
    max_bodies: bytes of all requests that are being answered; beyond: 503.
    timeout: seconds from a whole request to its results; beyond: 504. As many for its body to come; beyond: 408.
    batch_texts, batch_characters: a batch is closed with the request that reaches either.
    gather: seconds that a batch waits for the clients that were answered last, which ask again one after the other.
    kb_url_template: address of what an entity is linked to, for the page, with {} for its id; None = no address.
    """

    max_characters: int = 100_000
    max_texts: int = 128
    max_waiting: int = 512
    max_body: int = 8 * MIB
    max_bodies: int = 64 * MIB
    timeout: float = 60.0
    batch_texts: int = 64
    batch_characters: int = 20_000
    gather: float = 0.003
    kb_url_template: str | None = None

    def __post_init__(self) -> None:
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.name.startswith(("max_", "batch_"))}
        require_at_least(1, **whole)
        require_at_least(self.max_texts, max_waiting=self.max_waiting)
        require_at_least(self.max_body, max_bodies=self.max_bodies)
        if not _is_number(self.timeout) or not 0 < self.timeout < 1e6:
            reason = "it must be a number of seconds above 0"
            raise LukeError("L047", setting="timeout", value=self.timeout, reason=reason)
        if not _is_number(self.gather) or not 0 <= self.gather <= 1:
            reason = "it must be a number of seconds from 0 to 1"
            raise LukeError("L047", setting="gather", value=self.gather, reason=reason)
        if self.kb_url_template is not None and "{}" not in self.kb_url_template:
            reason = "give an address with {} in the place of the id"
            raise LukeError("L047", setting="kb_url_template", value=self.kb_url_template, reason=reason)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
