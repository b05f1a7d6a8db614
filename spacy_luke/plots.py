"""Curves of trainings, and scores of models, as SVG. Of this package, only this module needs matplotlib: the extra
`plots`.

The same data give the same file, byte for byte, with the same matplotlib.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .displacy.options import LINE_COLORS
from .errors import LukeError
from .files import parse_json_object
from .model_card import CALIBRATION_PICTURE, Result, label_pictures

try:
    import matplotlib
    from matplotlib.figure import Figure
except ImportError as error:
    raise LukeError("L176", what="a plot", package="matplotlib", reason=error, extra="plots") from error

MUTED = "#6b7280"
_STYLE: Any = {
    "svg.hashsalt": "spacy-luke",  # ids in the file, which are random without it
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": "#e5e7eb",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
_PANEL = (5.2, 3.4)  # inches
Log = list[dict[str, Any]]


def draw_log(path: Path) -> str:
    """Draw the log of a training: that of spaCy's `ConsoleLogger.v3` with an `output_file`, or pretraining's.

    L181 for what is no such log, and for one without an evaluation.
    """
    log = _read_log(path)
    kinds = {"losses": draw_training, "train": draw_pretraining}
    draw = next((draw for key, draw in kinds.items() if all(isinstance(row.get(key), Mapping) for row in log)), None)
    if draw is None or not all(_is_number(row.get("step")) for row in log):
        raise LukeError("L181", path=path, reason="its lines have no 'step' with 'losses' and 'scores', or 'train'")
    try:
        return draw(log)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise LukeError("L181", path=path, reason=f"its lines are not as they write them ({e!r})") from e


def draw_training(log: Log) -> str:
    """Draw scores and losses of a training with `spacy train`, by step."""
    with _Panels(["scores, percent", "losses"]) as panels:
        scores, losses = panels.axes
        steps = [row["step"] for row in log]
        measured = [{name: s for name, s in row["scores"].items() if name != "speed"} for row in log]
        names = _names(measured)
        for color, name in zip(_colors(), names, strict=False):
            scores.plot(steps, [_value(row.get(name)) for row in measured], color=color, label=_plain(name))
        total = [100 * _value(row["score"]) for row in log]
        if len(names) != 1:
            scores.plot(steps, total, color="black", linestyle="--", label="score")
        best = max(range(len(log)), key=total.__getitem__)
        scores.plot(steps[best], total[best], "o", color="black", markersize=4)
        scores.annotate(
            f"best: {total[best]:.1f} at {steps[best]}",
            (steps[best], total[best]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="right" if best > len(log) / 2 else "left",
        )
        for color, name in zip(_colors(), _names(row["losses"] for row in log), strict=False):
            losses.plot(steps, [_value(row["losses"].get(name)) for row in log], color=color, label=_plain(name))
        _log_scale(losses, [_value(loss) for row in log for loss in row["losses"].values()])
        return panels.svg("step")


def draw_pretraining(log: Log) -> str:
    """Draw losses and accuracies of masked words and entities, by step; dotted: on the training data."""
    with _Panels(["loss", "accuracy, percent"]) as panels:
        steps = [row["step"] for row in log]
        for axes, measure, factor in zip(panels.axes, ("loss", "acc"), (1, 100), strict=True):
            for color, what, name in zip(_colors(), ("piece", "entity"), ("words", "entities"), strict=False):
                for data, line in (("dev", "-"), ("train", ":")):
                    values = [factor * _value((row[data] or {}).get(f"{what}_{measure}")) for row in log]
                    if not all(map(math.isnan, values)):
                        axes.plot(steps, values, line, color=color, label=f"{name}, {data}")
            for before, after in pairwise(log):
                if before["stage"] != after["stage"]:
                    axes.axvline(before["step"], color=MUTED, linewidth=0.8)
                    axes.annotate(
                        after["stage"],
                        (before["step"], 1),
                        xycoords=("data", "axes fraction"),
                        xytext=(3, -9),
                        textcoords="offset points",
                        color=MUTED,
                        fontsize=8,
                    )
        return panels.svg("step")


def draw_card(results: Sequence[Result]) -> dict[str, str]:
    """Draw what a model card with pictures shows: file name -> SVG."""
    pictures = {file: draw_labels(shown) for file, shown in label_pictures(results).items()}
    calibrated = [result for result in results if result.calibration]
    return pictures | ({CALIBRATION_PICTURE: draw_calibration(calibrated)} if calibrated else {})


def draw_labels(results: Sequence[Result]) -> str:
    """Draw F1 by label: a bar for each of the results that has the label."""
    labels = sorted({label for result in results for label in result.label_scores}, reverse=True)
    height = 1 + 0.3 * len(labels) * max(1, len(results) * 0.6)
    with _Panels(["F1 by label, percent"], size=(7, height)) as panels:
        (axes,) = panels.axes
        room = 0.8 / len(results)
        for i, (result, color) in enumerate(zip(results, _colors(), strict=False)):
            scores = [result.label_scores.get(label, {}).get("f") for label in labels]
            places = [place + room * ((len(results) - 1) / 2 - i) for place in range(len(labels))]
            known = [(place, 100 * score) for place, score in zip(places, scores, strict=True) if score is not None]
            bars = axes.barh(
                [place for place, _ in known],
                [score for _, score in known],
                height=0.9 * room,
                color=color,
                label=_plain(result.dataset),
            )
            axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8, color=MUTED)
        axes.set_yticks(range(len(labels)), [_plain(label) for label in labels])
        axes.set_xlim(0, 108)
        axes.grid(visible=False, axis="y")
        return panels.svg("", legend_beside=True)


def draw_calibration(results: Sequence[Result]) -> str:
    """Draw the reliability diagram of each result (Guo et al. 2017, figure 1): the share of predictions that is right,
    by their mean probability in ten bins. On the diagonal, a probability means what it says; the larger a point, the
    more predictions have it.
    """
    titles = [f"{result.task}: {result.dataset}" for result in results]
    with _Panels(titles, size=(3.8, 3.9), columns=3) as panels:
        for axes, result in zip(panels.axes, results, strict=True):
            bins = result.calibration
            most = max(found["count"] for found in bins)
            x, y = ([100 * found[name] for found in bins] for name in ("probability", "right"))
            axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8)
            axes.plot(x, y, color=LINE_COLORS[0])
            axes.scatter(x, y, [12 + 120 * found["count"] / most for found in bins], color=LINE_COLORS[0], alpha=0.6)
            axes.set(xlim=(0, 102), ylim=(0, 102), aspect="equal", ylabel="right, percent")
        return panels.svg("probability, percent")


class _Panels:
    """Axes in rows, in the style of all plots, which holds inside the `with` block."""

    def __init__(self, titles: Sequence[str], size: tuple[float, float] = _PANEL, columns: int = 2):
        self._style = matplotlib.rc_context(_STYLE)
        self._titles, self._size = titles, size
        self._columns = min(columns, len(titles))

    def __enter__(self) -> _Panels:
        self._style.__enter__()
        (width, height), columns = self._size, self._columns
        rows = -(-len(self._titles) // columns)
        self.figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        self.axes: list[Any] = [self.figure.add_subplot(rows, columns, i + 1) for i in range(len(self._titles))]
        for axes, title in zip(self.axes, self._titles, strict=True):
            axes.set_title(_plain(title))
        return self

    def __exit__(self, *error: Any) -> None:
        self._style.__exit__(*error)

    def svg(self, across: str, *, legend_beside: bool = False) -> str:
        """The drawing as text.

        across: name of the horizontal axes.
        legend_beside: not within the axes, where there is no free place.
        """
        for axes in self.axes:
            axes.set_xlabel(across)
            if len(axes.get_legend_handles_labels()[1]) > 1:
                if legend_beside:
                    self.figure.legend(loc="outside lower center", ncols=2, fontsize=8)
                else:
                    axes.legend(fontsize=8)
        file = io.BytesIO()
        self.figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "spacy-luke"})
        return file.getvalue().decode("utf8")


def _read_log(path: Path) -> Log:
    lines = path.read_text(encoding="utf8").splitlines()
    log: Log = []
    for number, line in enumerate(lines, 1):
        try:
            log.append(parse_json_object(line, path))
        except LukeError as e:
            if number < len(lines) or not log:  # the last line may be one that is being written
                raise LukeError("L181", path=path, reason=f"line {number} is no JSON object ({e})") from None
    if not log:
        raise LukeError("L181", path=path, reason="it is empty")
    return log


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _colors() -> Iterator[str]:
    while True:
        yield from LINE_COLORS


def _log_scale(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis where losses differ much: those of one component would hide the others."""
    positive = [value for value in values if value > 0]
    if len(positive) == len(values) and max(positive) > 20 * min(positive):
        axes.set_yscale("log")


def _plain(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def _value(value: Any) -> float:
    """A number; NaN, which is not drawn, for None."""
    return math.nan if value is None else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
