"""The span filter: what it keeps is encoded as if nothing had been dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LukeForEntitySpanClassification

from spacy_luke.checkpoints.heads import SPAN_CLASSIFIER
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.heads import EntitySpanClassification
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.span_filter import SpanFilter, SpanFilterSettings, best_of_each, build_span_filter
from spacy_luke.errors import LukeError
from tests.util import luke_config, make_input, randomise, write_luke

LAYERS = 3
SPANS = [[(i, j) for i in range(12) for j in range(i + 1, 13)], [(1, 3), (2, 7), (0, 1)], []]
BATCH = make_input([12, 8, 3], SPANS, entities=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Any:
    path = tmp_path_factory.mktemp("luke")
    config = luke_config(num_hidden_layers=LAYERS, num_labels=3)
    write_luke(path, randomise(LukeForEntitySpanClassification(config)))
    return path


def classifier(folder: Any, **options: Any) -> EntitySpanClassification:
    """An encoder with a random filter that finds some spans probable and others not."""
    checkpoint = open_checkpoint(folder).with_independent_attention()
    span_filter = build_span_filter(**{"layer": 1, "threshold": 0.5, "floor": 0, **options})
    module, _ = checkpoint.load_task_module(SPAN_CLASSIFIER, "full", span_filter=span_filter)
    assert isinstance(module, EntitySpanClassification)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.span_filter.parameters():  # type: ignore[union-attr]
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module.eval()


@pytest.mark.parametrize("layer", range(1, LAYERS))
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9])
def test_kept_spans_have_the_logits_they_have_without_a_filter(folder, layer, threshold):
    module = classifier(folder, layer=layer, threshold=threshold)
    with torch.no_grad():
        filtered = module(BATCH)
        module.span_filter = None
        whole = module(BATCH)
    dropped = filtered[..., :-1].isneginf()
    assert torch.equal(dropped.any(-1), dropped.all(-1))
    kept = ~dropped.any(-1)
    assert not kept[~BATCH.entity_mask].any()
    assert torch.equal(kept, (filtered[..., -1].sigmoid() >= threshold) & BATCH.entity_mask)
    assert 0 < kept.sum() < BATCH.entity_mask.sum() or threshold != 0.5
    assert (filtered[..., :-1] - whole)[kept].abs().max() < 1e-5 if kept.any() else True


@pytest.mark.parametrize("floor", [0, 1, 4, 1000])
def test_the_floor_keeps_the_most_probable_of_each_window(folder, floor):
    module = classifier(folder, threshold=1.0, floor=floor)
    with torch.no_grad():
        scores = module(BATCH)
    kept = ~scores[..., 0].isneginf()
    for row in range(3):
        real = BATCH.entity_mask[row]
        assert kept[row].sum() == min(floor, int(real.sum()))
        if kept[row].any() and (real & ~kept[row]).any():
            assert scores[row, kept[row], -1].min() >= scores[row, real & ~kept[row], -1].max()


def test_a_filter_that_keeps_nothing_gives_no_logits(folder):
    module = classifier(folder, threshold=1.0, floor=0)
    with torch.no_grad():
        scores = module(BATCH)
    assert scores[..., :-1].isneginf().all()
    assert scores[..., -1].isfinite().all()


def test_while_training_the_drawn_and_the_hardest_are_kept(folder):
    module = classifier(folder, hard_negatives=5).train()
    drawn = torch.rand(BATCH.entity_mask.shape, generator=torch.Generator().manual_seed(2)) < 0.1
    drawn &= BATCH.entity_mask  # type: ignore[operator]
    scores = module(replace(BATCH, entity_drawn=drawn))
    filter_logits = scores[..., -1].masked_fill(~BATCH.entity_mask, -torch.inf)  # type: ignore[operator]
    expected = (drawn | best_of_each(filter_logits, 5)) & BATCH.entity_mask
    assert torch.equal(~scores[..., 0].isneginf(), expected)


def test_marks_of_what_was_drawn_count_in_training_only(folder):
    module = classifier(folder)
    drawn = replace(BATCH, entity_drawn=torch.ones_like(BATCH.entity_mask))  # type: ignore[arg-type]
    with torch.no_grad():
        expected = module(BATCH)
        assert expected[..., 0].isneginf().any()
        assert torch.equal(module(drawn), expected)
        unmarked = module.train()(BATCH)[..., 0].isneginf()
        assert torch.equal(unmarked, expected[..., 0].isneginf()), "then the threshold decides in training, too"


def test_a_probability_equal_to_the_threshold_is_enough(folder):
    module = classifier(folder, threshold=0.5)
    with torch.no_grad():
        for parameter in module.span_filter.score.parameters():  # type: ignore[union-attr]
            parameter.zero_()
        assert torch.equal(~module(BATCH)[..., 0].isneginf(), BATCH.entity_mask)


def test_the_filter_reads_the_first_and_the_last_piece_and_the_length():
    """Each span alone, spans of one piece and those longer than the longest length that is learned included."""
    spans = [(0, 1), (1, 2), (0, 2), (3, 9), (0, 30), (2, 33), (2, 34), (1, 34), (0, 39), (38, 40)]
    config = LukeConfig(hidden_size=32, num_attention_heads=4, num_hidden_layers=2)
    span_filter = SpanFilter(config, build_span_filter(layer=1, threshold=0))
    pieces = torch.randn(2, 40, 32, generator=torch.Generator().manual_seed(3))
    batch = make_input([40, 40], [spans, spans[:3]])
    with torch.no_grad():
        logits = span_filter(pieces, batch).logits
        for row, row_spans in enumerate((spans, spans[:3])):
            for i, (start, end) in enumerate(row_spans):
                length = span_filter.length.weight[min(end - start, 31)]
                inner = span_filter.first(pieces[row, start]) + span_filter.last(pieces[row, end - 1]) + length
                expected = span_filter.score(torch.nn.functional.gelu(inner))
                torch.testing.assert_close(logits[row, i], expected[0], rtol=0, atol=1e-5)


def test_padding_of_what_is_kept_points_at_the_first_entity():
    """Which is there even if a window has one alone."""
    config = LukeConfig(hidden_size=32, num_attention_heads=4, num_hidden_layers=2)
    span_filter = SpanFilter(config, build_span_filter(layer=1, threshold=0)).eval()
    batch = make_input([5, 5], [[(0, 1)], []])
    with torch.no_grad():
        kept = span_filter(torch.zeros(2, 5, 32), batch)
    assert kept.index.tolist() == [[0], [0]]
    assert kept.batch.entity_mask.tolist() == [[True], [False]]


def test_gradients_reach_the_filter_the_layers_below_it_and_the_classifier(folder):
    module = classifier(folder, hard_negatives=2).train()
    drawn = torch.zeros_like(BATCH.entity_mask)  # type: ignore[arg-type]
    scores = module(replace(BATCH, entity_drawn=drawn))
    kept = ~scores[..., 0].isneginf()
    scores[..., -1].sum().backward(retain_graph=True)
    assert module.span_filter.first.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    below, above = (module.encoder.layers[i].attention.value.weight for i in (0, 1))  # type: ignore[union-attr,index]
    assert below.grad.abs().sum() > 0
    assert not above.grad.any()
    module.zero_grad()
    scores[kept][:, :-1].sum().backward()
    assert above.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@given(
    rows=st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=3), count=st.integers(0, 6)
)
@settings(max_examples=50, deadline=None)
def test_best_of_each_takes_the_highest_and_the_first_of_equal_ones(rows, count):
    found = best_of_each(torch.tensor(rows, dtype=torch.float32), count)
    for row, chosen in zip(rows, found.tolist(), strict=True):
        best = sorted(range(4), key=lambda i: (-row[i], i))[:count]
        assert [i for i in range(4) if chosen[i]] == sorted(best)


def test_an_input_without_entities_passes(folder):
    module = classifier(folder)
    alone = EncoderInput(BATCH.piece_ids, BATCH.piece_mask)
    with torch.no_grad():
        assert module.encoder(alone).entities is None


def test_the_defaults():
    assert build_span_filter() == SpanFilterSettings(layer=2, threshold=0.02, floor=4, hard_negatives=8)
    limits = {"layer": 1, "threshold": 1.0, "floor": 0, "hard_negatives": 0}
    assert build_span_filter(**limits) == SpanFilterSettings(**limits)
    assert build_span_filter(threshold=0.0).threshold == 0


@pytest.mark.parametrize(
    "settings", [{"layer": 0}, {"floor": -1}, {"hard_negatives": 1.5}, {"threshold": 2}, {"threshold": -0.1}]
)
def test_impossible_settings_raise_l047(settings):
    with pytest.raises(LukeError, match=f"L047.*{next(iter(settings))}"):
        build_span_filter(**settings)


def test_a_layer_that_the_encoder_does_not_have_raises_l047(folder):
    with pytest.raises(LukeError, match=r"L047.*layer = 3.*3 layers"):
        classifier(folder, layer=LAYERS)
