"""TensorFlow's tf_model.h5: the same weights as those of safetensors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import huggingface_hub
import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertForMaskedLM,
    LongformerForMultipleChoice,
    LongformerForQuestionAnswering,
    LongformerForSequenceClassification,
    LongformerForTokenClassification,
    LongformerModel,
    LukeForEntitySpanClassification,
    LukeModel,
)
from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name

import spacy_luke
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.source import locate
from spacy_luke.checkpoints.weights import KerasWeights, SafetensorsWeights
from spacy_luke.errors import LukeError
from tests.checkpoints.keras_file import variables, write_keras, write_keras_shards
from tests.checkpoints.test_upcycle import KINDS, write_source
from tests.util import longformer_config, luke_config, randomise, write_byte_bpe, write_longformer, write_luke

LONGFORMERS = [
    LongformerModel,
    LongformerForTokenClassification,
    LongformerForQuestionAnswering,
    LongformerForSequenceClassification,
    LongformerForMultipleChoice,
]
LUKES = [LukeModel, LukeForEntitySpanClassification]


def longformer(folder: Path, kind: Any) -> nn.Module:
    """A folder with a Longformer in safetensors."""
    folder.mkdir(exist_ok=True)
    config = longformer_config(vocab_size=write_byte_bpe(folder))
    if kind is LongformerForTokenClassification:
        config.id2label = dict(enumerate(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]))
    return write_longformer(folder, randomise(kind(config)))


def as_tensorflow(folder: Path, model: nn.Module, kind: str, **options: Any) -> None:
    """Put tf_model.h5 in the place of model.safetensors."""
    (folder / "model.safetensors").rename(folder / "moved")
    write_keras(folder / "tf_model.h5", model, kind, **options)


def assert_same_weights(folder: Path, files: list[Path], prefix: str = "") -> None:
    """h5 and safetensors have the same names (but for the layer that a bare model is), shapes and values."""
    (folder / "moved").rename(folder / "moved.safetensors")
    ours, theirs = KerasWeights(files), SafetensorsWeights([folder / "moved.safetensors"])
    assert ours.shapes() == {f"{prefix}{name}": shape for name, shape in theirs.shapes().items()}
    for name in theirs.shapes():
        tensor = ours.get(f"{prefix}{name}")
        assert tensor.dtype == torch.float32
        assert tensor.equal(theirs.get(name))
        if tensor.shape[0] > 2:
            assert ours.get(f"{prefix}{name}", [2, 0]).equal(theirs.get(name, [2, 0]))


@pytest.mark.parametrize("kind", LONGFORMERS)
def test_a_longformer_has_the_weights_of_its_safetensors(tmp_path, kind) -> None:
    model = longformer(tmp_path, kind)
    as_tensorflow(tmp_path, model, "longformer")
    assert_same_weights(tmp_path, [tmp_path / "tf_model.h5"], "longformer." if kind is LongformerModel else "")


@pytest.mark.parametrize("kind", LUKES)
def test_a_luke_saved_by_the_same_rules_is_read(tmp_path, kind) -> None:
    """transformers has no LUKE for TensorFlow."""
    pieces = write_byte_bpe(tmp_path)
    model = write_luke(tmp_path, randomise(kind(luke_config(vocab_size=pieces + 2, num_labels=3))))
    as_tensorflow(tmp_path, model, "luke")
    assert_same_weights(tmp_path, [tmp_path / "tf_model.h5"], "luke." if kind is LukeModel else "")


@pytest.mark.parametrize(("kind", "head"), [*((kind, False) for kind in KINDS), ("bert", True)])
@pytest.mark.parametrize("target", ["luke", "longformer"])
def test_a_plain_encoder_is_read_as_luke_and_longformer(tmp_path, kind, head, target) -> None:
    model = write_source(tmp_path, kind, head=head)
    expected = open_checkpoint(tmp_path, plain_as=target).load_encoder(pooling=False).state_dict()
    as_tensorflow(tmp_path, model, "bert" if kind == "bert" else "roberta")
    found = open_checkpoint(tmp_path, plain_as=target).load_encoder(pooling=False).state_dict()
    assert found.keys() == expected.keys()
    assert all(tensor.equal(expected[name]) for name, tensor in found.items())


def test_the_names_are_those_that_transformers_makes_of_them(tmp_path) -> None:
    models = [(longformer(tmp_path, LongformerForSequenceClassification), "longformer")]
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        model = write_source(tmp_path / kind, kind, head=kind != "xlm-roberta")
        models.append((model, "bert" if kind == "bert" else "roberta"))
    assert isinstance(models[1][0], BertForMaskedLM)
    for model, kind in models:
        write_keras(tmp_path / "tf_model.h5", model, kind)
        shapes = KerasWeights([tmp_path / "tf_model.h5"]).shapes()
        for pytorch, variable, array in variables(model, kind):
            theirs, transpose = convert_tf_weight_name_to_pt_weight_name(variable, tf_weight_shape=array.shape)
            assert theirs == (pytorch if hasattr(model, kind) else f"{kind}.{pytorch}")
            assert shapes.pop(theirs) == (array.T if transpose.value == "simple" else array).shape
        assert not shapes


def test_shards_are_read(tmp_path) -> None:
    model = longformer(tmp_path, LongformerForTokenClassification)
    (tmp_path / "model.safetensors").rename(tmp_path / "moved")
    write_keras_shards(tmp_path, model, "longformer")
    assert open_checkpoint(tmp_path).load_encoder()
    assert_same_weights(tmp_path, sorted(tmp_path.glob("*.h5")))


def test_long_lists_of_names_are_read(tmp_path) -> None:
    model = longformer(tmp_path, LongformerForTokenClassification)
    as_tensorflow(tmp_path, model, "longformer", longest_attribute=300)
    with h5py.File(tmp_path / "tf_model.h5") as handle:
        assert "weight_names" not in handle["longformer"].attrs
    assert_same_weights(tmp_path, [tmp_path / "tf_model.h5"])


def test_names_that_are_written_as_text_are_read(tmp_path) -> None:
    model = longformer(tmp_path, LongformerForTokenClassification)
    as_tensorflow(tmp_path, model, "longformer")
    with h5py.File(tmp_path / "tf_model.h5", "a") as handle:
        for group, attribute in ((handle, "layer_names"), (handle["longformer"], "weight_names")):
            names = [name.decode() for name in group.attrs[attribute]]
            del group.attrs[attribute]
            group.attrs[attribute] = names
            assert isinstance(group.attrs[attribute][0], str)
    assert_same_weights(tmp_path, [tmp_path / "tf_model.h5"])


def test_half_precision_is_read_as_float32(tmp_path) -> None:
    model = longformer(tmp_path, LongformerModel).half()
    as_tensorflow(tmp_path, model, "longformer")
    weights = KerasWeights([tmp_path / "tf_model.h5"])
    name = "longformer.encoder.layer.0.attention.self.query.weight"
    assert weights.get(name).dtype == torch.float32
    assert weights.get(name).equal(model.encoder.layer[0].attention.self.query.weight.float())


def test_a_pipeline_runs_on_a_tensorflow_checkpoint_and_saves_safetensors(tmp_path) -> None:
    model = longformer(tmp_path / "in", LongformerForTokenClassification)
    text = "Ada Lovelace met Charles Babbage in London."
    before = spacy_luke.from_checkpoint(tmp_path / "in")
    as_tensorflow(tmp_path / "in", model, "longformer")
    after = spacy_luke.from_checkpoint(tmp_path / "in")
    ((_, theirs),) = before.get_pipe("luke_token_classifier").logits([before(text)])
    ((_, ours),) = after.get_pipe("luke_token_classifier").logits([after(text)])
    assert np.array_equal(theirs, ours)
    after.to_disk(tmp_path / "out")
    saved = {path.name for path in (tmp_path / "out" / "luke_token_classifier").iterdir()}
    assert "model.safetensors" in saved
    assert "tf_model.h5" not in saved


def test_weights_of_other_formats_come_first(tmp_path) -> None:
    longformer(tmp_path, LongformerModel)
    (tmp_path / "tf_model.h5").write_text("damaged")
    assert open_checkpoint(tmp_path).load_encoder()


# Errors


def test_without_h5py_the_error_says_what_to_install(tmp_path, monkeypatch) -> None:
    as_tensorflow(tmp_path, longformer(tmp_path, LongformerModel), "longformer")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(LukeError, match=r"L095.*tf_model.h5.*pip install 'spacy-luke\[tensorflow_checkpoints\]'"):
        open_checkpoint(tmp_path)


def test_a_damaged_file_is_named(tmp_path) -> None:
    as_tensorflow(tmp_path, longformer(tmp_path, LongformerModel), "longformer")
    data = (tmp_path / "tf_model.h5").read_bytes()
    for damaged in (b"", b"no HDF5", data[: len(data) // 2]):
        (tmp_path / "tf_model.h5").write_bytes(damaged)
        with pytest.raises(LukeError, match=r"L022.*tf_model.h5"):
            open_checkpoint(tmp_path)


def test_an_hdf5_file_that_keras_did_not_write_is_named(tmp_path) -> None:
    as_tensorflow(tmp_path, longformer(tmp_path, LongformerModel), "longformer")
    with h5py.File(tmp_path / "tf_model.h5", "w") as handle:
        handle.create_dataset("weights", data=np.zeros(3))
    with pytest.raises(LukeError, match=r"L022.*layer_names"):
        open_checkpoint(tmp_path)
    with h5py.File(tmp_path / "tf_model.h5", "w") as handle:
        handle.attrs["layer_names"] = [b"longformer"]
        handle.create_group("longformer").attrs["weight_names"] = [b"model/longformer/pooler/dense/kernel:0"]
    with pytest.raises(LukeError, match=r"L022.*tf_model.h5"):
        open_checkpoint(tmp_path)


def put_elsewhere(folder: Path, how: str) -> None:
    """Let tf_model.h5 of a Longformer point at another file for weights of its classifier."""
    other = folder / "other"
    other.write_bytes(b"not for publication. " * 1000)
    with h5py.File(folder / "tf_model.h5", "a") as handle:
        names: list[str] = []
        handle.visit(names.append)
        [place] = [name for name in names if name.startswith("classifier") and "dense/kernel" in name]
        shape, layer = handle[place].shape, place.partition("/")[0]
        if how == "link to a group":
            handle.copy(layer, "kept")
            with h5py.File(folder / "other.h5", "w") as target:
                handle.copy(layer, target)
            del handle[layer]
            handle[layer] = h5py.ExternalLink(str(folder / "other.h5"), layer)
            return
        if how == "link to a group inside":
            group = place.rpartition("/")[0]
            with h5py.File(folder / "other.h5", "w") as target:
                handle.copy(group, target, "inside")
            del handle[group]
            handle[group] = h5py.ExternalLink(str(folder / "other.h5"), "inside")
            return
        del handle[place]
        if how == "external storage":
            handle.create_dataset(place, shape, "f4", external=[(str(other), 0, 4 * shape[0] * shape[1])])
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape)
            handle.create_virtual_dataset(place, layout)
        elif how == "link":
            handle[place] = h5py.ExternalLink(str(folder / "other.h5"), "x")
        elif how == "soft link":
            handle["x"] = np.zeros(shape, "f4")
            handle[place] = h5py.SoftLink("/x")
        elif how == "not filled":
            handle.create_dataset(place, shape, "f4")
        else:
            handle.create_dataset(place, data=np.zeros(shape, "f4"), chunks=True, compression="gzip")
    with h5py.File(folder / "other.h5", "w") as target:
        target["x"] = np.zeros(shape, "f4")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("external storage", "stored outside the file"),
        ("virtual", "stored outside the file"),
        ("link", "is a link"),
        ("soft link", "is a link"),
        ("link to a group", "is a link"),
        ("link to a group inside", "is a link"),
        ("not filled", "takes up less"),
        ("compressed", "takes up less"),
    ],
)
def test_weights_that_are_not_in_the_file_are_refused(tmp_path, how, why) -> None:
    model = longformer(tmp_path, LongformerForSequenceClassification)
    as_tensorflow(tmp_path, model, "longformer")
    assert open_checkpoint(tmp_path).load_encoder()
    put_elsewhere(tmp_path, how)
    with pytest.raises(LukeError, match=rf"L022.*tf_model\.h5 cannot be read: .*classifier.*{why}"):
        open_checkpoint(tmp_path).load_task_module("LongformerForSequenceClassification", "special")


def test_a_missing_weight_is_named(tmp_path) -> None:
    model = longformer(tmp_path, LongformerModel)
    del model.encoder.layer[1].output.dense.weight
    model.encoder.layer[1].output.dense.register_parameter("weight", None)
    as_tensorflow(tmp_path, model, "longformer")
    with pytest.raises(LukeError, match=r"L024.*longformer.encoder.layer.1.output.dense.weight"):
        open_checkpoint(tmp_path).load_encoder()


# From the Hub


@pytest.mark.parametrize("only_tensorflow", [True, False])
def test_tensorflow_weights_are_downloaded_if_there_are_no_others(tmp_path, monkeypatch, only_tensorflow) -> None:
    model = longformer(tmp_path / "hub", LongformerModel)
    write_keras(tmp_path / "hub" / "tf_model.h5", model, "longformer")
    if only_tensorflow:
        (tmp_path / "hub" / "model.safetensors").unlink()
    (tmp_path / "cache").mkdir()

    def download(name: str, *, allow_patterns: list[str], local_files_only: bool, **options: Any) -> str:
        for path in (tmp_path / "hub").iterdir():
            if not local_files_only and any(path.match(pattern) for pattern in allow_patterns):
                (tmp_path / "cache" / path.name).write_bytes(path.read_bytes())
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    folder = locate("somebody/longformer")
    assert (folder / "tf_model.h5").exists() == only_tensorflow
    assert (folder / "model.safetensors").exists() != only_tensorflow
    asked: list[bool] = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, **options: asked.append(options["local_files_only"]) or str(folder),
    )
    assert locate("somebody/longformer") == folder
    assert asked == [True]
