from __future__ import annotations

import pytest

from spacy_luke.converters import read_conllu
from spacy_luke.errors import LukeError, LukeWarning

from .util import entities, through_docbin, write


def rows(*lines: str) -> str:
    """`"1 Ann NER=B-PER"` -> a line of ten columns."""
    made = []
    for line in lines:
        number, form, misc = line.split(" ")
        made.append("\t".join([number, form.replace("~", " "), *["_"] * 7, misc]))
    return "\n".join(made) + "\n\n"


ANN = rows("1 Ann NER=B-PER", "2 Lee NER=I-PER|SpaceAfter=No", "3 's NER=O", "4 Rome SpaceAfter=No|NER=B-LOC", "5 . _")


@pytest.mark.parametrize("key", ["NER", "Entity", "ner", "name"])
def test_tags_in_misc_are_entities(tmp_path, key):
    docs, report = read_conllu(write(tmp_path / "a.conllu", ANN.replace("NER", key)))
    (doc,) = through_docbin(docs, tmp_path)
    assert doc.text == "Ann Lee's Rome."
    assert entities(doc) == [("Ann Lee", "PER"), ("Rome", "LOC")]
    assert doc[2].ent_iob_ == "O"
    assert f"CoNLL-U, {key} of the MISC column: IOB2" in str(report)


def test_stanza_tags_are_read(tmp_path):
    text = rows("1 New ner=B-GPE|start_char=0", "2 Rome ner=E-GPE", "3 Ann ner=S-PERSON")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("New Rome", "GPE"), ("Ann", "PERSON")]
    assert report.repaired_tags.count == 0


def test_brackets_are_entities_and_of_nested_ones_the_longest(tmp_path):
    text = rows(
        "1 Ann Entity=(e1-person-1(e2-person-1)", "2 's Entity=_", "3 boss Entity=e1)", "4 left Entity=(e3-event)"
    )
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", f"# global.Entity = eid-etype-head\n{text}"))
    assert entities(doc) == [("Ann 's boss", "person"), ("left", "event")]
    assert report.overlapping_entities.first == ["a.conllu:2 'Ann'"]


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("", "(person-1", "person-1)"),
        ("", "(1-person-giv:act", "1)"),
        ("# global.Entity = GRP-etype-infstat\n", "(1-person-giv:act", "1)"),
        ("# global.Entity = etype-eid\n", "(person-1", "person-1)"),
    ],
)
def test_the_field_of_the_type_is_found(tmp_path, header, first, last):
    text = header + rows(f"1 Ann Entity={first}", f"2 Lee Entity={last}")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("Ann Lee", "person")]
    assert report.broken_entities.count == 0


def test_crossing_brackets_close_by_their_ids(tmp_path):
    text = rows("1 a Entity=(1-x", "2 b Entity=(2-y", "3 c Entity=1)", "4 d Entity=2)")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("a b c", "x")]
    assert report.overlapping_entities.first == ["a.conllu:1 'b c d'"]


def test_entities_with_gaps_or_without_an_end_are_reported(tmp_path):
    text = rows("1 a Entity=(1-x", "2 b Entity=2)", "3 c Entity=(3[1/2]-y)", "4 d Entity=(4)", "5 e Entity=(5-z)")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("e", "z")]
    places = ["a.conllu:2 '2'", "a.conllu:3 '3[1/2]-y'", "a.conllu:4 '4'", "a.conllu:1 '1-x'"]
    assert report.broken_entities.first == places
    assert "no start or no end: 4" in str(report)


def test_a_nested_entity_is_kept_where_the_outer_type_is_not(tmp_path):
    text = rows("1 Rome Entity=(1-x(2-place)", "2 fell Entity=1)")
    docs, report = read_conllu(write(tmp_path / "a.conllu", text), only=["PLACE"], types={"place": "PLACE"})
    assert entities(docs[0]) == [("Rome", "PLACE")]
    assert report.dropped == {"x": 1}
    assert report.entities == {"PLACE": 1}


def test_words_that_are_what_is_written_stay_words(tmp_path):
    text = rows("1 Ann NER=B-PER", "2-3 don't SpaceAfter=No", "2 do _", "3 n't _", "4 . _")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert [token.text for token in doc] == ["Ann", "do", "n't", "."]
    assert doc.text == "Ann don't."
    assert report.merged_words.count == 0


def test_words_that_are_not_what_is_written_are_one_token_with_their_entities(tmp_path):
    text = rows("1-2 du _", "1 de NER=O", "2 le NER=B-LOC", "3 Nord NER=I-LOC")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert doc.text == "du Nord"
    assert entities(doc) == [("du Nord", "LOC")]
    assert report.merged_words.first == ["a.conllu:1"]
    assert report.expanded_spans.first == ["a.conllu:1 'du'"]


def test_brackets_within_a_multi_word_token_are_read(tmp_path):
    text = rows("1-2 du _", "1 de _", "2 le Entity=(1-place", "3 Nord Entity=1)")
    (doc,), _ = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("du Nord", "place")]


def test_the_line_of_a_multi_word_token_may_have_the_tag(tmp_path):
    text = rows("1-2 Ann's ner=S-PER", "1 Ann _", "2 's _")
    (doc,), _ = read_conllu(write(tmp_path / "a.conllu", text))
    assert [token.text for token in doc] == ["Ann's"]
    assert entities(doc) == [("Ann's", "PER")]


def test_two_entities_within_one_token_lose_the_second_and_say_so(tmp_path):
    text = rows("1-2 x _", "1 a NER=B-PER", "2 b NER=B-LOC")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("x", "PER")]
    assert report.broken_entities.first == ["a.conllu:1 'B-LOC' within 'x'"]


def test_the_text_line_has_the_spaces_even_within_a_token(tmp_path):
    text = "# text = 10 000 people .\n" + rows("1 10~000 NER=B-NUM", "2 people SpaceAfter=No", "3 . _")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert doc.text == "10 000 people ."
    assert len(doc) == 3
    assert report.unaligned_texts.count == 0


def test_a_text_line_of_other_words_is_reported(tmp_path):
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", f"# text = Bo\n{ANN}"))
    assert doc.text == "Ann Lee's Rome."
    assert report.unaligned_texts.first == ["a.conllu:1"]


def test_marked_documents_are_docs_and_space_after_joins_their_sentences(tmp_path):
    closed = ANN.rstrip().removesuffix("_") + "SpaceAfter=No\n\n"
    text = f"# newdoc\n{ANN}{closed}{ANN}# newdoc\n{ANN}"
    docs, _ = read_conllu(write(tmp_path / "a.conllu", text))
    assert [doc.text for doc in docs] == ["Ann Lee's Rome. Ann Lee's Rome.Ann Lee's Rome.", "Ann Lee's Rome."]
    assert [len(list(doc.sents)) for doc in docs] == [3, 1]
    docs, _ = read_conllu(tmp_path / "a.conllu", n_sents=1)
    assert len(docs) == 4


def test_empty_nodes_and_empty_forms_are_left_out_and_reported(tmp_path):
    text = rows("1 Ann NER=B-PER", "1.1 x _", "2 \u00a0 _", "3 Lee NER=I-PER")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("Ann Lee", "PER")]
    assert report.empty_nodes.first == ["a.conllu:2"]
    assert report.empty_tokens.first == ["a.conllu:3"]


def test_a_malformed_tag_and_a_short_line_are_reported(tmp_path):
    text = rows("1 Ann NER=B-PER", "2 b NER=52").rstrip("\n") + "\n3\tx\n"
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert doc.text == "Ann b x"
    assert report.bad_tags.first == ["a.conllu:2 '52'"]
    assert report.bad_lines.first == ["a.conllu:3"]


def test_universal_ner_columns_are_read(tmp_path):
    text = "# newdoc id = x\n# text = Ann, Rome\n1\tAnn\tB-PER\t-\ta\n2\t,\tO\t-\t-\n3\tRome\tB-LOC\t-\ta\n"
    (doc,), _ = read_conllu(write(tmp_path / "a.iob2", text), only=["LOC"])
    assert doc.text == "Ann, Rome"
    assert entities(doc) == [("Rome", "LOC")]


def test_key_names_the_entities(tmp_path):
    text = rows("1 Ann NER=B-PER|Mine=B-X")
    (doc,), _ = read_conllu(write(tmp_path / "a.conllu", text), key="Mine")
    assert entities(doc) == [("Ann", "X")]
    with pytest.raises(LukeError, match=r"a\.conllu, line 1: no MISC column has 'Other'; name another one with --key"):
        read_conllu(tmp_path / "a.conllu", key="Other")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "line 1: the file is empty"),
        (b"\xef\xbb\xbf\n", "line 1: the file is empty"),
        (b"# text = a\n1\ta\t_\t_\t_\t_\t_\t_\t_\t_\n", "line 1: no MISC column has entities"),
        (b"1\tZ\xfcrich\t_\t_\t_\t_\t_\t_\t_\tNER=B-LOC\n", "line 1: not UTF-8"),
    ],
)
def test_a_file_without_entities_is_an_error(tmp_path, data, message):
    path = tmp_path / "a.conllu"
    path.write_bytes(data)
    with pytest.raises(LukeError, match=rf"a\.conllu, {message}") as caught:
        read_conllu(path)
    assert caught.value.code == "L060"


def line(number: str, form: str, misc: str) -> str:
    return "\t".join([number, form, *["_"] * 7, misc]) + "\n"


@pytest.mark.parametrize(
    "misc",
    [
        "SpaceAfter=No NER=B-LOC",
        "SpaceAfter=No  NER=B-LOC",
        "SpaceAfter=No; NER=B-LOC",
        "SpaceAfter=No, NER=B-LOC",
        "SpaceAfter=No;NER=B-LOC",
        "NER=B-LOC SpaceAfter=No",
        "NER=B-LOC; SpaceAfter=No",
        "SpaceAfter=No\tNER=B-LOC",
        "Gloss=the house NER=B-LOC|SpaceAfter=No",
    ],
)
def test_misc_without_a_bar_is_read_and_reported(tmp_path, misc):
    text = line("1", "in", "NER=O") + line("2", "Rome", misc) + line("3", ".", "NER=O")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("Rome", "LOC")]
    assert doc.text == "in Rome."
    assert report.split_misc.first == ["a.conllu:2"]


@pytest.mark.parametrize("misc", ["Gloss=the house|NER=B-LOC", "NER = B-LOC", "ner=B-LOC", " NER=B-LOC | x=1"])
def test_blanks_and_letters_that_change_nothing_are_not_reported(tmp_path, misc):
    text = line("1", "in", "NER=O") + line("2", "Rome", misc) + line("3", "Ann", "NER=B-PER")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("Rome", "LOC"), ("Ann", "PER")]
    assert (report.split_misc.count, report.bad_misc.count) == (0, 0)


@pytest.mark.parametrize("misc", ["NER:B-LOC", "B-LOC", "SpaceAfter=No|NER B-LOC", "x|B-LOC"])
def test_what_may_be_an_entity_and_cannot_be_read_is_reported(tmp_path, misc):
    text = line("1", "Ann", "NER=B-PER") + line("2", "Rome", misc)
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("Ann", "PER")]
    assert report.bad_misc.count == 1
    assert "a.conllu:2" in report.bad_misc.first[0]


GUM = "# global.Entity = GRP-etype-infstat-salience-centering-minspan-link-identity\n"


def gum(number: str, kind: str, title: str = "") -> str:
    return f"({number}-{kind}-new-nnnnn-cf1*-1,2-sgl" + (f"-{title}" if title else "")


NESTED = GUM + rows(
    f"1 The Entity={gum('1', 'place', 'Museum_of_COVID%2D19_%28Rome%29')}",
    "2 Museum _",
    "3 of _",
    f"4 Rome Entity={gum('2', 'place', 'Rome')})1)",
    f"5 it Entity={gum('1', 'place', 'Museum-of-Art')})",
    f"6 Bo Entity={gum('3', 'person')})",
)


def test_brackets_know_their_article_and_their_entity(tmp_path):
    docs, report = read_conllu(write(tmp_path / "a.conllu", NESTED))
    (doc,) = through_docbin(docs, tmp_path)
    found = [(ent.text, ent.label_, ent.kb_id_, ent.ent_id_) for ent in doc.ents]
    assert found == [
        ("The Museum of Rome", "place", "Museum of COVID-19 (Rome)", "1"),
        ("it", "place", "Museum-of-Art", "1"),
        ("Bo", "person", "", "3"),
    ]
    assert report.overlapping_entities.first == ["a.conllu:2 'Rome'"]
    assert report.linked.total() == 2


def test_nested_entities_are_spans_where_a_key_is_given(tmp_path):
    docs, report = read_conllu(write(tmp_path / "a.conllu", NESTED), spans_key="mentions")
    (doc,) = through_docbin(docs, tmp_path)
    found = [(span.text, span.label_, span.kb_id_) for span in doc.spans["mentions"]]
    assert found == [
        ("The Museum of Rome", "place", "Museum of COVID-19 (Rome)"),
        ("Rome", "place", "Rome"),
        ("it", "place", "Museum-of-Art"),
        ("Bo", "person", ""),
    ]
    assert not doc.ents
    assert report.overlapping_entities.count == 0


@pytest.mark.parametrize("value", ["(2-x(", "x(2-x)", "((2-x)", "(2-x))", "()", "x"])
def test_brackets_that_are_none_are_reported(tmp_path, value):
    text = rows("1 Ann Entity=(1-person)", f"2 Bo Entity={value}", "3 Cy Entity=(3-person)")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("Ann", "person"), ("Cy", "person")]
    assert report.broken_entities.first == [f"a.conllu:2 {value!r}"]


def test_an_entity_with_an_empty_node_at_its_edge_is_its_words(tmp_path):
    text = rows("0.1 _ Entity=(1-person(2-place)", "1 who Entity=(3-x)", "2 ran _", "2.1 _ Entity=1)", "3 home _")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", f"# global.Entity = eid-etype\n{text}"))
    assert entities(doc) == [("who ran", "person")]
    assert report.empty_entities.first == ["a.conllu:2 '2-place'"]
    assert report.empty_nodes.count == 2
    assert report.broken_entities.count == 0


def test_an_empty_node_within_a_multi_word_token_is_none_of_its_words(tmp_path):
    text = rows("1-2 don't _", "1 do _", "1.1 x _", "2 n't _", "3 go NER=B-X")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert [token.text for token in doc] == ["do", "n't", "go"]
    assert report.empty_nodes.first == ["a.conllu:3"]


@pytest.mark.parametrize("last", ["3-4", "9-8", "2-99999999999999999999"])
def test_a_multi_word_token_without_words_is_reported(tmp_path, last):
    text = rows("1 Ann NER=B-PER", "2 met _", f"{last} didn't _")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert doc.text == "Ann met"
    assert report.bad_lines.first == ["a.conllu:3"]


def test_a_tag_of_words_is_reported_where_that_of_their_token_is_taken(tmp_path):
    text = rows("1-2 du NER=B-LOC", "1 de NER=B-X", "2 le _")
    (doc,), report = read_conllu(write(tmp_path / "a.conllu", text))
    assert entities(doc) == [("du", "LOC")]
    assert report.broken_entities.count == 1


def test_entities_under_another_name_are_not_read_and_the_report_says_so(tmp_path):
    _, report = read_conllu(write(tmp_path / "a.conllu", rows("1 Ann NER=B-PER|Entity=(1-person)")))
    assert "Entity of the MISC column: brackets (NER, which is there, too, is not read)" in str(report)
    _, report = read_conllu(tmp_path / "a.conllu", key="ner")
    assert "ner of the MISC column: IOB2 (Entity, which is there, too, is not read)" in str(report)


def test_types_that_do_not_occur_are_warned_of_with_those_that_do(tmp_path):
    with pytest.warns(LukeWarning, match=r"W046.*'PERSON', which only names.*occur: LOC, PER\."):
        read_conllu(write(tmp_path / "a.conllu", ANN), only=["PERSON", "LOC"])
