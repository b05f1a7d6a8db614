"""Saving, copying and loading `luke_ner` like any spaCy component."""

import json
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import Span
from transformers import LukeForEntitySpanClassification

import spacy_luke
from spacy_luke import extensions as package_extensions
from spacy_luke.checkpoints import writer
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.conftest import LABELS, TEXT
from tests.pipeline.ner.test_predict import annotations
from tests.util import write_luke


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def results(nlp) -> list:
    return [annotations(doc) for doc in nlp.pipe(TEXT)]


def test_a_saved_pipeline_gives_the_same_results_without_network(nlp, tmp_path: Path, no_network) -> None:
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert results(loaded) == results(nlp)
    assert loaded.get_pipe("luke_ner").logit_labels == tuple(LABELS)


def test_no_path_of_the_checkpoint_survives_in_a_saved_pipeline(nlp, checkpoint: Path, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    for file in (tmp_path / "saved").rglob("*"):
        if file.is_file():
            assert str(checkpoint).encode() not in file.read_bytes(), file


def test_a_saved_component_needs_no_file_of_titles(checkpoint: Path, tmp_path: Path) -> None:
    """The file chose the rows of the entity table once."""
    (tmp_path / "titles.txt").write_text("London\n")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": str(tmp_path / "titles.txt")}
    nlp = spacy_luke.from_checkpoint(checkpoint, config={"model": {"encoder": encoder}})
    nlp.to_disk(tmp_path / "saved")
    (tmp_path / "titles.txt").unlink()
    loaded = spacy.load(tmp_path / "saved")
    assert loaded.get_pipe("luke_ner")._require_weights().entity_vocab["London"] == 4
    assert results(loaded) == results(nlp)


def test_a_pipeline_goes_through_bytes(nlp) -> None:
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    other.add_pipe("luke_ner", config={"windows": nlp.config["components"]["luke_ner"]["windows"]})
    other.from_bytes(nlp.to_bytes())
    assert results(other) == results(nlp)


def test_a_component_can_be_sourced(nlp) -> None:
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    other.add_pipe("luke_ner", source=nlp)
    assert results(other) == results(nlp)


def test_a_sourced_component_loads_from_a_config(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    config = {
        "nlp": {"lang": "en", "pipeline": ["sentencizer", "luke_ner"]},
        "components": {name: {"source": str(tmp_path / "saved")} for name in ("sentencizer", "luke_ner")},
    }
    assert results(spacy.util.load_model_from_config(config, auto_fill=True)) == results(nlp)


def test_a_component_can_be_pickled(nlp) -> None:
    pipe = nlp.get_pipe("luke_ner")
    copied = pickle.loads(pickle.dumps(pipe))
    for (_, a), (_, b) in zip(
        pipe.logits([nlp.make_doc(TEXT[0])]), copied.logits([nlp.make_doc(TEXT[0])]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


SPAWNED = """
import json, multiprocessing, sys, warnings
import spacy
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    nlp = spacy.load(sys.argv[1])
    texts = json.loads(sys.argv[2])
    docs = nlp.pipe(texts, n_process=2, batch_size=2)
    print(json.dumps([[[e.start, e.end, e.label_, round(e._.score, 4)] for e in doc.ents] for doc in docs]))
"""


def test_two_spawned_processes_give_the_same_results(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    command = [sys.executable, str(script), str(tmp_path / "saved"), json.dumps(TEXT * 2)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == json.loads(json.dumps(results(nlp) * 2))


def test_a_saved_component_is_a_checkpoint_that_transformers_opens(nlp, checkpoint: Path, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    ours = LukeForEntitySpanClassification.from_pretrained(tmp_path / "saved" / "luke_ner")
    theirs = LukeForEntitySpanClassification.from_pretrained(checkpoint)
    assert ours.config.id2label == theirs.config.id2label
    table = "luke.entity_embeddings.entity_embeddings.weight"
    for name, tensor in theirs.state_dict().items():
        if name != table:
            np.testing.assert_array_equal(tensor.numpy(), ours.state_dict()[name].numpy(), err_msg=name)
    vocab = json.loads((tmp_path / "saved" / "luke_ner" / "entity_vocab.json").read_text())
    old = json.loads((checkpoint / "entity_vocab.json").read_text())
    assert set(vocab) == {"[PAD]", "[UNK]", "[MASK]", "[MASK2]"}, "rows that nobody uses are not kept"
    for title, row in vocab.items():
        np.testing.assert_array_equal(ours.state_dict()[table][row], theirs.state_dict()[table][old[title]])


def test_a_pipeline_is_made_from_what_a_component_saved(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    again = spacy_luke.from_checkpoint(tmp_path / "saved" / "luke_ner")
    assert results(again) == results(nlp), "the windows that the component used are saved with it"


def test_a_failed_load_leaves_the_component_as_it_was(nlp, checkpoint: Path, tmp_path: Path) -> None:
    before = results(nlp)
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(LukeError, match="L022"):
        nlp.get_pipe("luke_ner").load_checkpoint(broken)
    assert results(nlp) == before


def test_an_interrupted_save_keeps_the_old_one(nlp, tmp_path: Path, monkeypatch) -> None:
    pipe = nlp.get_pipe("luke_ner")
    nlp.to_disk(tmp_path / "saved")
    folder = tmp_path / "saved" / "luke_ner"
    before = {f.name: f.read_bytes() for f in folder.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "save_file", full)
        with pytest.raises(LukeError, match=r"L029.*No space left"):
            pipe.to_disk(folder)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before

    replace, moved = writer.os.replace, []

    def stop_once_after_two(source, target):
        moved.append(target)
        if len(moved) == 3:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(writer.os, "replace", stop_once_after_two)
    with pytest.raises(KeyboardInterrupt):
        pipe.to_disk(folder)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    assert sorted(p.name for p in folder.parent.iterdir() if p.name.startswith(".")) == []


KILLED = """
import os, sys
import spacy
from spacy_luke.checkpoints import writer
replace = writer.os.replace
def kill(source, target):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    replace(source, target)
left = int(sys.argv[2])
nlp = spacy.load(sys.argv[1])
writer.os.replace = kill
nlp.to_disk(sys.argv[1])
"""


@pytest.mark.parametrize("moves", [0, 3, 10])
def test_what_a_killed_save_leaves_goes_with_the_next_one(nlp, tmp_path: Path, moves: int) -> None:
    folder = tmp_path / "saved"
    nlp.to_disk(folder)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(moves)], check=False)
    assert killed.returncode == 9
    [room] = [path for path in folder.iterdir() if path.name.startswith(".")]
    (folder / ".luke_ner.notours").mkdir()
    (folder / ".luke_ner_too.abcdefgh" / "new").mkdir(parents=True)
    if moves:
        with pytest.raises(LukeError):
            spacy.load(folder)
    nlp.to_disk(folder)
    assert not room.exists()
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == [
        ".luke_ner.notours",
        ".luke_ner_too.abcdefgh",
    ], "other folders stay"
    assert results(spacy.load(folder)) == results(nlp)


# --- exclude


@pytest.mark.parametrize("name", ["luke_ner", "luke_encoder", "luke_qa"])
def test_the_model_is_excluded(nlp, tmp_path: Path, name: str) -> None:
    if name == "luke_ner":
        pipe = nlp.get_pipe(name)
    else:
        write_luke(tmp_path / "checkpoint")
        pipe = spacy.blank("en").add_pipe(name)
        pipe.initialize(lambda: [], checkpoint=str(tmp_path / "checkpoint"))
    pipe.to_disk(tmp_path / "whole")
    pipe.to_disk(tmp_path / "whole", exclude=["model", "vocab"])
    assert {p.name for p in (tmp_path / "whole").iterdir()} == {"cfg", "checksums.json"}, "the old weights go, too"
    bare = spacy.blank("en").add_pipe(name)
    assert not bare.from_disk(tmp_path / "whole").has_weights
    assert not bare.from_bytes(pipe.to_bytes(exclude=["model"])).has_weights
    assert not bare.from_bytes(pipe.to_bytes(), exclude=["model"]).has_weights
    pipe.to_disk(tmp_path / "whole")
    assert not bare.from_disk(tmp_path / "whole", exclude=["model"]).has_weights
    assert bare.from_disk(tmp_path / "whole").has_weights
    pipe.from_disk(tmp_path / "whole", exclude=["model"])
    assert pipe.has_weights


def test_the_cfg_is_excluded(nlp, tmp_path: Path) -> None:
    pipe = nlp.get_pipe("luke_ner")
    pipe.to_disk(tmp_path, exclude=["cfg"])
    assert not (tmp_path / "cfg").exists()
    other = spacy.blank("en").add_pipe("luke_ner")
    with pytest.raises(LukeError, match="L048"):
        other.from_disk(tmp_path)
    assert other.from_disk(tmp_path, exclude=["cfg"]).logit_labels == pipe.logit_labels
    assert other.from_bytes(pipe.to_bytes(exclude=["cfg"]), exclude=["cfg"]).has_weights
    pipe.to_disk(tmp_path, exclude=["model", "cfg"])
    assert not list(tmp_path.iterdir())


def test_a_component_without_weights_is_saved_without_weights(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner")
    nlp.to_disk(tmp_path / "saved")
    assert not spacy.load(tmp_path / "saved").get_pipe("luke_ner").has_weights


def test_a_folder_that_is_no_component_is_refused(nlp, tmp_path: Path) -> None:
    with pytest.raises(LukeError, match="L048"):
        nlp.get_pipe("luke_ner").from_disk(tmp_path)


def test_import_writes_a_pipeline(checkpoint: Path, tmp_path: Path) -> None:
    spacy_luke.from_checkpoint(str(checkpoint)).to_disk(tmp_path / "out")
    assert spacy.load(tmp_path / "out").pipe_names == ["sentencizer", "luke_ner"]


def test_an_architecture_that_no_component_runs_is_named(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "architectures": ["LukeForSomething"]}))
    with pytest.raises(LukeError, match=r"L049.*LukeForSomething"):
        spacy_luke.from_checkpoint(tmp_path / "other")
    with pytest.raises(LukeError, match=r"L042.*LukeForSomething"):
        spacy.blank("en").add_pipe("luke_ner").load_checkpoint(tmp_path / "other")


def test_another_packages_span_score_is_left_alone(nlp, monkeypatch) -> None:
    monkeypatch.setattr(package_extensions, "_ours", set())
    saved = Span.get_extension("score")
    Span.set_extension("score", getter=lambda span: "theirs", force=True)
    try:
        with pytest.warns(LukeWarning, match=r"W004.*score.*test_saving"):
            package_extensions.register_extensions()
        doc = nlp(TEXT[0])
        assert doc.ents[0]._.score == "theirs"
        assert len(doc.spans["luke_ner"].attrs["scores"]) == len(doc.ents)
    finally:
        Span.set_extension("score", getter=saved[2], setter=saved[3], force=True)


@pytest.mark.parametrize("windows", [{"max_pieces": 20, "stride": 10, "context": "none"}])
def test_windows_that_there_are_not_are_an_error_when_they_are_used(checkpoint: Path, tmp_path: Path, windows) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "spacy_luke": {"windows": windows}}))
    with pytest.raises(LukeError, match=r"L004.*spacy_luke: windows = .*unexpected keyword"):
        spacy_luke.from_checkpoint(tmp_path / "other")("Ada met Bo.")
