"""Components that predict in int8: close to float32, the same after saving, and never with the weights of before."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from spacy.lang.en import English
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from spacy_luke.errors import LukeError
from tests.encoders.kernels.test_int8 import needs_int8
from tests.pipeline.base.test_encoder_choice import blank
from tests.util import write_longformer, write_luke

pytestmark = needs_int8

WORDS = ["Ada", "Lovelace", "met", "Charles", "Babbage", "in", "London", "."]
ENTS = ["B-PER", "I-PER", "O", "B-PER", "I-PER", "O", "B-LOC", "O"]


@pytest.fixture(scope="module", params=["luke", "longformer"])
def folders(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp(request.param)
    (write_luke if request.param == "luke" else write_longformer)(path)
    return request.param, path


@pytest.fixture
def nlp(folders: tuple[str, Path]) -> Language:
    return trained(*folders)


def trained(encoder: str, folder: Path, precision: str = "int8") -> Language:
    """A pipeline that has learned its example, so that margins between labels are clear."""
    nlp, pipe = blank("luke_ner", encoder, precision=precision)
    pipe.initialize(lambda: [example(nlp)], nlp=nlp, checkpoint=str(folder), labels=["PER", "LOC"])
    torch.manual_seed(0)
    pipe._module.classifier.reset_parameters()
    learn(nlp, 12)
    return nlp


def learn(nlp: Language, steps: int) -> None:
    sgd = Adam(0.003, use_averages=False)
    for _ in range(steps):
        nlp.get_pipe("luke_ner").update([example(nlp)], sgd=sgd)


def make_doc(nlp: Language) -> Doc:
    return Doc(nlp.vocab, words=WORDS, sent_starts=[True] + [False] * 7)


def example(nlp: Language) -> Example:
    return Example(make_doc(nlp), Doc(nlp.vocab, words=WORDS, sent_starts=[True] + [False] * 7, ents=ENTS))


def logits(nlp: Language) -> np.ndarray:
    [(_, rows)] = nlp.get_pipe("luke_ner").logits([make_doc(nlp)])
    return np.asarray(rows)


def set_precision(nlp: Language, precision: str) -> None:
    nlp.get_pipe("luke_ner")._module.encoder.precision = precision


def test_logits_are_close_and_clear_labels_the_same(nlp: Language) -> None:
    rough = logits(nlp)
    set_precision(nlp, "float32")
    exact = logits(nlp)
    scale = np.abs(exact).max()
    assert 0 < np.abs(rough - exact).max() < 0.1 * scale
    first, second = np.sort(exact, axis=-1)[:, :-3:-1].T
    clear = first - second > 0.1 * scale
    assert clear.sum() > 10
    assert np.array_equal(rough.argmax(-1)[clear], exact.argmax(-1)[clear])


def to_disk_and_back(nlp: Language, path: Path) -> Language:
    nlp.to_disk(path)
    return spacy.load(path)


def to_bytes_and_back(nlp: Language, path: Path) -> Language:
    return English.from_config(nlp.config).from_bytes(nlp.to_bytes())


AGAIN: dict[str, Callable[[Language, Path], Language]] = {
    "to_disk": to_disk_and_back,
    "to_bytes": to_bytes_and_back,
    "pickle": lambda nlp, path: pickle.loads(pickle.dumps(nlp)),
    "deepcopy": lambda nlp, path: copy.deepcopy(nlp),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_copies_predict_the_same_and_hold_float32(nlp: Language, again: Any, tmp_path: Path) -> None:
    before = logits(nlp)
    other = again(nlp, tmp_path / "saved")
    encoder = other.get_pipe("luke_ner")._module.encoder
    assert encoder.precision == "int8"
    assert np.array_equal(logits(other), before)
    weights, others = nlp.get_pipe("luke_ner")._module.state_dict(), other.get_pipe("luke_ner")._module.state_dict()
    assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


def test_predictions_follow_training(nlp: Language) -> None:
    before = logits(nlp)
    learn(nlp, 3)
    after = logits(nlp)
    set_precision(nlp, "float32")
    exact = logits(nlp)
    scale = np.abs(exact).max()
    assert np.abs(after - exact).max() < 0.1 * scale < np.abs(before - exact).max()


def test_predictions_while_gradients_wait_do_not_outlive_the_step(nlp: Language) -> None:
    """As in `nlp.update`, where annotating components predict before the optimiser's step."""
    pipe = nlp.get_pipe("luke_ner")
    pipe.update([example(nlp)])
    before = logits(nlp)
    pipe.finish_update(Adam(0.01, use_averages=False))
    after = logits(nlp)
    set_precision(nlp, "float32")
    exact = logits(nlp)
    assert np.abs(after - exact).max() < 0.1 * np.abs(exact).max()
    assert np.abs(before - exact).max() > 2 * np.abs(after - exact).max()


def test_training_is_that_of_float32(folders: tuple[str, Path]) -> None:
    found = [trained(*folders, precision=precision) for precision in ("float32", "int8")]
    logits(found[1])
    for nlp in found:
        learn(nlp, 1)
    exact, other = (nlp.get_pipe("luke_ner")._module.state_dict() for nlp in found)
    assert all(torch.equal(tensor, other[name]) for name, tensor in exact.items())


def test_a_gpu_raises_l008_when_weights_are_loaded(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = folders
    nlp, pipe = blank("luke_ner", encoder, precision="int8")
    monkeypatch.setattr("spacy_luke.models.encoder_settings.get_torch_default_device", lambda: torch.device("cuda", 0))
    with pytest.raises(LukeError, match=r"L008.*cuda:0"):
        pipe.initialize(lambda: [example(nlp)], nlp=nlp, checkpoint=str(folder))
    assert not pipe.has_weights
