"""The encoder block of the config and the checkpoint have to agree; plain encoders are read as the block says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.training import Example
from thinc.api import Model

from spacy_luke.encoders.longformer import LongformerEncoder
from spacy_luke.encoders.luke import LukeEncoder
from spacy_luke.errors import LukeError
from spacy_luke.models.architectures import ENCODERS, build_longformer_encoder, build_luke_encoder
from spacy_luke.pipeline.base import checkpoint_component, component, shared_encoder
from tests.checkpoints.test_upcycle import write_source
from tests.pipeline.every_component import WRITERS
from tests.util import write_longformer, write_luke

HEADS = {
    "luke_ner": "SpanClassifier",
    "luke_relations": "PairClassifier",
    "luke_entity_typer": "EntityClassifier",
    "luke_token_classifier": "TokenClassifier",
    "luke_textcat": "SequenceClassifier",
    "luke_multiple_choice": "MultipleChoice",
    "luke_qa": "QuestionAnswering",
}


def blank(factory: str, encoder: str, **settings: Any) -> tuple[spacy.language.Language, Any]:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    block = {"@architectures": ENCODERS[encoder], **settings}
    model = {"@architectures": f"spacy-luke.{HEADS[factory]}.v1", "encoder": block}
    return nlp, nlp.add_pipe(factory, config={"model": model})


@pytest.mark.parametrize("factory", HEADS)
def test_a_checkpoint_of_the_other_encoder_raises_l051_with_both(tmp_path: Path, factory: str) -> None:
    write_luke(tmp_path / "luke")
    write_longformer(tmp_path / "longformer")
    for configured, found in (("luke", "longformer"), ("longformer", "luke")):
        _, pipe = blank(factory, configured)
        with pytest.raises(LukeError, match="L051") as error:
            pipe.load_checkpoint(tmp_path / found)
        assert ENCODERS[configured] in str(error.value)
        assert f"a {found} checkpoint. Set @architectures = '{ENCODERS[found]}'" in str(error.value)
        assert not pipe.has_weights


@pytest.mark.parametrize(("encoder", "kind"), [("luke", LukeEncoder), ("longformer", LongformerEncoder)])
def test_a_plain_encoder_becomes_what_the_config_says(tmp_path: Path, encoder: str, kind: type) -> None:
    write_source(tmp_path, "roberta")
    nlp, pipe = blank("luke_ner", encoder, precision="bfloat16", gradient_checkpointing=True)
    pipe.initialize(lambda: [example(nlp)], nlp=nlp, checkpoint=str(tmp_path))
    assert isinstance(pipe._module.encoder, kind)
    assert pipe._module.encoder.precision == "bfloat16"
    assert pipe._module.encoder.gradient_checkpointing


def example(nlp: spacy.language.Language) -> Example:
    doc = nlp.make_doc("Ada Lovelace met Babbage in London.")
    for token in doc:
        token.is_sent_start = token.i == 0
    return Example.from_dict(doc, {"entities": [(0, 12, "PER"), (28, 34, "LOC")]})


@pytest.mark.parametrize("factory", ["luke_encoder", "luke_ner", "luke_entity_linker"])
def test_a_checkpoint_of_the_hub_is_that_of_the_revision(tmp_path: Path, factory: str, monkeypatch: Any) -> None:
    WRITERS[factory](tmp_path / "cached")
    asked: list[tuple[str, str | None]] = []

    def locate(name: str, revision: str | None = None) -> Path:
        asked.append((name, revision))
        return tmp_path / "cached"

    for module in (checkpoint_component, component, shared_encoder):
        monkeypatch.setattr(module, "locate", locate)
    pipe: Any = spacy.blank("en").add_pipe(factory)
    pipe.load_checkpoint("me/luke", revision="v2")
    pipe.initialize(list, checkpoint="me/luke", revision="v3")
    assert asked == [("me/luke", "v2"), ("me/luke", "v3")]


def test_an_entity_recogniser_on_longformer_trains_and_is_saved(tmp_path: Path) -> None:
    write_longformer(tmp_path / "in")
    nlp, pipe = blank("luke_ner", "longformer")
    pipe.initialize(lambda: [example(nlp)], nlp=nlp, checkpoint=str(tmp_path / "in"))
    before = pipe._module.encoder.mention_states.projection.weight.clone()
    losses = pipe.update([example(nlp)], sgd=nlp.resume_training())
    assert losses["luke_ner"] > 0
    assert not before.equal(pipe._module.encoder.mention_states.projection.weight)
    nlp.to_disk(tmp_path / "out")
    loaded = spacy.load(tmp_path / "out")
    saved, again = pipe._module.state_dict(), loaded.get_pipe("luke_ner")._module.state_dict()
    assert saved.keys() == again.keys()
    assert all(tensor.equal(again[name]) for name, tensor in saved.items())
    assert loaded.get_pipe("luke_ner")._description.architecture == "LongformerForEntitySpanClassification"


@pytest.mark.parametrize("build", [build_luke_encoder, build_longformer_encoder])
def test_a_precision_that_is_not_there_raises_l005(build: Any) -> None:
    assert isinstance(build(precision="bfloat16"), Model)
    with pytest.raises(LukeError, match=r"L005.*float16"):
        build(precision="float16")


@pytest.mark.parametrize("factory", HEADS)
def test_one_doc_instead_of_a_list_is_an_error(factory: str) -> None:
    nlp, pipe = blank(factory, "luke")
    with pytest.raises(LukeError, match=r"L080.*docs.*\[doc\]"):
        pipe.logits(nlp.make_doc("Ada met Bo."))
    with pytest.raises(LukeError, match=r"L080.*docs"):
        pipe.logits("Ada met Bo.")
