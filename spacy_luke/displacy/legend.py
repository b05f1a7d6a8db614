"""Names of the colours on a page, with how often each label occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from spacy.glossary import GLOSSARY

from .graph import Graph
from .options import Options
from .text import escape, one_line


def legend(graphs: Sequence[Graph], strokes: Mapping[str, str], options: Options) -> str:
    """The labels of entities and of relations, the most frequent first.

    strokes: label of a relation -> colour of its lines.
    """
    marks = Counter(mark.label for graph in graphs for mark in graph.marks if mark.label)
    arcs = Counter(arc.label for graph in graphs for arc in graph.arcs)
    names = {arc.label: arc.name for graph in graphs for arc in graph.arcs}
    entities = [
        _entry(f'<span class="luke-swatch" style="--type: {escape(options.label_color(label))}"></span>', label, count)
        for label, count in marks.most_common()
    ]
    relations = [
        _entry(
            f'<span class="luke-swatch luke-line" style="--line: {escape(strokes[label])}"></span>',
            names[label] or label,
            count,
        )
        for label, count in arcs.most_common()
    ]
    return _list("Entities", entities) + _list("Relations", relations)


def _list(name: str, entries: Sequence[str]) -> str:
    return f'<ul class="luke-legend" aria-label="{name}">{"".join(entries)}</ul>' if entries else ""


def _entry(swatch: str, label: str, count: int) -> str:
    about = GLOSSARY.get(label)
    title = f' title="{escape(about)}"' if about else ""
    return f'<li{title}>{swatch}<bdi>{escape(one_line(label))}</bdi> <span class="luke-count">{count}</span></li>'
