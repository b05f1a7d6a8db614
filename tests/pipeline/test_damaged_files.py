"""Every file of a saved component, damaged in every way: an error with a code that names the file, or the same results.

The cases are drawn with a fixed seed, so that they are the same in each run. `EVERY=1` runs all of them, not a sample.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from spacy.language import Language

from spacy_luke.annotations import set_relations
from spacy_luke.checksums import CHECKSUMS, checksum
from spacy_luke.errors import LukeError
from tests.pipeline.entity_linker.model import ENTS, make_doc, make_kb, write_linker

LABELS: dict[str, list[str] | None] = {
    "luke_ner": ["LOC", "PER"],
    "luke_relations": ["met", "lives_in"],
    "luke_entity_typer": ["person", "city"],
    "luke_token_classifier": ["LOC", "PER"],
    "luke_textcat": ["people", "places"],
    "luke_multiple_choice": None,
    "luke_qa": None,
    "luke_entity_linker": None,
}
OWN = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "full"}
SHARED = {"@architectures": "spacy-luke.SharedEncoder.v1"}
COMPONENTS = ["luke_encoder", *LABELS, "vectors"]
# Of the ways to damage a file of a component, which are some 20, so many are tried in each test.
SAMPLE = 10**6 if os.environ.get("EVERY") else 3
pytestmark = pytest.mark.filterwarnings("ignore:.*W0(02|23|30)")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Language, Path]]:
    """Two pipelines of all components, with encoders of their own and with one that they share, and their folders."""
    folder = tmp_path_factory.mktemp("saved")
    write_linker(folder / "checkpoint")
    pipelines = {}
    for kind in ("own", "shared"):
        torch.manual_seed(0)
        nlp = spacy.blank("en")
        nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": OWN})
        start: dict[str, Any] = {"luke_encoder": {"checkpoint": str(folder / "checkpoint")}}
        for name, labels in LABELS.items():
            nlp.add_pipe(name, config={"model": {"encoder": OWN if kind == "own" else SHARED}})
            start[name] = {"checkpoint": str(folder / "checkpoint")} if kind == "own" else {}
            if labels:
                start[name]["labels"] = labels
        if kind == "shared":
            nlp.add_pipe("luke_encoder", "vectors", config={"model": SHARED})
        nlp.get_pipe("luke_entity_linker").set_kb(make_kb, {"Qx": "London"})
        nlp.config["initialize"]["components"] = start
        nlp.initialize()
        nlp.to_disk(folder / kind)
        pipelines[kind] = nlp, folder / kind
    return pipelines


def results(pipe: Any) -> Any:
    """Annotations that a component makes."""
    nlp = spacy.blank("en")
    doc = make_doc(nlp, ents=ENTS)
    set_relations(doc, [])
    doc._.questions = ["Who met Babbage?"]
    doc._.choices = [("Who met Babbage?", ["Ada", "Bo"])]
    if pipe.factory == "luke_encoder":
        found: Any = pipe.vectors([doc])[0]
        return [part.tobytes() for part in vars(found).values() if hasattr(part, "tobytes")]
    return repr(pipe.labels), repr(pipe.logits([doc])), repr([getattr(pipe, "kb_titles", None)])


def damages(file: Path, others: list[Path]) -> Iterator[tuple[str, bytes | None]]:
    """The ways in which a file is damaged: what is in it then, None for nothing at all."""
    data = file.read_bytes()
    chance = random.Random(f"{file.parent.name}/{file.name}")
    for _ in range(8):
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        yield f"bit {bit} of byte {place}", data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
    for _ in range(3):
        place = chance.randrange(len(data))
        yield f"zeros from byte {place}", data[:place] + bytes(len(data) - place)
    for end in sorted({1, len(data) // 2, len(data) - 1, chance.randrange(len(data))}):
        yield f"cut to {end} of {len(data)} bytes", data[:end]
    yield "emptied", b""
    yield "a JSON object", b"{}"
    yield "deleted", None
    for other in others:
        yield f"that of {other.parent.name}", other.read_bytes()


def cases(folder: Path, name: str) -> Iterator[tuple[Path, str, bytes | None]]:
    """The damages of the files of a component, a sample of them for each file."""
    for file in sorted((folder / name).iterdir()):
        others = [o / file.name for o in sorted(folder.iterdir()) if o.name != name and (o / file.name).is_file()]
        found = list(damages(file, others))
        for damage, data in random.Random(file.name).sample(found, min(SAMPLE, len(found))):
            yield file, damage, data


def put(file: Path, data: bytes | None) -> None:
    file.unlink(missing_ok=True)
    if data is not None:
        file.write_bytes(data)


def names_of(kind: str) -> list[str]:
    return COMPONENTS if kind == "shared" else COMPONENTS[:-1]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in ("own", "shared") for name in names_of(kind)])
def test_damage_is_noticed_or_does_not_matter(saved, tmp_path: Path, kind: str, name: str) -> None:
    nlp, folder = saved[kind]
    pipe = nlp.get_pipe(name)
    before, refused = results(pipe), 0
    copied = shutil.copytree(folder / name, tmp_path / name)
    for file, damage, data in cases(folder, name):
        put(copied / file.name, data)
        try:
            pipe.from_disk(copied)
        except LukeError as error:
            refused += 1
            named = file.name in str(error) or CHECKSUMS in str(error)
            assert named, (file.name, damage, error)  # noqa: PT017
        else:
            assert results(pipe) == before, (file.name, damage)
        shutil.copy(file, copied)
    assert refused
    assert results(pipe) == before


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in ("own", "shared") for name in names_of(kind)])
def test_damage_without_checksums_is_an_error_with_a_code_or_unnoticed(saved, tmp_path, kind: str, name: str) -> None:
    """As in pipelines that were saved before there were checksums."""
    nlp, folder = saved[kind]
    pipe, before = nlp.get_pipe(name), results(nlp.get_pipe(name))
    copied = shutil.copytree(folder / name, tmp_path / name)
    (copied / CHECKSUMS).unlink()
    for file, damage, data in cases(folder, name):
        if file.name == CHECKSUMS or (file.name == "kb" and damage.startswith("bit")):
            continue  # spaCy's knowledge bases look their entries up unchecked
        put(copied / file.name, data)
        with contextlib.suppress(LukeError):
            pipe.from_disk(copied)
        shutil.copy(file, copied)
    pipe.from_disk(copied)
    assert results(pipe) == before


def test_the_error_names_the_file_and_what_to_do(saved, tmp_path: Path) -> None:
    nlp, folder = saved["own"]
    copied = shutil.copytree(folder / "luke_ner", tmp_path / "luke_ner")
    merges = (copied / "merges.txt").read_text(encoding="utf8").splitlines()
    (copied / "merges.txt").write_text("\n".join([*merges[:-20], ""]), encoding="utf8")
    with pytest.raises(LukeError, match=r"L140.*luke_ner.merges\.txt is not the file.*delete .*checksums\.json"):
        nlp.get_pipe("luke_ner").from_disk(copied)
    (copied / CHECKSUMS).unlink()
    spacy.blank("en").add_pipe("luke_ner", config={"model": {"encoder": OWN}}).from_disk(copied)


def test_a_whole_pipeline_with_a_damaged_file_is_refused(saved, tmp_path: Path) -> None:
    _, folder = saved["shared"]
    copied = shutil.copytree(folder, tmp_path / "copy")
    (copied / "luke_qa" / "cfg").write_bytes(b"{}")
    with pytest.raises(LukeError, match=r"L140.*luke_qa.cfg"):
        spacy.load(copied)


def test_a_checksum_notices_every_bit(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(61)
    (tmp_path / "file").write_bytes(data)
    before = checksum(tmp_path / "file")
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        (tmp_path / "file").write_bytes(changed)
        assert checksum(tmp_path / "file") != before


@pytest.mark.parametrize("size", [0, 1, 8, 2**18 - 1, 2**18, 2**18 + 9])
def test_a_checksum_is_the_size_and_the_sum_of_the_words(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    words = (int.from_bytes(data[i : i + 8], "little") for i in range(0, size, 8))
    assert checksum(tmp_path / "file") == f"{size} bytes, {sum(words) % 2**64:016x}"


# cfg and head, in ways that a checksum does not notice: there is none


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda cfg: cfg.pop("weights"), "L022"),
        (lambda cfg: cfg.update(weights="yes"), "L022"),
        (lambda cfg: cfg["head"].pop("labels"), "L022"),
        (lambda cfg: cfg["head"].update(labels=[1, 2]), "L022"),
        (lambda cfg: cfg["head"].update(labels=["PER", "PER", "NIL"]), "L022"),
        (lambda cfg: cfg["head"].update(hidden_size="32"), "L022"),
        (lambda cfg: cfg["head"].update(more=1), "L022"),
        (lambda cfg: cfg["head"].update(settings=None), "L022"),
        (lambda cfg: cfg["head"].update(settings={"windows": 3}), "L022"),
        (lambda cfg: cfg["head"].update(settings={"span_filter": {"a": 1}}), "L022"),
        (lambda cfg: cfg["head"].update(labels=["NIL", "PER"]), "L025"),
        (lambda cfg: cfg["head"].update(hidden_size=8), "L068"),
        (lambda cfg: cfg["head"].update(model_type="longformer"), "L068"),
        (lambda cfg: cfg["head"].update(model_type=3), "L022"),
        (lambda cfg: cfg["head"].update(extra=[]), "L022"),
        (lambda cfg: cfg.update(head=[1]), "L022"),
    ],
)
def test_a_wrong_cfg_is_an_error_with_its_name(saved, tmp_path: Path, change: Any, code: str) -> None:
    nlp, folder = saved["shared"]
    copied = shutil.copytree(folder / "luke_ner", tmp_path / "luke_ner")
    (copied / CHECKSUMS).unlink()
    cfg = json.loads((copied / "cfg").read_bytes())
    change(cfg)
    (copied / "cfg").write_text(json.dumps(cfg))
    before = results(nlp.get_pipe("luke_ner"))
    with pytest.raises(LukeError, match=rf"{code}.*(cfg|luke_ner)"):
        nlp.get_pipe("luke_ner").from_disk(copied)
    assert results(nlp.get_pipe("luke_ner")) == before


def test_the_head_of_another_component_is_refused(saved, tmp_path: Path) -> None:
    nlp, folder = saved["shared"]
    copied = shutil.copytree(folder / "luke_ner", tmp_path / "luke_ner")
    (copied / CHECKSUMS).unlink()
    shutil.copy(folder / "luke_qa" / "head.safetensors", copied)
    before = results(nlp.get_pipe("luke_ner"))
    with pytest.raises(LukeError, match=r"L024.*classifier.weight, in head.* of component 'luke_ner'.*qa_outputs"):
        nlp.get_pipe("luke_ner").from_disk(copied)
    assert results(nlp.get_pipe("luke_ner")) == before


@pytest.mark.parametrize("titles", [None, [], {"Q1": 1}])
def test_wrong_titles_of_a_knowledge_base_are_an_error(saved, tmp_path: Path, titles: Any) -> None:
    nlp, folder = saved["shared"]
    copied = shutil.copytree(folder / "luke_entity_linker", tmp_path / "linker")
    (copied / CHECKSUMS).unlink()
    cfg = json.loads((copied / "cfg").read_bytes())
    (copied / "cfg").write_text(json.dumps({**cfg, "titles": titles}))
    with pytest.raises(LukeError, match=r"L022.*cfg.*titles"):
        nlp.get_pipe("luke_entity_linker").from_disk(copied)
