from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_luke.converters import get_converter
from spacy_luke.errors import LukeError
from tests.converters import (
    test_docred,
    test_entity_typing,
    test_fewrel,
    test_linked_text,
    test_rel_component,
    test_squad,
    test_tacred,
)

from .test_knowledgenet import ACME, ANN, fact
from .util import write_json

QUESTION = test_squad.asked("Who?", test_squad.answer("Ann Lee", 0), is_impossible=False)
EXAMPLES = {
    "docred": [test_docred.example()],
    "entity_typing": [test_entity_typing.tokens(), test_entity_typing.characters()],
    "fewrel": {"P1": [test_fewrel.example()]},
    "knowledgenet": [fact(ANN, ACME)],
    "linked_text": [test_linked_text.article()],
    "rel_component": [test_rel_component.example()],
    "squad": test_squad.squad(QUESTION),
    "tacred": [test_tacred.example()],
}
WRONG: list[Any] = [None, True, -1, 3, 10**12, "", "x", [], [0], ["x"], [[]], {}, {"x": 1}]


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys and indices that lead to each value."""
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(content)
    changed[path[0]] = replaced(content[path[0]], path[1:], value)
    return changed


@pytest.fixture
def one_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making spaCy's English anew for each file would take most of the time."""
    nlp = spacy.blank("en")
    monkeypatch.setattr("spacy_luke.converters.texts.English", lambda vocab: nlp)


@pytest.mark.usefixtures("one_tokenizer")
@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_wrong_value_anywhere_is_read_or_a_coded_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    read = get_converter(kind)
    read(write_json(tmp_path / "a.json", EXAMPLES[kind]))
    errors: list[LukeError] = []
    for path in places(EXAMPLES[kind]):
        for value in WRONG:
            file = write_json(tmp_path / "a.json", replaced(EXAMPLES[kind], path, value))
            try:
                read(file)
            except LukeError as error:
                errors.append(error)
    assert len(errors) > 50
    assert {error.code for error in errors} <= {"L060", "L064"}
    assert all("a.json" in str(error) for error in errors)
