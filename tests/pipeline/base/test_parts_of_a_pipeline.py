"""Every way that spaCy has to take a pipeline apart, with a shared encoder: each trains, is saved and is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.cli.assemble import assemble_cli
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from thinc.api import Config

from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.encoder.shared_model import (
    adam,
    assert_same,
    changed,
    encoder_of,
    examples,
    initialized,
    logits,
    state,
    write_bare,
)

TASKS = ("luke_ner", "luke_textcat")
BOUNDS = {"luke_ner": 1.0, "luke_relations": 0.5, "luke_textcat": 0.5}
REST = ["luke_relations", "luke_textcat"]
# Names of the parts: what has the encoder, and what has luke_ner's head.
Names = tuple[str, str]
NAMES = ("luke_encoder", "luke_ner")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of three tasks on one encoder, with a bound for the gradients of each."""
    folder = tmp_path_factory.mktemp("saved")
    nlp = initialized(write_bare(folder / "bare"), ("luke_ner", *REST), component_grad_clip=BOUNDS)
    nlp.to_disk(folder / "pipeline")
    return folder / "pipeline"


def loaded(**settings) -> Callable[[Path], Language]:
    return lambda saved: spacy.load(saved, **settings)


def after(do: Callable[[Language], object]) -> Callable[[Path], Language]:
    def make(saved: Path) -> Language:
        nlp = spacy.load(saved)
        do(nlp)
        return nlp

    return make


def sourced(encoder: str, ner: str) -> Callable[[Path], Language]:
    def make(saved: Path) -> Language:
        source, nlp = spacy.load(saved), spacy.blank("en")
        nlp.add_pipe("sentencizer")
        nlp.add_pipe("luke_encoder", name=encoder, source=source)
        nlp.add_pipe("luke_ner", name=ner, source=source)
        return nlp

    return make


def sourced_in_config(encoder: str, ner: str) -> Callable[[Path], Language]:
    def make(saved: Path) -> Language:
        names = {"sentencizer": "sentencizer", encoder: "luke_encoder", ner: "luke_ner"}
        components = {name: {"source": str(saved), "component": saved_name} for name, saved_name in names.items()}
        config = {"nlp": {"lang": "en", "pipeline": list(names)}, "components": components}
        return spacy.util.load_model_from_config(config, auto_fill=True)

    return make


def from_config(saved: Path) -> Language:
    nlp = spacy.load(saved, exclude=REST)
    copied = spacy.util.load_model_from_config(nlp.config)
    return copied.from_bytes(nlp.to_bytes())


WAYS: dict[str, tuple[Callable[[Path], Language], Names]] = {
    "exclude": (loaded(exclude=REST), NAMES),
    "disable": (loaded(disable=REST), NAMES),
    "enable": (loaded(enable=["sentencizer", *NAMES]), NAMES),
    "disable and enable again": (after(lambda nlp: [nlp.disable_pipe("luke_ner"), nlp.enable_pipe("luke_ner")]), NAMES),
    "remove_pipe": (after(lambda nlp: [nlp.remove_pipe(name) for name in REST]), NAMES),
    "disable_pipe": (after(lambda nlp: nlp.disable_pipe("luke_textcat")), NAMES),
    "select_pipes": (after(lambda nlp: nlp.select_pipes(enable=["sentencizer", *NAMES])), NAMES),
    "rename the encoder": (after(lambda nlp: nlp.rename_pipe("luke_encoder", "enc")), ("enc", "luke_ner")),
    "rename a component": (after(lambda nlp: nlp.rename_pipe("luke_ner", "ner")), ("luke_encoder", "ner")),
    "rename the encoder twice": (
        after(lambda nlp: [nlp.rename_pipe("luke_encoder", "a"), nlp.rename_pipe("a", "b")]),
        ("b", "luke_ner"),
    ),
    "source": (sourced(*NAMES), NAMES),
    "source, the encoder renamed": (sourced("enc", "luke_ner"), ("enc", "luke_ner")),
    "source, the component renamed": (sourced("luke_encoder", "ner"), ("luke_encoder", "ner")),
    "source in a config": (sourced_in_config(*NAMES), NAMES),
    "source in a config, both renamed": (sourced_in_config("enc", "ner"), ("enc", "ner")),
    "nlp.config": (from_config, NAMES),
}


def ner_logits(nlp: Language, name: str) -> dict:
    doc = examples(nlp)[0].predicted
    return {"ner": [nlp.get_pipe(name).logits([doc])[0][1]]}


@pytest.mark.filterwarnings("ignore:.*W038")
@pytest.mark.parametrize("way", WAYS)
def test_a_part_trains_and_is_saved(saved: Path, tmp_path: Path, way: str) -> None:
    make, (encoder, ner) = WAYS[way]
    nlp = make(saved)
    whole = spacy.load(saved)
    assert_same(ner_logits(nlp, ner), ner_logits(whole, "luke_ner"))
    before = state(nlp.get_pipe(encoder).encoder)
    nlp.update(examples(nlp), sgd=adam(0.001))
    found = ner_logits(nlp, ner)
    assert changed(nlp.get_pipe(encoder).encoder, before), "the component's gradients reach the encoder"
    nlp.to_disk(tmp_path / "a")
    again = spacy.load(tmp_path / "a")
    assert_same(ner_logits(again, ner), found)
    before = state(again.get_pipe(encoder).encoder)
    again.update(examples(again), sgd=adam(0.001))
    found = ner_logits(again, ner)
    assert changed(again.get_pipe(encoder).encoder, before)
    again.to_disk(tmp_path / "b")
    assert_same(ner_logits(spacy.load(tmp_path / "b"), ner), found)


def test_an_encoder_that_is_asked_for_by_name_may_be_renamed(saved: Path, tmp_path: Path) -> None:
    nlp = spacy.load(saved, exclude=["luke_ner", *REST])
    model = {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1", "upstream": "luke_encoder"}}
    nlp.add_pipe("luke_ner", config={"model": model}).initialize(lambda: examples(nlp))
    found = ner_logits(nlp, "luke_ner")
    nlp.rename_pipe("luke_encoder", "enc")
    nlp.to_disk(tmp_path)
    assert_same(ner_logits(spacy.load(tmp_path), "luke_ner"), found)


def test_a_component_that_has_read_another_name_of_its_encoder_is_saved_before_it_is_linked(saved: Path) -> None:
    model = {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1", "upstream": "luke_encoder"}}
    nlp, renamed = (spacy.load(saved, exclude=["luke_ner", *REST]) for _ in range(2))
    for one in (nlp, renamed):
        one.add_pipe("luke_ner", config={"model": model}).initialize(lambda one=one: examples(one))
    renamed.rename_pipe("luke_encoder", "enc")
    component, found = nlp.get_pipe("luke_ner"), ner_logits(nlp, "luke_ner")
    component.from_bytes(renamed.get_pipe("luke_ner").to_bytes(), exclude=["model"])
    with pytest.raises(LukeError, match=r"L066.*'enc'"):
        component.predict([])
    renamed.get_pipe("luke_ner").from_bytes(component.to_bytes())
    assert_same(ner_logits(renamed, "luke_ner"), found)


@pytest.mark.parametrize("settings", [{"disable": ["luke_encoder"]}, {"enable": ["sentencizer", "luke_ner"]}])
def test_an_encoder_that_is_disabled_serves_and_is_not_trained(saved: Path, tmp_path: Path, settings) -> None:
    nlp = spacy.load(saved, **settings)
    assert_same(ner_logits(nlp, "luke_ner"), ner_logits(spacy.load(saved), "luke_ner"))
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam(0.001))
    found = ner_logits(nlp, "luke_ner")
    assert not changed(encoder_of(nlp, "luke_ner"), before)
    nlp.to_disk(tmp_path)
    assert_same(ner_logits(spacy.load(tmp_path), "luke_ner"), found)


def test_a_replaced_component_learns_on_the_same_encoder(saved: Path) -> None:
    nlp = spacy.load(saved)
    head = {
        "@architectures": "spacy-luke.SpanClassifier.v1",
        "encoder": {"@architectures": "spacy-luke.SharedEncoder.v1"},
    }
    nlp.replace_pipe("luke_ner", "luke_ner", config={"model": head})
    nlp.get_pipe("luke_ner").initialize(lambda: examples(nlp))
    assert encoder_of(nlp, "luke_ner") is encoder_of(nlp, "luke_encoder")
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam(0.001))
    logits(nlp, TASKS)
    assert changed(encoder_of(nlp, "luke_ner"), before)


def test_a_head_whose_encoder_was_replaced_says_so_when_it_is_saved(saved: Path, tmp_path: Path) -> None:
    nlp = spacy.load(saved, exclude=REST)
    nlp.replace_pipe("luke_encoder", "luke_encoder", config={"set_vectors": False})
    with pytest.warns(LukeWarning, match=r"W030.*luke_ner.*'luke_encoder' has no weights yet"):
        nlp.to_disk(tmp_path)


def test_a_part_without_its_encoder_says_so(saved: Path, tmp_path: Path) -> None:
    nlp = spacy.load(saved)
    nlp.remove_pipe("luke_encoder")
    with pytest.warns(LukeWarning, match=r"W030.*no 'luke_encoder' beside"):
        nlp.to_disk(tmp_path)
    with pytest.raises(LukeError, match=r"L066.*luke_encoder"):
        spacy.load(saved, exclude=["luke_encoder"])("Ada met Babbage.")


def test_a_disabled_pipe_of_old_is_put_back(saved: Path) -> None:
    nlp = spacy.load(saved)
    with pytest.warns(DeprecationWarning, match="W096"):
        disabled = nlp.disable_pipes("luke_textcat", "luke_relations")
    nlp.update(examples(nlp), sgd=adam(0.001))
    disabled.restore()
    assert set(nlp.update(examples(nlp), sgd=adam(0.001))) == {"luke_encoder", "luke_ner", *REST}


def test_a_name_that_looks_misspelt_is_warned_of_once(saved: Path) -> None:
    nlp = spacy.load(saved, exclude=REST)
    nlp.get_pipe("luke_encoder").component_grad_clip = {"luke_nre": 1.0}
    with pytest.warns(LukeWarning, match=r"W038.*luke_nre.*luke_ner"):
        nlp.update(examples(nlp), sgd=adam())
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp.update(examples(nlp), sgd=adam())
        part = spacy.load(saved, exclude=REST)
        part.update(examples(part), sgd=adam())


def config_of(saved: Path, corpus: Path, **training) -> Config:
    """A training config that sources the encoder and luke_ner, as one would write it."""
    names = ["sentencizer", *NAMES]
    reader = {"@readers": "spacy-luke.gold_mentions_corpus.v1", "path": str(corpus), "sentences": True}
    config = {
        "nlp": {"lang": "en", "pipeline": names},
        "components": {name: {"source": str(saved)} for name in names},
        "corpora": {"train": reader, "dev": reader},
        "training": {
            "train_corpus": "corpora.train",
            "dev_corpus": "corpora.dev",
            "seed": 0,
            "gpu_allocator": None,
            **training,
        },
    }
    return Config(config)


@pytest.mark.parametrize("frozen", [[], ["luke_ner"], ["luke_encoder"]])
def test_spacy_train_with_sourced_components(saved: Path, tmp_path: Path, frozen: list[str]) -> None:
    nlp = spacy.load(saved)
    DocBin(docs=[examples(nlp)[0].reference], store_user_data=True).to_disk(tmp_path / "train.spacy")
    training = {"frozen_components": frozen, "annotating_components": ["sentencizer", *frozen]}
    made = init_nlp(config_of(saved, tmp_path / "train.spacy", **training))
    assert_same(ner_logits(made, "luke_ner"), ner_logits(nlp, "luke_ner"))
    before, head = state(encoder_of(made, "luke_ner")), state(made.get_pipe("luke_ner")._module.classifier)
    made.update(examples(made), sgd=adam(0.001), exclude=frozen, annotates=training["annotating_components"])
    found = ner_logits(made, "luke_ner")
    assert changed(encoder_of(made, "luke_ner"), before) == (not frozen)
    assert changed(made.get_pipe("luke_ner")._module.classifier, head) == ("luke_ner" not in frozen)
    made.to_disk(tmp_path / "saved")
    assert_same(ner_logits(spacy.load(tmp_path / "saved"), "luke_ner"), found)


def test_listeners_are_replaced_in_a_config_and_assembled(saved: Path, tmp_path: Path) -> None:
    config = config_of(saved, tmp_path)
    del config["components"]["luke_encoder"]
    config["nlp"]["pipeline"].remove("luke_encoder")
    config["components"]["luke_ner"]["replace_listeners"] = ["model.encoder"]
    config.to_disk(tmp_path / "config.cfg")
    assemble_cli(_Context(), tmp_path / "config.cfg", tmp_path / "out", None, verbose=False)
    nlp = spacy.load(tmp_path / "out")
    assert_same(ner_logits(nlp, "luke_ner"), ner_logits(spacy.load(saved), "luke_ner"))
    assert (tmp_path / "out" / "luke_ner" / "config.json").is_file()
    nlp.update(examples(nlp), sgd=adam(0.001))


class _Context:
    """Context of the command line for `spacy assemble`: no overrides."""

    args: tuple[str, ...] = ()
