"""The pipeline of the bundled model in two ways, spaCy's own `ner`, and what they read.

Encoder, `luke_ner` and `luke_entity_linker` have the weights of the bundled model, since how many candidates are
encoded depends on them. The heads of types and relations are new and random in both ways, of the bundled sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import spacy
import srsly
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_config, load_model_from_config
from thinc.api import Config

from spacy_luke.annotations import Relation, set_entity_types, set_relations
from spacy_luke.default_model import bundled_pipeline
from spacy_luke.pipeline.relations.labels import is_directed, split_direction

SENTENCES, ENCODER = "sentencizer", "luke_encoder"
TASKS = ("luke_ner", "luke_entity_typer", "luke_relations", "luke_entity_linker")
ITEMS = ("luke_entity_typer", "luke_relations")  # those whose items may be marked in the text
_LEFT_OUT = ["entity_ruler", "luke_qa"]
_JOINED = {"@misc": "spacy-luke.joined_sentences.v1"}
_SENTENCES = {"@misc": "spacy-luke.sentence_windows.v1", "max_pieces": 510, "context": "none"}
# spaCy's small English model: https://spacy.io/models/en#en_core_web_sm, config.cfg of 3.8, [components.ner.model].
SMALL = "en_core_web_sm"
_SMALL_NER = """
[model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 64
maxout_pieces = 2
use_upper = true

[model.tok2vec]
@architectures = "spacy.Tok2Vec.v2"

[model.tok2vec.embed]
@architectures = "spacy.MultiHashEmbed.v2"
width = 96
attrs = ["NORM","PREFIX","SUFFIX","SHAPE"]
rows = [5000,1000,2500,2500]
include_static_vectors = false

[model.tok2vec.encode]
@architectures = "spacy.MaxoutWindowEncoder.v2"
width = 96
depth = 4
window_size = 1
maxout_pieces = 3
"""
_SMALL_LABELS = 18  # those of OntoNotes
_FIRST = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gwen", "Hugo", "Iris", "Jack", "Kate", "Liam", "Mia", "Noah")
_LAST = (
    *("Adams", "Brown", "Clark", "Davis", "Evans", "Ford", "Green", "Hill", "Irwin", "Jones", "King", "Lopez"),
    *("Moore", "Nolan", "Owens", "Price", "Quinn", "Reed", "Scott", "Taylor"),
)


def bundled(*, markers: bool) -> Language:
    """The bundled pipeline without questions.

    markers: the previous way: the items of types and relations are marked in their sentences, and each component
        encodes its own input, sentence by sentence. Otherwise pieces are encoded once for all, in the same windows.

    `luke_ner` leaves `doc.ents` alone, so that the others classify what the Doc comes with.
    """
    folder = bundled_pipeline()
    config = load_config(folder / "config.cfg")
    components: dict[str, Any] = config["components"]
    components["luke_ner"]["overlap"] = True
    for name in ITEMS:
        components[name]["markers"] = markers
    for name in TASKS:
        components[name]["windows"] = _SENTENCES if markers else _JOINED
    if markers:
        components[ENCODER]["max_kept_bytes"] = 0
    nlp = load_model_from_config(config, exclude=_LEFT_OUT, auto_fill=True)
    nlp.from_disk(folder, exclude=[*_LEFT_OUT, *ITEMS])
    labels = {name: srsly.read_json(folder / name / "cfg")["head"]["labels"] for name in ITEMS}
    torch.manual_seed(0)
    for name in ITEMS:
        pipe: Any = nlp.get_pipe(name)
        pipe.initialize(lambda: [_example(nlp, labels)], nlp=nlp)
    return nlp


def _example(nlp: Language, labels: dict[str, list[str]]) -> Example:
    """An example with all types and relations of the bundled model."""
    doc = nlp.make_doc("Ada met Ben.")
    doc.ents = [doc.char_span(0, 3, "PER"), doc.char_span(8, 11, "PER")]
    for token in doc:
        token.is_sent_start = token.i == 0
    head, tail = doc.ents
    relations = {split_direction(label)[0] for label in labels["luke_relations"] if is_directed(label)}
    set_relations(doc, [Relation(head, tail, label, 1.0) for label in sorted(relations)])
    set_entity_types(head, labels["luke_entity_typer"])
    return Example(doc.copy(), doc)


def find_entities(texts: Iterable[str]) -> list[Doc]:
    """Docs with the entities that the bundled model finds."""
    nlp = spacy.load(bundled_pipeline(), enable=[SENTENCES, ENCODER, "luke_ner", "entity_ruler"])
    return list(nlp.pipe(texts))


def with_entities_of(nlp: Language, docs: Iterable[Doc]) -> list[Doc]:
    """The same texts and entities, and nothing else, for another pipeline."""
    copies = []
    for doc in docs:
        copy = nlp.make_doc(doc.text)
        copy.set_ents([copy.char_span(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents])
        copies.append(copy)
    return copies


def list_of_names(nlp: Language, count: int) -> Doc:
    """A sentence that is a list of different names, all of them entities."""
    names = list(islice(_names(), count))
    doc = nlp.make_doc(f"Among those present were {', '.join(names)}.")
    starts = (doc.text.index(name) for name in names)
    doc.set_ents([doc.char_span(start, start + len(name), "PER") for start, name in zip(starts, names, strict=True)])
    return doc


def _names() -> Iterator[str]:
    """280 names, such that neighbours have nothing in common."""
    for shift in range(len(_LAST)):
        yield from (f"{first} {_LAST[(i + shift) % len(_LAST)]}" for i, first in enumerate(_FIRST))


def spacy_ner() -> tuple[str, Language]:
    """What it is, and spaCy's `ner`: that of `en_core_web_sm`, or random weights of its sizes where that is not
    installed."""
    if spacy.util.is_package(SMALL):
        return f"ner of {SMALL}", spacy.load(SMALL, enable=["ner"])
    nlp = spacy.blank("en")
    nlp.add_pipe("ner", config=Config().from_str(_SMALL_NER))
    labels = [f"LABEL{number}" for number in range(_SMALL_LABELS)]
    doc = Doc(nlp.vocab, words=labels, ents=[f"B-{label}" for label in labels])
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc)])
    return f"spaCy's ner, random weights of {SMALL}'s sizes", nlp
