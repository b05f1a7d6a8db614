from __future__ import annotations

import json
from typing import Any

import pytest

from spacy_luke.annotations import ANSWERS, get_answers, get_questions, has_annotation
from spacy_luke.converters import read_squad
from spacy_luke.errors import LukeError

from .util import through_docbin, write, write_json, write_lines

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
        ("[]", "the file is empty"),
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
        ({}, "top level: it is no SQuAD: it has none of 'data'"),
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


def flat(question: str = "When?", answers: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": "q1", "title": "Ann", "context": CONTEXT, "question": question, "answers": answers, **more}


def columns(*answers: dict[str, Any]) -> dict[str, Any]:
    return {"text": [a["text"] for a in answers], "answer_start": [a["answer_start"] for a in answers]}


RECORDS = [
    flat("Who?", columns(answer("Ann Lee", 0)), id="a"),
    flat("When?", columns(answer("1970", 20), answer("in 1970", 17)), id="b"),
    flat("Why?", columns(), id="c"),
]
ARTICLES = squad(
    asked("Who?", answer("Ann Lee", 0), id="a"),
    asked("When?", answer("1970", 20), answer("in 1970", 17), id="b"),
    asked("Why?", is_impossible=True, id="c"),
)["data"]


@pytest.mark.parametrize(
    "content",
    [
        {"version": "v2.0", "data": ARTICLES},
        ARTICLES,
        ARTICLES[0],
        ARTICLES[0]["paragraphs"],
        RECORDS,
        {"data": RECORDS},
        {"version": "v2.0", "data": [{**record, "answers": record["answers"]} for record in RECORDS]},
    ],
    ids=["squad", "articles", "article", "paragraphs", "records", "records-under-data", "version"],
)
@pytest.mark.parametrize("form", ["json", "indented", "lines"])
def test_all_forms_say_the_same(tmp_path, content, form):
    path = tmp_path / "a.json"
    if form == "lines":
        write_lines(path, *(content if isinstance(content, list) else [content]))
    else:
        write(path, json.dumps(content, indent=2 if form == "indented" else None))
    (doc,), report = read_squad(path)
    assert doc.text == CONTEXT
    found = [(item.question, item.text, item.start_char) for item in get_answers(doc)]
    assert found == [("Who?", "Ann Lee", 0), ("When?", "1970", 20), ("When?", "in 1970", 17), ("Why?", "", -1)]
    assert doc.user_data["question_ids"] == {"Who?": ("a",), "When?": ("b",), "Why?": ("c",)}
    assert report.unanswerable == 1


def test_records_of_other_texts_and_titles_are_other_docs(tmp_path):
    records = [flat(), flat("Where?"), flat(context="Bo ran."), flat(title=None)]
    docs, _ = read_squad(write_lines(tmp_path / "a.jsonl", *records))
    assert [(doc.text, doc.user_data["title"], get_questions(doc)) for doc in docs] == [
        (CONTEXT, "Ann", ("When?", "Where?")),
        ("Bo ran.", "Ann", ("When?",)),
        (CONTEXT, "", ("When?",)),
    ]


@pytest.mark.parametrize("answers", [None, columns(), []])
def test_a_file_without_any_answer_is_not_annotated(tmp_path, answers):
    (doc,), report = read_squad(write_lines(tmp_path / "a.jsonl", flat(answers=answers)))
    assert not has_annotation(doc, ANSWERS)
    assert report.unannotated_questions.first == ["a.jsonl"]


def test_answers_to_a_question_that_has_none_are_reported(tmp_path):
    content = squad(asked("Who?", answer("Ann Lee", 0), is_impossible=True))
    (doc,), report = read_squad(write_json(tmp_path / "a.json", content))
    assert [item.span for item in get_answers(doc)] == [None]
    assert report.denied_answers.count == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            flat(answers={"text": ["1970"], "answer_start": []}),
            r"answers: there are 1 in 'text' and 0 in 'answer_start'",
        ),
        (flat(answers={"text": "1970", "answer_start": 20}), r"answers: 'text' is not a list"),
        (flat(answers={"text": [3], "answer_start": [20]}), r"answers\[0\]: 'text' is not a string"),
        ({"context": CONTEXT}, "it is no SQuAD: it has none of"),
    ],
)
def test_a_wrong_line_is_an_error_with_its_number(tmp_path, record, message):
    with pytest.raises(LukeError, match=rf"a\.jsonl, line 2.*{message}") as caught:
        read_squad(write_lines(tmp_path / "a.jsonl", flat(), record))
    assert caught.value.code == "L064"
