"""Heads on items of many mentions: each item as if it were alone, and pairs that are more than the sum of two."""

from __future__ import annotations

import pytest
import torch

from spacy_luke.encoders.config import LongformerConfig
from spacy_luke.encoders.heads import MentionClassification, MentionPairClassification
from spacy_luke.encoders.longformer import LongformerEncoder
from tests.util import longformer_config, make_input

SPANS = [[(1, 3), (30, 31), (5, 9)], [(2, 9), (4, 5)]]


def make(head):
    config = LongformerConfig.from_dict(longformer_config().to_dict())
    torch.manual_seed(0)
    encoder = LongformerEncoder(config, pooling=False, mentions=True)
    encoder.reset_parameters()
    module = head(encoder, 3)
    for name, parameter in module.named_parameters():
        if not name.startswith("encoder."):
            torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def run(module, items) -> torch.Tensor:
    batch = make_input([40, 30], SPANS, entities=4)
    batch.items = torch.tensor(items)
    with torch.no_grad():
        return module(batch)


def test_each_mention_is_labelled_by_its_own_state() -> None:
    module = make(MentionClassification)
    logits = run(module, [[[0], [2], [1], [0]], [[1], [0], [0], [0]]])
    assert logits.shape == (2, 4, 3)
    torch.testing.assert_close(logits[0, 0], logits[0, 3])
    batch = make_input([40, 30], SPANS, entities=4)
    with torch.no_grad():
        states = module.encoder(batch).entities
        torch.testing.assert_close(logits[0, 1], module.classifier(states[0, 2]))
        torch.testing.assert_close(logits[1, 0], module.classifier(states[1, 1]))


def test_pairs_have_an_order_and_are_scored_one_by_one() -> None:
    module = make(MentionPairClassification)
    logits = run(module, [[[0, 1], [1, 0], [2, 1]], [[1, 0], [0, 0], [0, 0]]])
    assert logits.shape == (2, 3, 3)
    assert not torch.allclose(logits[0, 0], logits[0, 1])
    alone = run(module, [[[2, 1]], [[1, 0]]])
    torch.testing.assert_close(logits[:, [2, 0]].diagonal(dim1=0, dim2=1).T, alone[:, 0])


def test_a_pair_has_the_logits_of_the_formula() -> None:
    """GELU(A head + a + B tail + C (head * tail)), one pair at a time."""
    module = make(MentionPairClassification)
    assert module.from_tail.bias is module.from_both.bias is None
    pairs = [(0, 1), (1, 0), (2, 2)]
    logits = run(module, [pairs, [(0, 1), (1, 0), (0, 0)]])
    with torch.no_grad():
        states = module.encoder(make_input([40, 30], SPANS, entities=4)).entities[0]
        for found, (head, tail) in zip(logits[0], pairs, strict=True):
            own = module.from_head.weight @ states[head] + module.from_head.bias
            met = own + module.from_tail.weight @ states[tail] + module.from_both.weight @ (states[head] * states[tail])
            expected = module.classifier(torch.nn.functional.gelu(met))
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_pair_is_more_than_what_its_mentions_say_alone() -> None:
    """A classifier of both states side by side would give sums: (a, b) + (c, d) = (a, d) + (c, b)."""
    module = make(MentionPairClassification)
    ab, cd, ad, cb = run(module, [[[0, 1], [2, 0], [0, 0], [2, 1]], [[0, 0]] * 4])[0]
    assert not torch.allclose(ab + cd, ad + cb, atol=1e-2)


@pytest.mark.parametrize("head", [MentionClassification, MentionPairClassification])
def test_all_weights_get_a_gradient(head) -> None:
    module = make(head)
    batch = make_input([40, 30], SPANS, entities=4)
    batch.items = torch.tensor([[[0, 1], [1, 0]], [[1, 0], [0, 1]]])
    batch.global_mask = batch.piece_ids % 7 == 0
    module(batch).square().sum().backward()
    without = {name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(name.endswith("key.bias") for name in without), without
