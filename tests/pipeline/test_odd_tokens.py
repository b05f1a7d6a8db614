"""Docs with tokens that no tokenizer of spaCy makes: words that carry white space of their own, or are nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest
import spacy
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_luke import to_dict
from tests.pipeline.encoder.shared_model import TASKS, build, examples, write_bare
from tests.tokenization.ugly import parts
from tests.util import write_longformer

pytestmark = pytest.mark.filterwarnings("ignore::spacy_luke.errors.LukeWarning")
MORE_TASKS = {"luke": ("luke_entity_typer", "luke_entity_linker"), "longformer": ("luke_entity_typer",)}
BLANKS = st.sampled_from(["", "", " ", "  ", "\n", "\t ", "\xa0", "\u3000", "\u200b"])
WORDS = st.builds("".join, st.tuples(BLANKS, st.one_of(st.sampled_from(["Ada", "London", "met", "."]), parts), BLANKS))


@pytest.fixture(scope="module", params=["luke", "longformer", "en_luke_mini"])
def nlp(request, tmp_path_factory):
    """Every component, on one encoder: tiny random ones, and the bundled model."""
    if request.param == "en_luke_mini":
        return spacy.load("en_luke_mini")
    folder = tmp_path_factory.mktemp(request.param)
    write_bare(folder) if request.param == "luke" else write_longformer(folder)
    encoder = "spacy-luke.LukeEncoder.v1" if request.param == "luke" else "spacy-luke.LongformerEncoder.v1"
    model = {"@architectures": encoder, **({"entity_vocab": "full"} if request.param == "luke" else {})}
    nlp = build((*TASKS, *MORE_TASKS[request.param]), encoder, model=model)
    types = {"labels": ["person", "city"]}
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(folder)}, "luke_entity_typer": types}
    torch.manual_seed(0)
    nlp.initialize(lambda: examples(nlp))
    return nlp


@st.composite
def odd_docs(draw) -> dict[str, Any]:
    """Words, spaces and sentence starts of a Doc, token ranges of entities, a question, and options."""
    words = draw(st.lists(WORDS.filter(bool), max_size=9))
    flags = st.lists(st.booleans(), min_size=len(words), max_size=len(words))
    edges = sorted(draw(st.sets(st.integers(0, len(words)), max_size=6)))
    return {
        "words": words,
        "spaces": draw(flags),
        "sent_starts": [i == 0 or start for i, start in enumerate(draw(flags))],
        "ents": list(zip(edges[::2], edges[1::2], strict=False)),
        "asked": (draw(WORDS), ["Ada", draw(WORDS)]),
    }


def make_doc(nlp: Language, odd: dict[str, Any]) -> Doc:
    doc = Doc(nlp.vocab, **{name: odd[name] for name in ("words", "spaces", "sent_starts")})
    doc.set_ents([Span(doc, start, end, label="PER", kb_id="London") for start, end in odd["ents"]])
    doc._.questions, doc._.choices = ["Who met Ada ?", odd["asked"][0]], [odd["asked"]]
    return doc


def rounded(value: Any) -> Any:
    """Results without what the composition of a batch changes: the last digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return pytest.approx(value, abs=1e-3) if isinstance(value, float) else value


ADA = {"words": ["Ada ", "met ", "Bo ", "Later ", "on "], "spaces": [False] * 5, "ents": [(0, 1), (2, 3)]}


@settings(max_examples=25)
@given(odd=st.lists(odd_docs(), min_size=1, max_size=3))
@example(odd=[{**ADA, "sent_starts": [True, False, False, True, False], "asked": ("Who? ", [" Ada", "Bo "])}])
def test_all_components_run_and_agree_alone_and_together(nlp, odd) -> None:
    alone = [to_dict(nlp(make_doc(nlp, one))) for one in odd]
    together = [to_dict(doc) for doc in nlp.pipe([make_doc(nlp, one) for one in odd], batch_size=3)]
    assert together == rounded(alone)
    for one in alone:
        for found in one["entities"]:
            assert found["text"] == one["text"][found["start"] : found["end"]]


@settings(max_examples=12)
@given(odd=odd_docs())
def test_entities_of_words_with_spaces_are_read_as_without(nlp, odd) -> None:
    """A space that a word carries is the same text as the space after it."""
    words = ["Ada", "met", *(word.strip() for word in odd["words"] if word.strip())]
    starts = [True, *[False] * (len(words) - 1)]
    given = {"sent_starts": starts, "ents": [(0, 1), (1, 2)], "asked": odd["asked"]}
    docs = [
        make_doc(nlp, {"words": words, "spaces": [True] * len(words), **given}),
        make_doc(nlp, {"words": [f"{word} " for word in words], "spaces": [False] * len(words), **given}),
    ]
    for name in ("luke_entity_typer", "luke_relations"):
        (_, plain), (_, carried) = nlp.get_pipe(name).logits(docs)
        assert carried == pytest.approx(plain, abs=1e-4), name


@settings(max_examples=8)
@given(odd=st.lists(odd_docs(), min_size=1, max_size=3))
def test_all_components_learn_from_them(nlp, odd) -> None:
    """The gradients of one update; no step is taken."""
    examples_of_odd = []
    related, *_ = nlp.get_pipe("luke_relations").label_data
    for one in odd:
        predicted, reference = make_doc(nlp, one), make_doc(nlp, one)
        ents = reference.ents
        reference._.relations = [(a, b, related) for a in ents for b in ents if a != b]
        for ent in ents:
            ent._.entity_types = nlp.get_pipe("luke_entity_typer").labels[:1]
        reference._.answers = [("Who met Ada ?", ents[0] if ents else None)]
        reference._.chosen = [1]
        examples_of_odd.append(Example(predicted, reference))
    losses = nlp.update(examples_of_odd, sgd=False)
    assert all(math.isfinite(loss) for loss in losses.values())
    assert losses.keys() >= {"luke_ner", "luke_relations", "luke_entity_typer", "luke_qa"}
