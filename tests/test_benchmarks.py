"""The benchmarks on tiny models: every part gives rows, wrong answers are refused, the docs show what is kept."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import spacy

from benchmarks import __main__ as command
from benchmarks import machine, plot, report
from benchmarks.child import in_own_process
from benchmarks.compare import Other, Outcome, Sides, compare
from benchmarks.models import LABELS
from benchmarks.options import SAMPLE, Options
from benchmarks.parts import ESTIMATES, PARTS, bundled, loading, longformer, scale, serve, sharing
from benchmarks.parts.ner import Decoded
from benchmarks.pipelines import list_of_names
from benchmarks.rows import Refused, Row, Skipped
from benchmarks.texts import EQUAL_WORDS, all_sentences, equal_sentences
from spacy_luke.models.piece_store import PieceStore


@pytest.fixture
def options(tmp_path) -> Options:
    return Options("tiny", SAMPLE, 4, 1, 1, 2, "cpu", "float32", (64,), tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A short text, one question, and no processes, which take long to start."""
    monkeypatch.setattr("benchmarks.parts.qa.QUESTIONS", 1)
    lines = [line for line in SAMPLE.read_text(encoding="utf8").splitlines() if line][:30]
    for name in ("benchmarks.texts", *(f"benchmarks.parts.{part}" for part in PARTS), "benchmarks.marked"):
        module = sys.modules.get(name) or __import__(name, fromlist=["measure"])
        if hasattr(module, "all_sentences"):
            monkeypatch.setattr(module, "all_sentences", lambda options: lines)
    results = {longformer.peak: 2.0, loading.imports: (0.1, 0.2), loading.read: 0.1, loading.load: (0.1, 1.0)}
    for module in (longformer, loading):
        monkeypatch.setattr(module, "in_own_process", lambda function, *given: results[function])
    save_here = {sharing.save: sharing.save, loading.load: lambda *given: results[loading.load]}
    monkeypatch.setattr(sharing, "in_own_process", lambda function, *given: save_here[function](*given))
    monkeypatch.setattr(scale, "use_of", _plainly_used)
    monkeypatch.setattr(scale, "TEXTS_PER_SENTENCE", 2)
    monkeypatch.setattr(serve, "started", _served_here)
    monkeypatch.setattr(serve, "in_own_process", lambda function, *given: function(*given))
    for name, few in {"CLIENTS": (1, 2), "LONG": 2, "CONNECTIONS": 20}.items():
        monkeypatch.setattr(serve, name, few)
    for name in ("SHORT_PER_SENTENCE", "LONG_PER_SENTENCE", "MEMORY_PER_SENTENCE"):
        monkeypatch.setattr(serve, name, 1)
    monkeypatch.setattr(bundled, "LISTS", {3: None, 4: 1.0})
    monkeypatch.setattr(bundled, "in_own_process", lambda function, *given: function(*given))
    monkeypatch.setattr(bundled.PeakMemory, "__init__", lambda self, device: None)  # reads /proc
    monkeypatch.setattr(bundled.PeakMemory, "megabytes", lambda self: 2.0)


def _plainly_used(side, source, output) -> scale.Use:
    """Of each side that of `nlp.pipe`, in this process."""
    scale._pipe(str(source), str(output))
    return scale.Use(1.0 + len(list(source.iterdir())), 100.0)


@contextmanager
def _served_here(options):
    """A server in a thread of this process."""
    import uvicorn

    from spacy_luke.default_model import bundled_pipeline
    from spacy_luke.serve import make_app
    from spacy_luke.serve.server import _listen

    with _listen("127.0.0.1", 0) as listener:
        app = make_app(spacy.load(bundled_pipeline()))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield serve.Server(listener.getsockname()[1])
        finally:  # a part that is refused leaves no server, which would keep the process
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_gives_rows(part, options):
    rows = PARTS[part](options)
    assert rows
    assert {row.part for row in rows} == {part}
    assert all(value is None or value > 0 for row in rows for value in (row.ours, row.other, row.result, row.padding))


def test_a_process_that_measures_our_memory_does_not_import_transformers():
    assert in_own_process(_modules_of_a_child) == []


def _modules_of_a_child() -> list[str]:
    import benchmarks.parts.longformer  # noqa: F401

    return sorted({"transformers", "spacy_transformers"} & sys.modules.keys())


@pytest.mark.parametrize("part", ["ner", "relations", "qa", "tokenization", "training", "bundled", "scale", "serve"])
def test_a_wrong_answer_is_refused(part, options, monkeypatch):
    spoil = {
        "ner": ("benchmarks.parts.ner._decode", lambda spans, logits: []),
        "relations": ("benchmarks.marked.characters", lambda spans: [(0, 3) for _ in spans]),
        "qa": ("benchmarks.parts.qa.STRIDE", 100),
        "tokenization": ("benchmarks.parts.tokenization._POSITIONS", 1),
        "training": ("benchmarks.parts.training._labels", _wrong_labels),
        "scale": ("benchmarks.parts.scale._answers", lambda folder: iter([folder.name])),
        "serve": ("benchmarks.parts.serve._answer", _other_answers()),
        "bundled": ("spacy_luke.models.piece_store.PieceStore.states", _other_states()),
    }
    monkeypatch.setattr(*spoil[part])
    with pytest.raises(Refused, match=f"{part}: the sides differ on"):
        PARTS[part](options)


def _wrong_labels(docs, spans):
    import torch

    return torch.ones(len(docs), max(map(len, spans)), dtype=torch.long)


def _other_answers():
    """An answer that is another each time."""
    times = itertools.count()
    return lambda record: next(times)


def _other_states():
    """States that are a little different each time that they are asked for."""
    states, times = PieceStore.states, itertools.count(1)

    def found(self, encoded, layers, **more):
        kept = states(self, encoded, layers, **more)
        return kept.with_tensors(tuple(tensor + 0.001 * next(times) for tensor in kept.tensors))

    return found


def test_both_ways_of_the_bundled_pipeline_classify_the_same_items():
    sides = {False: [[(0, 1, "PER")]], True: [[(0, 2, "PER")]]}
    assert bundled._differ(sides[False], sides[True]) == [True]
    assert bundled._differ(sides[False], sides[False]) == [False]
    assert bundled._differ([[]], [[]]) == [], "there is nothing to compare"


def test_a_list_of_names_has_as_many_entities():
    doc = list_of_names(spacy.blank("en"), 250)
    assert len({ent.text for ent in doc.ents}) == 250
    assert all(len(ent) == 2 for ent in doc.ents)


def test_nothing_is_timed_if_there_is_nothing_to_compare(options):
    sides = Sides(lambda: Outcome([]), [Other("case", lambda: Outcome([]))], 1, "words/s")
    with pytest.raises(Refused, match="nothing to compare"):
        compare("part", lambda precise: sides, lambda a, b: [], options)


def test_sides_alternate_and_medians_count(options, monkeypatch):
    ran: list[str] = []
    ticks = iter([0.0, 1.0] * 2 + [0.0, 3.0, 0.0, 1.0] + [0.0, 1.0, 0.0, 3.0])

    def run(name):
        return lambda: ran.append(name) or Outcome([1], 2.0)

    monkeypatch.setattr("benchmarks.compare.now", lambda device: next(ticks))
    sides = Sides(run("a"), [Other("case", run("b"), 0.8, per_padding=True)], 10, "words/s")
    [row] = compare("part", lambda precise: sides, lambda a, b: [a != b], replace(options, rounds=3))
    assert ran == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert (row.ours, row.padding, row.target) == (10.0, 2.0, 1.6)


def test_the_command_writes_what_was_refused_and_says_so(monkeypatch, tmp_path):
    def refuse(options):
        raise Refused("ner: the sides differ on 1 of 2 inputs (a)")

    def skip(options):
        raise Skipped("it needs something")

    monkeypatch.setattr(command, "PARTS", {"ner": refuse, "others": skip, "share": lambda options: [ROWS[0]]})
    given = ["--size", "tiny", "--threads", "1", "--output", str(tmp_path / "metrics")]
    assert command.main(given) == 1
    results = json.loads((tmp_path / "metrics" / "benchmark.json").read_text(encoding="utf8"))
    assert list(results["not_measured"]) == ["ner", "others"]
    assert "the sides differ" in (tmp_path / "metrics" / "benchmark.md").read_text(encoding="utf8")
    assert command.main([*given, "--only", "share"]) == 0


def test_parts_that_were_measured_in_the_same_way_are_kept(monkeypatch, tmp_path):
    rows = {name: replace(ROWS[0], part=name) for name in ("ner", "share")}
    parts = {"ner": lambda options: [rows["ner"]], "share": lambda options: [rows["share"]]}
    monkeypatch.setattr(command, "PARTS", parts)

    def measured(*arguments: str) -> list[str]:
        command.main(["--size", "tiny", "--threads", "1", "--output", str(tmp_path), *arguments])
        results = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf8"))
        return [row["part"] for row in results["rows"]]

    assert measured("--only", "share") == ["share"]
    assert measured("--only", "ner") == ["ner", "share"]
    assert measured("--only", "share", "--rounds", "2") == ["share"], "the others were measured otherwise"


def test_rounding_decides_between_spans_that_are_as_good_as_each_other():
    spans = [(0, 3), (0, 7), (8, 12)]
    logits = np.zeros((3, len(LABELS)), dtype=np.float32)
    logits[0, 1], logits[1, 2], logits[2, 1] = 1.0, 1.0 + 1e-5, 1e-5
    decoded = Decoded.from_logits(spans, logits)
    first, second, third = (0, 3, LABELS[1]), (0, 7, LABELS[2]), (8, 12, LABELS[1])
    assert decoded.entities == [second, third]
    for entities in ([second, third], [first, third], [second], [first]):
        assert decoded.allows(entities)
    for entities in ([], [third], [(0, 3, LABELS[2]), third]):
        assert not decoded.allows(entities)


# The table

ROWS = [
    Row("ner", "sentences", 1234.0, 400.0, "words/s", result=3.085, target=3.0, padding=1.5),
    Row("longformer", "512 pieces", 30.0, 40.0, "MB", result=0.75, target=0.5, at_most=True),
    Row("others", "a pipeline", 5.0, None, "words/s"),
]


def test_rows_say_whether_targets_are_met():
    text = report.table(report.make_results({"machine": "one"}, ROWS, {"qa": "it was refused"}))
    assert text.splitlines() == [
        "- machine: one",
        "",
        "| part | what | ours | other | result | target | | padding |",
        "|---|---|---:|---:|---:|---:|---|---:|",
        "| ner | sentences | 1,234 words/s | 400 words/s | 3.08 × | ≥ 3.00 × | met | 1.50 × |",
        "| longformer | 512 pieces | 30.0 MB | 40.0 MB | 0.75 × | ≤ 0.50 × | **missed** |  |",
        "| others | a pipeline | 5.00 words/s |  |  |  |  |  |",
        "",
        "- qa: not measured. it was refused",
    ]


def test_the_page_gets_the_table_of_the_kept_results(tmp_path):
    report.write(tmp_path, report.make_results({"machine": "one"}, ROWS, {}))
    kept, page = tmp_path / "kept.json", tmp_path / "benchmarks.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf8")
    for _ in range(2):
        report.update_docs(tmp_path / "benchmark.json", kept, page, tmp_path / "plot.svg", tmp_path / "chart.svg")
    text = page.read_text(encoding="utf8")
    assert report.block(text) == report.table(json.loads(kept.read_text(encoding="utf8")))
    assert text.startswith("before\n")
    assert text.endswith(f"{report.END}\nafter\n")


def test_the_page_shows_the_results_in_the_repository():
    block = report.block(report.PAGE.read_text(encoding="utf8"))
    if not report.KEPT.exists():
        pytest.skip("no results are kept yet: python -m benchmarks --update-docs")
    assert block == report.table(json.loads(report.KEPT.read_text(encoding="utf8")))


# The plot

LISTS = [
    Row("bundled", f"{size} names", ours, other, unit, "with markers", result=ours, result_unit=unit, size=size)
    for unit, cost in (("CPU s", {10: (0.1, 1.0), 100: (1.0, 100.0)}), ("MB", {10: (20, 90), 100: (60, 200)}))
    for size, (ours, other) in cost.items()
]


def test_the_plot_has_a_panel_for_each_unit_and_a_point_for_each_figure():
    svg = plot.draw(report.make_results({"machine": "one <core>", "versions": "these"}, [ROWS[0], *LISTS], {}))
    root = ElementTree.fromstring(svg)
    texts = [node.text for node in root.findall(".//{*}text")]
    assert [text for text in texts if text in plot.PANELS.values()] == list(plot.PANELS.values())
    assert texts[-1] == "one <core> · these"
    circles = root.findall(".//{*}circle")
    assert [circle[0].text for circle in circles] == ["0.1", "1", "1", "100", "20", "60", "90", "200"]
    # Both axes are logarithmic: the costs are 0.1, 1, 1 and 100 on an axis from 0.1 to 100.
    first, middle, same, last = (float(circle.get("cy")) for circle in circles[:4])
    assert middle == same
    assert first - middle == pytest.approx((middle - last) / 2, abs=0.2)
    assert [circle.get("cx") for circle in circles[:2]] == [circle.get("cx") for circle in circles[2:4]]


def test_without_sizes_there_is_no_plot(tmp_path):
    plot.write(plot.draw(report.make_results({}, ROWS, {})), tmp_path / "plot.svg")
    assert not (tmp_path / "plot.svg").exists()


def test_the_chart_has_a_bar_for_each_comparison_of_speed_with_transformers():
    more = Row("qa", "windows, transformers in arrival order", 6.0, 3.0, "windows/s", result=2.0)
    svg = plot.draw_ratios(report.make_results({"machine": "one <core>"}, [*ROWS, more], {}))
    root = ElementTree.fromstring(svg)
    texts = [node.text for node in root.findall(".//{*}text")]
    assert texts[2:] == ["ner: sentences", "3.08 ×", "qa: windows, arrival order", "2.00 ×", "one <core>"]
    long, short = (float(bar.get("width")) for bar in root.findall(".//{*}rect")[1:])
    # Logarithmic from 0.5, so that the bar of something slower would be to the left of the line at 1.
    assert long / short == pytest.approx(math.log(3.085 / 0.5) / math.log(2 / 0.5), abs=0.01)
    assert plot.draw_ratios(report.make_results({}, ROWS[1:], {})) is None


def test_the_chart_is_of_the_results_in_the_repository():
    drawn = plot.draw_ratios(json.loads(report.KEPT.read_text(encoding="utf8"))) if report.KEPT.exists() else None
    if drawn is None:
        pytest.skip("no comparisons are kept yet: python -m benchmarks --update-docs")
    assert report.CHART.read_text(encoding="utf8") == drawn


def test_the_plot_is_of_the_results_in_the_repository():
    drawn = plot.draw(json.loads(report.KEPT.read_text(encoding="utf8"))) if report.KEPT.exists() else None
    if drawn is None:
        pytest.skip("no costs of lists are kept yet: python -m benchmarks --update-docs")
    assert report.PLOT.read_text(encoding="utf8") == drawn


# What is said before


def test_the_command_says_before_it_starts_how_long_each_part_takes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "PARTS", {"ner": lambda options: [ROWS[0]], "qa": lambda options: []})
    command.main(["--size", "tiny", "--threads", "1", "--output", str(tmp_path)])
    said = capsys.readouterr().err
    assert said.index("About how long") < said.index("ner …")
    assert [line.split()[0] for line in said.splitlines()[2:5]] == ["ner", "qa", "altogether"]


def test_every_part_has_an_estimate_that_grows_with_the_work(options):
    for name, estimate in ESTIMATES.items():
        seconds = estimate.seconds(options)
        assert seconds > 0, name
        assert estimate.seconds(replace(options, rounds=3)) == pytest.approx(2 * seconds)
        assert estimate.seconds(replace(options, threads=2)) == pytest.approx(seconds / 2)
        assert estimate.seconds(replace(options, size="base")) >= seconds
    ner = ESTIMATES["ner"]
    base = replace(options, size="base", sentences=48, rounds=3)
    assert ner.seconds(base) == pytest.approx(ner.fixed + ner.grows)
    assert ner.seconds(replace(base, size="mini")) == pytest.approx(ner.fixed + ner.grows / 8)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (42.4, "42 s"), (99.4, "99 s"), (150, "2 min"), (4000, "67 min")]
)
def test_durations_are_rounded(seconds, text):
    assert command._duration(seconds) == text


# What figures depend on


def test_the_allocator_is_what_the_environment_says():
    assert machine.allocator({}) == "default malloc"
    assert machine.allocator({"MALLOC_MMAP_MAX_": "0"}) == "default malloc with MALLOC_MMAP_MAX_=0"
    assert machine.allocator({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}) == "jemalloc"
    assert machine.untuned({**machine.TUNED, "HOME": "/"}) == {"HOME": "/"}


def test_tuned_malloc_starts_the_command_again_with_other_settings(monkeypatch):
    started = []

    def start(path, arguments, environment):
        started.append((arguments, environment))
        raise SystemExit

    monkeypatch.setattr(os, "execve", start)
    with pytest.raises(SystemExit):
        command.main(["--tuned-malloc", "--size", "tiny"])
    [(arguments, environment)] = started
    assert arguments[1:] == ["-m", "benchmarks", "--tuned-malloc", "--size", "tiny"]
    assert machine.TUNED.items() <= environment.items()


def test_equal_sentences_have_equally_many_words_of_one_piece():
    vocab = {"a": 0, "Ġa": 1, "Ġb": 2}
    lines = equal_sentences(["b a b c"] * 50, vocab)
    assert {len(line.split()) for line in lines} == {EQUAL_WORDS}
    assert all(line.startswith("a") and "c" not in line for line in lines)


def test_the_sample_has_many_sentences_of_many_lengths(options):
    lengths = {len(line.split()) for line in SAMPLE.read_text(encoding="utf8").splitlines() if line}
    assert len(lengths) > 30
    assert len(all_sentences(options)) <= 300
    assert SAMPLE.stat().st_size < 40_000
    assert (SAMPLE.parent / "README.md").is_file()
