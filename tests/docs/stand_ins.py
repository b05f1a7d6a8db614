"""What stands in for the Hub and for a reader's files: tiny random checkpoints and small corpora, made in the test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import huggingface_hub.constants
import spacy
import transformers
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import registry

from spacy_luke.annotations import Answer, Relation
from tests.util import longformer_config, luke_config, randomise, write_byte_bpe, write_longformer, write_luke

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "annotation_tools"
SHA = "0" * 40
BUNDLED = "en_luke_mini"
# What of the repository a reader of the pages has around him.
LINKED = ("benchmarks", "configs", "examples", "packages", "projects", "project.yml")


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """`contextlib.chdir` of Python 3.11."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# Checkpoints


def _luke(folder: Path, head: str, **changes: Any) -> None:
    pieces = write_byte_bpe(folder)
    model = getattr(transformers, f"LukeFor{head}")(luke_config(vocab_size=pieces + 2, **changes))
    write_luke(folder, randomise(model))


def _longformer(folder: Path, head: str) -> None:
    pieces = write_byte_bpe(folder)
    model = getattr(transformers, f"LongformerFor{head}")(longformer_config(vocab_size=pieces))
    write_longformer(folder, randomise(model))


def _roberta(folder: Path) -> None:
    pieces = write_byte_bpe(folder, tokenizer_class="RobertaTokenizer")
    config = transformers.RobertaConfig(
        vocab_size=pieces,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
    )
    randomise(transformers.RobertaForMaskedLM(config)).save_pretrained(folder)


def _labels(*labels: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


CONLL = _labels("NIL", "LOC", "MISC", "ORG", "PER")
TACRED = _labels("no_relation", "org:founded_by", "per:cities_of_residence")
# Id on the Hub -> how its stand-in is made.
ON_THE_HUB = {
    "studio-ousia/luke-base": partial(_luke, head="MaskedLM", num_hidden_layers=4),
    "studio-ousia/luke-large-finetuned-conll-2003": partial(_luke, head="EntitySpanClassification", **CONLL),
    "studio-ousia/luke-large-finetuned-tacred": partial(_luke, head="EntityPairClassification", **TACRED),
    "studio-ousia/luke-large-finetuned-open-entity": partial(
        _luke, head="EntityClassification", **_labels("entity", "event", "group", "location", "person")
    ),
    "FacebookAI/roberta-base": _roberta,
    "allenai/longformer-base-4096": partial(_longformer, head="MaskedLM"),
    "my-org/luke-qa": partial(_luke, head="QuestionAnswering"),
    "my-org/luke-multiple-choice": partial(_luke, head="MultipleChoice"),
    "my-org/luke-token-classification": partial(_luke, head="TokenClassification", **_labels("O", "B-PER", "I-PER")),
    "my-org/luke-text-classification": partial(_luke, head="SequenceClassification", **_labels("BAD", "GOOD")),
    "my-org/longformer-triviaqa": partial(_longformer, head="QuestionAnswering"),
}


def make_hub(folder: Path) -> Path:
    """A cache of the Hub that has the stand-ins and nothing else."""
    for name, make in ON_THE_HUB.items():
        place = folder / f"models--{name.replace('/', '--')}"
        snapshot = place / "snapshots" / SHA
        snapshot.mkdir(parents=True)
        make(snapshot)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(SHA)
    return folder


@contextlib.contextmanager
def hub_cache(folder: Path) -> Iterator[None]:
    """The cache of the Hub is another one, and the network is off."""
    constants = huggingface_hub.constants
    with mock.patch.multiple(constants, HF_HUB_CACHE=str(folder), HF_HUB_OFFLINE=True):
        yield


# The bundled model

_load = spacy.util.load_model
_shared: dict[str, tuple[Language, str]] = {}


@contextlib.contextmanager
def shared_model() -> Iterator[None]:
    """Load the bundled model once for all blocks, and again only after a block has changed the pipeline."""
    with mock.patch.object(spacy.util, "load_model", _load_once):
        yield


def _load_once(name: Any, **options: Any) -> Language:
    if name != BUNDLED or any(options.values()):
        return _load(name, **options)
    nlp, config = _shared.get(BUNDLED, (None, ""))
    if nlp is None or nlp.config.to_str() != config:
        nlp = _load(BUNDLED)
        _shared[BUNDLED] = nlp, nlp.config.to_str()
    return nlp


def is_registered(kind: str, name: str) -> bool:
    """Whether a name of ours is in one of spaCy's registries."""
    return registry.has(kind, name)


# Spark


class Frame(dict[str, Any]):
    """As much of a pandas DataFrame as the page needs: columns by name."""


class Table:
    """As much of a Spark DataFrame as the page needs: a frame, whose partitions are one."""

    def __init__(self, frame: Frame):
        self.frame = frame
        self.write = SimpleNamespace(parquet=lambda path: Path(path).write_text(json.dumps(dict(frame))))

    def select(self, *columns: str) -> Table:
        return Table(Frame({name: self.frame[name] for name in columns}))

    def repartition(self, number: int) -> Table:
        return self

    def mapInPandas(self, function: Callable[[Iterator[Frame]], Iterator[Frame]], schema: str) -> Table:
        [result] = function(iter([self.frame]))
        assert list(result) == [column.split()[0] for column in schema.split(", ")]
        return Table(result)


@contextlib.contextmanager
def spark() -> Iterator[SimpleNamespace]:
    """A Spark session that reads texts.jsonl, whatever the table, with pandas beside it."""

    def read(path: str) -> Table:
        rows = [json.loads(line) for line in Path("texts.jsonl").read_text().splitlines()]
        return Table(Frame({name: [row[name] for row in rows] for name in rows[0]}))

    with mock.patch.dict(sys.modules, {"pandas": ModuleType("pandas")}):
        sys.modules["pandas"].DataFrame = Frame  # type: ignore[attr-defined]
        yield SimpleNamespace(read=SimpleNamespace(parquet=read))


# Files

CONLL_LINES = """Ada B-PER
Lovelace I-PER
met O
Charles B-PER
Babbage I-PER
in O
London B-LOC
. O

The O
Royal B-ORG
Society I-ORG
was O
founded O
in O
London B-LOC
. O
"""
ARTICLES = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">
<page><title>Ada Lovelace</title><ns>0</ns><id>1</id><revision><id>2</id><text xml:space='preserve'>
Ada met [[Charles Babbage|Babbage]] in [[London]]. [[Charles Babbage]] lived in [[London]].</text></revision></page>
</mediawiki>
"""
TEXTS = [
    "Grace Hopper was born in New York City. She worked for Remington Rand in Philadelphia.",
    "Ada Lovelace was born in London in 1815. She worked with Charles Babbage.",
]


def make_files(folder: Path) -> Path:
    """The folder that the blocks of a page run in."""
    folder.mkdir(parents=True)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    for name in ("train.conll", "dev.conll"):
        (folder / name).write_text(CONLL_LINES * 4)
    texts = [json.dumps({"id": f"t{i}", "text": text}) for i, text in enumerate(TEXTS)]
    (folder / "texts.jsonl").write_text("".join(line + "\n" for line in texts))
    (folder / "corpus").mkdir()
    docs = [annotated() for _ in range(4)]
    for name in ("train", "dev", "test", "linked", "linked_dev"):
        DocBin(docs=docs, store_user_data=True).to_disk(folder / "corpus" / f"{name}.spacy")
    shutil.copy(folder / "corpus" / "dev.spacy", folder / "dev.spacy")
    shutil.copytree(DATA / "brat", folder / "letters")
    shutil.copy(DATA / "inception" / "ann.json", folder / "letters")
    (folder / "articles.xml").write_text(ARTICLES)
    (folder / "about.md").write_text("A pipeline.\n")
    (folder / "evaluation.json").write_text('{"ents_p": 0.5, "ents_r": 0.5, "ents_f": 0.5}')
    dates = spacy.blank("en")
    dates.add_pipe("luke_dates")
    dates.to_disk(folder / "my_dates")
    shutil.copy(DATA / "doccano_relations.jsonl", folder / "admin.jsonl")
    shutil.copy(DATA / "prodigy.jsonl", folder / "letters.jsonl")
    shutil.copy(DATA / "label_studio.json", folder / "project.json")
    return folder


def annotated() -> Doc:
    """A Doc with gold annotation for every component."""
    nlp = spacy.blank("en")
    doc = nlp("Ada Lovelace met Babbage in London. She wrote the first program for the engine.")
    spans = [Span(doc, 0, 2, "PER"), Span(doc, 3, 4, "PER"), Span(doc, 5, 6, "LOC")]
    for span, title in zip(spans, ("Ada Lovelace", "Babbage", "London"), strict=True):
        span.kb_id_ = title
    doc.set_ents(spans)
    doc.spans["luke_ner"] = list(doc.ents)
    for token in doc:
        token.is_sent_start = token.i in (0, 7)
        token._.luke_tag = "NAME" if token.ent_type_ else "WORD"
        token.tag_ = "X"
    doc._.relations = [Relation(doc.ents[0], doc.ents[1], "met"), Relation(doc.ents[0], doc.ents[2], "was_in")]
    for ent, types in zip(doc.ents, (["person"], ["person"], ["location"]), strict=True):
        ent._.entity_types = types
    doc._.questions = ["Who met Babbage?", "Who won?"]
    doc._.answers = [Answer("Who met Babbage?", doc[0:2]), Answer("Who won?", None)]
    doc._.choices = [("Who met Babbage?", ["Lovelace", "London"])]
    doc._.chosen = [0]
    doc.cats = {"HISTORY": 1.0, "SPORTS": 0.0}
    return doc
