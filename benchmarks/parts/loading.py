"""The time of importing the package and of loading a pipeline, and the memory that loading takes.

Each measurement is a process of its own. The weight file has been read before, so it comes from the system's cache:
from a cold disk, reading takes longer, for the file alone as for the pipeline.
"""

from __future__ import annotations

import statistics
import sys
import time
from importlib import import_module, metadata
from pathlib import Path

from ..child import PeakMemory, in_own_process
from ..models import random_luke
from ..options import Options
from ..rows import Row
from ..texts import all_sentences

PLUGIN = "spacy_transformers"
_ROUNDS = 5  # measurements for each of the options: they are short, and differ


def measure(options: Options) -> list[Row]:
    """Rows of the import, of the time and of the memory of loading."""
    from ..sides import ours  # not at the top: the process that measures the import of the package reads this file

    checkpoint = random_luke(options.folder / "luke", options.size, all_sentences(options))
    saved = options.folder / "pipeline"
    ours(checkpoint, options, precise=True).to_disk(saved)
    weights = saved / "luke_ner" / "model.safetensors"
    megabytes = weights.stat().st_size / 2**20
    seconds: dict[str, list[float]] = {"package": [], "components": [], "read": [], "load": []}
    peaks = []
    for _ in range(_ROUNDS * options.rounds):
        for what, spent in zip(("package", "components"), in_own_process(imports), strict=True):
            seconds[what].append(spent)
        seconds["read"].append(in_own_process(read, str(weights)))
        loading, peak = in_own_process(load, str(saved), options.threads)
        seconds["load"].append(loading)
        peaks.append(peak)
    median = {what: statistics.median(values) for what, values in seconds.items()}
    case = f"spacy.load of {megabytes:,.0f} MB of weights"
    loading, peak = median["load"], max(peaks)
    return [
        _seconds("import of spacy_luke after spacy and torch", median["package"], 0.3),
        _seconds("import of spacy_luke with all that it registers", median["components"], 0.3),
        _seconds(case, loading, 2.0),
        _beside(case, loading, median["read"], "s", "reading the file"),
        _beside(f"{case}, peak memory", peak, megabytes, "MB", "weights"),
    ]


def _beside(case: str, ours: float, other: float, unit: str, against: str) -> Row:
    return Row("loading", case, ours, other, unit, against, ours / other, target=1.3, at_most=True)


def _seconds(case: str, seconds: float, target: float) -> Row:
    return Row("loading", case, seconds, None, "s", result=seconds, result_unit="s", target=target, at_most=True)


def imports() -> tuple[float, float]:
    """Seconds to import the package, and with it the modules of all its entry points but the command line."""
    import spacy  # noqa: F401
    import torch  # noqa: F401

    started = time.perf_counter()
    import spacy_luke  # noqa: F401

    package = time.perf_counter() - started
    registered = [entry for entry in metadata.distribution("spacy-luke").entry_points if entry.group != "spacy_cli"]
    started = time.perf_counter()
    for entry in registered:
        import_module(entry.value.split(":")[0])
    return package, package + time.perf_counter() - started


def read(path: str) -> float:
    """Seconds to read a file, which has been read just before."""
    Path(path).read_bytes()
    started = time.perf_counter()
    Path(path).read_bytes()
    return time.perf_counter() - started


def load(path: str, threads: int) -> tuple[float, float]:
    """Seconds and megabytes of loading a pipeline. The first pipeline of a process imports every plugin of spaCy that
    is installed: that has happened before, and without transformers, which would disturb the memory."""
    import catalogue
    import spacy
    import torch

    torch.set_num_threads(threads)
    found = catalogue.Registry._get_entry_points
    catalogue.Registry._get_entry_points = lambda self: [e for e in found(self) if not e.value.startswith(PLUGIN)]
    spacy.blank("en")
    assert "transformers" not in sys.modules
    memory = PeakMemory("cpu")
    started = time.perf_counter()
    spacy.load(path)
    return time.perf_counter() - started, memory.megabytes()
