"""Measure `luke_ner` beside transformers' LUKE pipeline, in one run, on the same weights and sentences.

    python -m benchmarks [--size base] [--text FILE] [--sentences 64] [--threads 2] [--rounds 3] [--output FOLDER]

Both sides must give the same entities before anything is timed. The sides alternate; figures are medians. Writes
benchmark.json and benchmark.md.
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
import warnings
from pathlib import Path

import spacy
import torch

import spacy_luke

from .models import SIZES, random_luke
from .peer import TransformersNER

SAMPLE = Path(__file__).parents[1] / "scripts" / "demo_text.txt"
LOAD = """
import sys, time
import spacy, spacy_luke, torch
from spacy_luke.checkpoints.reader import open_checkpoint
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {l.split(":")[0]: int(l.split()[1]) for l in lines if l.startswith(("VmHWM", "VmRSS"))}
nlp = spacy.blank("en")
pipe = nlp.add_pipe("luke_ner")
before = peak()["VmRSS"]
start = time.perf_counter()
pipe.load_checkpoint(sys.argv[1])
seconds = time.perf_counter() - start
weights = sum(p.numel() * 4 for p in pipe._module.parameters()) / 1024
print(seconds, (peak()["VmHWM"] - before) / weights, weights / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SIZES), default="base", help="size of the random LUKE")
    parser.add_argument("--text", type=Path, default=SAMPLE, help="a text file; default: the sample in the repository")
    parser.add_argument("--sentences", type=int, default=64, help="how many sentences of it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side")
    parser.add_argument("--batch-size", type=int, default=8, help="sentences in a batch of transformers")
    parser.add_argument("--output", type=Path, default=Path("metrics"), help="folder for the results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "benchmark.json").write_text(json.dumps(results, indent=1), encoding="utf8")
    (options.output / "benchmark.md").write_text(table(results), encoding="utf8")
    print(table(results))


def measure(options: argparse.Namespace, folder: Path) -> dict:
    splitter = spacy.blank("en")
    splitter.add_pipe("sentencizer")
    sentences = list(splitter(options.text.read_text(encoding="utf8")).sents)
    sentences = [s.as_doc()[:] for s in sentences if len(s.text.split()) > 1][: options.sentences]
    texts = [s.text.strip() for s in sentences]
    checkpoint = random_luke(folder / "luke", options.size, texts)
    settings = {"windows": {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}, "chunk_size": 4096}
    nlp = spacy_luke.from_checkpoint(checkpoint, sentences=None, config=settings)
    docs = [nlp.make_doc(t) for t in texts]
    for doc in docs:
        for token in doc:
            token.is_sent_start = token.i == 0
    spans = [doc[:] for doc in docs]
    words = sum(len(doc) for doc in docs)
    peer = TransformersNER(checkpoint, options.batch_size)
    pipe = nlp.get_pipe("luke_ner")

    def ours() -> list:
        copies = [doc.copy() for doc in docs]
        return [[(e.start, e.end, e.label_) for e in doc.ents] for doc in pipe.pipe(copies, batch_size=1000)]

    differing = sum(a != b for a, b in zip(ours(), peer(spans), strict=True))
    if differing:
        raise SystemExit(f"The sides differ on {differing} of {len(docs)} sentences; nothing was measured.")
    seconds: dict[str, list[float]] = {"ours": [], "transformers": [], "transformers, sorted": []}
    by_length = sorted(spans, key=len)
    for _ in range(options.rounds):
        for side, run in (
            ("ours", ours),
            ("transformers", lambda: peer(spans)),
            ("transformers, sorted", lambda: peer(by_length)),
        ):
            start = time.perf_counter()
            run()
            seconds[side].append(time.perf_counter() - start)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    box = words_per_second_of_the_box(texts, options.rounds)
    load = subprocess.run([sys.executable, "-c", LOAD, str(checkpoint)], capture_output=True, text=True, check=True)
    load_seconds, load_peak, load_megabytes = (float(x) for x in load.stdout.split())
    return {
        "machine": f"{platform.machine()}, {platform.processor() or 'unknown processor'}, {options.threads} threads",
        "torch": torch.__version__,
        "dtype": "float32",
        "allocator": "default malloc",
        "model": f"random LUKE, size {options.size}",
        "sentences": len(docs),
        "words": words,
        "words_per_second": {side: words / s for side, s in medians.items()},
        "ratio": {side: s / medians["ours"] for side, s in medians.items()},
        "box_words_per_second": box,
        "load_seconds": load_seconds,
        "load_peak_over_weights": load_peak,
        "load_weights_mb": load_megabytes,
    }


def words_per_second_of_the_box(texts: list[str], rounds: int) -> float | None:
    """nlp.pipe of the model in the box, sentence splitter included; None if it is not installed."""
    from spacy_luke.box import box_pipeline
    from spacy_luke.errors import LukeError

    try:
        nlp = spacy.load(box_pipeline())
    except LukeError:
        return None
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        words = sum(len(doc) for doc in nlp.pipe(texts))
        seconds.append(time.perf_counter() - start)
    return words / statistics.median(seconds)


def table(results: dict) -> str:
    """The results as Markdown."""
    rows = [
        f"| {side} | {results['words_per_second'][side]:.0f} | {results['ratio'][side]:.2f} |"
        for side in results["words_per_second"]
    ]
    box = results["box_words_per_second"]
    return "\n".join(
        [
            f"{results['model']}, {results['dtype']}, {results['sentences']} sentences, {results['words']} words; "
            f"{results['machine']}; torch {results['torch']}; {results['allocator']}; medians of alternating runs; "
            "both sides gave the same entities.",
            "",
            "| side | words per second | time relative to ours |",
            "|---|---|---|",
            *rows,
            "",
            f"Loading: {results['load_weights_mb']:.0f} MB of weights in {results['load_seconds']:.2f} s, peak memory "
            f"{results['load_peak_over_weights']:.2f} times the weights."
            + (f" The model in the box: {box:.0f} words per second through nlp.pipe." if box else ""),
            "",
        ]
    )


if __name__ == "__main__":
    main()
