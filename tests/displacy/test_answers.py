from __future__ import annotations

from spacy_luke import displacy

from .markup import classes, parse, text

TEXT = "Ada-Marie was born in London,\n1815."


def asked(nlp, *answers, questions=()):
    doc = nlp(TEXT)
    doc._.questions = list(questions)
    listed = []
    for question, words, score in answers:
        start = TEXT.index(words) if words else -1
        span = doc.char_span(start, start + len(words), alignment_mode="expand") if words else None
        listed.append((question, span, words or "", score, 0.0, start))
    doc._.answers = listed
    return doc


def rows(markup: str) -> list[list[str]]:
    return [[text(cell) for cell in row] for row in parse(markup).iter("tr")]


def test_the_best_answer_is_marked_to_the_character(nlp):
    doc = asked(nlp, ("When?", "181", 0.9), ("When?", "1815", 0.08))
    assert doc._.answers[0].span.text == "1815"
    markup = displacy.render(doc, style="answers")
    assert classes(markup, "luke-answer") == ["181"]
    assert classes(markup, "entities") == [TEXT]
    assert rows(markup) == [["1", "181", "0.90"], ["2", "1815", "0.08"]]


def test_each_question_has_the_text_with_its_answer(nlp):
    doc = asked(nlp, ("Who?", "Ada", 0.9), ("Where?", "London", 0.8))
    markup = displacy.render(doc, style="answers")
    assert classes(markup, "luke-answer") == ["Ada", "London"]
    assert [section.split(TEXT)[0] for section in classes(markup, "luke-question")] == ["Who?", "Where?"]


def test_of_several_paragraphs_that_of_the_answer_is_shown(nlp):
    paragraphs = ["It was late.", "Ada\nwas in London.", "It rained."]
    doc = nlp("\n \n".join(paragraphs[:2]) + "\n\n\n" + paragraphs[2])
    doc._.answers = [("When?", doc.char_span(7, 11)), ("Who?", doc.char_span(15, 18)), ("What?", None)]
    markup = displacy.render(doc, style="answers")
    assert classes(markup, "entities") == paragraphs[:2]
    assert classes(markup, "luke-answer") == ["late", "Ada"]
    doc._.answers = [("What?", None), ("Why?", None)]
    assert classes(displacy.render(doc, style="answers"), "entities") == [doc.text], "once"


def test_no_answer_is_shown_with_its_score(nlp):
    markup = displacy.render(asked(nlp, ("Why?", None, 0.7), ("Why?", "1815", 0.2)), style="answers")
    assert classes(markup, "luke-answer") == []
    assert rows(markup) == [["1", "no answer", "0.70"], ["2", "1815", "0.20"]]


def test_a_question_that_no_component_has_seen(nlp):
    markup = displacy.render(asked(nlp, questions=["Why?"]), style="answers")
    assert "not answered yet" in classes(markup, "luke-question")[0]


def test_n_best_and_min_score(nlp):
    doc = asked(nlp, ("Where?", "London", 0.6), ("Where?", "born in London", 0.3), ("Where?", None, 0.1))
    assert len(rows(displacy.render(doc, style="answers", options={"n_best": 2}))) == 2
    assert len(rows(displacy.render(doc, style="answers", options={"n_best": 0}))) == 3
    markup = displacy.render(doc, style="answers", options={"min_score": 0.3})
    assert len(rows(markup)) == 2
    assert classes(markup, "luke-fine-print") == ["1 of 3 not shown: score below 0.3"]


def test_an_answer_at_both_ends_of_the_text_and_over_a_line_end(nlp):
    for words in ("Ada", "1815.", "London,\n1815", TEXT):
        markup = displacy.render(asked(nlp, ("?", words, 0.9)), style="answers")
        assert classes(markup, "luke-answer") == [words]
        assert classes(markup, "entities") == [TEXT]


def test_hostile_questions_and_text(nlp):
    doc = nlp("a <script>\"'& line-height: 2.5 <br>")
    doc._.answers = [("<script>\"'&", doc[1:3])]
    markup = displacy.render(doc, style="answers")
    assert "<script" not in markup
    assert classes(markup, "entities") == [doc.text]


def test_a_doc_without_questions_shows_its_text(nlp):
    doc = nlp(TEXT)
    doc._.answers = []
    assert classes(displacy.render(doc, style="answers"), "entities") == [TEXT]
