"""The entity vocabulary of a LUKE checkpoint: titles and special entities -> rows of the entity table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LukeError, warn
from ..files import parse_json

PAD, UNK, MASK, MASK2 = "[PAD]", "[UNK]", "[MASK]", "[MASK2]"
SPECIAL_ENTITIES = (PAD, UNK, MASK, MASK2)


class EntityVocab:
    """Titles -> ids. Ids are never hard-coded: released models number their special entities differently.

    In multilingual vocabularies several titles ("en:Japan", "ja:日本") share one id.
    """

    def __init__(self, ids: Mapping[str, int]):
        missing = [title for title in SPECIAL_ENTITIES if title not in ids]
        if missing:
            raise LukeError("L026", missing=", ".join(missing))
        self._ids = dict(ids)

    @classmethod
    def special_only(cls) -> EntityVocab:
        """The smallest vocabulary: the special entities alone."""
        return cls({title: i for i, title in enumerate(SPECIAL_ENTITIES)})

    @classmethod
    def from_json(cls, data: bytes, *, file: str = "entity_vocab.json") -> EntityVocab:
        """Read an entity_vocab.json; L022 if it is not a dictionary of titles to ids."""
        return cls.from_ids(parse_json(data, file), file=file)

    @classmethod
    def from_ids(cls, ids: Any, *, file: str) -> EntityVocab:
        """Read what a JSON file holds; L022 if it is not a dictionary of titles to ids."""
        if not isinstance(ids, dict) or not all(type(i) is int and i >= 0 for i in ids.values()):
            raise LukeError("L022", file=file, reason="it is no dictionary of entity titles to ids")
        return cls(ids)

    def equals(self, other: EntityVocab) -> bool:
        """Whether both give the same ids to the same titles."""
        return self._ids == other._ids

    def to_json(self) -> bytes:
        """The content of entity_vocab.json."""
        return json.dumps(self._ids, ensure_ascii=False, indent=0).encode("utf8")

    def __len__(self) -> int:
        """Rows that the entity table must have at least."""
        return max(self._ids.values()) + 1

    @property
    def last(self) -> tuple[str, int]:
        """A title with the highest id, and that id."""
        return max(self._ids.items(), key=lambda item: item[1])

    def __contains__(self, title: str) -> bool:
        return title in self._ids

    def __getitem__(self, title: str) -> int:
        """Id of a title, exact in case and spaces; the id of [UNK] for an unknown one."""
        return self._ids.get(title, self._ids[UNK])

    def find(self, title: str) -> int | None:
        """Id of a title that is known and no special entity, else None."""
        return None if title in SPECIAL_ENTITIES else self._ids.get(title)

    @cached_property
    def title_of(self) -> dict[int, str]:
        """Id -> title, without the special entities; of titles that share an id, the first."""
        titles: dict[int, str] = {}
        for title, i in self._ids.items():
            if title not in SPECIAL_ENTITIES:
                titles.setdefault(i, title)
        return titles

    @cached_property
    def titled_ids(self) -> np.ndarray:
        """The ids that have a title. *Shape:* (entities,), int64"""
        return np.array(list(self.title_of), dtype=np.int64)

    def extended(self, ids: Mapping[str, int]) -> EntityVocab:
        """The same with more titles."""
        return EntityVocab({**self._ids, **ids})

    def select(self, option: str) -> tuple[EntityVocab, list[int] | None]:
        """Trim the vocabulary.

        option: "special" keeps the special entities, "full" everything, and the path of a JSON list (or dictionary)
            or of a text file with a title a line keeps the special entities and those titles that are known. W025
            names titles that are not.
        RETURNS: the vocabulary and the rows of the old table that the new one is made of; None = all rows.
        """
        if option == "full":
            return self, None
        titles = [] if option == "special" else read_titles(option)
        unknown = [title for title in titles if title not in self._ids]
        if unknown:
            examples = ", ".join(map(repr, unknown[:3]))
            known = next((title for title in self._ids if title not in SPECIAL_ENTITIES), None)
            warn("W025", path=option, unknown=len(unknown), total=len(titles), examples=examples, known=known)
        ids: dict[str, int] = {}
        new_row: dict[int, int] = {}
        for title in (*SPECIAL_ENTITIES, *titles):
            if title in self._ids:
                ids[title] = new_row.setdefault(self._ids[title], len(new_row))
        return EntityVocab(ids), list(new_row)


def read_titles(option: str, setting: str = "entity_vocab") -> list[str]:
    """The titles in a JSON list (or dictionary), or in a text file with one a line; L027 if there is no such file.

    setting: whose value `option` is, for messages.
    """
    path = Path(option)
    if not path.is_file():
        raise LukeError("L027", setting=setting, value=option)
    try:
        text = path.read_text(encoding="utf8")
        if path.suffix != ".json":
            return [line.strip() for line in text.split("\n") if line.strip()]
    except ValueError as e:
        raise LukeError("L022", file=path, reason=e) from None
    titles = parse_json(text, path)
    if not isinstance(titles, (list, dict)) or not all(isinstance(t, str) for t in titles):
        raise LukeError("L027", setting=setting, value=option)
    return list(titles)
