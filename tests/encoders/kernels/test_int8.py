"""Linear layers that predict in int8: how close they are, and that no int8 copy outlives its weight."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LongformerModel, LukeModel

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.encoder import Encoder
from spacy_luke.encoders.kernels import int8 as linear
from spacy_luke.encoders.kernels.int8 import Int8Weight, Linear, project, require_int8
from spacy_luke.errors import LukeError
from tests.util import longformer_config, luke_config, make_input, randomise, write_longformer, write_luke


def has_int8() -> bool:
    try:
        require_int8(torch.device("cpu"))
    except LukeError:
        return False
    return True


needs_int8 = pytest.mark.skipif(not has_int8(), reason="PyTorch has no int8 kernels for this CPU")


def make_layer(inputs: int = 96, outputs: int = 40) -> Linear:
    torch.manual_seed(0)
    layer = Linear(inputs, outputs).eval()
    layer.int8 = True
    return layer


def predict(layer: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return layer.eval()(rows)


def make_rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def relative_error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).detach().norm() / exact.detach().norm())


@pytest.fixture(params=["luke", "independent luke", "longformer"])
def encoder(request: Any, tmp_path: Path) -> Encoder:
    if request.param == "longformer":
        write_longformer(tmp_path, randomise(LongformerModel(longformer_config())))
    else:
        write_luke(tmp_path, randomise(LukeModel(luke_config())))
    checkpoint = open_checkpoint(tmp_path)
    if request.param == "independent luke":
        checkpoint = checkpoint.with_independent_attention()
    return checkpoint.load_encoder().eval()


# --- one layer


@needs_int8
@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_no_product_is_cut_off(weight: float) -> None:
    """The largest integers of rows and weights, in every pair that a CPU without VNNI adds in 16 bits."""
    layer, rows = make_layer(), torch.ones(5, 96)
    rows[:, 95] = 0  # the others are the largest integer
    with torch.no_grad():
        layer.weight.fill_(weight)
        layer.bias.zero_()
    torch.testing.assert_close(predict(layer, rows), torch.full((5, 40), 95.0 * weight))
    torch.testing.assert_close(predict(layer, -rows), torch.full((5, 40), -95.0 * weight))


@needs_int8
@pytest.mark.parametrize("inputs", [96, 97, 98])
def test_products_are_those_of_rounded_rows_and_weights(inputs: int) -> None:
    layer, rows = make_layer(inputs), make_rows(7, inputs)
    lowest, scale = rows.amin(1, keepdim=True), layer.weight.detach().abs().amax(1, keepdim=True) / 64
    step = (rows.amax(1, keepdim=True) - lowest) / 255
    rounded = ((rows - lowest) / step).round() * step + lowest
    expected = F.linear(rounded, (layer.weight / scale).round() * scale, layer.bias)
    torch.testing.assert_close(predict(layer, rows), expected, atol=1e-5, rtol=1e-5)


@needs_int8
def test_rows_of_one_number_are_exact() -> None:
    layer = make_layer()
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-64, 65, (40, 96)).index_fill_(1, torch.tensor([0]), 64))
    rows = torch.tensor([[-3.0], [0.0], [0.5]]).expand(3, 96)
    torch.testing.assert_close(predict(layer, rows), F.linear(rows, layer.weight, layer.bias))


@needs_int8
@pytest.mark.parametrize("activation", [None, F.gelu, F.relu])
def test_an_activation_follows_the_product(activation: Any) -> None:
    layer, rows = make_layer(), make_rows(7, 96)
    with torch.no_grad():
        found, product = layer(rows, activation), layer(rows)
    assert torch.equal(found, product if activation is None else activation(product))


@needs_int8
def test_layers_of_the_same_rows_give_what_each_gives_alone() -> None:
    layers, rows = [make_layer(outputs=n) for n in (40, 24, 7)], make_rows(3, 5, 96)
    with torch.no_grad():
        together = project(rows, *layers)
        assert [part.shape for part in together] == [(3, 5, 40), (3, 5, 24), (3, 5, 7)]
        assert all(torch.equal(layer(rows), part) for layer, part in zip(layers, together, strict=True))


@pytest.mark.parametrize("int8", [False, True])
def test_layers_of_the_same_rows_train_in_float32(int8: bool) -> None:
    layers, rows = [make_layer(outputs=n) for n in (40, 24)], make_rows(3, 96)
    for layer in layers:
        layer.int8 = int8
    for layer, part in zip(layers, project(rows, *layers), strict=True):
        assert torch.equal(part, linear.linear(rows, layer.weight, layer.bias))
        assert part.requires_grad


@needs_int8
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("parameter", ["weight", "bias"])
def test_one_number_that_is_not_finite_makes_all_outputs_nan(parameter: str, value: float) -> None:
    """The layer after it rounds rows whose numbers are all finite or all not."""
    layer = make_layer()
    with torch.no_grad():
        getattr(layer, parameter)[3] = value
    assert predict(layer, make_rows(4, 96)).isnan().all()


@needs_int8
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_row_that_is_not_finite_gives_no_finite_number(value: float) -> None:
    layer, rows = make_layer(), make_rows(4, 96)
    exact = predict(layer, rows)
    rows[2] = value
    found = predict(layer, rows)
    assert not found[2].isfinite().any()
    assert torch.equal(found[[0, 1, 3]], exact[[0, 1, 3]])


@needs_int8
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (2, 0), (0, 4), ()])
def test_rows_may_have_any_shape(shape: tuple[int, ...]) -> None:
    layer, rows = make_layer(), make_rows(*shape, 96)
    found, exact = predict(layer, rows), F.linear(rows, layer.weight, layer.bias)
    assert (found.shape, found.dtype) == (exact.shape, torch.float32)
    assert not exact.numel() or relative_error(found, exact) < 0.03


@needs_int8
def test_what_a_row_gives_depends_on_no_other_row() -> None:
    layer, rows = make_layer(), make_rows(6, 96)
    rows[3] *= 1000
    together = predict(layer, rows)
    assert all(torch.equal(predict(layer, rows[i : i + 1])[0], together[i]) for i in range(6))


@needs_int8
def test_rows_and_outputs_of_zeros_give_the_bias() -> None:
    layer = make_layer()
    with torch.no_grad():
        layer.weight[:3] = 0
    found = predict(layer, torch.cat([torch.zeros(1, 96), make_rows(2, 96)]))
    assert torch.equal(found[0], layer.bias.detach())
    assert torch.equal(found[:, :3], layer.bias.detach()[:3].expand(3, 3))


def test_training_and_autograd_compute_in_float32() -> None:
    layer, rows = make_layer(), make_rows(4, 96)
    exact = F.linear(rows, layer.weight, layer.bias)
    # The product may be another library's than F.linear takes; int8 is off by more than a hundredth.
    assert relative_error(layer(rows), exact) < 1e-6
    with torch.no_grad():
        assert relative_error(layer.train()(rows), exact) < 1e-6


# --- changed weights


def adamw_step(layer: Linear, **options: Any) -> None:
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.5, **options)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad()


def replace_data(layer: Linear) -> None:
    layer.weight.data = layer.weight.data * 2


def add_in_place(layer: Linear) -> None:
    with torch.no_grad():
        layer.weight.add_(1)


def add_to_bias(layer: Linear) -> None:
    with torch.no_grad():
        layer.bias.add_(1)


CHANGES: dict[str, Callable[[Linear], Any]] = {
    "a step of a fused optimiser": lambda layer: adamw_step(layer, fused=True),
    "a step of a foreach optimiser": lambda layer: adamw_step(layer, foreach=True),
    "a step of a plain optimiser": lambda layer: adamw_step(layer, foreach=False),
    "a change in place": add_in_place,
    "a change of the bias in place": add_to_bias,
    "another storage": replace_data,
    "another parameter": lambda layer: setattr(layer, "weight", nn.Parameter(layer.weight.detach() + 1)),
    "load_state_dict": lambda layer: layer.load_state_dict(nn.Linear(96, 40).state_dict()),
    "load_state_dict(assign)": lambda layer: layer.load_state_dict(nn.Linear(96, 40).state_dict(), assign=True),
    "there and back": lambda layer: add_in_place(layer.double().float()),
}


@needs_int8
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_prediction_follows_each_change_of_the_weight(change: Callable[[Linear], Any]) -> None:
    layer, rows = make_layer(), make_rows(6, 96)
    before = predict(layer, rows)
    for _ in range(2):
        change(layer)
        exact = F.linear(rows, layer.weight, layer.bias)
        assert relative_error(before, exact) > 0.1
        assert relative_error(predict(layer, rows), exact) < 0.03


@needs_int8
@pytest.mark.parametrize("changed", [0, 1])
def test_a_prediction_of_several_layers_follows_a_change_of_each(changed: int) -> None:
    layers, rows = [make_layer(), make_layer()], make_rows(6, 96)
    with torch.no_grad():
        before = project(rows, *layers)
        add_in_place(layers[changed])
        after = project(rows, *layers)
        assert torch.equal(before[1 - changed], after[1 - changed])
        assert relative_error(after[changed], F.linear(rows, layers[changed].weight, layers[changed].bias)) < 0.03


@needs_int8
def test_weights_made_in_inference_mode_are_followed() -> None:
    with torch.inference_mode():
        layer, rows = make_layer(), make_rows(6, 96)
        layer(rows)
        layer.weight.add_(1)
        assert relative_error(layer(rows), F.linear(rows, layer.weight, layer.bias)) < 0.03


@needs_int8
def test_an_unchanged_weight_is_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, rows = make_layer(), make_rows(6, 96)
    predict(layer, rows)
    monkeypatch.setattr(Int8Weight, "of", None)
    layer.train()
    predict(layer, rows)


@needs_int8
@pytest.mark.parametrize("again", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_predict_the_same_and_have_weights_of_their_own(again: Callable[[Linear], Linear]) -> None:
    layer, rows = make_layer(), make_rows(6, 96)
    before = predict(layer, rows)
    other = again(layer)
    assert torch.equal(predict(other, rows), before)
    add_in_place(other)
    assert not torch.equal(predict(other, rows), before)
    assert torch.equal(predict(layer, rows), before)


@needs_int8
def test_the_state_is_that_of_a_linear_layer() -> None:
    layer = make_layer()
    predict(layer, make_rows(6, 96))
    assert {name: t.dtype for name, t in layer.state_dict().items()} == dict.fromkeys(("weight", "bias"), torch.float32)


# --- devices


def test_another_device_raises_l008() -> None:
    layer = make_layer().to("meta")
    with torch.no_grad(), pytest.raises(LukeError, match=r"L008.*meta"):
        layer(torch.empty(2, 96, device="meta"))


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing(*_: Any) -> None:
        raise AttributeError

    linear._cpu_has_int8.cache_clear()
    monkeypatch.setattr(Int8Weight, "_multiply", missing)
    yield
    linear._cpu_has_int8.cache_clear()


def test_a_pytorch_without_the_kernels_raises_l008(no_kernels: None) -> None:
    with torch.no_grad(), pytest.raises(LukeError, match=r"L008.*cpu"):
        make_layer()(make_rows(2, 96))


# --- encoders


def test_all_linear_layers_of_the_layers_and_no_others_predict_in_int8(encoder: Encoder) -> None:
    encoder.precision = "int8"
    layers: Any = encoder.layers
    inside = {id(part) for part in layers.modules() if isinstance(part, nn.Linear)}
    assert inside == {id(part) for part in encoder.modules() if isinstance(part, Linear) and part.int8}
    encoder.precision = "bfloat16"
    assert not any(part.int8 for part in encoder.modules() if isinstance(part, Linear))


def batch() -> Any:
    made = make_input([60, 9, 33], [[(1, 3), (5, 6), (2, 9)], [(0, 9)], []])
    made.global_mask = torch.zeros_like(made.piece_mask)
    made.global_mask[0, [0, *range(20, 40)]] = made.global_mask[1, 0] = True  # more than a head is wide
    return made


@needs_int8
def test_states_are_close_to_those_of_float32(encoder: Encoder) -> None:
    with torch.no_grad():
        exact = encoder(batch())
        encoder.precision = "int8"
        rough = encoder(batch())
    keep = batch().piece_mask
    assert rough.pieces.dtype == torch.float32
    assert 0 < relative_error(rough.pieces[keep], exact.pieces[keep]) < 0.05
    if exact.entities is not None:
        keep = batch().entity_mask
        assert 0 < relative_error(rough.entities[keep], exact.entities[keep]) < 0.05


@needs_int8
@pytest.mark.parametrize("independent", [False, True])
def test_pieces_are_rounded_once_for_query_key_and_value(tmp_path: Path, monkeypatch, independent: bool) -> None:
    write_luke(tmp_path, randomise(LukeModel(luke_config())))
    checkpoint = open_checkpoint(tmp_path)
    luke = (checkpoint.with_independent_attention() if independent else checkpoint).load_encoder().eval()
    luke.precision = "int8"
    rounded, of = [], linear.Int8Rows.of
    monkeypatch.setattr(linear.Int8Rows, "of", lambda rows: rounded.append(rows.shape[-1]) or of(rows))
    with torch.no_grad():
        luke(replace(batch(), entity_ids=None, entity_spans=None, entity_mask=None))
    config = luke.config  # before the attention, its output, and the two layers of the feed-forward
    widths = [config.hidden_size] * 3 + [config.intermediate_size]
    assert rounded == widths * config.num_hidden_layers


@needs_int8
@pytest.mark.parametrize("layer", ["attention.key", "attention.value", "attention.output", "feed_forward.inner"])
def test_one_nan_in_a_bias_reaches_the_states(encoder: Encoder, layer: str) -> None:
    encoder.precision = "int8"
    with torch.no_grad():
        encoder.get_submodule(f"layers.0.{layer}").bias[1] = float("nan")
        states = encoder(batch()).pieces
    assert not states[batch().piece_mask & ~batch().global_mask].isfinite().any()


@needs_int8
def test_gradients_after_a_prediction_in_int8_are_those_of_float32(encoder: Encoder) -> None:
    found = []
    for precision in ("float32", "int8"):
        encoder.precision = precision
        with torch.no_grad():
            encoder.eval()(batch())
        encoder.train()(batch()).pieces.square().sum().backward()
        found.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
        encoder.zero_grad(set_to_none=True)
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(gradient, found[1][name]) for name, gradient in found[0].items())


@needs_int8
def test_predictions_follow_a_step_between_forward_and_backward_passes(encoder: Encoder) -> None:
    """A fused step that autograd does not see, after a prediction with gradients pending."""
    encoder.precision = "int8"
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, fused=True)
    output = encoder.train()(batch()).pieces
    with torch.no_grad():
        before = encoder.eval()(batch()).pieces
    output.square().sum().backward()
    with torch.no_grad():
        encoder(batch())
    optimizer.step()
    with torch.no_grad():
        after = encoder(batch()).pieces
        encoder.precision = "float32"
        exact = encoder(batch()).pieces
    keep = batch().piece_mask
    assert relative_error(before[keep], exact[keep]) > 0.1
    assert relative_error(after[keep], exact[keep]) < 0.05
