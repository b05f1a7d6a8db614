"""A fingerprint of an encoder's weights, by which a head knows the encoder that it was saved with."""

from __future__ import annotations

import hashlib

import torch

from ..encoders.encoder import Encoder

# Weights of a tensor that are read: a step of training changes all of it.
_SAMPLE = 256
# The table that a smaller or larger entity vocabulary changes, and a part that only some heads add.
_CHANGING = ("entity_embeddings.entity.", "pooler.")


def fingerprint(encoder: Encoder) -> str:
    """16 hexadecimal digits that are the same for the same weights, whatever entities the vocabulary has.

    The weights count as float16 has them, so that storing them as that changes nothing.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        if not name.startswith(_CHANGING):
            values = tensor.flatten()
            values = values[:: max(len(values) // _SAMPLE, 1)].to("cpu", torch.float16)
            digest.update(name.encode("utf8") + values.numpy().astype("<f2").tobytes())
    return digest.hexdigest()[:16]
