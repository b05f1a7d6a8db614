from __future__ import annotations

import pytest

from spacy_luke.annotations import has_annotation
from spacy_luke.converters import read_semeval2010
from spacy_luke.errors import LukeError

from .util import entities, relations, through_docbin, write

AUTHOR = '"The <e1>author</e1> of a keygen uses a <e2>disassembler</e2>."'


def block(sentence: str = AUTHOR, label: str = "Instrument-Agency(e2,e1)", number: int = 1) -> str:
    return f"{number}\t{sentence}\n{label}\nComment: none\n\n"


def test_the_label_says_the_direction(tmp_path):
    text = block() + block(label="Instrument-Agency(e1,e2)", number=2)
    docs, report = read_semeval2010(write(tmp_path / "a.txt", text))
    docs = through_docbin(docs, tmp_path)
    assert docs[0].text == "The author of a keygen uses a disassembler."
    assert entities(docs[0]) == [("author", "ENTITY"), ("disassembler", "ENTITY")]
    assert [relations(doc) for doc in docs] == [
        [("disassembler", "Instrument-Agency", "author")],
        [("author", "Instrument-Agency", "disassembler")],
    ]
    assert [doc.user_data["id"] for doc in docs] == ["1", "2"]
    assert (report.documents, report.comments) == (2, 2)


def test_e2_may_stand_before_e1(tmp_path):
    (doc,), _ = read_semeval2010(write(tmp_path / "a.txt", block('"<e2>a</e2> b <e1>c</e1>"', "R(e1,e2)")))
    assert relations(doc) == [("c", "R", "a")]


@pytest.mark.parametrize("label", ["Other", "no_relation"])
def test_other_is_annotated_with_none(tmp_path, label):
    (doc,), report = read_semeval2010(write(tmp_path / "a.txt", block(label=label)))
    assert relations(doc) == []
    assert has_annotation(doc, "relations")
    assert report.unrelated == 1


def test_a_sentence_without_label_is_not_annotated(tmp_path):
    docs, report = read_semeval2010(write(tmp_path / "a.txt", f"1\t{AUTHOR}\n2\t{AUTHOR}\n"))
    assert [has_annotation(doc, "relations") for doc in docs] == [False, False]
    assert report.unlabelled.first == ["a.txt:1", "a.txt:2"]


def test_white_space_within_marks_goes_outside_and_runs_of_it_become_one(tmp_path):
    (doc,), _ = read_semeval2010(write(tmp_path / "a.txt", block('"a <e1> b  c </e1> d <e2>e</e2> "', "R(e1,e2)")))
    assert doc.text == "a b c d e"
    assert entities(doc) == [("b c", "ENTITY"), ("e", "ENTITY")]


def test_quotes_within_the_sentence_stay(tmp_path):
    (doc,), _ = read_semeval2010(write(tmp_path / "a.txt", block('"<e1>He</e1> said "go" to <e2>it</e2>"', "Other")))
    assert doc.text == 'He said "go" to it'


def test_an_entity_within_a_token_is_expanded_and_reported(tmp_path):
    (doc,), report = read_semeval2010(
        write(tmp_path / "a.txt", block('"the <e1>foot</e1>ball <e2>it</e2>"', "R(e1,e2)"))
    )
    assert relations(doc) == [("football", "R", "it")]
    assert report.expanded_spans.first == ["a.txt:1 'foot' in 'football'"]


def test_entities_within_one_token_lose_their_relation_and_do_not_deny_it(tmp_path):
    (doc,), report = read_semeval2010(write(tmp_path / "a.txt", block('"<e1>foot</e1><e2>ball</e2>"', "R(e1,e2)")))
    assert not has_annotation(doc, "relations")
    assert report.dropped_relations == {"R": 1}


def test_a_byte_order_mark_is_not_part_of_the_file(tmp_path):
    assert len(read_semeval2010(write(tmp_path / "a.txt", "\ufeff" + block()))[0]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: "),
        ("prose\n", "line 1: neither a numbered sentence nor the label of one"),
        (block() + "prose\n", "line 5: neither"),
        (block(label="Cause(e1,e3)"), r"line 2: 'Cause\(e1,e3\)' is no label"),
        (block("no marks"), "line 1: <e1>…</e1> and <e2>…</e2> are not both there"),
        (block("<e1>a</e1> <e2>b"), "line 1: <e1>…</e1> and <e2>…</e2> are not both there"),
        (block("</e1>a<e1> <e2>b</e2>"), "line 1: </e1> is not in its place"),
        (block("<e1>a</e1> <e1>a</e1> <e2>b</e2>"), "line 1: <e1> is not in its place"),
        (block("<e1></e1> <e2>b</e2>"), "line 1: <e1> or <e2> is empty"),
    ],
)
def test_a_wrong_file_is_an_error_with_file_and_line(tmp_path, text, message):
    with pytest.raises(LukeError, match=rf"a\.txt, {message}") as caught:
        read_semeval2010(write(tmp_path / "a.txt", text))
    assert caught.value.code == "L060"


def test_white_space_of_any_length_is_one_space(tmp_path):
    space = " " * 100_000
    text = f'1\t"a{space}b <e1>{space}c{space}</e1>{space}<e2>d</e2>{space}e"\nOther\n'
    (doc,), _ = read_semeval2010(write(tmp_path / "a.txt", text))
    assert doc.text == "a b c d e"
    assert [ent.text for ent in doc.ents] == ["c", "d"]
