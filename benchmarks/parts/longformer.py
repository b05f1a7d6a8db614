"""The Longformer encoder beside transformers' and beside a dense encoder of the same size: time, and memory.

One text of random pieces, of which the first is global. Memory is the peak of one forward pass above the loaded model,
in a process of its own for each side and length, with the default malloc.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.luke import LukeEncoder

from ..child import PeakMemory, in_own_process
from ..compare import Other, Outcome, Run, Sides, compare
from ..models import random_longformer
from ..options import Options
from ..rows import Row
from ..texts import all_sentences

WINDOW = 512
TOLERANCE = 1e-4  # of the states of both Longformers
DENSE = "dense encoder"


def measure(options: Options) -> list[Row]:
    """Rows of time and of memory for each length."""
    texts = all_sentences(options)
    folder = random_longformer(options.folder, options.size, texts, longest=max(options.lengths), window=WINDOW)
    models = cache(lambda side, dtype: load(side, folder, options.device, dtype))
    return [row for length in options.lengths for row in (*_time(length, models, options), *_memory(length, options))]


def _time(length: int, models: Any, options: Options) -> list[Row]:
    batch = text(options.folder, length, options.device)

    def make(precise: bool) -> Sides:
        dtype = "float32" if precise else options.dtype

        def of(side: str) -> Run:
            return lambda: Outcome(encode(models(side, dtype), batch).float().cpu())

        target = 1.4 if length % WINDOW == 0 else 2.5
        others = [
            Other(f"{length:,} pieces", of("transformers"), target),
            Other(f"{length:,} pieces", of(DENSE), against=DENSE, same=False),
        ]
        return Sides(of("ours"), others, length, "pieces/s")

    return compare("longformer", make, lambda a, b: [float((a - b).abs().max()) > TOLERANCE], options)


def _memory(length: int, options: Options) -> list[Row]:
    given = (str(options.folder), length, options.threads, options.device, options.dtype)
    mine, other, dense = (in_own_process(peak, side, *given) for side in ("ours", "transformers", DENSE))
    case = f"{length:,} pieces, peak of activations"
    return [
        Row("longformer", case, mine, other, "MB", result=mine / other, target=0.5, at_most=True),
        Row("longformer", case, mine, dense, "MB", result=mine / dense, against=DENSE),
    ]


def peak(side: str, folder: str, length: int, threads: int, device: str, dtype: str) -> float:
    """Megabytes of one forward pass, after a small one that warms up."""
    torch.set_num_threads(threads)
    model = load(side, Path(folder), device, dtype)
    batch = text(Path(folder), length, device)
    encode(model, text(Path(folder), min(length, 64), device))
    memory = PeakMemory(device)
    encode(model, batch)
    return memory.megabytes()


def load(side: str, folder: Path, device: str, dtype: str) -> nn.Module:
    """The encoder of one side."""
    if side == "transformers":
        from transformers import LongformerModel

        model: Any = LongformerModel.from_pretrained(folder)
        return model.eval().to(device, getattr(torch, dtype))
    checkpoint = open_checkpoint(folder)
    if side == "ours":
        encoder: Any = checkpoint.load_encoder()
    else:
        names = LukeConfig.__dataclass_fields__.keys() & vars(checkpoint.config).keys()
        shape = {name: getattr(checkpoint.config, name) for name in names}
        encoder = LukeEncoder(LukeConfig(**shape, entity_vocab_size=4, use_entity_aware_attention=False))
    encoder.precision = dtype
    return encoder.eval().to(device)


def text(folder: Path, length: int, device: str) -> EncoderInput:
    """One text of random pieces of which the first is global."""
    vocab_size = json.loads((folder / "config.json").read_text(encoding="utf8"))["vocab_size"]
    ids = torch.randint(3, vocab_size, (1, length), generator=torch.Generator().manual_seed(length))
    first = torch.arange(length)[None] == 0
    return EncoderInput(ids, torch.ones_like(first), global_mask=first).to(device)


def encode(model: Any, batch: EncoderInput) -> torch.Tensor:
    """The states of the pieces."""
    with torch.inference_mode():
        if model.__class__.__name__ == "LongformerModel":
            assert batch.global_mask is not None
            return model(batch.piece_ids, batch.piece_mask.long(), batch.global_mask.long()).last_hidden_state
        return model(batch).pieces
