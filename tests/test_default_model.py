"""The bundled model: shipped, small, loadable, and used by a component that nobody gave weights."""

import json
import shutil
import sys

import pytest
import spacy
from spacy.training import Example

from spacy_luke import default_model
from spacy_luke.checksums import CHECKSUMS, check_files, checksum
from spacy_luke.errors import LukeError, LukeWarning

TEXT = "Angela Merkel met Barack Obama in Berlin. Grace Hopper worked for IBM in Philadelphia."


def entities(doc) -> set[tuple[str, str]]:
    return {(e.text, e.label_) for e in doc.ents}


def test_the_shipped_pipeline_finds_entities_with_scores() -> None:
    doc = spacy.load(default_model.bundled_pipeline())(TEXT)
    assert {("Angela Merkel", "PER"), ("Berlin", "LOC"), ("IBM", "ORG")} <= entities(doc)
    assert all(0.3 < e._.score <= 1 for e in doc.ents)


def test_the_shipped_pipeline_is_small_and_says_where_it_comes_from() -> None:
    size = sum(f.stat().st_size for f in default_model.bundled_pipeline().rglob("*") if f.is_file())
    assert size <= 70e6
    meta = json.loads((default_model.bundled_pipeline() / "meta.json").read_text())
    assert meta["license"]
    assert meta["sources"]
    card = (default_model.bundled_pipeline() / "README.md").read_text()
    assert all(source["name"] in card and source["license"] in card for source in meta["sources"])
    assert f"The model is under {meta['license']}." in card


def test_the_checksums_of_the_shipped_components_are_those_of_their_files() -> None:
    folders = {path for path in default_model.bundled_pipeline().glob("luke_*") if path.is_dir()}
    assert len(folders) == 6
    for folder in folders:
        record = json.loads((folder / CHECKSUMS).read_text(encoding="utf8"))
        assert record == {file.name: checksum(file) for file in folder.iterdir() if file.name != CHECKSUMS}


def test_a_damaged_file_of_the_shipped_pipeline_is_noticed(tmp_path) -> None:
    folder = tmp_path / "luke_qa"
    shutil.copytree(default_model.bundled_pipeline() / "luke_qa", folder)
    content = bytearray((folder / "head.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "head.safetensors").write_bytes(content)
    with pytest.raises(LukeError, match="L140"):
        check_files(folder, ["head.safetensors"])


def test_the_shipped_pipeline_does_every_task() -> None:
    nlp = spacy.load(default_model.bundled_pipeline())
    doc = nlp.make_doc("Marie Curie was born in Warsaw on November 7, 1867. She worked at the University of Paris.")
    doc._.questions = ["Where was Marie Curie born?"]
    doc = nlp(doc)
    person = next(ent for ent in doc.ents if ent.text == "Marie Curie")
    assert "person" in person._.entity_types
    assert "November 7, 1867" in [ent.text for ent in doc.ents if ent.label_ == "DATE"]
    assert "Warsaw" in [relation.tail.text for relation in doc._.relations if relation.head == person]
    assert [answer.text for answer in doc._.answers] == ["Warsaw"]
    assert "Warsaw" in [ent.kb_id_ for ent in doc.ents]


@pytest.mark.filterwarnings("ignore:.*W001")
def test_bare_components_run_the_heads_of_the_bundled_model() -> None:
    bundled = spacy.load(default_model.bundled_pipeline())
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    names = ("luke_ner", "luke_entity_typer", "luke_relations", "luke_entity_linker")
    kept = ("threshold", "label_thresholds", "single_tail", "decoding", "labels_discard")  # settings, not weights
    for name in names:
        settings = bundled.config["components"][name]
        nlp.add_pipe(name, config={key: settings[key] for key in kept if key in settings})
    with bundled.select_pipes(enable=["sentencizer", "luke_encoder", *names]):
        expected = bundled(TEXT)
    doc = nlp(TEXT)
    assert [(e.text, e.label_, e._.entity_types, e.kb_id_) for e in doc.ents] == [
        (e.text, e.label_, e._.entity_types, e.kb_id_) for e in expected.ents
    ]
    assert [(r.head.text, r.label, r.tail.text) for r in doc._.relations] == [
        (r.head.text, r.label, r.tail.text) for r in expected._.relations
    ]


@pytest.mark.filterwarnings("ignore:.*W001")
def test_a_bare_luke_qa_answers_as_the_one_of_the_bundled_model() -> None:
    bundled = spacy.load(default_model.bundled_pipeline())
    question = "Who worked for IBM?"
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_qa")
    pipe.whole_words = bundled.get_pipe("luke_qa").whole_words
    pipe.no_answer_threshold = bundled.get_pipe("luke_qa").no_answer_threshold
    found, expected = (p.answer(nlp.make_doc(TEXT), question)[0] for p in (pipe, bundled.get_pipe("luke_qa")))
    assert (found.text, found.start_char) == (expected.text, expected.start_char)
    assert found.score == pytest.approx(expected.score, abs=1e-5)


def test_a_bare_component_runs_the_bundled_model_and_says_so() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("luke_ner")
    with pytest.warns(LukeWarning, match=r"W001.*en_luke_mini.*LOC.*load_checkpoint"):
        doc = nlp(TEXT)
    assert entities(doc) == entities(spacy.load(default_model.bundled_pipeline())(TEXT))


def test_training_without_checkpoint_starts_from_the_encoder_of_the_bundled_model() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner")
    gold = Example.from_dict(nlp.make_doc("Ada runs."), {"entities": [(0, 3, "PER")]})
    nlp.initialize(lambda: [gold])
    assert pipe.logit_labels == ("NIL", "PER")
    assert pipe.labels == ("PER",)


def test_initialising_without_data_gives_the_model_of_the_bundled_model() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner")
    nlp.initialize()
    assert {"PER", "ORG", "LOC"} <= set(pipe.labels)


def test_without_the_package_of_the_model_the_error_says_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "en_luke_mini", None)
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner")
    with pytest.raises(LukeError, match=r"L050.*pip install en_luke_mini.*checkpoint"):
        nlp("Ada runs.")
