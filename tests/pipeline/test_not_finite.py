"""Outputs that are no numbers: each component says so once for the weights it has, and annotates nothing with them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from spacy.language import Language

from tests.pipeline.encoder.shared_model import initialized, write_bare
from tests.pipeline.ner.test_span_filter import ENCODER, FILTER

from .every_component import FACTORIES, asked, open_component, written

pytestmark = pytest.mark.filterwarnings("ignore:.*W023")
PART = "layers.1.feed_forward.norm.bias"


def encoder_of(pipe: Any) -> torch.nn.Module:
    module = pipe.model.shims[0]._model
    return getattr(module, "encoder", module)


def spoil(pipe: Any, value: float, part: str = PART) -> None:
    """As a training that diverges leaves weights."""
    with torch.no_grad():
        dict(encoder_of(pipe).named_parameters())[part].fill_(value)


def told(nlp: Language, times: int = 2) -> list[str]:
    """The warnings W031 of some predictions."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for _ in range(times):
            nlp(asked(nlp))
    return [str(one.message) for one in given if "[W031]" in str(one.message)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_component_warns_once_for_the_weights_it_has(tmp_path: Path, factory: str, value: float) -> None:
    nlp, pipe = open_component(factory, tmp_path / "checkpoint")
    assert not told(nlp)
    for _ in range(2):
        spoil(pipe, value)
        [message] = told(nlp)
        assert repr(factory) in message
        pipe.load_checkpoint(tmp_path / "checkpoint")
        assert not told(nlp)


@pytest.mark.parametrize(
    "factory",
    ["luke_ner", "luke_relations", "luke_entity_typer", "luke_token_classifier", "luke_multiple_choice"],
)
@pytest.mark.filterwarnings("ignore:.*W031")
def test_nothing_is_annotated_with_what_is_no_number(tmp_path: Path, factory: str) -> None:
    nlp, pipe = open_component(factory, tmp_path / "checkpoint")
    if hasattr(pipe, "threshold"):
        pipe.threshold = 0.0
    assert written(nlp(asked(nlp)))[:-1] != written(asked(nlp))[:-1]
    spoil(pipe, float("nan"))
    assert written(nlp(asked(nlp)))[:-1] == written(asked(nlp))[:-1]


@pytest.mark.parametrize("decoding", ["local", "global"])
@pytest.mark.parametrize("kb", [True, False])
@pytest.mark.filterwarnings("ignore:.*W031")
def test_an_entity_whose_logits_are_no_numbers_is_linked_to_nil(tmp_path: Path, decoding: str, kb: bool) -> None:
    nlp, pipe = open_component("luke_entity_linker", tmp_path / "checkpoint", decoding=decoding)
    if not kb:
        pipe.set_kb(None)
    spoil(pipe, float("nan"))
    london = nlp(asked(nlp)).ents[-1]
    assert (london.text, london.kb_id_, london._.linked_entities) == ("London", "NIL", ())


@pytest.mark.filterwarnings("ignore:.*W031")
def test_texts_and_questions_get_no_probability(tmp_path: Path) -> None:
    nlp, pipe = open_component("luke_textcat", tmp_path / "textcat")
    spoil(pipe, float("nan"))
    assert set(nlp(asked(nlp)).cats.values()) == {0.0}
    nlp, pipe = open_component("luke_qa", tmp_path / "qa")
    spoil(pipe, float("nan"))
    assert [answer.span for answer in nlp(asked(nlp))._.answers] == [None]


@pytest.mark.parametrize("part", ["layers.0.feed_forward.norm.bias", PART])
def test_a_span_filter_does_not_hide_it(checkpoint: Path, part: str) -> None:
    """Below the filter, which then drops what it likes, and above it."""
    nlp = spacy.blank("en")
    pipe: Any = nlp.add_pipe("luke_ner", config={"model": {"encoder": ENCODER}, "span_filter": FILTER})
    pipe.initialize(list, checkpoint=str(checkpoint), labels=["LOC", "PER", "ORG"])
    assert not told(nlp)
    spoil(pipe, float("nan"), part)
    assert len(told(nlp)) == 1


def test_each_component_that_shares_an_encoder_warns_and_again_after_other_weights(tmp_path: Path) -> None:
    folder = write_bare(tmp_path / "bare")
    nlp = initialized(folder, set_vectors=True)
    owner: Any = nlp.get_pipe("luke_encoder")
    assert not told(nlp)
    for _ in range(2):
        spoil(owner, float("nan"))
        assert len(told(nlp)) == len(nlp.pipe_names) - 1, "all but the sentencizer"
        owner.load_checkpoint(folder)
        assert not told(nlp)
