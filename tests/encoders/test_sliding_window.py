"""Cost of attention: nothing of the size pieces x pieces, and only as much as the window asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from spacy_luke.encoders.config import LongformerConfig
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.longformer import LongformerEncoder
from spacy_luke.encoders.sliding_window import AttentionPattern, Blocks
from tests.util import longformer_config, make_input

WIDTH = 48  # of the widest state of a piece: inside the feed-forward


class Sizes(TorchDispatchMode):
    """Elements of the largest tensor and of all tensors that operations make."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
                self.total += tensor.numel()
        return result


def encoder(**changes: Any) -> LongformerEncoder:
    sizes = {"max_position_embeddings": 1602, "attention_window": 32, "num_hidden_layers": 1, **changes}
    config = longformer_config(**sizes)
    made = LongformerEncoder(LongformerConfig.from_dict(config.to_dict()), pooling=False)
    made.reset_parameters()
    return made


def batch_of(pieces: int, *, global_pieces: int, masked: bool) -> EncoderInput:
    batch = make_input([pieces], None)
    batch.global_mask = torch.arange(pieces)[None] < global_pieces
    batch.piece_mask[0, -3:] = not masked
    return batch


def forward(model: LongformerEncoder, batch: EncoderInput) -> None:
    with torch.no_grad():
        model.eval()(batch)


def train(model: LongformerEncoder, batch: EncoderInput) -> None:
    model.train()(batch).pieces.sum().backward()


@pytest.mark.parametrize("global_pieces", [0, 2, 20])
@pytest.mark.parametrize(("step", "dropout"), [(forward, 0.0), (train, 0.0), (train, 0.1)])
def test_memory_grows_linearly(step: Callable[..., None], dropout: float, global_pieces: int) -> None:
    found = []
    for pieces in (400, 800, 1600):
        model = encoder(attention_probs_dropout_prob=dropout)
        batch = batch_of(pieces, global_pieces=global_pieces, masked=True)
        with Sizes() as sizes:
            step(model, batch)
        assert sizes.largest < 400 * pieces
        found.append(sizes.total)
    first, second, third = found
    assert third - second == pytest.approx(2 * (second - first), rel=0.05)


def test_training_keeps_no_attention_weights() -> None:
    """What is kept for the backward pass does not grow with the window, but for the masks, which the layers share."""
    kept = []
    for window in (32, 256):
        model = encoder(attention_probs_dropout_prob=0.1, attention_window=window).train()
        shapes: list[torch.Size] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=shapes: s.append(t.shape) or t, lambda t: t):
            model(batch_of(800, global_pieces=2, masked=True))
        kept.append(sum(shape.numel() for shape in shapes if shape[:2] != (1, 1)))
    assert kept[1] <= 1.02 * kept[0]


def flops(step: Callable[..., None], model: LongformerEncoder, batch: EncoderInput) -> int:
    """Of matrix products; those inside a fused kernel would not be counted."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step(model, batch)
    return counter.get_total_flops()


@pytest.mark.parametrize("global_pieces", [0, 2, 20])
@pytest.mark.parametrize("step", [forward, train])
def test_time_grows_linearly(step: Callable[..., None], global_pieces: int) -> None:
    found = [
        flops(step, encoder(), batch_of(pieces, global_pieces=global_pieces, masked=True))
        for pieces in (400, 800, 1600)
    ]
    first, second, third = found
    assert third - second == pytest.approx(2 * (second - first), rel=0.05)


def test_a_global_piece_costs_less_than_a_projection_of_all_pieces() -> None:
    model, pieces = encoder(), 1000
    base = flops(forward, model, batch_of(pieces, global_pieces=0, masked=False))
    one, two = (flops(forward, model, batch_of(pieces, global_pieces=n, masked=False)) - base for n in (1, 2))
    projection = 2 * pieces * model.config.hidden_size**2
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    assert one / layers < projection / 2
    # Scores and mixture of a piece for each head, and its part in the scores of all others.
    assert one / layers < 2 * 2 * pieces * model.config.hidden_size * (heads + 2)
    assert two == pytest.approx(2 * one, rel=0.05)


def test_many_global_pieces_cost_the_projections_once() -> None:
    model, pieces = encoder(), 1000
    found = [flops(forward, model, batch_of(pieces, global_pieces=n, masked=False)) for n in (20, 40)]
    each = (found[1] - found[0]) / 20 / model.config.num_hidden_layers
    assert each < 2 * 2 * pieces * model.config.hidden_size * 3


@pytest.mark.parametrize("pieces", [1, 9, 17])
def test_a_short_text_is_one_block_without_padding(pieces: int) -> None:
    batch = make_input([pieces], None)
    blocks = Blocks.from_pattern(AttentionPattern.from_batch(batch), 32)
    assert blocks.size == pieces
    assert blocks.masks == (None,)
    model = encoder()
    with Sizes() as sizes:
        forward(model, batch)
    assert sizes.largest <= max(WIDTH * pieces, WIDTH * 32)  # the other is a matrix of weights


@pytest.mark.parametrize("window", [2, 6, 10, 32, 64, 66, 130])
@pytest.mark.parametrize("pieces", [6, 31, 32, 33, 64, 100, 260])
def test_blocks_see_the_window_and_nothing_else(window: int, pieces: int) -> None:
    """The masks of the blocks put together are the band, with global pieces apart and masked ones nowhere."""
    batch = batch_of(pieces, global_pieces=2, masked=True)
    pattern = AttentionPattern.from_batch(batch)
    blocks = Blocks.from_pattern(pattern, window)
    seen = torch.zeros(pieces, pieces, dtype=torch.bool)
    for i, mask in enumerate(blocks.masks):
        allowed = mask[0, 0] == 0
        if blocks.global_pieces is not None:
            allowed, apart = allowed[:, :-2], allowed[:, -2:]
            assert apart.all()
        first = max(i - blocks.neighbours, 0) * blocks.size
        seen[i * blocks.size : (i + 1) * blocks.size, first : first + allowed.shape[1]] = allowed
    index = torch.arange(pieces)
    expected = ((index - index[:, None]).abs() <= window // 2) & batch.piece_mask[0]
    if blocks.global_pieces is not None:
        expected[:, :2] = False
    assert torch.equal(seen, expected)
