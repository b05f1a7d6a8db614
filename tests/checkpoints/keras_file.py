"""tf_model.h5 in the layout in which Keras saves the TensorFlow classes of transformers, without TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from torch import nn


def variables(model: nn.Module, kind: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """The PyTorch name, the TensorFlow name and the value of every weight of a model.

    As the layers of Keras have them: a Dense layer has a kernel (in, out), an embedding "embeddings", a norm gamma and
    beta; the embedding of the words is a variable of its own, "weight". A bare model has its encoder in a layer, too.

    kind: name of the layer that the encoder is.
    """
    for module_name, module in model.named_modules():
        for parameter, value in module.named_parameters(recurse=False):
            array = value.detach().numpy()
            spelled = parameter
            if isinstance(module, nn.LayerNorm):
                spelled = {"weight": "gamma", "bias": "beta"}[parameter]
            elif isinstance(module, nn.Linear) and parameter == "weight":
                spelled, array = "kernel", array.T
            elif isinstance(module, nn.Embedding) and not module_name.endswith("word_embeddings"):
                spelled = "embeddings"
            module_path = module_name if hasattr(model, kind) else f"{kind}.{module_name}"
            path = f"tf_{kind}_model/{module_path.replace('.', '/')}/{spelled}:0"
            path = re.sub(r"/layer/(\d+)/", r"/layer_._\1/", path).replace("/cls/", "/mlm___cls/")
            yield f"{module_name}.{parameter}", path, array


def write_keras(file: Path, model: nn.Module, kind: str, *, longest_attribute: int = 10**6) -> None:
    """One file; a list of names that is longer than `longest_attribute` is cut into several attributes.

    Keras cuts where HDF5's limit of 64 kB for a header is reached.
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for _, variable, array in variables(model, kind):
        layers.setdefault(variable.split("/")[1], {})[variable] = array
    layers["dropout_3"] = {}
    with h5py.File(file, "w") as handle:
        _write_names(handle, "layer_names", list(layers), longest_attribute)
        handle.attrs["backend"] = b"tensorflow"
        for layer, arrays in layers.items():
            group = handle.create_group(layer)
            _write_names(group, "weight_names", list(arrays), longest_attribute)
            for variable, array in arrays.items():
                group.create_dataset(variable, data=array)


def write_keras_shards(folder: Path, model: nn.Module, kind: str) -> None:
    """Two shards and their index, as transformers itself writes them."""
    arrays = {"/".join(variable.split("/")[1:]): array for _, variable, array in variables(model, kind)}
    names, weight_map = sorted(arrays), {}
    for index in range(2):
        file = f"tf_model-{index + 1:05d}-of-00002.h5"
        with h5py.File(folder / file, "w") as handle:
            for name in names[index::2]:
                handle.create_dataset(name, data=arrays[name])
                weight_map[name] = file
            _write_names(handle, "layer_names", names[index::2], 10**6)
    (folder / "tf_model.h5.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def _write_names(group: h5py.Group, attribute: str, names: Sequence[str], longest: int) -> None:
    data = np.asarray([name.encode("utf8") for name in names]) if names else np.zeros(0, dtype="S1")
    if data.nbytes <= longest:
        group.attrs[attribute] = data
        return
    for index, part in enumerate(np.array_split(data, -(-data.nbytes // longest))):
        group.attrs[f"{attribute}{index}"] = part
