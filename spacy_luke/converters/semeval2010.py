"""SemEval-2010 Task 8: sentences with two marked nominals and the relation between them.

Format: https://semeval2.fbk.eu/semeval2.php?location=tasks#T11 (Hendrickx et al. 2010), the README of the release:

    1	"The <e1>author</e1> of a keygen uses a <e2>disassembler</e2> to look at the code."
    Instrument-Agency(e2,e1)
    Comment:

KBP37 (Zhang and Wang 2015) is written in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import LukeError
from ..progress import track
from .columns import read_lines
from .report import ConversionReport
from .texts import Fact, TextTokenizer, char_span, mark_one_sentence, set_entities, write_relations

SENTENCE = re.compile(r"(\d+)\t\s*(.+)")
COMMENT = re.compile(r"Comment\s*:", re.IGNORECASE)
LABEL = re.compile(r"(\S+)\((e[12]),(e[12])\)")
UNRELATED = ("Other", "no_relation")
MARK = re.compile(r"<(/?)(e[12])>")


@dataclass(kw_only=True)
class Block:
    """One sentence with its label, as the file has them."""

    line: int
    number: str
    sentence: str
    label: str = ""
    label_line: int = 0


def read_semeval2010(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """SemEval-2010 Task 8 (and KBP37): sentences with <e1> and <e2>, each with a relation.

    A Doc is a sentence with two entities labelled "ENTITY". `Cause-Effect(e2,e1)` is the relation Cause-Effect from e2
    to e1; `Other` and `no_relation` are no relation. `doc.user_data["id"]` is the number of the sentence.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: SemEval-2010 Task 8"])
    docs = [make_doc(path, block, tokenizer, report) for block in track(read_blocks(path, report), path.name, "Docs")]
    report.count(docs)
    return docs, report


def read_blocks(path: Path, report: ConversionReport) -> Iterator[Block]:
    block: Block | None = None
    for number, line in enumerate(read_lines(path), start=1):
        if found := SENTENCE.fullmatch(line):
            if block is not None:
                yield block
            block = Block(line=number, number=found[1], sentence=found[2].strip())
        elif COMMENT.match(line):
            report.comments += 1
        elif line.strip():
            if block is None or block.label:
                reason = "neither a numbered sentence nor the label of one"
                raise LukeError("L060", path=path, line=number, reason=reason)
            block.label, block.label_line = line.strip(), number
    if block is None:
        raise LukeError("L060", path=path, line=1, reason="there is no sentence (number, tabulator, sentence)")
    yield block


def make_doc(path: Path, block: Block, tokenizer: TextTokenizer, report: ConversionReport) -> Doc:
    text, marked = read_marks(path, block)
    place = f"{path.name}:{block.line}"
    doc = mark_one_sentence(tokenizer(text))
    doc.user_data["id"] = block.number
    spans = {name: char_span(doc, start, end, report, place) for name, (start, end) in marked.items()}
    if None in spans.values():
        raise LukeError("L060", path=path, line=block.line, reason="<e1> or <e2> is empty")
    set_entities(doc, [span for span in spans.values() if span is not None], report, place)
    if not block.label:
        report.unlabelled.add(place)
        return doc
    places = {name: (span.start, span.end) for name, span in spans.items() if span is not None}
    facts: list[Fact] = []
    if block.label not in UNRELATED:
        found = LABEL.fullmatch(block.label)
        if found is None:
            reason = f"{block.label!r} is no label such as Cause-Effect(e1,e2) or Other"
            raise LukeError("L060", path=path, line=block.label_line, reason=reason)
        facts.append((places[found[2]], places[found[3]], found[1]))
    write_relations(doc, facts, report, place)
    return doc


def read_marks(path: Path, block: Block) -> tuple[str, dict[str, tuple[int, int]]]:
    """The sentence without quotation marks and marks, and the characters of e1 and e2.

    `'"The <e1>author</e1> of <e2>it</e2>"'` -> `"The author of it", {"e1": (4, 10), "e2": (14, 16)}`
    """
    sentence = block.sentence
    if len(sentence) > 1 and sentence[0] == sentence[-1] == '"':
        sentence = sentence[1:-1]
    # White space goes outside the marks, and several spaces become one. Not to try again from each space of a long run,
    # a run is only looked at from its start.
    sentence = re.sub(r"(<e[12]>)(\s+)", r"\2\1", re.sub(r"(?<!\s)(\s+)(</e[12]>)", r"\2\1", sentence))
    sentence = re.sub(r"\s+((?:</?e[12]>)*)\s+", r"\1 ", sentence).strip()
    text = ""
    edges: dict[str, list[int]] = {"e1": [], "e2": []}
    end = 0
    for mark in MARK.finditer(sentence):
        text += sentence[end : mark.start()]
        end = mark.end()
        if len(edges[mark[2]]) != bool(mark[1]):
            raise LukeError("L060", path=path, line=block.line, reason=f"{mark[0]} is not in its place")
        edges[mark[2]].append(len(text))
    text += sentence[end:]
    if any(len(found) != 2 for found in edges.values()):
        raise LukeError("L060", path=path, line=block.line, reason="<e1>…</e1> and <e2>…</e2> are not both there")
    return text, {name: (found[0], found[1]) for name, found in edges.items()}
