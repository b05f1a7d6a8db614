"""Any number of threads share a pipeline: what each gets is, to the last bit, what one thread alone gets."""

from __future__ import annotations

import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, NumpyOps, get_current_ops
from torch.utils.checkpoint import checkpoint
from transformers import LongformerForMaskedLM, LukeForMaskedLM, LukeModel

from spacy_luke.encoders.kernels.int8 import Int8Weight, Linear
from spacy_luke.fill_mask.fill_mask import FillMask
from spacy_luke.models.wrapper import EncoderShim
from spacy_luke.pipeline.ner.component import LukeNER
from tests.encoders.kernels.test_int8 import needs_int8
from tests.pipeline.encoder.shared_model import adam, examples, initialized
from tests.util import longformer_config, luke_config, randomise, write_longformer, write_luke

from .every_component import FACTORIES, QUESTION, TEXT, asked, blank, open_component, written

THREADS = 8
TEXTS = [TEXT, "London.", "Babbage met Ada Lovelace in London; they know why.", "São Paulo (1066) wasn't in London."]
DROPOUT = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
Call = Callable[[], Any]


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Threads take turns every 10 microseconds instead of every 5 milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(calls: list[Call]) -> list[Any]:
    """Results of calls that start together, each in a thread of its own."""
    barrier = threading.Barrier(len(calls))

    def run(call: Call) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def in_turn(calls: list[Call], order: random.Random) -> list[Any]:
    """Results of calls that are made in a random order."""
    index = list(range(len(calls)))
    order.shuffle(index)
    found = {i: calls[i]() for i in index}
    return [found[i] for i in range(len(calls))]


def assert_threads_change_nothing(calls: list[Call], *, rounds: int = 2) -> None:
    expected = [call() for call in calls]
    jobs = [lambda seed=seed: in_turn(calls * rounds, random.Random(seed)) for seed in range(THREADS)]
    for found in at_once(jobs):
        assert found == expected * rounds


def numbers(found: list[tuple[list[Any], Any]]) -> list[bytes]:
    """Scores that `logits` gives, without their spans."""
    return [np.asarray(row).tobytes() for _, scores in found for row in scores]


def calls_of(nlp: Language) -> list[Call]:
    """Mixed ways to predict with all components of a pipeline."""
    calls: list[Call] = [
        lambda: [written(doc) for doc in nlp.pipe([asked(nlp, text) for text in TEXTS], batch_size=3)],
        lambda: written(nlp(asked(nlp, TEXTS[2]))),
    ]

    def docs() -> list[Doc]:
        return [asked(nlp, text) for text in TEXTS]

    for name, pipe in nlp.pipeline:
        found: Any = pipe
        if hasattr(found, "logits"):
            calls.append(lambda found=found: numbers(found.logits(docs())))
        if name == "luke_qa":
            calls.append(lambda found=found: [(a.text, a.score) for a in found.answer(docs()[0], QUESTION, 3)])
        if name == "luke_multiple_choice":
            calls.append(lambda found=found: [(c.index, c.score) for c in found.choose(docs()[0], ["Ada", "they"])])
        if name == "luke_encoder":
            calls.append(lambda found=found: [vectors.pieces.tobytes() for vectors in found.vectors(docs())])
    return calls


def with_dropout(nlp: Language) -> Language:
    """Set the dropout that would be seen in predictions."""
    for _, pipe in nlp.pipeline:
        for shim in getattr(getattr(pipe, "model", None), "shims", ()):
            for part in shim._model.modules():
                for rate in ("p", "attention_dropout"):
                    if hasattr(part, rate):
                        setattr(part, rate, 0.5)
    return nlp


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.filterwarnings("ignore:.*W023")
def test_a_component_with_an_encoder_of_its_own(tmp_path: Path, factory: str) -> None:
    nlp, _ = open_component(factory, tmp_path / "checkpoint")
    assert_threads_change_nothing(calls_of(with_dropout(nlp)))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    write_luke(folder, randomise(LukeModel(luke_config(**DROPOUT))))
    return folder


@pytest.mark.filterwarnings("ignore:.*W002")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", pytest.param("int8", marks=needs_int8)])
def test_components_that_share_an_encoder(bare: Path, precision: str) -> None:
    nlp = initialized(bare, set_vectors=True, model={"@architectures": "spacy-luke.LukeEncoder.v1"})
    nlp.get_pipe("luke_encoder").encoder.precision = precision  # type: ignore[attr-defined]
    assert_threads_change_nothing(calls_of(with_dropout(nlp)), rounds=1)


@pytest.mark.parametrize("encoder", ["luke", "longformer"])
def test_fill_mask(tmp_path: Path, encoder: str) -> None:
    if encoder == "luke":
        write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config(**DROPOUT))))
    else:
        write_longformer(tmp_path, randomise(LongformerForMaskedLM(longformer_config(**DROPOUT))))
    fill = FillMask.from_checkpoint(tmp_path)
    texts = [text.replace("London", "<mask>") for text in TEXTS]
    assert_threads_change_nothing(
        [lambda: fill(texts[0]), lambda: list(fill.pipe(texts)), lambda: numbers(fill.logits(texts))]
    )


# First use


@needs_int8
def test_int8_weights_are_packed_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = initialized(bare)
    encoder = nlp.get_pipe("luke_encoder").encoder  # type: ignore[attr-defined]
    encoder.precision = "int8"
    packed: list[tuple[int, ...]] = []

    def of(weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor]) -> Int8Weight:
        packed.append(tuple(weight.data_ptr() for weight in weights))
        threading.Event().wait(0.005)  # the others come
        return made(weights, biases)

    made = Int8Weight.of
    monkeypatch.setattr(Int8Weight, "of", of)
    at_once([lambda: nlp.get_pipe("luke_ner").predict([asked(nlp)])] * THREADS)
    assert packed
    assert len(packed) == len(set(packed)) <= sum(isinstance(part, Linear) for part in encoder.modules())


def test_weights_of_the_box_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("luke_encoder", "luke_ner", "luke_entity_typer", "luke_relations", "luke_entity_linker", "luke_qa")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = blank(*names)
        expected = [written(alone(asked(alone, text))) for text in TEXTS[1:]]
    nlp = blank(*names)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        every = at_once([lambda: [written(nlp(asked(nlp, text))) for text in TEXTS[1:]]] * THREADS)
    assert all(found == expected for found in every)
    told = [str(warning.message) for warning in given if "[W001]" in str(warning.message)]
    assert sorted(text.split()[1] for text in told) == sorted(names[1:])


def test_weights_of_the_box_go_where_the_component_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has set no device starts with the CPU."""
    nlp = blank("luke_ner")
    pipe: Any = nlp.get_pipe("luke_ner")
    pipe.model.ops = NumpyOps()
    seen = []
    load = LukeNER._load_bundled
    monkeypatch.setattr(LukeNER, "_load_bundled", lambda self, **_: seen.append(get_current_ops()) or load(self))
    with pytest.warns(match="W001"):
        [after] = at_once([lambda: (pipe.predict([]), get_current_ops())[1]])
    assert seen == [pipe.model.ops]
    assert after is not pipe.model.ops


@pytest.mark.filterwarnings("always:.*W002")
def test_a_warning_comes_once(bare: Path, recwarn: pytest.WarningsRecorder) -> None:
    nlp = initialized(bare)
    pipe: Any = nlp.get_pipe("luke_ner")
    recwarn.clear()
    at_once([lambda: pipe.predict([nlp.make_doc(TEXT)])] * THREADS)
    assert len([one for one in recwarn if "W002" in str(one.message)]) == 1


def test_the_step_that_waits_is_taken_by_one_thread_while_others_wait(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nlp.update` leaves the step of a shared encoder to whoever predicts next."""

    def trained() -> tuple[Language, Any]:
        nlp = initialized(bare, ("luke_ner",))
        nlp.update(examples(nlp), sgd=adam(0.1))
        assert nlp.get_pipe("luke_encoder")._waiting is not None  # type: ignore[attr-defined]
        return nlp, nlp.get_pipe("luke_ner")

    def scores(nlp: Language, pipe: Any) -> list[bytes]:
        return numbers(pipe.logits([examples(nlp)[0].predicted]))

    expected = scores(*trained())
    begun, others, steps = threading.Event(), threading.Event(), []
    finish = EncoderShim.finish_update

    def slowly(self: EncoderShim, optimizer: Any) -> None:
        steps.append(optimizer)
        begun.set()
        others.wait(0.5)  # which they do not do before the step
        finish(self, optimizer)

    nlp, pipe = trained()
    monkeypatch.setattr(EncoderShim, "finish_update", slowly)

    def late() -> list[bytes]:
        begun.wait()
        found = scores(nlp, pipe)
        others.set()
        return found

    assert at_once([lambda: scores(nlp, pipe), *[late] * (THREADS - 1)]) == [expected] * THREADS
    assert len(steps) == 1


# Training


class Recomputing(torch.nn.Module):
    """Computes its dropout again in the backward pass, as the layers of encoders may."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1000))
        self.dropout = torch.nn.Dropout(0.5)
        self.modes: list[bool] = []

    def forward(self, fails: bool = False) -> torch.Tensor:
        if fails:
            raise ZeroDivisionError
        return checkpoint(self._dropped, self.weight * 1.0, use_reentrant=False)

    def _dropped(self, rows: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training)
        return self.dropout(rows) * rows


def inputs(*args: Any) -> ArgsKwargs:
    return ArgsKwargs(args=args, kwargs={})


def test_only_an_update_computes_in_training_mode_and_its_backward_pass_too() -> None:
    module = Recomputing()
    shim = EncoderShim(module)
    assert not module.training
    torch.manual_seed(0)
    output, backprop = shim.begin_update(inputs())
    assert not module.training
    assert torch.equal(shim.predict(inputs()), torch.ones(1000))
    gradient = inputs((output,))
    gradient.kwargs["grad_tensors"] = torch.ones(1000)
    backprop(gradient)
    assert not any(part.training for part in module.modules())
    assert module.modes == [True, False, True]
    assert module.weight.grad is not None
    assert set(module.weight.grad.tolist()) == {0.0, 4.0}
    assert torch.equal(module.weight.grad > 0, output > 0), "the same dropout both times"


def test_an_update_that_fails_leaves_evaluation_mode() -> None:
    module = Recomputing()
    shim = EncoderShim(module)
    with pytest.raises(ZeroDivisionError):
        shim.begin_update(inputs(True))
    assert not any(part.training for part in module.modules())


def test_components_that_annotate_in_an_update_predict_without_dropout(bare: Path) -> None:
    nlp = initialized(bare, ("luke_ner",))
    pipe: Any = nlp.get_pipe("luke_ner")
    [example] = examples(nlp)
    before = numbers(pipe.logits([example.predicted]))
    seen = []
    predict = pipe.predict
    pipe.predict = lambda docs: seen.append(predict(docs)) or seen[-1]
    nlp.update([example], drop=0.5, sgd=False, annotates=["luke_ner"])  # type: ignore[arg-type]  # the weights stay
    [[during]] = seen
    assert numbers([([], during.logits)]) == before
    assert not pipe._module.training
