"""Weights that are no numbers are refused when they are read, with their file and their name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from spacy.lang.en import English
from transformers import BertModel, LukeForEntitySpanClassification, LukeModel

import spacy_luke
from spacy_luke.checkpoints.upcycle_folder import upcycle_folder
from spacy_luke.checkpoints.weights import PickledWeights, require_finite
from spacy_luke.errors import LukeError
from spacy_luke.models.wrapper import EncoderShim
from tests.checkpoints.keras_file import write_keras
from tests.checkpoints.test_upcycle import write_source
from tests.pipeline.encoder.shared_model import initialized, write_bare
from tests.util import luke_config, randomise, write_luke

VALUES = [float("nan"), float("inf"), -float("inf")]
NAME = "luke.encoder.layer.1.attention.self.key.weight"
LABELS = {"id2label": {0: "NIL", 1: "PER"}, "label2id": {"NIL": 0, "PER": 1}}


def spoiled(value: float = float("nan"), name: str = NAME) -> LukeForEntitySpanClassification:
    model = randomise(LukeForEntitySpanClassification(luke_config(**LABELS)))
    with torch.no_grad():
        dict(model.named_parameters())[name].view(-1)[-1] = value
    assert isinstance(model, LukeForEntitySpanClassification)
    return model


def edit(file: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def raises(file: str, name: str, value: float | None = None) -> Any:
    found = "" if value is None else re.escape(f" (first: {value})")
    return pytest.raises(LukeError, match=rf"L110.*{re.escape(file)}.*{re.escape(repr(name))}.*numbers.*finite{found}")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("file", "save"), [("model.safetensors", {}), ("pytorch_model.bin", {"safe_serialization": 0})]
)
def test_a_checkpoint(tmp_path: Path, file: str, save: dict[str, Any], value: float) -> None:
    write_luke(tmp_path, spoiled(value), **save)
    with raises(f"{tmp_path / file}", NAME, value):
        spacy_luke.from_checkpoint(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    write_luke(tmp_path, spoiled(float("inf")).to(dtype))
    with raises("model.safetensors", NAME, float("inf")):
        spacy_luke.from_checkpoint(tmp_path)


def test_a_shard_is_named(tmp_path: Path) -> None:
    write_luke(tmp_path, spoiled(), max_shard_size="40KB")
    with pytest.raises(LukeError, match=r"L110.*model-\d+-of-\d+\.safetensors"):
        spacy_luke.from_checkpoint(tmp_path)


def test_tensorflow(tmp_path: Path) -> None:
    model = randomise(LukeModel(luke_config()))
    with torch.no_grad():
        model.encoder.layer[0].output.dense.weight[0, 0] = float("nan")
    write_luke(tmp_path, model)
    (tmp_path / "model.safetensors").unlink()
    write_keras(tmp_path / "tf_model.h5", model, "luke")
    with pytest.raises(LukeError, match=r"L110.*tf_model\.h5.*layer_\._0/output/dense/kernel:0.*1 of 1536"):
        spacy_luke.from_checkpoint(tmp_path)


def test_rows_of_entities_that_are_not_kept_are_not_read(tmp_path: Path) -> None:
    write_luke(tmp_path, spoiled(name="luke.entity_embeddings.entity_embeddings.weight"))
    encoder: dict[str, Any] = {"model": {"encoder": {"@architectures": "spacy-luke.LukeEncoder.v1"}}}
    for entity_vocab, ok in (("special", True), ("full", False)):
        encoder["model"]["encoder"]["entity_vocab"] = entity_vocab
        if ok:
            spacy_luke.from_checkpoint(tmp_path, config=encoder)
        else:
            with raises("model.safetensors", "luke.entity_embeddings.entity_embeddings.weight"):
                spacy_luke.from_checkpoint(tmp_path, config=encoder)


def test_a_plain_encoder_that_is_upcycled(tmp_path: Path) -> None:
    source = tmp_path / "bert"
    source.mkdir()
    model = write_source(source, "bert")
    assert isinstance(model, BertModel)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[7, 3] = float("nan")
    model.save_pretrained(source)
    with raises("model.safetensors", "embeddings.word_embeddings.weight"):
        upcycle_folder(source, tmp_path / "luke")
    assert not (tmp_path / "luke").exists()


def test_a_component_stays_as_it_was(tmp_path: Path) -> None:
    write_luke(tmp_path / "good", randomise(LukeForEntitySpanClassification(luke_config(**LABELS))))
    write_luke(tmp_path / "bad", spoiled())
    nlp = spacy_luke.from_checkpoint(tmp_path / "good")
    pipe: Any = nlp.get_pipe("luke_ner")
    before = pipe._module
    with raises("model.safetensors", NAME):
        pipe.load_checkpoint(tmp_path / "bad")
    assert pipe._module is before


def test_a_saved_pipeline_and_its_bytes(tmp_path: Path) -> None:
    write_luke(tmp_path / "good", randomise(LukeForEntitySpanClassification(luke_config(**LABELS))))
    nlp = spacy_luke.from_checkpoint(tmp_path / "good")
    with torch.no_grad():
        nlp.get_pipe("luke_ner")._module.classifier.bias[1] = float("nan")  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path / "saved")
    with raises(f"{Path('luke_ner') / 'model.safetensors'}", "classifier.bias"):
        spacy.load(tmp_path / "saved")
    with raises("model.safetensors", "classifier.bias"):
        English.from_config(nlp.config).from_bytes(nlp.to_bytes())


def test_the_head_of_a_component_that_shares_an_encoder(tmp_path: Path) -> None:
    nlp = initialized(write_bare(tmp_path / "bare"), ("luke_ner",))
    nlp.to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "luke_ner" / "checksums.json").unlink()
    edit(tmp_path / "saved" / "luke_ner" / "head.safetensors", lambda t: t["classifier.weight"][0].fill_(float("nan")))
    with raises(f"{Path('luke_ner') / 'head.safetensors'}", "classifier.weight"):
        spacy.load(tmp_path / "saved")


def test_the_bytes_of_a_thinc_model() -> None:
    module = torch.nn.Linear(2, 2)
    with torch.no_grad():
        module.bias[0] = float("inf")
    with raises("the bytes of the model", "bias"):
        EncoderShim(torch.nn.Linear(2, 2)).from_bytes(EncoderShim(module).to_bytes())


def test_a_sum_that_overflows_is_no_error(tmp_path: Path) -> None:
    huge = torch.full((4,), torch.finfo(torch.float32).max)
    assert not huge.sum().isfinite()
    assert require_finite(huge, "huge", "file") is huge
    model = spoiled(1.0)
    with torch.no_grad():
        model.luke.encoder.layer[0].output.dense.bias.fill_(torch.finfo(torch.float32).max)
    write_luke(tmp_path, model)
    spacy_luke.from_checkpoint(tmp_path)


def test_tensors_of_any_shape_are_read_as_they_are(tmp_path: Path) -> None:
    """Larger than what is copied at a time, transposed, and rows of it."""
    tensors = {"large": torch.randn(700, 513), "none": torch.zeros(0, 3), "one": torch.tensor(2.5)}
    tensors["turned"] = tensors["large"].T
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    weights = PickledWeights([tmp_path / "pytorch_model.bin"])
    for name, tensor in tensors.items():
        assert torch.equal(weights.get(name), tensor)
    assert torch.equal(weights.get("turned", [5, 0]), tensors["turned"][[5, 0]])
    last = tensors["large"].clone()
    last[-1, -1] = float("nan")
    torch.save({"large": last}, tmp_path / "pytorch_model.bin")
    with raises("pytorch_model.bin", "large"):
        PickledWeights([tmp_path / "pytorch_model.bin"]).get("large")
