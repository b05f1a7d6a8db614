"""Factories of components hand their settings on."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest
import spacy

from spacy_luke.models.shared import SHARED
from spacy_luke.pipeline.encoder.component import LukeEncoderPipe, SharedVectorsPipe, make_luke_encoder
from tests.pipeline.every_component import FACTORIES

NLP = spacy.blank("en")


def handed_on(make: Any, component: type, model: Any, settings: dict[str, Any], monkeypatch: Any) -> dict[str, Any]:
    """What a factory makes its component with."""
    given: dict[str, Any] = {}

    def record(self: Any, vocab: Any, model: Any, name: str, **arguments: Any) -> None:
        given.update(arguments, vocab=vocab, model=model, name=name)

    monkeypatch.setattr(component, "__init__", record)
    made = make(NLP, "mine", model, **settings)
    assert type(made) is component
    return given


def settings_of(make: Any) -> dict[str, Any]:
    """Another value for each setting."""
    return {name: object() for name in inspect.signature(make).parameters if name not in ("nlp", "name", "model")}


@pytest.mark.parametrize("factory", [name for name in FACTORIES if name != "luke_encoder"])
def test_a_component_has_the_settings_of_its_factory(factory: str, monkeypatch: Any) -> None:
    [entry] = entry_points(group="spacy_factories", name=factory)
    make, model = entry.load(), SimpleNamespace(attrs={})
    settings = settings_of(make)
    component = inspect.signature(make).return_annotation
    expected = {"vocab": NLP.vocab, "model": model, "name": "mine", **settings}
    assert handed_on(make, component, model, settings, monkeypatch) == expected


def test_luke_encoder_has_the_settings_of_its_factory(monkeypatch: Any) -> None:
    model, settings = SimpleNamespace(attrs={}), settings_of(make_luke_encoder)
    expected = {"vocab": NLP.vocab, "model": model, "name": "mine", "nlp": NLP, **settings}
    assert handed_on(make_luke_encoder, LukeEncoderPipe, model, settings, monkeypatch) == expected


def test_luke_encoder_on_the_encoder_of_another_has_the_settings_of_vectors(monkeypatch: Any) -> None:
    model = SimpleNamespace(attrs={SHARED: object()})
    settings = {**settings_of(make_luke_encoder), "component_grad_clip": None}
    given = handed_on(make_luke_encoder, SharedVectorsPipe, model, settings, monkeypatch)
    of_encoder = {"component_grad_clip", "max_kept_bytes"}
    assert {name: given[name] for name in settings if name not in of_encoder} == {
        name: value for name, value in settings.items() if name not in of_encoder
    }
    assert not of_encoder.intersection(given)


@pytest.mark.parametrize("factory", [name for name in FACTORIES if name != "luke_encoder"])
def test_the_default_encoder_is_the_usual_one_but_for_what_the_component_says(factory: str) -> None:
    own = {"luke_ner": {"entity_attention": None}}
    own |= {name: {"entity_vocab": "full"} for name in ("luke_qa", "luke_entity_linker")}
    usual = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "special", "precision": "float32"}
    config = NLP.get_factory_meta(factory).default_config
    assert config["model"]["encoder"] == {**usual, **own.get(factory, {})}


SPANS = ["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type", "span._.score"]
# What a component writes, and the scores that training looks at.
WRITES: dict[str, tuple[list[str], list[str]]] = {
    "luke_encoder": (["doc.tensor", "span._.entity_vector"], []),
    "luke_ner": (SPANS, ["ents_f"]),
    "luke_relations": (["doc._.relations"], ["rel_micro_f"]),
    "luke_entity_typer": (["span._.entity_types", "span._.entity_type_scores"], ["types_micro_f"]),
    "luke_token_classifier": (
        [*SPANS, "token._.luke_tag", "token.tag", "token.pos"],
        ["ents_f", "luke_tag_acc", "pos_acc", "tag_acc"],
    ),
    "luke_textcat": (["doc.cats"], ["cats_score"]),
    "luke_multiple_choice": (["doc._.chosen"], ["choice_acc"]),
    "luke_qa": (["doc._.answers"], ["qa_f1"]),
    "luke_entity_linker": (["token.ent_kb_id", "span._.linked_entities"], ["nel_micro_f"]),
    "luke_dates": (["doc.ents"], []),
}
READ_ENTITIES = {"luke_relations", "luke_entity_typer", "luke_entity_linker"}


@pytest.mark.parametrize("factory", [*FACTORIES, "luke_dates"])
def test_spacy_knows_what_a_component_reads_writes_and_is_trained_for(factory: str) -> None:
    """For `nlp.analyze_pipes` and the choice of the best model."""
    meta = NLP.get_factory_meta(factory)
    assigns, scores = WRITES[factory]
    assert sorted(meta.assigns) == sorted(assigns)
    assert meta.requires == (["doc.ents"] if factory in READ_ENTITIES else [])
    assert {name: weight for name, weight in meta.default_score_weights.items() if weight} == dict.fromkeys(scores, 1.0)
