"""Label Studio: tasks with regions of a text, relations between them and choices.

Format: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions:

    [{"id": 1, "data": {"text": "…"}, "annotations": [{"was_cancelled": false, "ground_truth": false, "result": [
        {"id": "a1", "from_name": "label", "to_name": "text", "type": "labels",
         "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}},
        {"type": "relation", "from_id": "a1", "to_id": "b2", "direction": "right", "labels": ["works_for"]},
        {"from_name": "tone", "to_name": "text", "type": "choices", "value": {"choices": ["friendly"]}}]}],
      "predictions": [{"model_version": "…", "score": 0.9, "result": […, each with a "score"]}]}, …]

or JSON-MIN, without relations, where each control is a field: {"text": "…", "label": [{"start": 0, …}], …}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..checks import require_one_of
from ..errors import LukeError
from ..files import write_file
from ..progress import track
from .annotated_text import AnnotatedText, TextMention, TextRelation, read_annotations, write_annotations
from .offsets import UNITS, Offsets, Unit
from .records import Record, read_records
from .report import CHOSEN_FROM, ConversionReport
from .texts import TextTokenizer, shown
from .tools import RESULTS, Kept, Results, dump_json, number_or_name, read_score

TEXT = "text"
# Names of the controls in the labelling interface, unless they are given.
LABEL_NAME, TEXT_NAME, CHOICES_NAME = "label", "text", "choices"
# How older versions write a line break in the text of a region.
LINE_BREAK = "\\n"


def read_label_studio(
    path: str | Path,
    *,
    results: Results = "annotations",
    annotator: str | None = None,
    text_key: str | None = None,
    choices: str | None = None,
    offsets: Unit | None = None,
    relations: bool | None = None,
    spans_key: str | None = None,
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """Label Studio (JSON or JSON-MIN): regions of texts, relations and choices.

    A Doc is a task, without sentence boundaries. Its entities are regions with labels, its relations go from a region
    to another as their arrow does (both ways for one with two heads), its categories are choices: 1 for what was
    chosen, 0 for all else that was chosen anywhere in the file. `doc.user_data["id"]` is the id of the task, `["meta"]`
    the other fields of its data.

    Of several annotations of a task, one that is a ground truth is taken, and of several of these or none, the one that
    was changed last. Those that were skipped are not read, nor tasks with no others.

    results: "annotations", or "predictions", the last of each task, with their scores.
    annotator: Id or e-mail address of whose annotations are taken, or version of the model; None = anybody's.
    text_key: Name of the text in the data of a task; None = "text", or the only string there.
    choices: Name of the choices to read; None = the only one.
    offsets: What `start` and `end` count: "characters", or "utf16" code units, as versions of 2021 and before do;
        None = for each text, that by which more regions have the text that the file says.
    relations: Whether texts were annotated with relations, so that one without them has none; None = if the file has
        any.
    spans_key: Key of `doc.spans`, where regions may overlap; None = `doc.ents`.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    require_one_of(RESULTS, results=results)
    if offsets is not None:
        require_one_of(UNITS, offsets=offsets)
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: {results} of Label Studio"])
    records = read_records(path)
    if not any("data" in record.values for record in records):
        records = [from_json_min(record, choices) for record in last_of_each(records, annotator, report)]
    found: list[tuple[AnnotatedText, dict[str, dict[str, float]], str]] = []
    for record in records:
        result = choose_result(record, results, annotator, report)
        if result is not None:
            chosen: dict[str, dict[str, float]] = {}
            found.append((read_task(record, result, text_key, offsets, chosen, report), chosen, record.short))
    name = choose_control(path, choices, {name for _, chosen, _ in found for name in chosen})
    categories = sorted({label for _, chosen, _ in found for label in chosen.get(name or "", ())})
    if relations is None:
        relations = any(content.relations for content, _, _ in found)
    docs = []
    for content, chosen, place in track(found, path.name, "Docs"):
        if not content.relations:
            content.relations = [] if relations else None
        for other in chosen.keys() - {name}:
            report.not_carried[f"choices {other!r}"] += 1
        if name in chosen:
            content.cats = {label: chosen[name].get(label, 0.0) for label in categories}
        docs.append(write_annotations(tokenizer(content.text), content, report, place, spans_key=spans_key))
    if not docs:
        raise LukeError("L060", path=path, line=1, reason=f"no task has {results} to take")
    report.count(docs)
    return docs, report


def last_of_each(records: Iterable[Record], annotator: str | None, report: ConversionReport) -> list[Record]:
    """Of the records of JSON-MIN, one for each annotation, the last of each task, by the annotator if one is given."""
    last: dict[object, Record] = {}
    for number, record in enumerate(records):
        name = record.values.get("id", ("record", number))
        key = name if isinstance(name, str | int | tuple) else str(name)
        if annotator not in (None, str(record.values.get("annotator"))):
            continue
        if key in last:
            report.several_annotators.add(record.short)
        last[key] = record
    return list(last.values())


def from_json_min(record: Record, choices: str | None) -> Record:
    """The task that a record of JSON-MIN was made from: lists of regions and choices are results, all else is data.

    choices: Name of the choices, where a single one is a string like those of the data.
    """
    data: dict[str, Any] = {}
    result: list[Any] = []
    for name, value in record.values.items():
        if isinstance(value, list) and all(isinstance(item, dict) and "start" in item for item in value):
            regions = [{"from_name": name, "type": "labels", "value": item} for item in value]
            result += [{**region, "id": f"{name}{number}"} for number, region in enumerate(regions)]
        elif (isinstance(value, dict) and "choices" in value) or (isinstance(value, str) and name == choices):
            made = value if isinstance(value, dict) else {"choices": [value]}
            result.append({"from_name": name, "type": "choices", "value": made})
        elif name not in ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"):
            data[name] = value
    annotation = {"result": result, "completed_by": record.values.get("annotator")}
    values = {"data": data, "annotations": [annotation]}
    return Record(
        record.path, record.place, {**values, **({"id": record.values["id"]} if "id" in record.values else {})}
    )


def choose_result(
    record: Record, results: Results, annotator: str | None, report: ConversionReport
) -> list[Record] | None:
    """The result of the annotation, or of the prediction, that is taken; None if there is none."""
    key: str = results
    if key == "annotations" and key not in record.values and "completions" in record.values:
        key = "completions"  # as it was called before version 1.0
    given = record.inner(key) if key in record.values else []
    done = []
    for item in given:
        if item.values.get("was_cancelled") or item.values.get("skipped"):
            report.cancelled.add(record.short)
        elif annotator is None or annotator in annotators_of(item):
            done.append(item)
    if not done:
        report.unannotated_texts.add(record.short)
        return None
    if len(done) > 1:
        report.several_annotators.add(f"{record.short}: {len(done)}")
    best = max(
        enumerate(done),
        key=lambda pair: (
            bool(pair[1].values.get("ground_truth")),
            str(pair[1].values.get("updated_at") or pair[1].values.get("created_at") or ""),
            pair[0],
        ),
    )
    return best[1].inner("result")


def annotators_of(annotation: Record) -> set[str]:
    """Id and e-mail address of an annotator, or the version of a model, as far as the file says them."""
    who = annotation.values.get("completed_by")
    values = [who.get("id"), who.get("email")] if isinstance(who, dict) else [who]
    values.append(annotation.values.get("model_version"))
    return {str(value) for value in values if isinstance(value, str | int)}


def read_task(
    record: Record,
    result: list[Record],
    text_key: str | None,
    offsets: Unit | None,
    chosen: dict[str, dict[str, float]],
    report: ConversionReport,
) -> AnnotatedText:
    """A task with one of its results; its choices go into `chosen`: name of the control -> choice -> score."""
    data = Record(record.path, f"{record.place}.data", record.get("data", dict))
    key = find_text(data, text_key)
    content = AnnotatedText(data.get(key, str))
    content.meta = {name: value for name, value in data.values.items() if name != key}
    content.name = str(record.get("id", str | int, ""))
    regions: list[Record] = []
    relations: list[TextRelation] = []
    for item in result:
        kind = item.get("type", str, "")
        value = item.values.get("value")
        region = isinstance(value, Mapping) and "start" in value
        if kind == "relation":
            relations += read_relation(item, report)
        elif kind == "labels" and region and type(item.get("value", dict)["start"]) is int:
            regions.append(item)
        elif kind == "choices" and not region:
            read_choices(item, chosen, report)
        else:
            report.not_carried[f"{kind or 'result without type'}{' of regions' if region else ''}"] += 1
    content.relations = relations
    read_regions(record, regions, content, offsets, report)
    return content


def find_text(data: Record, text_key: str | None) -> str:
    if text_key is not None or TEXT in data.values:
        return text_key or TEXT
    strings = [name for name, value in data.values.items() if isinstance(value, str)]
    if len(strings) != 1:
        raise LukeError(
            "L177",
            path=data.path,
            place=data.place,
            what="which string is the text of the task",
            found=", ".join(strings) or "no string",
            option="text_key (--text-key)",
        )
    return strings[0]


def choose_control(path: Path, name: str | None, known: set[str]) -> str | None:
    """The name of the choices to read; None if the file has none."""
    found = ", ".join(sorted(known))
    if name is not None and name not in known:
        raise LukeError("L178", path=path, what="choices", name=name, known=found or "none")
    if name is None and len(known) > 1:
        option = "choices (--choices)"
        raise LukeError("L177", path=path, place="results", what="which choices to read", found=found, option=option)
    return name or next(iter(known), None)


def read_relation(item: Record, report: ConversionReport) -> Iterator[TextRelation]:
    head, tail = (str(item.get(name, str | int)) for name in ("from_id", "to_id"))
    labels = item.values.get("labels") or []
    direction = item.get("direction", str, "right")
    if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
        item.fail("'labels' is not a list of labels")
    if direction not in ("left", "right", "bi"):
        item.fail(f"'direction' is {direction!r}, not left, right or bi")
    if not labels:
        report.nameless_relations.add(f"{item.path.name}:{item.place}")
    score = read_score(item, report)
    for label in labels:
        if direction != "left":
            yield TextRelation(head, tail, label, score)
        if direction != "right":
            yield TextRelation(tail, head, label, score)


def read_choices(item: Record, chosen: dict[str, dict[str, float]], report: ConversionReport) -> None:
    labels = item.get("value", dict).get("choices", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        item.fail("'value' has no 'choices', a list of strings")
    score = read_score(item, report)
    chosen.setdefault(item.get("from_name", str), {}).update(
        {label: 1.0 if score is None else score for label in labels}
    )


def read_regions(
    record: Record, items: list[Record], content: AnnotatedText, unit: Unit | None, report: ConversionReport
) -> None:
    values = [Record(item.path, f"{item.place}.value", item.get("value", dict)) for item in items]
    if unit is None:
        unit = find_unit(content.text, values)
        if unit == "utf16":
            report.utf16_texts.add(record.short)
    offsets = Offsets(content.text, unit)
    for item, value in zip(items, values, strict=True):
        start, end = value.get("start", int), value.get("end", int)
        place = offsets.to_characters(start, end)
        if place is None:
            value.fail(f"there are no characters {start} to {end} in a text of {len(offsets)}")
        said = value.values.get("text")
        if isinstance(said, str) and said and plain(said) != plain(content.text[slice(*place)]):
            report.other_names.add(f"{record.short} {shown(said)!r} at {shown(content.text[slice(*place)])!r}")
        labels = value.values.get("labels") or []
        if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
            value.fail("'labels' is not a list of labels")
        if not labels:
            report.not_carried["regions without label"] += 1
        score = read_score(item, report)
        name = str(item.get("id", str | int))
        content.mentions += [TextMention(name, *place, label, score=score) for label in labels]


def find_unit(text: str, values: Iterable[Record]) -> Unit:
    """What the offsets of a task count: that by which more regions have their text, characters if it is equal."""
    if max(text, default="") <= "\uffff":
        return "characters"
    units = Offsets(text, "utf16")
    fits = {"characters": 0, "utf16": 0}
    for value in values:
        start, end, said = (value.values.get(name) for name in ("start", "end", "text"))
        if type(start) is int and type(end) is int and isinstance(said, str):
            place = units.to_characters(start, end)
            fits["characters"] += plain(text[max(start, 0) : max(end, 0)]) == plain(said)
            fits["utf16"] += place is not None and plain(text[slice(*place)]) == plain(said)
    return "utf16" if fits["utf16"] > fits["characters"] else "characters"


def plain(text: str) -> str:
    """The text of a region but for white space, which Label Studio changes."""
    return "".join(text.replace(LINE_BREAK, "").split())


def write_label_studio(
    docs: Iterable[Doc],
    path: str | Path,
    *,
    results: Results = "annotations",
    model_version: str = "spacy-luke",
    text_key: str = TEXT,
    label_name: str = LABEL_NAME,
    text_name: str = TEXT_NAME,
    choices_name: str = CHOICES_NAME,
    offsets: Unit = "characters",
    interface: str | Path | None = None,
    spans_key: str | None = None,
) -> ConversionReport:
    """Label Studio (JSON): tasks with regions, relations and choices, as annotations or as predictions with scores.

    results: "annotations", or "predictions", which Label Studio shows to be corrected. These have a score each, and
        together the least of these.
    model_version: Of the predictions.
    text_key: Name of the text in the data of a task.
    label_name, text_name, choices_name: Of the controls `Labels`, `Text` and `Choices` in the labelling interface.
    offsets: What `start` and `end` count: "characters", or "utf16" code units, as versions of 2021 and before do.
    interface: File for a labelling interface (XML) with these controls and all labels.
    spans_key: Key of `doc.spans`, whose spans are the regions; None = `doc.ents`.
    """
    require_one_of(RESULTS, results=results)
    path = Path(path)
    report = ConversionReport(files=[f"{path}: {results} for Label Studio"])
    kept = Kept(report)
    names = (label_name, text_name, choices_name)
    tasks = []
    holds = frozenset({"cats", "meta"} | ({"scores"} if results == "predictions" else set()))
    for number, doc in enumerate(docs, start=1):
        place = f"Doc {number}"
        content = read_annotations(doc, report, place, spans_key=spans_key, holds=holds)
        kept.add(content, scores=results == "predictions")
        units = Offsets(content.text, offsets)
        task: dict[str, Any] = {"data": {**content.meta, text_key: content.text}}
        if text_key in content.meta:
            report.not_carried["meta"] += 1
        if content.name:
            task["id"] = number_or_name(content.name)
        if results == "predictions":
            made = make_prediction(content, units, names, model_version)
        else:
            made = {"result": list(make_result(content, units, names, scores=False))}
        tasks.append(dump_json({**task, results: [made]}, place))
    write_file(path, "[\n" + ",\n".join(tasks) + "\n]\n")
    kept.check_cats()
    kept.check_relations()
    if interface is not None:
        write_file(interface, make_interface(report, kept.cats, text_key, names, exclusive=kept.exclusive))
    return report


def make_prediction(
    content: AnnotatedText, offsets: Offsets, names: tuple[str, str, str], model_version: str
) -> dict[str, Any]:
    """A prediction, whose score is the least of what is in it."""
    result = list(make_result(content, offsets, names, scores=True))
    scores = [item["score"] for item in result if "score" in item]
    return {"model_version": model_version, **({"score": min(scores)} if scores else {}), "result": result}


def make_result(
    content: AnnotatedText, offsets: Offsets, names: tuple[str, str, str], *, scores: bool
) -> Iterator[dict[str, Any]]:
    label_name, text_name, choices_name = names
    for mention in content.mentions:
        start, end = offsets.from_characters(mention.start, mention.end)
        text = content.text[mention.start : mention.end]
        yield {
            "id": f"m{mention.id}",
            "from_name": label_name,
            "to_name": text_name,
            "type": "labels",
            "value": {"start": start, "end": end, "text": text, "labels": [mention.label]},
            **({} if mention.score is None else {"score": mention.score}),
        }
    for relation in content.relations or ():
        yield {
            "type": "relation",
            "from_id": f"m{relation.head}",
            "to_id": f"m{relation.tail}",
            "direction": "right",
            "labels": [relation.label],
            **({} if relation.score is None else {"score": relation.score}),
        }
    chosen = {label: value for label, value in (content.cats or {}).items() if value >= CHOSEN_FROM}
    if chosen:  # one result: Label Studio shows one for each control
        least = min(chosen.values())
        yield {
            "id": "c0",
            "from_name": choices_name,
            "to_name": text_name,
            "type": "choices",
            "value": {"choices": list(chosen)},
            **({"score": least} if scores and least < 1 else {}),
        }


def make_interface(
    report: ConversionReport, cats: Iterable[str], text_key: str, names: tuple[str, str, str], *, exclusive: bool
) -> str:
    """A labelling interface with the labels of what was written."""
    label_name, text_name, choices_name = (quoteattr(name) for name in names)
    lines = ["<View>"]
    if report.relations:
        lines += ["  <Relations>"]
        lines += [f"    <Relation value={quoteattr(label)}/>" for label in sorted(report.relations)]
        lines += ["  </Relations>"]
    lines += [f"  <Labels name={label_name} toName={text_name}>"]
    lines += [f"    <Label value={quoteattr(label)}/>" for label in sorted(report.entities)]
    lines += ["  </Labels>", f"  <Text name={text_name} value={quoteattr('$' + text_key)}/>"]
    if cats := sorted(cats):
        choice = "single" if exclusive else "multiple"
        lines += [f'  <Choices name={choices_name} toName={text_name} choice="{choice}">']
        lines += [f"    <Choice value={quoteattr(label)}/>" for label in cats]
        lines += ["  </Choices>"]
    return "\n".join([*lines, "</View>", ""])
