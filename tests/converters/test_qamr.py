from __future__ import annotations

from pathlib import Path

import pytest

from spacy_luke.annotations import get_answers, get_questions
from spacy_luke.converters import read_qamr
from spacy_luke.errors import LukeError

from .util import through_docbin, write

SENTENCES = "s:1\tAnn -LRB- 40 -RRB- , Bo and Cy went to Rome .\ns:2\tIt rained .\n"
#                 0   1     2  3     4 5  6   7  8    9  10   11


def line(question: str, *answers: str, name: str = "s:1") -> str:
    first, second, third = (*answers, answers[0], answers[0])[:3]
    return f"{name}\t0 5\tw1\t0\t5\t{question}\t{first}\tv1:{second}\tv2:{third}\n"


def corpus(folder: Path, *lines: str) -> Path:
    write(folder / "wiki-sentences.tsv", SENTENCES)
    return write(folder / "train.tsv", "".join(lines))


def test_the_questions_of_a_sentence_are_one_doc(tmp_path):
    path = corpus(tmp_path, line("Who went?", "0"), line("When?", "1", name="s:2"), line("Where to?", "10", "9 10"))
    docs, report = read_qamr(path)
    doc, other = through_docbin(docs, tmp_path)
    assert doc.text == "Ann (40), Bo and Cy went to Rome."
    assert get_questions(doc) == ("Who went?", "Where to?")
    found = [(item.question, item.text) for item in get_answers(doc)]
    assert found == [("Who went?", "Ann"), ("Where to?", "Rome"), ("Where to?", "to Rome")]
    assert (doc.user_data["id"], other.user_data["id"]) == ("s:1", "s:2")
    assert (report.documents, report.sentences, report.questions, report.answers) == (2, 2, 3, 4)


def test_spaces_can_be_after_every_token(tmp_path):
    (doc,), _ = read_qamr(corpus(tmp_path, line("Who?", "0")), spaces="all")
    assert doc.text == "Ann ( 40 ) , Bo and Cy went to Rome ."


@pytest.mark.parametrize("indices", ["5 7", "5 6 7", "7 5 5"])
def test_a_small_gap_is_filled(tmp_path, indices):
    (doc,), _ = read_qamr(corpus(tmp_path, line("Who?", indices)))
    assert [item.text for item in get_answers(doc)] == ["Bo and Cy"]


def test_filled_and_cut_gaps_are_reported(tmp_path):
    path = corpus(tmp_path, line("Who?", "5 7"), line("Who else?", "0 5 6 7"), line("And?", "0 10"))
    (doc,), report = read_qamr(path)
    assert [item.text for item in get_answers(doc)] == ["Bo and Cy", "Bo and Cy", "Ann"]
    assert (report.filled_answers.count, report.cut_answers.count) == (3, 6)
    assert report.cut_answers.first[0] == "train.tsv:2"


def test_a_repeated_question_is_one_with_all_answers(tmp_path):
    (doc,), report = read_qamr(corpus(tmp_path, line("Who?", "0"), line("Who?", "5")))
    assert [item.text for item in get_answers(doc)] == ["Ann", "Bo"]
    assert report.repeated_questions.first == ["train.tsv:2"]


def test_the_sentences_may_be_elsewhere(tmp_path):
    path = write(tmp_path / "a.tsv", line("Who?", "0"))
    with pytest.raises(LukeError, match=r"wiki-sentences\.tsv.*--sentences") as caught:
        read_qamr(path)
    assert caught.value.code == "L065"
    (doc,), _ = read_qamr(path, sentences=write(tmp_path / "other.tsv", SENTENCES))
    assert get_questions(doc) == ("Who?",)


def test_a_byte_order_mark_is_not_part_of_the_file(tmp_path):
    path = corpus(tmp_path, "\ufeff" + line("Who?", "0"))
    assert read_qamr(path)[0][0].user_data["id"] == "s:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file is empty"),
        (line("a", "0") + "prose\n", "line 2: 1 columns, not the 9 of a question of QAMR"),
        (line("a", "12"), "line 1: '12' is not indices of the 12 tokens"),
        (line("a", ""), "line 1: '' is not indices"),
        (line("a", "x"), "line 1: 'x' is not indices"),
        (line("a", "0", name="s:3"), "line 1: no sentence 's:3' in the file of sentences"),
    ],
)
def test_a_wrong_file_is_an_error_with_file_and_line(tmp_path, text, message):
    with pytest.raises(LukeError, match=rf"train\.tsv, {message}") as caught:
        read_qamr(corpus(tmp_path, text))
    assert caught.value.code == "L060"


def test_a_wrong_setting_or_file_of_sentences_is_an_error(tmp_path):
    path = corpus(tmp_path, line("Who?", "0"))
    with pytest.raises(LukeError, match="'text' or 'all'") as caught:
        read_qamr(path, spaces="none")  # type: ignore[arg-type]
    assert caught.value.code == "L047"
    write(tmp_path / "wiki-sentences.tsv", "prose\n")
    with pytest.raises(LukeError, match=r"wiki-sentences\.tsv, line 1: not a sentence's id"):
        read_qamr(path)


def test_sentences_with_the_same_id_are_an_error(tmp_path):
    sentences = write(tmp_path / "wiki-sentences.tsv", "s:1\tAnn met Bo\ns:1\tAnn met Bo\ns:1\tBo met Ann\n")
    questions = write(tmp_path / "a.tsv", "s:1\t0\tw\t0\t0\tWho?\t0\tv:0\tw:0\n")
    with pytest.raises(LukeError, match=r"L060.*wiki-sentences\.tsv, line 3: another sentence has the id 's:1', too"):
        read_qamr(questions, sentences=sentences)


def test_an_index_of_any_length_is_an_error(tmp_path):
    write(tmp_path / "wiki-sentences.tsv", "s:1\tAnn met Bo\n")
    with pytest.raises(LukeError, match=r"L060.*is not indices of the 3 tokens"):
        read_qamr(write(tmp_path / "a.tsv", f"s:1\t0\tw\t0\t0\tWho?\t{'1' * 9999}\tv:0\tw:0\n"))
