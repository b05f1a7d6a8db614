"""Training of components that share an encoder: one step on all gradients, bounds, freezing."""

from pathlib import Path

import pytest
import spacy
import torch

from spacy_luke.errors import LukeError
from tests.pipeline.encoder.shared_model import (
    TASKS,
    adam,
    changed,
    encoder_of,
    examples,
    initialized,
    logits,
    state,
    write_bare,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bare(tmp_path_factory.mktemp("bare"))


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
    norms = {task: float(sum((g**2).sum() for g in task_grads.values())) ** 0.5 for task, task_grads in added.items()}
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


def test_memory_for_pieces_is_no_number_below_0() -> None:
    spacy.blank("en").add_pipe("luke_encoder", config={"max_kept_bytes": 0})
    with pytest.raises(LukeError, match=r"L047.*max_kept_bytes"):
        spacy.blank("en").add_pipe("luke_encoder", config={"max_kept_bytes": -1})


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


@pytest.mark.parametrize("clip", [None, 1.0])
def test_one_component_may_leave_the_encoder_alone(checkpoint: Path, clip: float | None) -> None:
    nlp = initialized(checkpoint, ("luke_ner", "luke_relations"), component_grad_clip=clip)
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


@pytest.mark.parametrize("annotating", ["luke_encoder", "luke_ner", "luke_textcat", "luke_relations"])
def test_components_that_annotate_in_an_update_do_not_end_it(checkpoint: Path, annotating: str) -> None:
    tasks = ("luke_ner", "luke_textcat", "luke_relations")

    def after_updates(**settings) -> dict[str, torch.Tensor]:
        nlp = initialized(checkpoint, tasks, set_vectors=True)
        nlp.get_pipe("luke_ner").threshold = 1.0  # adds no entities, so that the next component is asked the same
        sgd = adam(0.001)
        for _ in range(3):
            nlp.update(examples(nlp), sgd=sgd, drop=0.0, **settings)
        encoder = encoder_of(nlp, "luke_encoder")
        nlp("Ada met Babbage.")
        assert all(p.grad is None or not p.grad.any() for p in encoder.parameters())
        return state(encoder)

    plain = after_updates()
    for name, tensor in after_updates(annotates=[annotating]).items():
        torch.testing.assert_close(tensor, plain[name], msg=name)


def test_a_step_is_taken_before_other_docs_are_predicted(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner", "luke_textcat"))
    before = state(encoder_of(nlp, "luke_ner"))
    with nlp.select_pipes(disable=["luke_textcat"]):  # never adds its gradient
        nlp.update(examples(nlp), sgd=adam())
        nlp("Ada met Babbage.")
    assert changed(encoder_of(nlp, "luke_ner"), before)


def test_a_step_is_taken_before_its_own_docs_are_predicted_once_all_have_added_to_it(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner", "luke_textcat"))
    encoder, gold = nlp.get_pipe("luke_encoder"), examples(nlp)
    before, changes = state(encoder.encoder), []
    encoder.update(gold, sgd=adam())
    for name in ("luke_ner", "luke_textcat"):
        nlp.get_pipe(name).update(gold)
        nlp.get_pipe(name).predict([gold[0].predicted])
        changes.append(changed(encoder.encoder, before))
    assert changes == [False, True]


def test_bounded_gradients_of_a_step_are_not_in_the_next(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",), component_grad_clip=0.01)
    encoder = nlp.get_pipe("luke_encoder")
    [shim] = encoder.model.shims
    norms = []

    def finish(sgd: object) -> None:  # leaves the weights, so that the next gradient is the same
        norms.append(
            float(torch.cat([p.grad.flatten() for p in encoder.encoder.parameters() if p.grad is not None]).norm())
        )
        encoder.encoder.zero_grad()

    shim.finish_update = finish
    for _ in range(3):
        nlp.update(examples(nlp), sgd=False, drop=0.0)
        encoder.finish_update(adam())
    assert norms == [pytest.approx(0.01, rel=1e-3)] * 3


def test_a_step_that_another_thread_took_is_not_taken_again(checkpoint: Path, monkeypatch) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    encoder, sgd, steps = nlp.get_pipe("luke_encoder"), adam(), []
    encoder.model.shims[0].finish_update = steps.append

    class OtherThreadFirst:
        """A lock that another thread gets first."""

        free = True

        def __enter__(self) -> None:
            if self.free:
                self.free = False
                encoder.flush_step()

        def __exit__(self, *error: object) -> None: ...

    nlp.update(examples(nlp), sgd=sgd)
    monkeypatch.setattr("spacy_luke.pipeline.base.shared_encoder.STATE_LOCK", OtherThreadFirst())
    encoder.flush_step()
    assert steps == [sgd]


@pytest.mark.parametrize("left_alone", ["by the pipeline", "by the last component"])
def test_a_copy_of_the_encoder_trains_after_an_update_that_left_it_alone(checkpoint: Path, left_alone: str) -> None:
    nlp = initialized(checkpoint, ("luke_ner", "luke_relations"))
    if left_alone == "by the pipeline":
        nlp.update(examples(nlp), sgd=adam(), exclude=["luke_encoder"])
    else:
        nlp.get_pipe("luke_relations").freeze_encoder()
        nlp.update(examples(nlp), sgd=adam())
    assert all(parameter.requires_grad for parameter in encoder_of(nlp, "luke_encoder").parameters())
    nlp.replace_listeners("luke_encoder", "luke_ner", ["model.encoder"])
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam())
    assert changed(encoder_of(nlp, "luke_ner"), before)
