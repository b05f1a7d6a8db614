"""The card of a pipeline, in the format of the Hugging Face Hub, from what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import srsly

from .errors import LukeError

# Score of a component -> how tables call it. What is not here is called by its name.
SCORES: Mapping[str, str] = {
    "ents_p": "P",
    "ents_r": "R",
    "ents_f": "F1",
    "types_micro_p": "P",
    "types_micro_r": "R",
    "types_micro_f": "F1",
    "rel_micro_p": "P",
    "rel_micro_r": "R",
    "rel_micro_f": "F1",
    "qa_em": "exact match",
    "qa_f1": "word F1",
    "qa_has_answer_f1": "word F1 of the answerable",
    "qa_no_answer_em": "silent on the unanswerable",
    "qa_auc": "AUC",
    "nel_micro_p": "P",
    "nel_micro_r": "R",
    "nel_micro_f": "F1",
    "nel_acc": "accuracy",
    "nel_in_kb_acc": "accuracy in the KB",
    "ents_ece": "ECE",
    "types_ece": "ECE",
    "rel_ece": "ECE",
    "qa_ece": "ECE",
}
# What `spacy evaluate` measures -> the task in its table, the Hub's name of that, and the scores that are shown.
EVALUATED: Sequence[tuple[str, str, str]] = (
    ("Named entities", "token-classification", r"ents_([prf]|ece)"),
    ("Spans", "token-classification", r"spans_.+_([prf]|ece)"),
    ("Entity types", "token-classification", r"types_micro_[prf]|types_ece"),
    ("Relations", "text-classification", r"rel_micro_[prf]|rel_ece"),
    ("Entity links", "token-classification", r"nel_micro_[prf]|nel_acc|nel_in_kb_acc"),
    ("Questions", "question-answering", r"qa_ece|qa_em|qa_f1"),
    ("Multiple choice", "multiple-choice", r"choice_acc"),
    ("Categories", "text-classification", r"cats_score|cats_(micro|macro)_[prf]|cats_macro_auc"),
    ("Tags", "token-classification", r"(luke_)?tag_acc|pos_acc"),
    ("Sentences", "token-classification", r"sents_[prf]"),
)
PER_LABEL = ("ents_per_type", "types_per_type", "rel_per_type", "nel_f_per_type", "spans_sc_per_type")
_BIN = ("probability", "right", "count")
CALIBRATION_PICTURE = "calibration.svg"
_ABOUT_ECE = (
    " ECE is the expected calibration error: how far the probabilities of what is predicted are from the share of it "
    "that is right, on average over ten bins."
)
_FIELDS: Mapping[str, Any] = {"task": str, "dataset": str, "scores": Mapping, "metrics": list}
# Those that may be left out.
_MORE_FIELDS: Mapping[str, Any] = {"hub_id": str, "hub_task": str, "note": str, "docs": int, "baselines": Mapping}
_OF_META: Mapping[str, Any] = {
    "lang": str,
    "name": str,
    "pipeline": list | tuple,
    "labels": Mapping,
    "sources": list,
    "license": str,
}
# Characters of an address that end no Markdown link.
_OF_URLS = "%/:?#@!$&'*+,;=~"
_NEEDED_IN_META = ("lang", "name", "pipeline")
# What means something in Markdown, wherever it stands; an underscore does not within a word.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])|^[#+=-]")
_NUMBERED = re.compile(r"^(\d+)(?=[.)])")


class Result:
    """One entry of `results` in an evaluation; see `model_card`."""

    def __init__(self, entry: Any, number: int):
        if not isinstance(entry, Mapping):
            raise LukeError("L083", reason=f"results[{number}] is no object")
        for name, kind in _FIELDS.items():
            if not isinstance(entry.get(name), kind):
                raise LukeError("L083", reason=f"results[{number}] has no {name!r}, or one of another kind")
        for name, kind in _MORE_FIELDS.items():
            if entry.get(name) is not None and not isinstance(entry[name], kind):
                raise LukeError(
                    "L083", reason=f"results[{number}] has a {name!r} of another kind: {entry[name]!r:.200}"
                )
        self.task: str = entry["task"]
        self.dataset: str = entry["dataset"]
        self.hub_id: str = entry.get("hub_id") or ""
        self.hub_task: str = entry.get("hub_task") or "token-classification"
        self.note: str = entry.get("note") or ""
        self.docs: int | None = entry.get("docs")
        self.metrics: Sequence[str] = entry["metrics"]
        self.scores: Mapping[str, Any] = entry["scores"]
        self.baselines: Mapping[str, float | None] = entry.get("baselines") or {}
        missing = [str(name) for name in self.metrics if not isinstance(name, str) or name not in self.scores]
        if not self.metrics or missing:
            raise LukeError("L083", reason=f"results[{number}] has no score {', '.join(missing) or 'at all'}")
        label_scores = self.label_scores
        if not isinstance(label_scores, Mapping) or not all(
            isinstance(found, Mapping) for found in label_scores.values()
        ):
            raise LukeError(
                "L083", reason=f"results[{number}] has scores by label of another kind: {label_scores!r:.200}"
            )
        bins = self.calibration
        if not isinstance(bins, list | tuple) or not all(
            isinstance(one, Mapping) and all(_score(one.get(name)) is not None for name in _BIN) for one in bins
        ):
            raise LukeError("L083", reason=f"results[{number}] has calibration bins of another kind: {bins!r:.200}")

    @property
    def calibration(self) -> Sequence[Mapping[str, float]]:
        """Bins of the calibration error, each with `probability`, `right` and `count`; () if the scores have none."""
        return next((bins for name, bins in self.scores.items() if name.endswith("_calibration") and bins), ())

    @property
    def label_scores(self) -> Mapping[str, Mapping[str, float]]:
        """Label -> p, r, f; {} if the scores are not given by label."""
        return next((self.scores[name] for name in PER_LABEL if self.scores.get(name)), {})


def read_results(evaluation: Mapping[str, Any], dataset: str = "evaluation data") -> list[Result]:
    """The results in an evaluation; see `model_card`."""
    return _results(_from_spacy_evaluate(evaluation, dataset))


def label_pictures(results: Sequence[Result]) -> dict[str, list[Result]]:
    """File -> results of a task with scores by label, which `--pictures` draws into it."""
    with_labels = [result for result in results if result.label_scores]
    tasks = dict.fromkeys(result.task for result in with_labels)
    return {
        f"labels-{number}.svg": [result for result in with_labels if result.task == task]
        for number, task in enumerate(tasks, 1)
    }


def model_card(
    meta: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    about: str,
    size: int,
    *,
    dataset: str = "evaluation data",
    pictures: bool = False,
) -> str:
    """README.md of a pipeline.

    meta: its meta.json.
    evaluation: what `spacy evaluate --output` writes, or `{"results": [...], "speed": [...]}`. A result has a `task`
        and a `dataset`, by which the tables are grouped; `scores`, fractions of 1 by name as `spacy evaluate` writes
        them, with scores by label if there are; `metrics`, the names of those to show, the last one of which is
        compared with `baselines`, name -> score; and if they are known `docs`, `hub_id` (of the dataset), `hub_task`
        and a `note`. An entry of `speed` has `what`, `value` and `unit`.
    about: Markdown with what no number says: what it is for, how it was made, its limits.
    size: bytes on disk.
    dataset: what the data of `spacy evaluate` is called, whose file does not say it.
    pictures: show the files that `draw_card` draws, which are beside the card.

    L083 if the evaluation is not like that, L141 if meta.json is not as spaCy writes it.
    """
    evaluation = _from_spacy_evaluate(evaluation, dataset)
    results = _results(evaluation)
    _check_meta(meta)
    blocks = [
        f"---\n{srsly.yaml_dumps(front_matter(meta, results)).strip()}\n---",
        f"# {plain(meta['lang'])}_{plain(meta['name'])}",
        meta.get("description", ""),
        about.strip(),
        "## Components and labels",
        _labels(meta),
        "## Scores",
        "In percent." + (_ABOUT_ECE if any(name.endswith("ece") for r in results for name in r.metrics) else ""),
        *_scores(results, label_pictures(results) if pictures else {}),
        _calibration(results) if pictures else "",
        "## Size and speed",
        _speed(evaluation.get("speed", ()), size),
        "## Data and licence",
        _sources(meta),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def front_matter(meta: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """Metadata that the Hub reads of a card: https://huggingface.co/docs/hub/model-cards#model-card-metadata"""
    name = f"{meta['lang']}_{meta['name']}"
    hub_ids = [source["hub_id"] for source in meta.get("sources") or () if source.get("hub_id")]
    datasets = [hub_id for hub_id in dict.fromkeys([*hub_ids, *(r.hub_id for r in results)]) if hub_id]
    base = [source["base_model"] for source in meta.get("sources") or () if source.get("base_model")]
    index = [
        {
            "task": {"name": result.task, "type": result.hub_task},
            "dataset": {"name": result.dataset, "type": result.hub_id or result.dataset},
            "metrics": [
                {"name": SCORES.get(m, m), "type": m, "value": round(score, 4)}
                for m in result.metrics
                if (score := _score(result.scores[m])) is not None
            ],
        }
        for result in results
    ]
    found = {
        "language": [meta["lang"]],
        "license": str(meta.get("license", "")).lower().replace(" ", "-"),
        "library_name": "spacy",
        "tags": ["spacy", "luke", *dict.fromkeys(result.hub_task for result in results)],
        "base_model": base[0] if base else None,
        "datasets": datasets,
        "model-index": [{"name": name, "results": index}] if index else None,
    }
    return {key: value for key, value in found.items() if value}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> str:
    """A Markdown table; its last `right` columns are aligned to the right. Cells are Markdown: see `plain`, `code`."""
    rule = ["---"] * (len(header) - right) + ["---:"] * right
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def plain(text: str) -> str:
    """Markdown that shows a text as it is, in a line and in a cell of a table."""
    return _NUMBERED.sub(r"\1\\", _MARKDOWN.sub(r"\\\g<0>", _line(text)))


def code(text: str) -> str:
    """Markdown that shows a text as code."""
    text = _line(text)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padded = f" {text} " if longest or not text else text
    return f"{fence}{padded}{fence}".replace("|", "\\|")


def percent(fraction: float | None) -> str:
    """`0.6834` -> `68.3`; a dash for None."""
    return "–" if _score(fraction) is None else f"{100 * fraction:.1f}"  # type: ignore[operator]


def _title(score: str) -> str:
    return SCORES.get(score) or plain(score)


def _link(text: str, url: str) -> str:
    return f"[{plain(text)}]({quote(url, safe=_OF_URLS)})" if url.startswith(("https://", "http://")) else plain(text)


def _line(text: str) -> str:
    return " ".join(str(text).split())


def _score(value: Any) -> float | None:
    """L083 for what is no number."""
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
    ):
        raise LukeError("L083", reason=f"{value!r:.200} is no score")
    return value


def _check_meta(meta: Mapping[str, Any]) -> None:
    """L141 for a meta.json of another kind than spaCy's."""
    wrong = [name for name in _NEEDED_IN_META if name not in meta]
    wrong += [
        name for name, kind in _OF_META.items() if meta.get(name) is not None and not isinstance(meta[name], kind)
    ]
    if not wrong:
        labels = (meta.get("labels") or {}).values()
        wrong += ["labels"] * (not all(isinstance(pipe_labels, list | tuple) for pipe_labels in labels))
        sources = meta.get("sources") or ()
        wrong += ["sources"] * (not all(isinstance(s, Mapping) and isinstance(s.get("name"), str) for s in sources))
    if wrong:
        raise LukeError("L141", problems=", ".join(f"{name} = {meta.get(name)!r:.200}" for name in wrong))


def _from_spacy_evaluate(evaluation: Any, dataset: str) -> Any:
    """Convert what `spacy evaluate --output` writes to the form of our own evaluations; these stay as they are."""
    if not isinstance(evaluation, Mapping) or "results" in evaluation:
        return evaluation
    results = results_of(evaluation, dataset)
    if not results:
        raise LukeError("L083", reason="it has no list 'results', and no score of spacy evaluate")
    speed = evaluation.get("speed")
    measured = [{"what": "spacy evaluate", "value": round(speed), "unit": "words/s"}] if speed else []
    return {"results": results, "speed": measured}


def results_of(scores: Mapping[str, Any], dataset: str) -> list[dict[str, Any]]:
    """Entries of `results`, as `model_card` reads them: one for each task that has a score."""
    results = []
    for task, hub_task, pattern in EVALUATED:
        metrics = [name for name in scores if re.fullmatch(pattern, name) and scores[name] is not None]
        metrics.sort(key=lambda name: not name.endswith("_ece"))  # the last one is what baselines are compared with
        if metrics:
            described = {"task": task, "hub_task": hub_task, "dataset": dataset}
            results.append({**described, "metrics": metrics, "scores": _scores_of(scores, metrics)})
    return results


def _scores_of(evaluation: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """The scores of a task with those by label, which have the same beginning."""
    begins = {name.partition("_")[0] for name in metrics}
    return {name: evaluation[name] for name in evaluation if name in metrics or name.partition("_")[0] in begins}


def _results(evaluation: Any) -> list[Result]:
    if not isinstance(evaluation, Mapping) or not isinstance(evaluation.get("results"), list):
        raise LukeError("L083", reason="it has no list 'results'")
    return [Result(entry, number) for number, entry in enumerate(evaluation["results"])]


def _labels(meta: Mapping[str, Any]) -> str:
    labels: Mapping[str, Sequence[str]] = meta.get("labels") or {}
    rows = [[code(name), ", ".join(code(label) for label in labels.get(name, ()))] for name in meta["pipeline"]]
    return table(["component", "labels"], rows)


def _scores(results: Sequence[Result], pictures: Mapping[str, Sequence[Result]]) -> Iterable[str]:
    """Tables of each task: its datasets, its labels, and the notes. pictures: of F1 by label, and what they show."""
    picture_of = {shown[0].task: file for file, shown in pictures.items()}
    for task in dict.fromkeys(result.task for result in results):
        task_results = [result for result in results if result.task == task]
        metrics = list(dict.fromkeys(name for result in task_results for name in result.metrics))
        baselines = list(dict.fromkeys(name for result in task_results for name in result.baselines))
        compared = dict.fromkeys(result.metrics[-1] for result in task_results if result.baselines)
        yield f"### {plain(task)}"
        yield table(
            ["data", "Docs", *(_title(name) for name in metrics), *map(plain, baselines)],
            [
                [
                    plain(result.dataset),
                    "–" if result.docs is None else f"{result.docs:,}",
                    *(percent(result.scores.get(name)) for name in metrics),
                    *(percent(result.baselines.get(name)) for name in baselines),
                ]
                for result in task_results
            ],
            right=1 + len(metrics) + len(baselines),
        )
        if baselines:
            yield f"The last columns are {' and '.join(map(_title, compared))} of baselines."
        notes = [f"{plain(result.dataset)}: {_line(result.note)}" for result in task_results if result.note]
        if notes:
            yield "\n".join(f"- {note}" for note in notes)
        labels = sorted({label for result in task_results for label in result.label_scores})
        if labels:
            yield "F1 by label:"
            rows = [
                [plain(label), *(percent(r.label_scores.get(label, {}).get("f")) for r in task_results)]
                for label in labels
            ]
            yield table(["label", *(plain(result.dataset) for result in task_results)], rows, right=len(task_results))
        if task in picture_of:
            yield f"![F1 by label: {plain(task)}]({picture_of[task]})"


def _calibration(results: Sequence[Result]) -> str:
    if not any(result.calibration for result in results):
        return ""
    return (
        "### Probabilities\n\nShare of the predictions that is right, by their mean probability in ten bins: on the "
        f"diagonal, a probability means what it says.\n\n![Reliability diagrams]({CALIBRATION_PICTURE})"
    )


def _speed(entries: Iterable[Mapping[str, Any]], size: int) -> str:
    rows = [["size on disk", f"{size / 1e6:.1f} MB"]]
    for entry in entries:
        if not isinstance(entry, Mapping) or not {"what", "value", "unit"} <= entry.keys():
            raise LukeError("L083", reason="an entry of 'speed' has no 'what', 'value' and 'unit'")
        rows.append([plain(entry["what"]), f"{_score(entry['value']):,} {plain(entry['unit'])}"])
    return table(["", ""], rows, right=1)


def _sources(meta: Mapping[str, Any]) -> str:
    """Licence and sources of meta.json, as spaCy has them, with what each was `used` for if that is there."""
    rows = [
        [
            _link(source["name"], str(source.get("url") or "")),
            *(plain(source.get(name) or "") for name in ("license", "author", "use")),
        ]
        for source in meta.get("sources") or ()
    ]
    licence = f"The model is under {plain(meta['license'])}." if meta.get("license") else ""
    listed = table(["source", "licence", "authors", "use"], rows) if rows else ""
    return "\n\n".join(part for part in (licence, listed) if part)
