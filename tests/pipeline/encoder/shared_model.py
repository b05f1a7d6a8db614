"""A pipeline whose components share one tiny encoder, and what the tests of sharing ask of it."""

from pathlib import Path

import numpy as np
import spacy
import torch
from spacy.training import Example
from thinc.api import Adam
from transformers import LukeModel

from spacy_luke.annotations import set_relations
from tests.pipeline.entity_markers.model import TEXT, with_ents
from tests.util import luke_config, randomise, write_luke

LUKE, SHARED = "spacy-luke.LukeEncoder.v1", {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1"}}
TASKS = ("luke_ner", "luke_relations", "luke_token_classifier", "luke_textcat", "luke_multiple_choice", "luke_qa")


def write_bare(folder: Path) -> Path:
    """A bare LukeModel of transformers."""
    write_luke(folder, randomise(LukeModel(luke_config())))
    return folder


def build(tasks=TASKS, encoder=LUKE, **settings):
    """A pipeline whose tasks share an encoder, without weights."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": {"@architectures": encoder}, **settings})
    for task in tasks:
        nlp.add_pipe(task, config={"model": SHARED})
    nlp.config["initialize"]["components"] = {}
    return nlp


def examples(nlp) -> list[Example]:
    """One example that has something for every task."""
    reference = with_ents(nlp.make_doc(TEXT))
    for token in reference:
        token.is_sent_start = token.i in (0, 8)
    spans = list(reference.ents)
    set_relations(reference, [(spans[0], spans[1], "met")])
    reference.cats = {"people": 1.0, "places": 0.0}
    reference._.questions = ["Who met Babbage?"]
    reference._.answers = [("Who met Babbage?", spans[0])]
    reference._.choices = [("Who met Babbage?", ["Ada", "Bo"])]
    reference._.chosen = [0]
    predicted = with_ents(nlp.make_doc(TEXT))
    for token in predicted:
        token.is_sent_start = token.i in (0, 8)
    return [Example(predicted, reference)]


def initialized(checkpoint: Path, tasks=TASKS, **settings):
    nlp = build(tasks, **settings)
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(checkpoint)}}
    torch.manual_seed(0)
    nlp.initialize(lambda: examples(nlp))
    return nlp


def encoder_of(nlp, name: str) -> torch.nn.Module:
    pipe = nlp.get_pipe(name)
    return pipe.encoder if name == "luke_encoder" else pipe._module.encoder


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def logits(nlp, tasks=TASKS) -> dict[str, list[np.ndarray]]:
    """Raw scores of every task."""
    doc = examples(nlp)[0].predicted
    doc._.questions = ["Who met Babbage?"]
    doc._.choices = [("Who met Babbage?", ["Ada", "Bo"])]
    found = {name: nlp.get_pipe(name).logits([doc])[0][1] for name in tasks}
    return {name: scores if isinstance(scores, list) else [scores] for name, scores in found.items()}


def assert_same(ours: dict[str, list[np.ndarray]], theirs: dict[str, list[np.ndarray]]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        for a, b in zip(ours[name], theirs[name], strict=True):
            assert a.size
            np.testing.assert_allclose(a, b, atol=1e-6, err_msg=name)


def adam(rate: float = 0.01) -> Adam:
    return Adam(rate, use_averages=False)
