"""One `luke_encoder` for several components: weights, training, freezing, saving, `replace_listeners`."""

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Adam, Config
from transformers import LukeModel

from spacy_luke.annotations import set_relations
from spacy_luke.errors import LukeError
from tests.util import luke_config, randomise, write_longformer, write_luke

from .marked_model import TEXT, with_ents

ROOT = Path(__file__).parents[2]
LUKE, SHARED = "spacy-luke.LukeEncoder.v1", {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1"}}
TASKS = ("luke_ner", "luke_relations", "luke_token_classifier", "luke_textcat", "luke_multiple_choice", "luke_qa")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare LukeModel of transformers."""
    folder = tmp_path_factory.mktemp("bare")
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


def test_all_components_have_the_same_encoder(checkpoint: Path) -> None:
    nlp = initialized(checkpoint)
    assert len({id(encoder_of(nlp, name)) for name in ("luke_encoder", *TASKS)}) == 1
    assert nlp.get_pipe("luke_encoder").listening_components == list(TASKS)


def test_a_shared_head_computes_what_it_computes_on_an_encoder_of_its_own(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint)
    for name in TASKS:
        nlp.replace_listeners("luke_encoder", name, ["model.encoder"])
    own = initialized(checkpoint)
    own.to_disk(tmp_path / "shared")
    nlp.to_disk(tmp_path / "own")
    assert_same(logits(nlp), logits(own))
    assert_same(logits(spacy.load(tmp_path / "own")), logits(spacy.load(tmp_path / "shared")))


def test_the_encoder_is_on_disk_once(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint)
    nlp.to_disk(tmp_path)
    assert (tmp_path / "luke_encoder" / "model.safetensors").is_file()
    for name in TASKS:
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == ["cfg", "head.safetensors"]
    shared = sum(p.stat().st_size for p in tmp_path.rglob("*.safetensors"))
    assert shared < 1.2 * (tmp_path / "luke_encoder" / "model.safetensors").stat().st_size
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("luke_ner").labels == nlp.get_pipe("luke_ner").labels
    assert_same(logits(loaded), logits(nlp))
    other = build()
    other.from_bytes(nlp.to_bytes())
    assert_same(logits(other), logits(nlp))


@pytest.mark.parametrize("late", [False, True], ids=["sgd in update", "step after updates"])
def test_the_gradients_of_all_tasks_add_up_to_one_step(checkpoint: Path, late: bool) -> None:
    tasks = ("luke_ner", "luke_relations")
    expected: dict[str, torch.Tensor] = {}
    for task in tasks:  # each alone, without a step
        nlp = initialized(checkpoint, tasks)
        nlp.update(examples(nlp), sgd=False, drop=0.0, exclude=[t for t in tasks if t != task])
        for name, parameter in encoder_of(nlp, task).named_parameters():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad
    nlp = initialized(checkpoint, tasks)
    before = state(encoder_of(nlp, "luke_encoder"))
    nlp.update(examples(nlp), sgd=False, drop=0.0)
    found = {n: p.grad for n, p in encoder_of(nlp, "luke_encoder").named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)
    stepped = initialized(checkpoint, tasks)
    steps = []
    [shim] = stepped.get_pipe("luke_encoder").model.shims
    finish = shim.finish_update
    shim.finish_update = lambda sgd: (steps.append(1), finish(sgd))
    sgd = adam()
    if late:
        stepped.update(examples(stepped), sgd=False, drop=0.0)
        for _, pipe in stepped.pipeline[1:]:
            pipe.finish_update(sgd)
    else:
        stepped.update(examples(stepped), sgd=sgd, drop=0.0)
        logits(stepped, tasks)
    assert steps == [1]
    # Adam's first step is the learning rate in the direction of the whole gradient.
    for name, parameter in encoder_of(stepped, "luke_encoder").named_parameters():
        if name in found and (big := found[name].abs() > 1e-4).any():
            step = (parameter.detach() - before[name])[big]
            torch.testing.assert_close(step, -0.01 * found[name][big].sign(), atol=2e-4, rtol=0.02)


@pytest.mark.parametrize("late", [False, True], ids=["sgd in update", "step after updates"])
@pytest.mark.parametrize("named", [False, True], ids=["all", "by name"])
def test_what_each_task_adds_to_the_gradient_can_be_bounded(checkpoint: Path, late: bool, named: bool) -> None:
    tasks = ("luke_ner", "luke_relations", "luke_qa")
    added: dict[str, dict[str, torch.Tensor]] = {}
    for task in tasks:
        nlp = initialized(checkpoint, tasks)
        nlp.update(examples(nlp), sgd=False, drop=0.0, exclude=[t for t in tasks if t != task])
        parameters = encoder_of(nlp, task).named_parameters()
        added[task] = {name: p.grad for name, p in parameters if p.grad is not None}
    norms = {task: float(sum((g**2).sum() for g in of_task.values())) ** 0.5 for task, of_task in added.items()}
    clip = sorted(norms.values())[1] / 2  # two are above it, unless they are much alike
    assert sum(norm > clip for norm in norms.values()) >= 2
    largest = max(norms, key=norms.__getitem__)
    bounds = {largest: clip} if named else dict.fromkeys(tasks, clip)
    nlp = initialized(checkpoint, tasks, component_grad_clip=bounds if named else clip)
    found: dict[str, torch.Tensor] = {}
    [shim] = nlp.get_pipe("luke_encoder").model.shims
    shared = dict(encoder_of(nlp, "luke_encoder").named_parameters())
    shim.finish_update = lambda sgd: found.update({n: p.grad for n, p in shared.items() if p.grad is not None})
    nlp.update(examples(nlp), sgd=False if late else adam(), drop=0.0)
    if late:
        nlp.get_pipe("luke_encoder").finish_update(adam())
    logits(nlp, tasks)
    assert found.keys() == set().union(*added.values())
    for name, gradient in found.items():
        share = {task: min(1.0, bounds.get(task, float("inf")) / norms[task]) for task in tasks}
        parts = [share[task] * added[task][name] for task in tasks if name in added[task]]
        torch.testing.assert_close(gradient, sum(parts), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("value", [0, -1, {"luke_ner": 0}])
def test_a_bound_that_is_no_positive_number_is_refused(value: object) -> None:
    with pytest.raises(LukeError, match=r"L047.*component_grad_clip"):
        spacy.blank("en").add_pipe("luke_encoder", config={"component_grad_clip": value})


def test_a_bound_for_a_component_that_does_not_share_the_encoder_is_refused(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",), component_grad_clip={"luke_nre": 1.0})
    with pytest.raises(LukeError, match=r"L047.*luke_nre: no component that shares .*\(luke_ner\)"):
        nlp.update(examples(nlp), sgd=adam())


def test_training_lowers_the_losses_of_all_tasks(checkpoint: Path) -> None:
    nlp = initialized(checkpoint)
    sgd, losses = adam(0.002), []
    for _ in range(45):
        losses.append(nlp.update(examples(nlp), sgd=sgd, drop=0.0))
    assert losses[0]["luke_encoder"] == 0
    for task in TASKS:
        assert losses[-1][task] < 0.8 * losses[0][task], task


def test_a_frozen_encoder_stays_and_its_heads_learn(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    encoder, head = encoder_of(nlp, "luke_ner"), nlp.get_pipe("luke_ner")._module.classifier
    before, head_before = state(encoder), state(head)
    nlp.update(examples(nlp), sgd=adam(), exclude=["luke_encoder"])
    assert not changed(encoder, before)
    assert all(p.grad is None for p in encoder.parameters())
    assert changed(head, head_before)
    nlp.update(examples(nlp), sgd=adam())
    logits(nlp, ("luke_ner",))
    assert changed(encoder, before)


def test_one_component_may_leave_the_encoder_alone(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner", "luke_relations"))
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.get_pipe("luke_ner").freeze_encoder()
    nlp.get_pipe("luke_relations").freeze_encoder()
    nlp.update(examples(nlp), sgd=adam())
    logits(nlp, ("luke_ner",))
    assert not changed(encoder_of(nlp, "luke_ner"), before)
    nlp.get_pipe("luke_relations").freeze_encoder(False)
    nlp.update(examples(nlp), sgd=adam())
    logits(nlp, ("luke_ner",))
    assert changed(encoder_of(nlp, "luke_ner"), before)


def test_a_step_that_waits_is_in_what_is_saved(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam())
    nlp.to_disk(tmp_path)
    assert changed(encoder_of(spacy.load(tmp_path), "luke_ner"), before)


def test_replaced_listeners_train_apart(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner", "luke_relations"))
    nlp.replace_listeners("luke_encoder", "luke_ner", ["model.encoder"])
    assert nlp.config["components"]["luke_ner"]["model"]["encoder"]["@architectures"] == LUKE
    assert nlp.get_pipe("luke_encoder").listening_components == ["luke_relations"]
    own, shared = encoder_of(nlp, "luke_ner"), encoder_of(nlp, "luke_relations")
    assert own is not shared
    before_own, before_shared = state(own), state(shared)
    nlp.update(examples(nlp), sgd=adam(), exclude=["luke_encoder", "luke_relations"])
    assert changed(own, before_own)
    assert not changed(shared, before_shared)


def test_other_weights_reach_the_components(checkpoint: Path, tmp_path: Path) -> None:
    write_luke(tmp_path, randomise(LukeModel(luke_config()), seed=5))
    nlp = initialized(checkpoint, ("luke_ner",))
    before = logits(nlp, ("luke_ner",))
    nlp.get_pipe("luke_encoder").load_checkpoint(tmp_path)
    assert encoder_of(nlp, "luke_ner") is encoder_of(nlp, "luke_encoder")
    assert not np.allclose(before["luke_ner"][0], logits(nlp, ("luke_ner",))["luke_ner"][0])


def test_an_encoder_of_another_width_does_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    write_luke(tmp_path, randomise(LukeModel(luke_config(hidden_size=40, num_attention_heads=4))))
    nlp = initialized(checkpoint, ("luke_ner",))
    encoder, before = encoder_of(nlp, "luke_encoder"), logits(nlp, ("luke_ner",))
    with pytest.raises(LukeError, match="L068"):
        nlp.get_pipe("luke_encoder").load_checkpoint(tmp_path)
    assert encoder_of(nlp, "luke_encoder") is encoder_of(nlp, "luke_ner") is encoder
    assert_same(logits(nlp, ("luke_ner",)), before)


def test_longformer_is_shared_too(tmp_path: Path) -> None:
    write_longformer(tmp_path / "longformer")
    nlp = initialized(tmp_path / "longformer", encoder="spacy-luke.LongformerEncoder.v1")
    assert len({id(encoder_of(nlp, name)) for name in ("luke_encoder", *TASKS)}) == 1
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam(0.001))
    found = logits(nlp)
    assert changed(encoder_of(nlp, "luke_ner"), before)
    nlp.to_disk(tmp_path / "saved")
    assert_same(logits(spacy.load(tmp_path / "saved")), found)


def test_sourced_together_they_share(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    other.add_pipe("luke_encoder", source=nlp)
    other.add_pipe("luke_ner", name="ner", source=nlp)
    assert_same({"x": logits(other, ("ner",))["ner"]}, {"x": logits(nlp, ("luke_ner",))["luke_ner"]})
    assert other.get_pipe("luke_encoder").listening_components == ["ner"]


def test_two_processes_give_what_one_gives(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    texts = [TEXT, "", "Ada met Babbage."]
    one = [[(e.text, e.label_) for e in doc.ents] for doc in nlp.pipe(texts)]
    two = [[(e.text, e.label_) for e in doc.ents] for doc in nlp.pipe(texts, n_process=2, batch_size=1)]
    assert one == two


def test_without_its_encoder_a_component_says_so(checkpoint: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner", config={"model": SHARED})
    with pytest.raises(LukeError, match="L066"):
        nlp("Ada met Babbage.")
    with pytest.raises(LukeError, match="L067"):
        pipe.load_checkpoint(checkpoint)
    named = build(("luke_ner",))
    named.add_pipe("luke_qa", config={"model": {"encoder": {**SHARED["encoder"], "upstream": "another"}}})
    with pytest.raises(LukeError, match="L066"):
        named.get_pipe("luke_qa").answer(named.make_doc("Ada met Babbage."), "Who?")
    with pytest.raises(LukeError, match="L040"):
        named.get_pipe("luke_ner").update(examples(named))


def test_a_checkpoint_for_a_sharing_component_is_refused(checkpoint: Path) -> None:
    nlp = build(("luke_ner",))
    nlp.config["initialize"]["components"] = {
        "luke_encoder": {"checkpoint": str(checkpoint)},
        "luke_ner": {"checkpoint": str(checkpoint)},
    }
    with pytest.raises(LukeError, match="L067"):
        nlp.initialize(lambda: examples(nlp))


@pytest.mark.parametrize("shared", [True, False])
def test_what_was_saved_otherwise_is_refused(checkpoint: Path, tmp_path: Path, shared: bool) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    if not shared:
        nlp.replace_listeners("luke_encoder", "luke_ner", ["model.encoder"])
    nlp.get_pipe("luke_ner").to_disk(tmp_path / "ner")
    other = spacy.blank("en")
    pipe = other.add_pipe("luke_ner", config={} if shared else {"model": SHARED})
    with pytest.raises(LukeError, match="L069"):
        pipe.from_disk(tmp_path / "ner")


def test_damaged_heads_are_refused_and_the_component_stays(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    pipe = nlp.get_pipe("luke_ner")
    pipe.to_disk(tmp_path / "ner")
    before = logits(nlp, ("luke_ner",))
    (tmp_path / "ner" / "head.safetensors").write_bytes(b"nothing")
    with pytest.raises(LukeError, match="L022"):
        pipe.from_disk(tmp_path / "ner")
    (tmp_path / "ner" / "head.safetensors").unlink()
    with pytest.raises(LukeError, match="L021"):
        pipe.from_disk(tmp_path / "ner")
    pipe.to_disk(tmp_path / "ner")
    cfg = json.loads((tmp_path / "ner" / "cfg").read_text())
    cfg["head"]["hidden_size"] = 8
    (tmp_path / "ner" / "cfg").write_text(json.dumps(cfg))
    with pytest.raises(LukeError, match="L068"):
        pipe.from_disk(tmp_path / "ner")
    assert_same(logits(nlp, ("luke_ner",)), before)


def test_the_span_filter_of_the_fast_mode_is_shared_and_saved(checkpoint: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"@architectures": LUKE, "entity_attention": "independent"}
    nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": model})
    nlp.add_pipe(
        "luke_ner", config={"model": SHARED, "span_filter": {"@misc": "spacy-luke.span_filter.v1", "layer": 1}}
    )
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(checkpoint)}}
    nlp.initialize(lambda: examples(nlp))
    nlp.update(examples(nlp), sgd=adam())
    found = logits(nlp, ("luke_ner",))
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("luke_ner").span_filter is not None
    assert_same(logits(loaded, ("luke_ner",)), found)


def test_the_config_is_complete_and_trains(checkpoint: Path, tmp_path: Path) -> None:
    references = [example.reference for example in examples(spacy.blank("en")) * 2]
    DocBin(docs=references, store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    overrides = {
        "paths.train": str(tmp_path / "corpus.spacy"),
        "paths.dev": str(tmp_path / "corpus.spacy"),
        "paths.checkpoint": str(checkpoint),
        "training.max_steps": 2,
        "training.max_epochs": 0,
        "training.eval_frequency": 1,
    }
    config = Config().from_disk(ROOT / "configs" / "shared.cfg", overrides=overrides)
    made = spacy.util.load_model_from_config(config, auto_fill=False, validate=True)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    assert made.config["components"] == filled["components"]
    assert set(filled["training"]["score_weights"]) == set(config["training"]["score_weights"])
    (tmp_path / "out").mkdir()
    train(init_nlp(config), tmp_path / "out")
    loaded = spacy.load(tmp_path / "out" / "model-last")
    assert loaded.get_pipe("luke_encoder").listening_components == ["luke_ner", "luke_relations"]
    assert "met" in loaded.get_pipe("luke_relations").label_data
