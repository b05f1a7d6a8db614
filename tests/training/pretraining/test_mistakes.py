"""Coded errors for what cannot be pretrained, or not so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from spacy.util import load_config
from thinc.api import Config
from transformers import LukeModel

from spacy_luke.checkpoints.reader import open_checkpoint, read_config
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.converters import write_docbin
from spacy_luke.default_model import bundled_encoder
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.training.pretraining.run import Run
from spacy_luke.training.pretraining.settings import ModelSettings, Settings
from spacy_luke.training.pretraining.start import open_source
from tests.training.pretraining.linked import CONFIG, RATE, STAGE_1, STAGE_2, config_of, make_doc, run
from tests.util import luke_config, randomise, write_longformer, write_luke


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


@pytest.mark.parametrize("kind", ["train", "dev"])
@pytest.mark.parametrize("texts", [[], ["", "  \n "]], ids=["no Docs", "white space"])
def test_a_corpus_without_words_raises_l105(folder, kind, texts):
    write_docbin([make_doc([[text]]) for text in texts], folder / f"{kind}.spacy")
    with pytest.raises(LukeError, match=rf"L105.*{kind}_corpus.*no word in its . Docs"):
        run(folder, windows__without_entities=True, entity_vocab__unknown="skip")


def test_a_dev_corpus_without_linked_entities_raises_l099(folder):
    write_docbin([make_doc([["No links here."]])], folder / "dev.spacy")
    with pytest.raises(LukeError, match=r"L099.*dev_corpus"):
        run(folder)


def test_a_dev_corpus_without_entities_of_the_vocabulary_raises_l105(folder):
    write_docbin([make_doc([["We met", "Nobody", "."]])], folder / "dev.spacy")
    with pytest.raises(LukeError, match=r"L105.*dev_corpus.*none of its 1 titles"):
        run(folder, entity_vocab__unknown="skip")
    with pytest.warns(LukeWarning, match=r"W028.*dev_corpus"):
        run(folder, entity_vocab__unknown="unk", max_steps=1)


def test_a_loss_that_is_no_number_raises_l104_and_the_last_state_stays(folder):
    run(folder, max_steps=3)
    before = (folder / "out" / "state.safetensors").read_bytes()
    made = Run(config_of(folder), folder / "out", resume=True)
    with torch.no_grad():
        made.model.module.lm_head.bias.fill_(float("nan"))
    with pytest.raises(LukeError, match=r"L104.*nan at step 4"):
        list(made.steps())
    assert (folder / "out" / "state.safetensors").read_bytes() == before


def test_a_state_with_weights_that_are_no_numbers_raises_l110(folder):
    run(folder, max_steps=3)
    file = folder / "out" / "state.safetensors"
    with safe_open(file, framework="pt") as handle:
        metadata = handle.metadata()
    tensors = load_file(file)
    tensors["module.lm_head.bias"][0] = float("nan")
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(LukeError, match=r"L110.*state\.safetensors.*'module\.lm_head\.bias'"):
        Run(config_of(folder), folder / "out", resume=True)


def test_a_longformer_raises_l098(folder):
    write_longformer(folder / "longformer")
    with pytest.raises(LukeError, match=r"L098.*longformer"):
        run(folder, model__checkpoint=str(folder / "longformer"))
    assert not (folder / "out" / "data").exists(), "the corpus is not prepared in vain"


@pytest.mark.parametrize(
    ("block", "changes", "error"),
    [
        ({}, {"model__entity_aware_attention": True}, "L098.*no entity-aware attention"),
        (None, {}, r"L097.*\[corpora.dev\].*it is missing"),
        ({"path": None}, {}, r"L097.*\[corpora.dev\].*path is null"),
    ],
)
def test_mistakes_are_found_before_the_corpus_is_prepared(folder, block, changes, error):
    write_luke(folder / "luke", randomise(LukeModel(luke_config(use_entity_aware_attention=False))))
    config = config_of(folder, model__checkpoint=str(folder / "luke"), **changes)
    if block is None:
        del config["corpora"]["dev"]
    else:
        config["corpora"]["dev"].update(block)
    with pytest.raises(LukeError, match=error):
        Run(config, folder / "out")
    assert not (folder / "out" / "data").exists()


def test_without_checkpoint_and_tokenizer_the_start_is_the_encoder_in_the_box():
    source = open_source(ModelSettings(), seed=0)
    assert source.path == bundled_encoder()
    assert isinstance(source.config, LukeConfig)
    assert source.config.entity_attention == "full"


def test_independent_attention_goes_on_as_full_attention(folder):
    write_luke(folder / "luke")
    opened = open_checkpoint(folder / "luke").with_independent_attention()
    save_checkpoint(folder / "independent", opened.describe(opened.config), opened.load_encoder())
    made, reports = run(folder, model__checkpoint=str(folder / "independent"), max_steps=3)
    assert reports
    assert f"From {folder / 'independent'}, with full attention" in made.summary()
    assert open_checkpoint(folder / "out" / "model-last").model_type == "luke"
    assert read_config(folder / "out" / "model-last")["model_type"] == "luke"


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
        Settings.from_config(block)


def test_a_config_without_pretraining_raises_l097(tmp_path):
    with pytest.raises(LukeError, match=r"L097.*missing"):
        Run(Config({"paths": {}}), tmp_path)


def test_a_corpus_without_path_raises_l097(folder):
    config = config_of(folder)
    config["corpora"]["dev"]["path"] = None
    with pytest.raises(LukeError, match=r"L097.*\[corpora.dev\].*path is null"):
        Run(config, folder / "out2")


def test_stages_are_in_the_order_of_their_names():
    stages = {name: {"steps": 1, "optimizer": None} for name in ("2_all", "3_more", "1_entities")}
    block = {"train_corpus": "train", "model": {"checkpoint": "x"}, "stages": stages}
    assert list(Settings.from_config(block).stages) == ["1_entities", "2_all", "3_more"]
