"""One `luke_encoder` for several components: weights, saving, `replace_listeners`."""

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config
from transformers import LukeModel

from spacy_luke.batching.strided import StridedWindows
from spacy_luke.batching.windows import SentenceWindows
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.encoder.shared_model import (
    LUKE,
    SHARED,
    TASKS,
    adam,
    assert_same,
    build,
    changed,
    encoder_of,
    examples,
    initialized,
    logits,
    state,
    write_bare,
)
from tests.pipeline.entity_markers.model import TEXT
from tests.pipeline.short_training import CONFIGS, assert_complete, short
from tests.util import luke_config, randomise, write_longformer, write_luke


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bare(tmp_path_factory.mktemp("bare"))


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


def test_with_full_attention_a_head_has_windows_of_its_own(checkpoint: Path, tmp_path: Path) -> None:
    windows = {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 60, "stride": 40}
    nlp = initialized(checkpoint, ("luke_ner",), windows=windows)
    nlp.to_disk(tmp_path)
    for one in (nlp, spacy.load(tmp_path)):
        assert one.get_pipe("luke_encoder").windows == StridedWindows(60, 40)
        assert isinstance(one.get_pipe("luke_ner").windows, SentenceWindows)


def test_an_encoder_of_a_task_has_no_windows_of_the_task(checkpoint: Path, tmp_path: Path) -> None:
    windows = {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 60, "stride": 40}
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("luke_ner", config={"windows": windows})
    ner.initialize(lambda: examples(nlp), checkpoint=str(checkpoint))
    ner.to_disk(tmp_path)
    of_task, bare = (
        spacy.blank("en").add_pipe("luke_encoder").load_checkpoint(path) for path in (tmp_path, checkpoint)
    )
    assert ner.windows == StridedWindows(60, 40)
    assert of_task.windows == bare.windows != ner.windows


def test_an_encoder_is_saved_without_what_is_excluded(checkpoint: Path, tmp_path: Path) -> None:
    encoder = initialized(checkpoint, ()).get_pipe("luke_encoder")
    encoder.to_disk(tmp_path, exclude=["model"])
    saved = srsly.msgpack_loads(encoder.to_bytes(exclude=["model"]))
    assert saved.keys() == {"cfg"}
    assert (tmp_path / "cfg").read_bytes() == saved["cfg"]
    assert not (tmp_path / "model.safetensors").exists()


def test_the_encoder_is_on_disk_once(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint)
    nlp.to_disk(tmp_path)
    assert (tmp_path / "luke_encoder" / "model.safetensors").is_file()
    for name in TASKS:
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == ["cfg", "checksums.json", "head.safetensors"]
    shared = sum(p.stat().st_size for p in tmp_path.rglob("*.safetensors"))
    assert shared < 1.2 * (tmp_path / "luke_encoder" / "model.safetensors").stat().st_size
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("luke_ner").labels == nlp.get_pipe("luke_ner").labels
    assert_same(logits(loaded), logits(nlp))
    other = build()
    other.from_bytes(nlp.to_bytes())
    assert_same(logits(other), logits(nlp))


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


def test_the_layer_of_a_replaced_listener_has_no_weights_of_its_own(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    nlp.replace_listeners("luke_encoder", "luke_ner", ["model.encoder"])
    model = nlp.get_pipe("luke_ner").model
    assert [len(node.shims) for node in model.walk()] == [1] + [0] * (len(list(model.walk())) - 1)


def test_a_listener_that_is_removed_was_known(checkpoint: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    encoder = nlp.get_pipe("luke_encoder")
    [listener] = encoder.listeners
    assert not encoder.remove_listener(listener, "luke_qa")
    assert encoder.listening_components == ["luke_ner"]
    assert encoder.remove_listener(listener, "luke_ner")
    assert not encoder.remove_listener(listener, "luke_ner")
    assert encoder.listening_components == []


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


def test_a_component_uses_the_nearest_encoder_before_it(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    nlp.add_pipe("luke_encoder", name="second", config={"set_vectors": False})
    nlp.add_pipe("luke_qa", config={"model": SHARED})
    nlp.get_pipe("second").load_checkpoint(checkpoint)
    nlp.get_pipe("luke_qa").initialize(lambda: examples(nlp))
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    loaded.get_pipe("luke_encoder").from_disk(tmp_path / "luke_encoder")
    loaded.get_pipe("luke_encoder").load_checkpoint(checkpoint)
    assert encoder_of(loaded, "luke_ner") is loaded.get_pipe("luke_encoder").encoder
    assert encoder_of(loaded, "luke_qa") is loaded.get_pipe("second").encoder
    assert loaded.get_pipe("luke_encoder").listening_components == ["luke_ner"]
    assert loaded.get_pipe("second").listening_components == ["luke_qa"]


def test_saving_a_component_without_its_encoder_is_told(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    alone = spacy.blank("en")
    alone.add_pipe("luke_ner", source=nlp)
    with pytest.warns(LukeWarning, match=r"W030.*'luke_ner'.*'luke_encoder'"):
        alone.to_disk(tmp_path / "alone")
    with pytest.raises(LukeError, match="L066"):
        spacy.load(tmp_path / "alone")("Ada met Babbage.")


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
    with pytest.raises(LukeError, match=r"L040.*new head on the encoder of 'luke_encoder'"):
        named.get_pipe("luke_ner").update(examples(named))


def test_a_checkpoint_for_a_sharing_component_is_refused(checkpoint: Path) -> None:
    nlp = build(("luke_ner",))
    nlp.config["initialize"]["components"] = {
        "luke_encoder": {"checkpoint": str(checkpoint)},
        "luke_ner": {"checkpoint": str(checkpoint)},
    }
    with pytest.raises(LukeError, match="L067"):
        nlp.initialize(lambda: examples(nlp))


@pytest.mark.filterwarnings("ignore:.*W030")
@pytest.mark.parametrize("shared", [True, False])
def test_what_was_saved_otherwise_is_refused(checkpoint: Path, tmp_path: Path, shared: bool) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    if not shared:
        nlp.replace_listeners("luke_encoder", "luke_ner", ["model.encoder"])
    nlp.get_pipe("luke_ner").to_disk(tmp_path / "ner")
    other = spacy.blank("en")
    pipe = other.add_pipe("luke_ner", config={} if shared else {"model": SHARED})
    assert not pipe.from_disk(tmp_path / "ner", exclude=["model"]).has_weights
    with pytest.raises(LukeError, match="L069"):
        pipe.from_disk(tmp_path / "ner")


def test_components_without_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    build(("luke_ner",)).to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    assert not nlp.get_pipe("luke_ner").has_weights
    with pytest.raises(LukeError, match=r"L040.*'luke_encoder'"):
        nlp.get_pipe("luke_ner").initialize(lambda: examples(nlp))


def test_a_head_from_an_encoder_of_another_width_does_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    write_luke(tmp_path, randomise(LukeModel(luke_config(hidden_size=40, num_attention_heads=4))))
    nlp = initialized(tmp_path, ("luke_qa",))
    with pytest.raises(LukeError, match=r"L068.*luke of width 32.*luke of width 40"):
        nlp.add_pipe("luke_ner", source=initialized(checkpoint, ("luke_ner",)))


@pytest.mark.filterwarnings("ignore:.*W030")
def test_damaged_heads_are_refused_and_the_component_stays(checkpoint: Path, tmp_path: Path) -> None:
    nlp = initialized(checkpoint, ("luke_ner",))
    pipe = nlp.get_pipe("luke_ner")
    pipe.to_disk(tmp_path / "ner")
    before = logits(nlp, ("luke_ner",))
    (tmp_path / "ner" / "head.safetensors").write_bytes(b"nothing")
    with pytest.raises(LukeError, match="L140"):
        pipe.from_disk(tmp_path / "ner")
    (tmp_path / "ner" / "checksums.json").unlink()
    with pytest.raises(LukeError, match="L022"):
        pipe.from_disk(tmp_path / "ner")
    (tmp_path / "ner" / "head.safetensors").unlink()
    with pytest.raises(LukeError, match="L021"):
        pipe.from_disk(tmp_path / "ner")
    pipe.to_disk(tmp_path / "ner")
    cfg = json.loads((tmp_path / "ner" / "cfg").read_text())
    cfg["head"]["hidden_size"] = 8
    (tmp_path / "ner" / "cfg").write_text(json.dumps(cfg))
    (tmp_path / "ner" / "checksums.json").unlink()
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
    overrides = short(tmp_path / "corpus.spacy", checkpoint, steps=2)
    config = Config().from_disk(CONFIGS / "shared.cfg", overrides=overrides)
    assert_complete(config)
    (tmp_path / "out").mkdir()
    train(init_nlp(config), tmp_path / "out")
    loaded = spacy.load(tmp_path / "out" / "model-last")
    assert loaded.get_pipe("luke_encoder").listening_components == ["luke_ner", "luke_relations"]
    assert "met" in loaded.get_pipe("luke_relations").label_data
