"""A run from its config to checkpoints: it learns, and stopped in any way it goes on as if it had not been."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from spacy.util import load_config
from thinc.api import Config
from transformers import LukeForMaskedLM

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.converters import write_docbin
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.models.adamw import DrivenAdamW
from spacy_luke.training.pretraining.run import Run
from spacy_luke.training.pretraining.settings import Settings
from tests.training.pretraining.linked import CONFIG, PEOPLE, PLACES, config_of, make_doc, make_docs, run, write_corpus
from tests.util import write_byte_bpe, write_longformer, write_luke

STAGE_1, STAGE_2 = "stages__1_entities", "stages__2_all"
RATE = "optimizer__learn_rate__initial_rate"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A tiny corpus and a tokenizer."""
    folder = tmp_path_factory.mktemp("files")
    write_byte_bpe(folder)
    write_corpus(folder)
    return folder


@pytest.fixture
def folder(files, tmp_path) -> Path:
    """The same in a folder for one test."""
    return shutil.copytree(files, tmp_path, dirs_exist_ok=True)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


# --- what comes out


def test_both_losses_fall_on_a_small_corpus(folder):
    write_corpus(folder, 40, 10)
    settings: dict[str, Any] = {
        f"{STAGE_1}__steps": 0,
        f"{STAGE_2}__steps": 75,
        f"{STAGE_2}__optimizer__learn_rate__total_steps": 150,
        f"{STAGE_2}__{RATE}": 0.003,
        "eval_frequency": 25,
        "batch_size": 800,
        "accumulate_gradient": 1,
        "dropout": 0.0,
        "masking__entities": 0.4,
    }
    _, (first, _, last) = run(folder, **settings)
    assert last.train.piece_loss < 0.75 * first.train.piece_loss
    assert last.train.entity_loss < 0.6 * first.train.entity_loss
    assert last.train.entity_acc > 2 / 6  # of six entities
    assert first.dev is not None
    assert last.dev is not None
    assert last.dev.piece_loss < first.dev.piece_loss
    assert last.dev.entity_loss < first.dev.entity_loss


def test_each_evaluation_reports_and_saves(folder):
    made, reports = run(folder)
    assert [report.step for report in reports] == [3, 4, 6, 8]
    assert [report.stage for report in reports] == ["1_entities", "1_entities", "2_all", "2_all"]
    assert all(report.words_per_second > 0 for report in reports)
    out = folder / "out"
    facts = json.loads((out / "model-last" / "pretraining.json").read_text())
    assert facts["step"] == 8
    assert facts["dev"]["loss"] == reports[-1].dev.loss
    assert facts["words"] == reports[-1].words > 0
    losses = [report.dev.loss for report in reports]
    best = json.loads((out / "model-best" / "pretraining.json").read_text())
    assert best["dev"]["loss"] == min(losses)
    assert best["step"] == max(report.step for report in reports if report.best)
    assert json.loads((out / "entities.json").read_text())[0] in {*PEOPLE, *PLACES}
    assert made.evaluate() == reports[-1].dev
    assert "6 titles in the entity vocabulary" in made.summary()
    assert "8 steps, 8 done" in made.summary()


def test_transformers_opens_the_checkpoint_and_components_start_from_it(folder):
    run(folder)
    path = folder / "out" / "model-best"
    theirs, info = LukeForMaskedLM.from_pretrained(path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert theirs.config.use_entity_aware_attention
    checkpoint = open_checkpoint(path)
    assert {*PEOPLE[:2], "London"} <= checkpoint.entity_vocab.titles.keys()
    for name in ("luke_ner", "luke_relations", "luke_entity_typer", "luke_qa", "luke_encoder"):
        nlp = spacy.blank("en")
        pipe = nlp.add_pipe(name)
        options = {} if name in ("luke_qa", "luke_encoder") else {"labels": ["A", "B"]}
        pipe.initialize(lambda: [], nlp=nlp, checkpoint=str(path), **options)
        assert pipe.has_weights


def test_the_first_stage_trains_what_luke_adds_alone(folder):
    write_luke(folder / "luke")
    options: dict[str, Any] = {"model__checkpoint": str(folder / "luke"), f"{STAGE_1}__{RATE}": 0.01}
    options["model__entity_aware_attention"] = True
    run(folder, max_steps=4, **options)
    before, after = weights(folder / "luke"), weights(folder / "out" / "model-last")
    changed = {name for name in before if not torch.equal(before[name], after[f"luke.{name}"][: len(before[name])])}
    assert changed
    assert all(name.startswith("entity_embeddings.") for name in changed)
    assert not torch.equal(after["lm_head.dense.bias"], torch.zeros(32))  # new, so it learns, too
    run(folder, resume=True, **options)
    later = weights(folder / "out" / "model-last")
    assert not torch.equal(
        after["luke.embeddings.word_embeddings.weight"], later["luke.embeddings.word_embeddings.weight"]
    )


def test_a_run_without_dev_corpus_has_no_best_model(folder):
    _, reports = run(folder, dev_corpus=None)
    assert all(report.dev is None and not report.best for report in reports)
    assert not (folder / "out" / "model-best").exists()
    assert (folder / "out" / "model-last" / "config.json").exists()


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"gradient_checkpointing": True}])
def test_other_ways_to_compute_learn_as_well(folder, changes):
    _, expected = run(folder)
    _, reports = run(folder, "other", **changes)
    assert reports[-1].dev.loss == pytest.approx(expected[-1].dev.loss, rel=0.02)


def test_a_corpus_without_sentences_is_learned(folder):
    write_docbin(make_docs(12, bounds=False), folder / "train.spacy")
    _, reports = run(folder)
    assert reports[-1].train.entity_loss is not None


# --- resuming


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 7])
def test_a_run_that_was_stopped_gives_the_weights_of_one_that_was_not(folder, stop):
    _, whole = run(folder, "whole")
    run(folder, "parts", max_steps=stop)
    assert not same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    _, rest = run(folder, "parts", resume=True)
    assert same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    assert rest[-1].dev == whole[-1].dev
    assert rest[-1].words == whole[-1].words
    state = [load_file(folder / out / "state.safetensors") for out in ("whole", "parts")]
    assert all(torch.equal(state[0][name], state[1][name]) for name in state[0])


@pytest.mark.parametrize("step", [5, 6, 8])
def test_a_run_that_was_killed_goes_on_from_its_last_evaluation(folder, monkeypatch, step):
    """Killed in the middle of a step, and in the middle of a save."""
    run(folder, "whole", eval_frequency=2)
    steps = 0
    take = DrivenAdamW.step

    def killed(self: DrivenAdamW) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise KeyboardInterrupt
        take(self)

    with monkeypatch.context() as patch:
        patch.setattr(DrivenAdamW, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(folder, "parts", eval_frequency=2)
    _, rest = run(folder, "parts", resume=True, eval_frequency=2)
    assert rest[0].step == step - step % 2 + (2 if step % 2 else 0)
    assert same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    assert same(folder / "whole" / "model-best", folder / "parts" / "model-best")


def test_a_save_that_was_killed_leaves_the_state_before_it(folder, monkeypatch):
    run(folder, "whole")
    saves = 0

    def save(tensors: dict[str, torch.Tensor], path: Path, **rest: Any) -> None:
        nonlocal saves
        saves += 1
        if saves == 2:
            Path(path).write_bytes(b"half of it")
            raise KeyboardInterrupt
        save_file(tensors, path, **rest)

    with monkeypatch.context() as patch:
        patch.setattr("spacy_luke.training.pretraining.state.save_file", save)
        with pytest.raises(KeyboardInterrupt):
            run(folder, "parts")
    _, rest = run(folder, "parts", resume=True)
    assert rest[0].step == 4
    assert same(folder / "whole" / "model-last", folder / "parts" / "model-last")
    assert not list((folder / "parts").glob(".state*"))


def test_a_run_that_is_over_stays_as_it_is(folder):
    run(folder)
    before = weights(folder / "out" / "model-last")
    _, reports = run(folder, resume=True)
    assert not reports
    after = weights(folder / "out" / "model-last")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_seeds_give_other_weights_and_the_same_seed_the_same(folder):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(folder, out, seed=seed)
    assert same(folder / "a" / "model-last", folder / "b" / "model-last")
    assert not same(folder / "a" / "model-last", folder / "c" / "model-last")


# --- mistakes


def test_a_folder_with_a_run_is_not_overwritten(folder):
    run(folder, max_steps=3)
    with pytest.raises(LukeError, match=r"L101.*step 3"):
        run(folder)


def test_a_folder_without_run_cannot_be_resumed(folder):
    with pytest.raises(LukeError, match=r"L102.*no state"):
        run(folder, resume=True)
    run(folder, max_steps=3)
    (folder / "out" / "state.safetensors").write_bytes(b"{}")
    with pytest.raises(LukeError, match=r"L102.*cannot be read"):
        run(folder, resume=True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 300}, "pretraining.batch_size"),
        ({f"{STAGE_2}__{RATE}": 0.1}, "pretraining.stages.2_all.optimizer.learn_rate.initial_rate"),
        ({"masking__pieces": 0.2, "seed": 3}, "pretraining.masking.pieces, pretraining.seed"),
    ],
)
def test_a_run_goes_on_with_its_own_settings_only(folder, changes, named):
    run(folder, max_steps=3)
    with pytest.raises(LukeError, match=f"L103.*{named}"):
        run(folder, resume=True, **changes)
    run(folder, resume=True, max_steps=4, eval_frequency=2)


def test_weights_of_another_model_raise_l102(folder):
    run(folder, max_steps=3)
    for path in (folder / "out" / "data" / "train").iterdir():
        path.unlink()
    write_docbin([make_doc([["We met", "London", "."]])], folder / "train.spacy")
    with pytest.raises(LukeError, match=r"L102.*another model"):
        run(folder, resume=True)


@pytest.mark.parametrize("docs", [[], [make_doc([["No links here."]])]], ids=["no Docs", "no links"])
def test_a_corpus_without_linked_entities_raises_l099(folder, docs):
    write_docbin(docs, folder / "train.spacy")
    with pytest.raises(LukeError, match=rf"L099.*train_corpus.*{len(docs)} Docs"):
        run(folder)


@pytest.mark.parametrize("unknown", ["unk", "skip"])
def test_a_vocabulary_without_entities_of_the_corpus_raises_l100(folder, unknown):
    with pytest.raises(LukeError, match=r"L100.*6 titles occurs 1000 times"):
        run(folder, entity_vocab__min_count=1000, entity_vocab__unknown=unknown)


def test_words_alone_can_be_learned(folder):
    write_docbin([make_doc([["No links here.", "London", "but one."]])] * 3, folder / "train.spacy")
    options: dict[str, Any] = {"windows__without_entities": True, "entity_vocab__unknown": "skip"}
    with pytest.warns(LukeWarning, match=r"W028.*dev_corpus"):
        _, reports = run(folder, entity_vocab__min_count=4, **options)
    assert reports[-1].train.entity_loss is None
    assert reports[-1].train.piece_loss > 0
    assert reports[-1].dev.entity_acc is None


def test_a_loss_that_is_no_number_raises_l104_and_the_last_state_stays(folder):
    run(folder, max_steps=3)
    before = (folder / "out" / "state.safetensors").read_bytes()
    made = Run(config_of(folder), folder / "out", resume=True)
    with torch.no_grad():
        made.model.module.lm_head.bias.fill_(float("nan"))
    with pytest.raises(LukeError, match=r"L104.*nan at step 4"):
        list(made.steps())
    assert (folder / "out" / "state.safetensors").read_bytes() == before


def test_a_longformer_raises_l098(folder):
    write_longformer(folder / "longformer")
    with pytest.raises(LukeError, match=r"L098.*longformer"):
        run(folder, model__checkpoint=str(folder / "longformer"))


def test_a_gpu_that_is_not_there_raises_l047(folder):
    with pytest.raises(LukeError, match=r"L047.*gpu_id = 99"):
        Run(config_of(folder), folder / "out", gpu_id=99)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "L047.*batch_size"),
        ({"dropout": 2.0}, "L047.*dropout"),
        ({"precision": "int8"}, "L047.*precision"),
        ({"entity_vocab__unknown": "drop"}, "L047.*unknown"),
        ({"entity_vocab__min_count": 0}, "L047.*min_count"),
        ({"windows__max_entities": 0}, "L047.*max_entities"),
        ({"masking__entities": 7}, "L047.*entities"),
        ({f"{STAGE_1}__trained": "heads"}, "L047.*trained"),
        ({f"{STAGE_1}__steps": 0, f"{STAGE_2}__steps": 0}, "L047.*no stage has a step"),
        ({"model__tokenizer": None}, "L047.*checkpoint"),
        ({"train_corpus": "corpora.nowhere"}, r"L097.*\[corpora.nowhere\].*missing"),
    ],
)
def test_settings_that_cannot_be_are_coded_errors(folder, changes, message):
    with pytest.raises(LukeError, match=message):
        run(folder, **changes)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("", {"batch": 3}, r"L097.*\[pretraining\].*batch is no setting.*batch_size"),
        ("masking", {"words": 3}, r"L097.*\[pretraining.masking\].*words is no setting"),
        ("model", None, r"L097.*\[pretraining\].*lacks model"),
        ("stages", None, "L047.*no stage has a step"),
        ("windows", 3, r"L097.*\[pretraining.windows\].*3 is no block"),
    ],
)
def test_settings_that_are_missing_or_unknown_raise_l097(section, change, message):
    block: dict[str, Any] = dict(load_config(CONFIG, interpolate=True)["pretraining"])
    if change is None:
        del block[section]
    elif isinstance(change, dict):
        target = block.setdefault(section, {}) if section else block
        target.update(change)
    else:
        block[section] = change
    block["model"] = {"checkpoint": "x"} if "model" in block else None
    if block["model"] is None:
        del block["model"]
    with pytest.raises(LukeError, match=message):
        Settings.of(block)


def test_a_config_without_pretraining_raises_l097(tmp_path):
    with pytest.raises(LukeError, match=r"L097.*missing"):
        Run(Config({"paths": {}}), tmp_path)


def test_a_corpus_without_path_raises_l097(folder):
    config = config_of(folder)
    config["corpora"]["dev"]["path"] = None
    with pytest.raises(LukeError, match=r"L097.*\[corpora.dev\].*path is null"):
        Run(config, folder / "out2")
