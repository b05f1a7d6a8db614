from __future__ import annotations

from typing import Any

import pytest

from spacy_luke.annotations import ANSWERS, get_answers, get_questions, has_annotation
from spacy_luke.converters import read_squad
from spacy_luke.errors import LukeError

from .util import through_docbin, write, write_json

CONTEXT = "Ann Lee was born in 1970. She moved to Rome in 1990."


def answer(text: str, start: int) -> dict[str, Any]:
    return {"text": text, "answer_start": start}


def asked(question: str = "Who?", *answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "q1", "question": question, "answers": list(answers), **more}


def squad(*questions: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {"version": "v2.0", "data": [{"title": "Ann", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def test_paragraphs_have_questions_and_answers_to_the_character(tmp_path):
    content = squad(asked("Who?", answer("Ann Lee", 0)), asked("When?", answer("1970", 20), answer("in 1970", 17)))
    docs, report = read_squad(write_json(tmp_path / "a.json", content))
    (doc,) = through_docbin(docs, tmp_path)
    assert doc.text == CONTEXT
    assert get_questions(doc) == ("Who?", "When?")
    found = [(item.question, item.text, item.start_char) for item in get_answers(doc)]
    assert found == [("Who?", "Ann Lee", 0), ("When?", "1970", 20), ("When?", "in 1970", 17)]
    assert doc.user_data["title"] == "Ann"
    assert doc.user_data["question_ids"] == {"Who?": ("q1",), "When?": ("q1",)}
    assert (report.questions, report.answered, report.answers, report.unanswerable) == (2, 2, 3, 0)


def test_an_impossible_question_has_an_answer_without_span(tmp_path):
    plausible = {"plausible_answers": [answer("1990", 47)]}
    content = squad(asked("Why?", is_impossible=True, **plausible))
    (doc,), report = read_squad(write_json(tmp_path / "a.json", content))
    ((found),) = get_answers(doc)
    assert found.span is None
    assert report.unanswerable == 1


def test_an_unanswered_question_is_no_impossible_one(tmp_path):
    (doc,), report = read_squad(write_json(tmp_path / "a.json", squad(asked("Why?"))))
    assert get_questions(doc) == ("Why?",)
    assert get_answers(doc) == ()
    assert not has_annotation(doc, ANSWERS)
    assert report.unannotated_questions.count == 1


def test_equal_alternatives_are_one_answer(tmp_path):
    content = squad(asked("When?", *[answer("1970", 20)] * 3))
    (doc,), report = read_squad(write_json(tmp_path / "a.json", content))
    assert len(get_answers(doc)) == report.answers == 1


def test_an_answer_may_be_less_than_its_tokens(tmp_path):
    (doc,), _ = read_squad(write_json(tmp_path / "a.json", squad(asked("?", answer("97", 21)))))
    (found,) = get_answers(doc)
    assert (found.text, found.start_char, found.span.text) == ("97", 21, "1970")


def test_white_space_around_an_answer_is_left_out(tmp_path):
    (doc,), _ = read_squad(write_json(tmp_path / "a.json", squad(asked("?", answer(" 1970", 19)))))
    (found,) = get_answers(doc)
    assert (found.text, found.start_char) == ("1970", 20)


@pytest.mark.parametrize("start", [22, -1, 999])
def test_an_answer_in_one_other_place_is_moved_and_reported(tmp_path, start):
    (doc,), report = read_squad(write_json(tmp_path / "a.json", squad(asked("?", answer("1970", start)))))
    assert [item.start_char for item in get_answers(doc)] == [20]
    assert report.moved_answers.first == ["a.json:data[0].paragraphs[0].qas[0].answers[0] '1970'"]


@pytest.mark.parametrize("text", ["Bo", "in", " "])
def test_an_answer_that_is_not_found_in_one_place_is_lost_with_its_question(tmp_path, text):
    content = squad(asked("Who?", answer(text, 3)), asked("When?", answer(text, 3), answer("1970", 20)))
    (doc,), report = read_squad(write_json(tmp_path / "a.json", content))
    assert get_questions(doc) == ("When?",)
    assert [item.text for item in get_answers(doc)] == ["1970"]
    assert report.lost_answers.count == 2
    assert report.lost_questions.first == ["a.json:data[0].paragraphs[0].qas[0]"]


def test_a_question_asked_twice_is_one_with_all_answers(tmp_path):
    content = squad(asked("When?", answer("1970", 20), id="a"), asked("When?", is_impossible=True, id="b"))
    (doc,), report = read_squad(write_json(tmp_path / "a.json", content))
    assert [item.text for item in get_answers(doc)] == ["1970"]
    assert doc.user_data["question_ids"] == {"When?": ("a", "b")}
    assert report.repeated_questions.count == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ufeff", "the file is empty"),
        ("[]", "not one JSON object"),
        ('{"data": []}', "there is no paragraph"),
        ("{", "not JSON"),
    ],
)
def test_a_file_that_is_none_is_an_error(tmp_path, text, message):
    with pytest.raises(LukeError, match=rf"a\.json, line 1: .*{message}") as caught:
        read_squad(write(tmp_path / "a.json", text))
    assert caught.value.code == "L060"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "top level: it has no 'data', a list"),
        ({"data": [3]}, r"data\[0\]: it is not an object"),
        (squad({"id": "1", "answers": []}), r"qas\[0\]: it has no 'question', a string"),
        (squad(asked("?", {"text": "Ann"})), r"answers\[0\]: it has no 'answer_start', a whole number"),
        (squad(asked("?", is_impossible="no")), r"qas\[0\]: 'is_impossible' is not true or false"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_place(tmp_path, content, message):
    with pytest.raises(LukeError, match=rf"a\.json, .*{message}") as caught:
        read_squad(write_json(tmp_path / "a.json", content))
    assert caught.value.code == "L064"
