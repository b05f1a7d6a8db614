"""Ways to annotate a corpus with the bundled model: processor time and memory of all processes together.

Every side reads the same JSON lines and writes results as JSON lines, in a process of its own. Each runs twice, with
the whole corpus and with a text for each process: that run is the start, and the difference what the texts cost.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..child import in_own_process
from ..options import Options
from ..rows import Refused, Row
from ..texts import all_sentences

PROCESSES = 2
FILES = 8
TEXTS_PER_SENTENCE = 25  # for each of the options' sentences: by default there are 1,200 texts
SENTENCES_PER_TEXT = 2
_INTERVAL = 0.1  # seconds between two looks at the memory


@dataclass(frozen=True)
class Use:
    """What a side took, all of its processes together. cpu: seconds. memory: megabytes, the most at any time."""

    cpu: float
    memory: float


def measure(options: Options) -> list[Row]:
    """Rows of speed, start and memory, beside the other ways."""
    import spacy

    texts = _make_texts(all_sentences(options), TEXTS_PER_SENTENCE * options.sentences)
    words = sum(map(len, spacy.blank("en").pipe(texts)))
    corpus, few = options.folder / "corpus", options.folder / "few"
    _write_corpus(corpus, texts, FILES)
    _write_corpus(few, texts[:PROCESSES], PROCESSES)
    starts: dict[str, Use] = {}
    runs: dict[str, Use] = {}
    for number, (name, side) in enumerate(SIDES.items()):
        starts[name] = use_of(side, few, options.folder / f"start {number}")
        runs[name] = use_of(side, corpus, options.folder / f"run {number}")
    expected, *others = (list(_answers(options.folder / f"run {number}")) for number in range(len(SIDES)))
    for name, found in zip(list(SIDES)[1:], others, strict=True):
        wrong = sum(a != b for a, b in zip(expected, found, strict=True))
        if wrong or not expected:
            raise Refused(f"scale: the sides differ on {wrong} of {len(expected)} inputs ({name})")
    seconds = {name: runs[name].cpu - starts[name].cpu for name in SIDES}
    ours, *names = SIDES
    rows = []
    for name in names:
        figures = [
            (f"{len(texts):,} texts", words / seconds[ours], words / seconds[name], "words/CPU s"),
            ("start", starts[ours].cpu, starts[name].cpu, "CPU s"),
            ("peak memory", runs[ours].memory, runs[name].memory, "MB"),
        ]
        rows += [Row("scale", case, a, b, unit, name, result=a / b) for case, a, b, unit in figures]
    return rows


def _make_texts(sentences: list[str], count: int) -> list[str]:
    drawn = random.Random(0)
    return [" ".join(drawn.sample(sentences, SENTENCES_PER_TEXT)) for _ in range(count)]


def _write_corpus(folder: Path, texts: list[str], files: int) -> None:
    folder.mkdir()
    for number in range(files):
        lines = [json.dumps({"text": text}) for text in texts[number::files]]
        (folder / f"{number}.jsonl").write_text("\n".join(lines), encoding="utf8")


def _answers(folder: Path) -> Iterator[list[Any]]:
    """What is compared: scores differ in the last digits with the other texts of a batch."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf8").splitlines():
            record = json.loads(line)
            entities = [(ent["start"], ent["end"], ent["label"], ent["kb_id"]) for ent in record["entities"]]
            yield [record["text"], entities, len(record["relations"])]


# The sides. Each takes a folder of JSON lines and one for the results.


def _annotate(source: str, output: str) -> None:
    from spacy_luke.default_model import bundled_pipeline
    from spacy_luke.scale import annotate

    annotate(bundled_pipeline(), [Path(source)], Path(output), workers=PROCESSES)


def _annotate_with_ray(source: str, output: str) -> None:
    from spacy_luke.default_model import bundled_pipeline
    from spacy_luke.ray.pool import RayPool
    from spacy_luke.scale import annotate

    annotate(bundled_pipeline(), [Path(source)], Path(output), workers=PROCESSES, engine=RayPool)


def _pipe(source: str, output: str) -> None:
    _pipe_files(source, output, 1)


def _pipe_in_processes(source: str, output: str) -> None:
    _pipe_files(source, output, PROCESSES)


def _pipe_files(source: str, output: str, processes: int) -> None:
    import spacy
    import torch

    from spacy_luke import to_dict
    from spacy_luke.default_model import bundled_pipeline

    torch.set_num_threads(1)
    nlp = spacy.load(bundled_pipeline())
    lines = [line for path in sorted(Path(source).iterdir()) for line in path.read_text(encoding="utf8").splitlines()]
    docs = nlp.pipe((json.loads(line)["text"] for line in lines), n_process=processes)
    results = [json.dumps(to_dict(doc), ensure_ascii=False) for doc in docs]
    Path(output).mkdir()
    (Path(output) / "all.jsonl").write_text("\n".join(results), encoding="utf8")


SIDES: dict[str, Callable[[str, str], None]] = {
    f"luke annotate --workers {PROCESSES}": _annotate,
    "nlp.pipe": _pipe,
    f"nlp.pipe(n_process={PROCESSES})": _pipe_in_processes,
}
if find_spec("ray"):
    SIDES[f"luke annotate --engine ray --workers {PROCESSES}"] = _annotate_with_ray


def use_of(side: Callable[[str, str], None], source: Path, output: Path) -> Use:
    """Run a side."""
    with _Watch() as watch:
        in_own_process(side, str(source), str(output))
    return Use(watch.cpu, watch.megabytes)


class _Watch:
    """What all processes below this one take, now and again: processor time, and the most memory at a time.

    The time of processes that have ended is not asked of their parents, because those of Ray do not know it. A page of
    memory that several share counts once (Linux).
    """

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._cpu: dict[tuple[int, str], float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    @property
    def cpu(self) -> float:
        """Seconds of all processes, each up to when it was last seen."""
        return sum(self._cpu.values())

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(_INTERVAL):
            processes = list(_below(os.getpid()))
            for process in processes:
                with suppress(OSError):  # it has ended
                    self._note_cpu(process)
            self.megabytes = max(self.megabytes, sum(map(_megabytes, processes)))

    def _note_cpu(self, process: int) -> None:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        user, system, start = fields[11], fields[12], fields[19]  # proc(5): fields 14, 15 and 22
        self._cpu[process, start] = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _below(process: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            for child in map(int, children.read_text(encoding="ascii").split()):
                yield child
                yield from _below(child)


def _megabytes(process: int) -> float:
    with suppress(OSError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0
