"""Measure the Longformer encoder beside transformers' and beside a dense encoder of the same size, in one run.

    python -m benchmarks.longformer [--size base] [--lengths 512,1024,…] [--threads 2] [--rounds 3] [--output FOLDER]

Random weights, the same for both Longformers, which must give the same states (within 1e-4) before anything is timed.
One text of random pieces, all of them local but for the first. Each measurement is a process of its own, and the sides
alternate: seconds are medians, memory is the largest peak of a forward pass above the loaded model. Writes
longformer.json and longformer.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.luke import LukeEncoder

from .models import SIZES, write_tokenizer

SIDES = ("ours", "transformers", "dense")
LENGTHS = (512, 600, 1024, 2048, 4096, 8192, 16384)
CHECKED = 600  # pieces of the text on which both Longformers must agree
WORDS = ["a b c d e f g h"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.longformer", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SIZES), default="base", help="size of the random encoders")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)), help="pieces of the texts")
    parser.add_argument("--window", type=int, default=512, help="attention_window")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side")
    parser.add_argument("--output", type=Path, default=Path("metrics"), help="folder for the results")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder, options.length)))
        return
    lengths = [int(length) for length in options.lengths.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), options.size, max(*lengths, CHECKED), options.window)
        check(Path(folder))
        rows = [compare(length, Path(folder), options) for length in lengths]
    results = {
        "machine": f"{platform.machine()}, {options.threads} threads",
        "torch": torch.__version__,
        "dtype": "float32",
        "allocator": "default malloc",
        "model": f"random Longformer, size {options.size}, window {options.window}",
        "lengths": rows,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "longformer.json").write_text(json.dumps(results, indent=1), encoding="utf8")
    (options.output / "longformer.md").write_text(table(results), encoding="utf8")
    print(table(results))


def write_model(folder: Path, size: str, longest: int, window: int) -> None:
    """A random Longformer checkpoint."""
    from transformers import LongformerConfig, LongformerModel

    vocab = write_tokenizer(folder, WORDS)
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=len(vocab),
        max_position_embeddings=longest + 2,
        attention_window=window,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        **SIZES[size],
    )
    LongformerModel(config).save_pretrained(folder)


def check(folder: Path) -> None:
    """Both Longformers must give the same states."""
    with torch.inference_mode():
        a, b = (run(load(side, folder), side, text(folder, CHECKED)) for side in SIDES[:2])
    if float((a - b).abs().max()) > 1e-4:
        raise SystemExit("The two Longformers differ; nothing was measured.")


def load(side: str, folder: Path) -> nn.Module:
    """The encoder of one side."""
    if side == "transformers":
        from transformers import LongformerModel

        return LongformerModel.from_pretrained(folder).eval()
    checkpoint = open_checkpoint(folder)
    if side == "ours":
        return checkpoint.load_encoder().eval()
    names = LukeConfig.__dataclass_fields__.keys() & vars(checkpoint.config).keys()
    shape = {name: getattr(checkpoint.config, name) for name in names}
    return LukeEncoder(LukeConfig(**shape, entity_vocab_size=4, use_entity_aware_attention=False)).eval()


def text(folder: Path, length: int) -> EncoderInput:
    """One text of random pieces of which the first is global."""
    vocab_size = json.loads((folder / "config.json").read_text(encoding="utf8"))["vocab_size"]
    ids = torch.randint(3, vocab_size, (1, length), generator=torch.Generator().manual_seed(length))
    first = torch.arange(length)[None] == 0
    return EncoderInput(ids, torch.ones_like(first), global_mask=first)


def run(model: nn.Module, side: str, batch: EncoderInput) -> torch.Tensor:
    """The states of the pieces."""
    if side == "transformers":
        global_mask = batch.global_mask.long()
        return model(batch.piece_ids, batch.piece_mask.long(), global_mask).last_hidden_state
    return model(batch).pieces


def compare(length: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of all sides for one length."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side in SIDES:
            command = ["-m", "benchmarks.longformer", "--measure", side, "--length", str(length)]
            command += ["--folder", str(folder), "--threads", str(options.threads)]
            done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        "pieces": length,
        "seconds": {side: statistics.median(r["seconds"] for r in runs) for side, runs in found.items()},
        "megabytes": {side: max(r["megabytes"] for r in runs) for side, runs in found.items()},
    }


def measure(side: str, folder: Path, length: int) -> dict[str, float]:
    """One forward pass after a first one that warms up: seconds, and peak memory above the loaded model."""
    model, batch = load(side, folder), text(folder, length)
    with torch.inference_mode():
        run(model, side, text(folder, min(length, 64)))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again
        before = memory("VmRSS")
        run(model, side, batch)
        peak = memory("VmHWM") - before
        started = time.perf_counter()
        run(model, side, batch)
        return {"seconds": time.perf_counter() - started, "megabytes": peak / 1024}


def memory(entry: str) -> int:
    """Kilobytes of an entry of /proc/self/status (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry))


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"{results['model']}, {results['dtype']}; {results['machine']}; torch {results['torch']}; "
        f"{results['allocator']}; medians of alternating runs; both Longformers gave the same states.",
        "",
        "| pieces | ours s | transformers s | dense s | transformers / ours | ours MB | transformers MB | dense MB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in results["lengths"]:
        seconds, megabytes = row["seconds"], row["megabytes"]
        cells = [f"{seconds[side]:.2f}" for side in SIDES]
        cells += [f"{seconds['transformers'] / seconds['ours']:.2f}"]
        cells += [f"{megabytes[side]:.0f}" for side in SIDES]
        lines.append(f"| {row['pieces']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
