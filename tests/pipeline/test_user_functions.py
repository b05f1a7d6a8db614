"""Functions that a user gives to a component: what they look up in vain is told with their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spacy.kb import KnowledgeBase
from spacy.language import Language
from spacy.pipeline.spancat import build_preset_spans_suggester
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_luke.batching.windows import SentenceWindows, Window, build_sentence_windows
from spacy_luke.errors import LukeError
from tests.pipeline.encoder.shared_model import adam
from tests.pipeline.entity_linker.model import make_kb

from .every_component import asked, open_component, written

pytestmark = pytest.mark.filterwarnings("ignore:.*(W023|W002)")
Break = Callable[[Any], None]


def no_pairs(doc: Doc) -> Any:
    return doc.spans["mine"]


def lazy_pairs(doc: Doc) -> Iterator[Any]:
    """Nothing runs before the first pair is read."""
    yield from doc.spans["mine"]


def no_candidates(kb: KnowledgeBase, mention: Span) -> Iterable[Any]:
    raise KeyError("mine")


def lazy_candidates(kb: KnowledgeBase, mention: Span) -> Iterator[Any]:
    yield from {}["mine"]


class Pairs:
    """A callable object."""

    def __call__(self, doc: Doc) -> Any:
        return {}["mine"]


@dataclass(frozen=True)
class MyWindows:
    """Windows of sentences with a table that lacks an entry."""

    inner: SentenceWindows
    table: Any

    @property
    def max_pieces(self) -> int:
        return self.inner.max_pieces

    def shortened(self, max_pieces: int) -> MyWindows:
        return MyWindows(self.inner.shortened(max_pieces), self.table)

    def __call__(self, pieces: int, sentences: np.ndarray, longest_mention: int) -> list[Window]:
        return self.inner(self.table["mine"] and pieces, sentences, longest_mention)

    def around(self, *args: Any) -> Any:
        return self.inner.around(*args[:-1], self.table["mine"] and args[-1])


def windows(table: Any) -> Any:
    return MyWindows(build_sentence_windows(context="none"), table)


def put(name: str, value: Any) -> Break:
    return lambda pipe: setattr(pipe, name, value)


HERE = __name__
# Component, setting, how the function is called in messages, and how the component gets it.
CASES: dict[str, tuple[str, str, str, Break]] = {
    "suggester": (
        "luke_ner",
        "suggester",
        "spacy.pipeline.spancat.",
        put("suggester", build_preset_spans_suggester("mine")),
    ),
    "pairs": ("luke_relations", "pairs", f"{HERE}.no_pairs", put("pairs", no_pairs)),
    "lazy pairs": ("luke_relations", "pairs", f"{HERE}.lazy_pairs", put("pairs", lazy_pairs)),
    "partial pairs": ("luke_relations", "pairs", f"{HERE}.no_pairs", put("pairs", partial(partial(no_pairs)))),
    "callable object": ("luke_relations", "pairs", f"{HERE}.Pairs", put("pairs", Pairs())),
    "candidates": (
        "luke_entity_linker",
        "get_candidates",
        f"{HERE}.no_candidates",
        put("get_candidates", no_candidates),
    ),
    "lazy candidates": (
        "luke_entity_linker",
        "get_candidates",
        f"{HERE}.lazy_candidates",
        put("get_candidates", lazy_candidates),
    ),
    **{
        f"windows of {factory}": (factory, "windows", f"{HERE}.MyWindows", put("_windows_setting", windows({})))
        for factory in ("luke_ner", "luke_relations", "luke_token_classifier", "luke_entity_linker", "luke_encoder")
    },
}


@pytest.fixture(params=CASES, ids=[name.replace(" ", "-") for name in CASES])
def case(request: Any, tmp_path: Path) -> tuple[Language, Any, Any]:
    """A pipeline, its component, and what is expected of each way to use it."""
    factory, setting, function, broken = CASES[request.param]
    nlp, pipe = open_component(factory, tmp_path / "checkpoint")
    broken(pipe)
    named = rf"L111.*{factory!r}: its {setting}, {re.escape(function)}.*KeyError\('mine'\)"
    return nlp, pipe, named


def check(raised: Any) -> None:
    assert isinstance(raised.value.__cause__, KeyError)


def test_predictions_name_the_function(case: tuple[Language, Any, Any]) -> None:
    nlp, pipe, named = case
    ways: list[Callable[[], Any]] = [
        lambda: nlp(asked(nlp)),
        lambda: list(nlp.pipe([asked(nlp)])),
        lambda: pipe.predict([asked(nlp)]),
    ]
    for way in ways:
        with pytest.raises(LukeError, match=named) as raised:
            way()
        check(raised)


def example(nlp: Language) -> Example:
    reference = asked(nlp)
    reference._.relations = [(reference.ents[0], reference.ents[1], "met")]
    for ent, kb_id in zip(reference.ents, ("Ada Lovelace", "London"), strict=True):
        for token in ent:
            token.ent_kb_id_ = kb_id
    predicted = asked(nlp)
    predicted.user_data.clear()
    return Example(predicted, reference)


def test_training_names_the_function(case: tuple[Language, Any, Any], tmp_path: Path) -> None:
    nlp, pipe, named = case
    if pipe.factory == "luke_encoder":
        pytest.skip("it learns through others")
    with pytest.raises(LukeError, match=named) as raised:
        nlp.update([example(nlp)], sgd=adam())
    check(raised)
    if pipe.factory == "luke_entity_linker" or (pipe.factory == "luke_relations" and "windows" in named):
        return  # `initialize` does not need them
    with pytest.raises(LukeError, match=named) as raised:
        pipe.initialize(lambda: [example(nlp)], nlp=nlp, checkpoint=str(tmp_path / "checkpoint"))
    check(raised)


def test_a_loader_of_a_knowledge_base_is_named(tmp_path: Path) -> None:
    def load(vocab: Any) -> Any:
        return {}["mine"]

    _, pipe = open_component("luke_entity_linker", tmp_path / "checkpoint")
    with pytest.raises(LukeError, match=r"L111.*its kb_loader, .*load, raised KeyError\('mine'\)"):
        pipe.set_kb(load)


@pytest.mark.parametrize("error", [ValueError("mine"), IndexError("mine"), LookupError("mine"), RuntimeError("mine")])
def test_other_errors_pass_as_they_are(tmp_path: Path, error: Exception) -> None:
    nlp, pipe = open_component("luke_relations", tmp_path / "checkpoint")

    def pairs(doc: Doc) -> Any:
        raise error

    pipe.pairs = pairs
    with pytest.raises(type(error)) as raised:
        nlp(asked(nlp))
    assert raised.value is error


def test_an_error_handler_of_spacy_gets_the_named_error(tmp_path: Path) -> None:
    nlp, pipe = open_component("luke_relations", tmp_path / "checkpoint")
    pipe.pairs = no_pairs
    got: list[Exception] = []
    nlp.set_error_handler(lambda name, proc, docs, error: got.append(error))
    assert list(nlp.pipe([asked(nlp)])) == []
    [error] = got
    assert isinstance(error, LukeError)
    assert error.code == "L111"


@pytest.mark.parametrize("factory", ["luke_ner", "luke_relations", "luke_token_classifier", "luke_entity_linker"])
def test_windows_of_the_user_cut_as_they_are_written(tmp_path: Path, factory: str) -> None:
    found = []
    for cut in (build_sentence_windows(context="none"), windows({"mine": True})):
        nlp, pipe = open_component(factory, tmp_path / "checkpoint")
        pipe._windows_setting = cut
        found.append(written(nlp(asked(nlp))))
    assert found[0] == found[1]


def test_a_candidate_that_its_own_knowledge_base_does_not_know_is_told(tmp_path: Path) -> None:
    """spaCy's candidates look their names up when they are asked."""
    nlp, pipe = open_component("luke_entity_linker", tmp_path / "checkpoint")
    other = Language()
    with other.memory_zone():
        kb = make_kb(other.vocab)
    pipe._kept.kb = kb
    with pytest.raises(LukeError, match=r"L111.*get_candidates.*E018"):
        nlp(asked(nlp))
