from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.annotations import RELATIONS, Relation, get_relations, has_annotation, set_relations
from spacy_luke.converters import ConversionReport, write_brat
from spacy_luke.converters import read_brat as read_with_new_vocab
from spacy_luke.errors import LukeError

from .util import entities, relations

DATA = Path(__file__).parents[1] / "data" / "annotation_tools" / "brat"
read_brat = partial(read_with_new_vocab, vocab=Vocab())
TEXT = "Ann Lee works\r\nfor Acme\nCorp in New and Old Rome."
ANN, WORKS, ACME = "T1\tPER 0 7\tAnn Lee\n", "T2\tACT 8 13\tworks\n", "T3\tORG 19 23;24 28\tAcme Corp\n"


def write(folder: Path, annotations: str, text: str = TEXT) -> Path:
    (folder / "a.txt").write_bytes(text.encode())
    (folder / "a.ann").write_bytes(annotations.encode())
    return folder / "a.ann"


def read(folder: Path, annotations: str, text: str = TEXT, **options: object) -> tuple[Doc, ConversionReport]:
    docs, report = read_brat(write(folder, annotations, text), **options)
    return docs[0], report


def test_a_file_is_read_with_what_was_left_out():
    (doc,), report = read_brat(DATA / "17.ann")
    assert [ent.kb_id_ for ent in doc.ents] == ["", "", "Q5"]
    assert report.not_carried == {"events": 1, "triggers of events": 1, "attributes": 1, "notes": 1}
    assert "Not carried over, for lack of a place: 4 (events 1, attributes 1, notes 1, triggers of events 1)" in str(
        report
    )


@pytest.mark.parametrize(("relations", "annotated"), [(None, False), (True, True), (False, False)])
def test_a_file_without_annotations_is_a_doc_without_entities(relations, annotated):
    (doc,), _ = read_brat(DATA / "18.ann", relations=relations)
    assert doc.text == "No names here.\n"
    assert not doc.ents
    assert has_annotation(doc, RELATIONS) == annotated


def test_an_entity_that_goes_over_the_end_of_a_line_is_one(tmp_path):
    doc, report = read(tmp_path, ACME)
    assert entities(doc) == [("Acme\nCorp", "ORG")]
    assert not report.discontinuous.count
    assert not report.other_names.count


@pytest.mark.parametrize("places", ["24 28;19 23", "19 28;20 22"])
def test_parts_may_be_in_any_order_or_within_another(tmp_path, places):
    doc, _ = read(tmp_path, f"T1\tORG {places}\n")
    assert entities(doc) == [("Acme\nCorp", "ORG")]


def test_an_entity_of_several_parts_is_left_out_with_its_relations_and_told(tmp_path):
    lines = "T4\tLOC 32 35;44 48\tNew Rome\nR1\tin Arg1:T3 Arg2:T4\nR2\thas Arg1:T3 Arg2:T1\n"
    doc, report = read(tmp_path, ANN + ACME + lines)
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme\nCorp", "ORG")]
    assert relations(doc) == [("Acme\nCorp", "has", "Ann Lee")]
    assert report.discontinuous.first == ["a.ann:3 'New Rome'"]
    assert report.dropped_relations == {"in": 1}


@pytest.mark.parametrize("arguments", ["Arg1:T1 Arg2:T3", "Arg2:T3 Arg1:T1", "Who:T1 Whom:T3"])
def test_a_relation_goes_from_the_first_argument_to_the_second(tmp_path, arguments):
    doc, _ = read(tmp_path, ANN + ACME + f"R1\tworks_for {arguments}\t\n")
    assert relations(doc) == [("Ann Lee", "works_for", "Acme\nCorp")]


def test_line_breaks_and_a_byte_order_mark_count_as_in_the_text(tmp_path):
    doc, _ = read(tmp_path, "T1\tACT 9 14\tworks\n", "\ufeff" + TEXT)
    assert entities(doc) == [("works", "ACT")]
    doc, _ = read(tmp_path, "T1\tX 15 18\tfor\r\n")
    assert entities(doc) == [("for", "X")]


def test_a_text_that_is_not_that_of_the_entity_is_told(tmp_path):
    _, report = read(tmp_path, "T1\tPER 0 7\tBo\n")
    assert report.other_names.first == ["a.ann:1 'Bo' at 'Ann Lee'"]


def test_equivalences_and_second_references_are_told(tmp_path):
    lines = "N1\tReference T1 Wikidata:Q1\tAnn\nN2\tReference T1 Wikidata:Q2\tAnn\n*\tEquiv T1 T3\nM1\tNegation T1\n"
    doc, report = read(tmp_path, ANN + ACME + lines)
    assert doc.ents[0].kb_id_ == "Q1"
    assert report.ambiguous_ids.first == ["a.ann:4 T1"]
    assert report.not_carried == {"equivalences": 1, "attributes": 1}


def test_notes_are_scores_only_if_they_are_numbers_from_0_to_1(tmp_path):
    notes = "".join(
        f"#{i}\tAnnotatorNotes T1\t{note}\n" for i, note in enumerate(["score 2", "score ok", "score nan", "hm"])
    )
    doc, report = read(tmp_path, ANN + notes)
    assert doc.ents[0]._.score is None
    assert report.not_carried == {"notes": 4}
    doc, _ = read(tmp_path, ANN + "#1\tAnnotatorNotes T1\tscore 1e-05\n")
    assert doc.ents[0]._.score == 1e-05


def test_overlapping_entities_are_told_or_kept_under_a_key(tmp_path):
    lines = ANN + "T2\tNAME 4 7\tLee\n"
    doc, report = read(tmp_path, lines)
    assert report.overlapping_entities.first == ["a.ann 'Lee'"]
    doc, report = read(tmp_path, lines, spans_key="sc")
    assert [span.label_ for span in doc.spans["sc"]] == ["PER", "NAME"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T2\tPER 0 70\tAnn", "there are no characters 0 to 70 in a text of 49"),
        ("T2\tPER 7 7\t", "there are no characters 7 to 7"),
        ("T2\tPER 0\tAnn", "it is not a type with first character and end"),
        ("T2 PER 0 7 Ann", "it is not a type with first character and end, after an id and a tab"),
        ("T1\tPER 0 7\tAnn", "there are two annotations T1"),
        ("R1\tin Arg1:T1", "it is not a relation with two arguments"),
        ("E1\tWork", "it is not an event with its trigger"),
        ("N1\tReference T1", "it is not a reference to an entry of a knowledge base"),
        ("prose", "'prose' is no annotation"),
        ("X1\tA B", "is no annotation"),
    ],
)
def test_a_wrong_line_is_an_error_with_file_and_line(tmp_path, line, message):
    with pytest.raises(LukeError, match=rf"a\.ann, line 2.*: .*{message}") as caught:
        read(tmp_path, ANN + line)
    assert caught.value.code == "L064"


def test_a_second_relation_with_the_same_id_is_an_error(tmp_path):
    with pytest.raises(LukeError, match=r"L064.*line 4: there are two annotations R1"):
        read(tmp_path, ANN + ACME + "R1\tin Arg1:T1 Arg2:T3\n" * 2)


def test_what_is_no_pair_of_files_is_an_error(tmp_path):
    (tmp_path / "b.ann").write_text(ANN)
    for name in ("b.ann", "b.txt", "c"):
        with pytest.raises(LukeError, match=r"L060.*it is no \.ann file with a \.txt file of the same name beside it"):
            read_brat(tmp_path / name)
    (tmp_path / "b.txt").write_bytes(b"a\n\xff")
    with pytest.raises(LukeError, match=r"L060.*b\.txt, line 2: not UTF-8"):
        read_brat(tmp_path / "b.ann")


def example() -> Doc:
    doc = spacy.blank("en")(TEXT)
    doc.set_ents([doc.char_span(0, 7, "PER", kb_id="Ann Lee"), doc.char_span(19, 28, "big firm")])
    doc.ents[0]._.score = 0.5
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "works for", 0.25)])
    doc.user_data["id"] = "a"
    return doc


def test_docs_are_written_as_brat_reads_them(tmp_path):
    report = write_brat([example()], tmp_path / "out", kb_name="Wikipedia")
    assert (tmp_path / "out" / "a.txt").read_bytes() == TEXT.encode()
    assert (tmp_path / "out" / "a.ann").read_text(encoding="utf8") == (
        "T1\tPER 0 7\tAnn Lee\n"
        "N1\tReference T1 Wikipedia:Ann_Lee\tAnn Lee\n"
        "#1\tAnnotatorNotes T1\tscore 0.5\n"
        "T2\tbig_firm 19 23;24 28\tAcme Corp\n"
        "R1\tworks_for Arg1:T1 Arg2:T2\n"
        "#2\tAnnotatorNotes R1\tscore 0.25\n"
    )
    assert report.renamed_labels.first == ["Doc 1 'Ann Lee'", "Doc 1 'big firm'", "Doc 1 'works for'"]
    (doc,), _ = read_brat(tmp_path / "out" / "a.ann")
    assert get_relations(doc)[0].score == 0.25


def test_an_entity_of_white_space_is_left_out_and_told(tmp_path):
    doc = spacy.blank("en")("a \n\n b")
    doc.spans["sc"] = [Span(doc, 1, 2, "X"), Span(doc, 0, 1, "Y")]
    report = write_brat([doc], tmp_path / "out", spans_key="sc")
    assert (tmp_path / "out" / "doc00001.ann").read_text() == "T1\tY 0 1\ta\n"
    assert report.empty_entities.first == ["Doc 1 X"]
