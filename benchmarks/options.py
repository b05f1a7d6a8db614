"""The options of the command, which every part gets."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from .models import SIZES

ROOT = Path(__file__).parents[1]
SAMPLE = Path(__file__).parent / "sample" / "sentences.txt"


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    folder: for the models of this run; emptied afterwards.
    lengths: pieces of the texts of the Longformer part.
    """

    size: str
    text: Path
    sentences: int
    threads: int
    rounds: int
    batch_size: int
    device: str
    dtype: str
    lengths: tuple[int, ...]
    folder: Path


def make_parser(parts: list[str], threads: int) -> argparse.ArgumentParser:
    """The command line.

    parts: names of all parts. threads: those that PyTorch takes by itself.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure spacy-luke beside other libraries. Both sides get the same weights and inputs, and "
        "nothing is measured unless they give the same answers.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--only", action="append", choices=parts, metavar="PART", help=f"one part, may be repeated: {', '.join(parts)}")
    add("--size", choices=list(SIZES), default="base", help="size of the random models")
    add("--text", type=Path, default=SAMPLE, help="a text file with a sentence a line")
    add("--sentences", type=int, default=48, help="how many sentences of it")
    add("--threads", type=int, default=threads, help="threads of PyTorch")
    add("--rounds", type=int, default=3, help="measurements of each side; their median counts")
    add("--batch-size", type=int, default=8, help="inputs in a batch of transformers")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where the encoders compute")
    add("--dtype", choices=["float32", "bfloat16"], default="float32", help="in what they compute")
    add("--lengths", type=_numbers, default="512,600,1024,2048,4096", help="pieces of the texts of the Longformer part")
    add("--tuned-malloc", action="store_true", help="start again with settings of malloc that spare page faults")
    add("--output", type=Path, default=Path("metrics"), help="folder for benchmark.json and benchmark.md")
    add("--update-docs", action="store_true", help="measure nothing; keep the last results and show them in the docs")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))
