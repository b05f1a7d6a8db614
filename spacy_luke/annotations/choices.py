"""Multiple choice in a Doc: questions with their options, and what was chosen, as plain data like all annotations.

Choices: a list of [question, options]. Chosen: a list of [number of the question, index of the option, score, logit].
Both belong to the whole Doc.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeGuard

from spacy.tokens import Doc

from ..errors import LukeError
from .store import CHOICES, CHOSEN, check_score, clear, data_of, key_of, listed, plain_number


@dataclass(frozen=True)
class Choices:
    """A question about a Doc and the options to choose from.

    question: read before each option; "" = the options by themselves, such as endings of the Doc's text.
    """

    question: str
    options: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data; see `spacy_luke.to_dict`."""
        return {"question": self.question, "options": list(self.options)}

    toDict = to_dict  # the name by which srsly asks for JSON, and with it `Doc.to_json`


@dataclass(frozen=True)
class Choice:
    """An option that was chosen.

    question, text: the question, and the option.
    number: of the question, among those in `doc._.choices`. index: of the option, among those of the question.
    score: probability in [0, 1]; 1 for gold annotation.
    logit: raw score, before the softmax over the options; NaN for gold annotation.
    """

    question: str
    text: str
    number: int
    index: int
    score: float = 1.0
    logit: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data; see `spacy_luke.to_dict`."""
        return {**vars(self), "score": plain_number(self.score), "logit": plain_number(self.logit)}

    toDict = to_dict  # the name by which srsly asks for JSON, and with it `Doc.to_json`


def is_options(value: Any) -> TypeGuard[Sequence[str]]:
    """Whether a value is a list of at least one option."""
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(option, str) for option in value)


def get_choices(doc: Doc) -> tuple[Choices, ...]:
    """The questions with options about a Doc; () if there are none."""
    return tuple(Choices(question, tuple(options)) for question, options in data_of(doc).get(key_of(CHOICES)) or ())


def set_choices(doc: Doc, choices: Iterable[Choices | tuple[str, Sequence[str]]] | None) -> None:
    """Replace the questions with options about a Doc; None removes the annotation. What was chosen before is removed.

    choices: `Choices`, or tuples (question, options).
    """
    checked = None if choices is None else [_choices(item) for item in listed(choices, "doc._.choices")]
    clear(doc, CHOICES)
    clear(doc, CHOSEN)
    if checked is not None:
        data_of(doc)[key_of(CHOICES)] = [[item.question, list(item.options)] for item in checked]


def _choices(item: Any) -> Choices:
    if isinstance(item, tuple) and len(item) == 2:
        item = Choices(*item)
    if not isinstance(item, Choices) or not isinstance(item.question, str) or not is_options(item.options):
        wanted = "pairs (question, options), the options a list of at least one string"
        raise LukeError("L070", attribute="doc._.choices", value=item, wanted=wanted)
    return item


def get_chosen(doc: Doc) -> tuple[Choice, ...]:
    """The chosen options, in the order of the questions, best first; () if there is nothing."""
    asked = get_choices(doc)
    return tuple(
        Choice(asked[number].question, asked[number].options[index], number, index, score, logit)
        for number, index, score, logit in data_of(doc).get(key_of(CHOSEN)) or ()
    )


def set_chosen(doc: Doc, chosen: Iterable[Choice | int | None] | None) -> None:
    """Replace what was chosen; None removes the annotation.

    chosen: for each question in `doc._.choices` the index of the right option, or None where it is not known; or any
        `Choice`s of these options.
    """
    asked = get_choices(doc)
    items = None if chosen is None else listed(chosen, "doc._.chosen")
    if items is not None and not any(isinstance(item, Choice) for item in items):
        items = _by_index(asked, items)
    for item in items or ():
        _check_choice(asked, item)
    clear(doc, CHOSEN)
    if items is not None:
        data_of(doc)[key_of(CHOSEN)] = [[int(i.number), int(i.index), float(i.score), float(i.logit)] for i in items]


def _by_index(asked: Sequence[Choices], items: Sequence[Any]) -> list[Choice]:
    if items and len(items) != len(asked):
        wanted = f"an index for each of the {len(asked)} questions in doc._.choices, None where it is not known"
        raise LukeError("L070", attribute="doc._.chosen", value=items, wanted=wanted)
    found = []
    for number, (choices, index) in enumerate(zip(asked, items, strict=bool(items))):
        if index is None:
            continue
        whole = isinstance(index, Integral) and not isinstance(index, bool)
        if not whole or not 0 <= int(index) < len(choices.options):
            wanted = f"the index of one of the {len(choices.options)} options of question {number}, or None"
            raise LukeError("L070", attribute="doc._.chosen", value=index, wanted=wanted)
        found.append(Choice(choices.question, choices.options[index], number, int(index)))
    return found


def _check_choice(asked: Sequence[Choices], item: Any) -> None:
    known = (
        isinstance(item, Choice)
        and 0 <= item.number < len(asked)
        and 0 <= item.index < len(asked[item.number].options)
        and (item.question, item.text) == (asked[item.number].question, asked[item.number].options[item.index])
    )
    if not known:
        raise LukeError("L070", attribute="doc._.chosen", value=item, wanted="a Choice of the options in doc._.choices")
    check_score(item.score, "doc._.chosen")
