"""Training `luke_entity_linker`: loss and gradient beside transformers, new entities, and every start of training."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Config

from spacy_luke.checkpoints.key_maps import to_hugging_face
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.entity_linker.model import (
    ALIASES,
    ENTS,
    MASK,
    TEXT,
    TITLES,
    VOCAB,
    links,
    make_doc,
    make_kb,
    reference_logits,
    write_linker,
)
from tests.pipeline.short_training import CONFIGS, adam, trained
from tests.util import write_luke

SPECIAL_ENTITIES = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 4}
CONFIG = CONFIGS / "entity_linker.cfg"
NAME = "luke_entity_linker"
GOLD = {0: "Ada Lovelace", 1: "Charles Babbage", 2: "London", 3: "Ada Lovelace", 4: "London", 6: "Ada (language)"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("linker")
    write_linker(folder)
    return folder


@pytest.fixture(autouse=True)
def no_w023():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*W023")
        yield


def example(nlp, gold: Mapping[int, str] = GOLD, **changes) -> Example:
    return Example(make_doc(nlp, **changes), make_doc(nlp, links=gold))


def component(folder: Path | str | None, gold: Mapping[int, str] = GOLD, *, initialize=None, kb=True, **config):
    """A pipeline and its component, initialised with one Doc."""
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe(NAME, config=config)
    given = {"kb_loader": make_kb} if kb else {}
    examples = [example(nlp, gold)]
    pipe.initialize(lambda: examples, checkpoint=str(folder) if folder else None, **given, **(initialize or {}))
    return nlp, pipe


def expected_loss(model, pipe, nlp, masked, *, over_candidates: bool) -> torch.Tensor:
    """The mean cross entropy of the gold links of the masked entities, the other gold links being given."""
    doc = make_doc(nlp)
    ids = [VOCAB[GOLD[i]] if i in GOLD and i not in masked else MASK for i in range(len(ENTS))]
    logits = reference_logits(model, pipe, doc, ids)
    losses = []
    for i in masked:
        priors = ALIASES[doc.ents[i].text] if over_candidates else dict.fromkeys(TITLES, 1.0)
        known = {t: prior / sum(priors.values()) for t, prior in priors.items() if t in VOCAB}
        scores = logits[i, [VOCAB[t] for t in known]] + torch.tensor(list(known.values())).log() * over_candidates
        losses.append(-scores.log_softmax(0)[list(known).index(GOLD[i])])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("masked", [[0, 1, 2, 3, 4, 6], [3, 4]])
@pytest.mark.parametrize("loss", ["candidates", "vocabulary"])
def test_loss_and_gradient_are_those_of_transformers(folder, monkeypatch, loss, masked) -> None:
    from transformers import LukeForMaskedLM

    nlp, pipe = component(folder, loss=loss)
    drawn = np.array([i in masked for i in range(len(ENTS))])
    monkeypatch.setattr("spacy_luke.pipeline.entity_linker.component.draw_masked", lambda known, rate: drawn)
    ours = pipe.update([example(nlp)], losses={})[NAME]
    model = LukeForMaskedLM.from_pretrained(folder).eval()
    expected = expected_loss(model, pipe, nlp, masked, over_candidates=loss == "candidates")
    assert ours == pytest.approx(expected.item(), rel=1e-4)
    expected.backward()
    theirs = {name: p.grad for name, p in model.named_parameters()}
    compared = 0
    for name, parameter in pipe._module.named_parameters():
        reference = theirs[to_hugging_face(name)]
        if parameter.grad is None or name.endswith("embeddings.position.weight"):  # padding rows differ
            continue
        gradient = parameter.grad.clone()
        if name.endswith("entity.weight"):
            gradient[0] = reference[0]
        torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-3, msg=name)
        compared += 1
    assert compared > 40


def test_several_updates_before_a_step_add_up(folder) -> None:
    nlp, pipe = component(folder, mask_rate=1.0)
    bias = pipe._module.entity_predictions.bias
    pipe.update([example(nlp)])
    once = bias.grad.clone()
    pipe.update([example(nlp)])
    assert torch.allclose(bias.grad, 2 * once, atol=1e-6)


@pytest.mark.parametrize(("rate", "least", "most"), [(1.0, 6, 6), (0.5, 1, 6), (0.0, 1, 1)])
def test_a_share_of_the_gold_links_is_masked_and_one_at_least(folder, rate, least, most) -> None:
    nlp, pipe = component(folder, mask_rate=rate)
    counts = set()
    for seed in range(20):
        spacy.util.fix_random_seed(seed)
        lesson = pipe._linked_doc(example(nlp))
        [row] = pipe._masked_rows(0, lesson, pipe._finder())
        counts.add(int(row.predicted.sum()))
        given = ~row.predicted & lesson.gold.known
        assert (row.ids[given] == lesson.gold.targets[given]).all()
        assert (row.ids[~given] == MASK).all()
        assert not row.predicted[5]  # it has no gold link
    assert min(counts) >= least
    assert max(counts) <= most


def test_a_gold_link_is_a_candidate_even_if_the_knowledge_base_does_not_say_so(folder) -> None:
    nlp, pipe = component(folder, mask_rate=1.0)
    lesson = pipe._linked_doc(example(nlp, {1: "London, Ontario", 3: "Ada, Ohio"}))
    [row] = pipe._masked_rows(0, lesson, pipe._finder())
    found = lesson.mentions.candidates[1]
    assert found.kb_ids == ("Charles Babbage", "Babbage Lane", "London, Ontario")
    assert found.priors.tolist() == pytest.approx([0.6 / 1.4, 0.4 / 1.4, 0.4 / 1.4])
    assert lesson.mentions.candidates[3].kb_ids == ("Ada, Ohio", "Ada (language)", "Ada Lovelace")
    assert row.candidates.shape == (2, 3)


def test_links_are_learned(folder) -> None:
    nlp, pipe = component(folder, prior_weight=0.0, mask_rate=1.0)
    optimizer = adam(0.01)
    spacy.util.fix_random_seed(0)
    first = pipe.update([example(nlp)], sgd=optimizer, losses={})[NAME]
    for _ in range(60):
        last = pipe.update([example(nlp)], sgd=optimizer, losses={})[NAME]
    assert last < 0.2 * first
    doc = nlp(make_doc(nlp))
    assert [links(doc)[i] for i in GOLD] == list(GOLD.values())
    scores = nlp.evaluate([example(nlp)])
    assert scores["nel_in_kb_acc"] == scores["nel_micro_f"] == 1.0


def test_without_a_knowledge_base_the_whole_vocabulary_is_learned(folder) -> None:
    nlp, pipe = component(folder, kb=False)
    spacy.util.fix_random_seed(0)
    optimizer = adam(0.01)
    for _ in range(40):
        pipe.update([example(nlp)], sgd=optimizer)
    doc = nlp(make_doc(nlp))
    assert [links(doc)[i] for i in GOLD] == list(GOLD.values())


def test_a_frozen_entity_table_stays_as_it_is(folder) -> None:
    nlp, pipe = component(folder, freeze_entities=True)
    before = {name: p.detach().clone() for name, p in pipe._module.named_parameters()}
    pipe.update([example(nlp)], sgd=adam(0.01))
    changed = {n for n, p in pipe._module.named_parameters() if not torch.equal(before[n], p)}
    assert "entity_predictions.transform.dense.weight" in changed
    assert not changed & {"encoder.entity_embeddings.entity.weight", "entity_predictions.bias"}


def test_a_frozen_entity_table_stays_frozen_when_the_encoder_is_trained_again(folder) -> None:
    _, pipe = component(folder, freeze_entities=True)
    pipe.freeze_encoder()
    pipe.freeze_encoder(False)
    trained = {name for name, p in pipe._module.named_parameters() if p.requires_grad}
    assert any(name.startswith("encoder.") for name in trained)
    assert not trained & {"encoder.entity_embeddings.entity.weight", "entity_predictions.bias"}


def test_nothing_to_learn_is_no_error(folder) -> None:
    nlp, pipe = component(folder)
    for gold in ({}, {0: "NIL"}, {0: "Somebody"}):
        assert pipe.update([example(nlp, gold)], sgd=adam(0.01))[NAME] == 0.0
    assert pipe.update([], sgd=adam(0.01))[NAME] == 0.0


# New entities


def test_entities_are_added_to_a_pretrained_vocabulary(folder, tmp_path) -> None:
    (tmp_path / "titles.json").write_text(json.dumps(["Qx", "London", "Ada, Ohio", "Élodie"]))
    _, pipe = component(folder, initialize={"entities": str(tmp_path / "titles.json")})
    vocab = pipe._require_weights().entity_vocab
    assert (vocab["Qx"], vocab["Élodie"], vocab["London"]) == (len(VOCAB), len(VOCAB) + 1, VOCAB["London"])
    module = pipe._module
    assert module.encoder.entity_embeddings.entity.weight.shape[0] == len(VOCAB) + 2
    assert not module.entity_predictions.bias[len(VOCAB) :].any()
    again = spacy.blank("en").add_pipe(NAME).from_bytes(pipe.to_bytes())
    assert again._require_weights().entity_vocab["Qx"] == len(VOCAB)
    pipe.load_checkpoint(folder)
    assert "Qx" not in pipe._require_weights().entity_vocab, "they are added for training alone"
    pipe.initialize(lambda: [], checkpoint=str(folder))
    assert "Qx" not in pipe._require_weights().entity_vocab


def test_entities_of_a_model_without_head_are_learned(tmp_path) -> None:
    write_luke(tmp_path / "luke")
    (tmp_path / "titles.txt").write_text("\n".join(TITLES))
    nlp, pipe = component(tmp_path / "luke", initialize={"entities": str(tmp_path / "titles.txt")})
    assert pipe.predict([make_doc(nlp)])[0].rankings[0].kb_ids == ("Ada Lovelace",)
    assert pipe.update([example(nlp)], sgd=adam(0.01))[NAME] > 0


def test_entities_are_added_to_the_encoder_in_the_box(tmp_path) -> None:
    (tmp_path / "titles.txt").write_text("\n".join(TITLES))
    nlp, _ = component(None, initialize={"entities": str(tmp_path / "titles.txt")})
    assert {kb_id for kb_id, _ in nlp(make_doc(nlp)).ents[4]._.linked_entities} == {"London", "London, Ontario", "Qx"}


def test_a_model_without_titles_raises_l085(tmp_path) -> None:
    write_luke(tmp_path / "luke")
    (tmp_path / "luke" / "entity_vocab.json").write_text(json.dumps(SPECIAL_ENTITIES))
    with pytest.raises(LukeError, match=r"L085.*entities"):
        component(tmp_path / "luke")


@pytest.mark.parametrize("content", [None, "[1]"])
def test_titles_of_ids_that_cannot_be_read_raise_l089(folder, tmp_path, content) -> None:
    if content:
        (tmp_path / "titles.json").write_text(content)
    with pytest.raises(LukeError, match="L089"):
        component(folder, initialize={"titles": str(tmp_path / "titles.json")})


@pytest.mark.parametrize(("content", "why"), [('{"Q1": "\\ud800"}', "half a character"), ("{", "Expecting")])
def test_damaged_titles_of_ids_raise_l022(folder, tmp_path, content, why) -> None:
    (tmp_path / "titles.json").write_text(content)
    with pytest.raises(LukeError, match=rf"L022.*titles\.json.*{why}"):
        component(folder, initialize={"titles": str(tmp_path / "titles.json")})


def test_titles_of_ids_are_read(folder, tmp_path) -> None:
    (tmp_path / "titles.json").write_text(json.dumps({"Qx": "London"}))
    _, pipe = component(folder, initialize={"titles": str(tmp_path / "titles.json")})
    assert pipe.entity_id("Qx") == VOCAB["London"]


def test_a_file_of_new_entities_that_is_missing_raises_l027(folder) -> None:
    with pytest.raises(LukeError, match=r"L027.*entities = '/nowhere'"):
        component(folder, initialize={"entities": "/nowhere"})


# What cannot be learned


def test_entities_of_the_knowledge_base_that_the_model_does_not_know_are_counted(folder) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        component(folder)
    [found] = [str(w.message) for w in given if "W023" in str(w.message)]
    assert "1 of 8 entities" in found
    assert "keep their prior probability. First: Qx." in found


def test_gold_links_that_cannot_be_learned_are_reported(folder) -> None:
    gold = {**GOLD, 2: "Qx", 5: "Somebody"}
    with pytest.warns(LukeWarning, match=r"W020.*2 of 7 gold links.*not in the entity vocabulary.*'London' \(Qx\)"):
        component(folder, gold)


def test_gold_links_of_entities_that_the_predicted_doc_has_not_are_reported(folder) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe(NAME)
    examples = [example(nlp, ents=[])]
    with pytest.warns(LukeWarning, match=r"W020.*6 of 6.*mentions = true"):
        pipe.initialize(lambda: examples, checkpoint=str(folder), kb_loader=make_kb)
    assert pipe.update(examples)[NAME] == 0.0


def test_docs_without_gold_links_are_reported(folder) -> None:
    with pytest.warns(LukeWarning, match=r"W024.*none of 1 Docs"):
        component(folder, {})


# The config


def test_the_config_trains(folder, tmp_path) -> None:
    nlp = spacy.blank("en")
    DocBin(docs=[make_doc(nlp, links=GOLD)] * 4).to_disk(tmp_path / "train.spacy")
    make_kb(nlp.vocab).to_disk(tmp_path / "kb")
    overrides = {
        "paths.train": str(tmp_path / "train.spacy"),
        "paths.dev": str(tmp_path / "train.spacy"),
        "paths.kb": str(tmp_path / "kb"),
        "paths.checkpoint": str(folder),
        "training.max_steps": 3,
        "training.eval_frequency": 1,
        "training.optimizer.learn_rate.warmup_steps": 1,
    }
    best = trained(Config().from_disk(CONFIG, overrides=overrides), tmp_path / "out")
    assert best.meta["performance"]["nel_micro_f"] is not None
    for name in ("config.json", "cfg"):
        assert str(tmp_path) not in (tmp_path / "out" / "model-best" / NAME / name).read_text()
    doc = best(make_doc(best))
    assert all(ent._.linked_entities for ent in doc.ents)


def test_the_config_gives_no_gold_link_to_the_predicted_docs(folder, tmp_path) -> None:
    from spacy_luke.training.corpus import build_gold_mentions_corpus

    nlp = spacy.blank("en")
    DocBin(docs=[make_doc(nlp, links=GOLD)]).to_disk(tmp_path / "train.spacy")
    for given in (True, False):
        [read] = build_gold_mentions_corpus(tmp_path / "train.spacy", mentions=True, links=given)(nlp)
        assert [ent.kb_id_ for ent in read.predicted.ents] == [GOLD.get(i, "") if given else "" for i in range(7)]
        assert [(ent.text, ent.label_) for ent in read.predicted.ents] == [
            (ent.text, ent.label_) for ent in read.reference.ents
        ]
    settings = Config().from_disk(CONFIG)
    assert not settings["corpora"]["train"]["links"]
    assert not settings["corpora"]["dev"]["links"]


def test_the_config_is_complete(tmp_path) -> None:
    config = Config().from_disk(CONFIG, overrides={"paths.train": "x", "paths.dev": "x"})
    nlp = spacy.util.load_model_from_config(config, auto_fill=False, validate=True)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    assert set(nlp.config["components"][NAME]) == set(filled["components"][NAME])


def test_the_text_is_that_of_the_entities() -> None:
    assert [" ".join(TEXT.split()[a:b]) in ALIASES for a, b, _ in ENTS] == [True] * 7
