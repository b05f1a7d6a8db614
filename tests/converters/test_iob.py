from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin

from spacy_luke.converters import read_iob, write_docbin
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.tags import Entity, find_scheme, read_entities


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def entities(doc: Doc) -> list[tuple[str, str]]:
    return [(span.text, span.label_) for span in doc.ents]


IOB2 = "Ann\tB-PER\nLee\tI-PER\nsaw\tO\nRome\tB-LOC\n\nNice\tB-LOC\n"


def test_a_sentence_is_a_doc_where_no_documents_are_marked(tmp_path):
    docs, report = read_iob(write(tmp_path / "a.iob", IOB2))
    assert [doc.text for doc in docs] == ["Ann Lee saw Rome", "Nice"]
    assert entities(docs[0]) == [("Ann Lee", "PER"), ("Rome", "LOC")]
    assert (report.documents, report.sentences, report.tokens) == (2, 2, 5)
    assert report.entities == {"PER": 1, "LOC": 2}


@pytest.mark.parametrize(("n_sents", "lengths"), [(1, [4, 1]), (2, [5]), (0, [5])])
def test_n_sents_joins_sentences_and_keeps_their_boundaries(tmp_path, n_sents, lengths):
    docs, _ = read_iob(write(tmp_path / "a.iob", IOB2), n_sents=n_sents)
    assert [len(doc) for doc in docs] == lengths
    starts = [token.is_sent_start for doc in docs for token in doc]
    assert starts == [True, False, False, False, True]


def test_unnamed_tokens_are_outside_not_missing(tmp_path):
    docs, _ = read_iob(write(tmp_path / "a.iob", IOB2))
    assert docs[0][2].ent_iob_ == "O"


@pytest.mark.parametrize("mark", ["-DOCSTART-\tO\n\n", "-DOCSTART- -X- O\n\n", "# newdoc id = 7\n", "#newdoc\n"])
def test_marked_documents_are_docs(tmp_path, mark):
    docs, _ = read_iob(write(tmp_path / "a.iob", f"{mark}{IOB2}\n{mark}{IOB2}"))
    assert [len(list(doc.sents)) for doc in docs] == [2, 2]


def test_n_sents_never_joins_sentences_of_two_documents(tmp_path):
    docs, _ = read_iob(write(tmp_path / "a.iob", f"# newdoc\n{IOB2}\n# newdoc\n{IOB2}"), n_sents=3)
    assert [len(list(doc.sents)) for doc in docs] == [2, 2]


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Rome\tB-LOC\nis\tO\n", ["Rome", "is"], [("Rome", "LOC")]),
        ("1\tRome\tB-LOC\t-\tann\n2\tis\tO\t-\tann\n", ["Rome", "is"], [("Rome", "LOC")]),
        ("0\tRome\tB-LOC\n1\tis\tO\n", ["Rome", "is"], [("Rome", "LOC")]),
        ("New\tB-LOC\tO\t\nRome\tI-LOC\tB-LOC\t\n", ["New", "Rome"], [("New Rome", "LOC")]),
        ("Rome NNP B-NP B-LOC\nis VBZ B-VP O\n", ["Rome", "is"], [("Rome", "LOC")]),
        ("is\tO\tO\nRome\tO\tB-LOC\n", ["is", "Rome"], [("Rome", "LOC")]),
    ],
    ids=["word-tag", "universal-ner", "wikiann", "nested-outermost", "conll2003-not-its-chunks", "first-with-entities"],
)
def test_columns_are_found(tmp_path, text, words, found):
    (doc,), _ = read_iob(write(tmp_path / "a.iob", text))
    assert [token.text for token in doc] == words
    assert entities(doc) == found


@pytest.mark.parametrize("number", [3, -1])
def test_tag_column_picks_one_of_several(tmp_path, number):
    (doc,), report = read_iob(write(tmp_path / "a.tsv", "New\tB-ORG\tO\nRome\tI-ORG\tB-LOC\n"), tag_column=number)
    assert entities(doc) == [("Rome", "LOC")]
    assert "tags in column 3" in str(report)


def test_token_column_picks_one(tmp_path):
    (doc,), _ = read_iob(write(tmp_path / "a.tsv", "s1\tRome\tB-LOC\n"), token_column=2)
    assert doc.text == "Rome"


def test_types_rename_and_drop_and_the_report_says_what_was_dropped(tmp_path):
    (doc, _), report = read_iob(write(tmp_path / "a.iob", IOB2), types={"PER": "person", "LOC": ""})
    assert entities(doc) == [("Ann Lee", "person")]
    assert report.dropped == {"LOC": 2}
    assert "Entities left out: 2 (LOC 2)" in str(report)


def test_only_keeps_types_by_their_new_names(tmp_path):
    (doc, _), report = read_iob(write(tmp_path / "a.iob", IOB2), types={"LOC": "PLACE"}, only=["PLACE"])
    assert entities(doc) == [("Rome", "PLACE")]
    assert report.dropped == {"PER": 1}


def test_renaming_two_types_to_one_does_not_join_their_entities(tmp_path):
    (doc,), _ = read_iob(write(tmp_path / "a.iob", "Ann\tB-a\nBo\tI-b\n"), types={"a": "PER", "b": "PER"})
    assert entities(doc) == [("Ann", "PER"), ("Bo", "PER")]


def test_spaces_are_those_of_the_text_line(tmp_path):
    text = "# text = Ann's in Rome.\n1\tAnn\tB-PER\n2\t's\tO\n3\tin\tO\n4\tRome\tB-LOC\n5\t.\tO\n"
    (doc,), report = read_iob(write(tmp_path / "a.iob2", text))
    assert doc.text == "Ann's in Rome."
    assert report.unaligned_texts.count == 0


def test_a_text_line_of_other_words_is_counted_and_not_used(tmp_path):
    (doc,), report = read_iob(write(tmp_path / "a.iob2", "# text = Bo's in\nAnn\tB-PER\nin\tO\n"))
    assert doc.text == "Ann in"
    assert report.unaligned_texts.first == ["a.iob2:1"]


def test_a_continuation_without_start_begins_an_entity_and_is_counted(tmp_path):
    (doc,), report = read_iob(write(tmp_path / "a.iob", "Ann\tB-PER\nin\tO\nRome\tI-LOC\nLee\tI-PER\n"))
    assert entities(doc) == [("Ann", "PER"), ("Rome", "LOC"), ("Lee", "PER")]
    assert report.repaired_tags.first == ["a.iob:3", "a.iob:4"]


def test_iob1_needs_no_repair(tmp_path):
    (doc,), report = read_iob(write(tmp_path / "a.iob", "Ann\tI-PER\nBo\tB-PER\nin\tO\nNew\tI-LOC\nRome\tI-LOC\n"))
    assert entities(doc) == [("Ann", "PER"), ("Bo", "PER"), ("New Rome", "LOC")]
    assert report.repaired_tags.count == 0
    assert "IOB1" in str(report)


@pytest.mark.parametrize(("last", "unit"), [("L", "U"), ("E", "S")])
def test_biluo_and_iobes_are_read(tmp_path, last, unit):
    text = f"New\tB-LOC\nRome\t{last}-LOC\nAnn\t{unit}-PER\n"
    (doc,), report = read_iob(write(tmp_path / "a.iob", text))
    assert entities(doc) == [("New Rome", "LOC"), ("Ann", "PER")]
    assert report.repaired_tags.count == 0


def test_a_biluo_entity_without_last_token_ends_where_it_ends_and_is_counted(tmp_path):
    (doc,), report = read_iob(write(tmp_path / "a.iob", "New\tB-LOC\nRome\tI-LOC\nis\tO\nAnn\tU-PER\n"))
    assert entities(doc) == [("New Rome", "LOC"), ("Ann", "PER")]
    assert report.repaired_tags.first == ["a.iob:2"]


def test_a_malformed_tag_is_outside_and_is_counted(tmp_path):
    (doc,), report = read_iob(write(tmp_path / "a.iob", "Rome\tB-LOC\nhas\t52\nhills\tO\n"))
    assert entities(doc) == [("Rome", "LOC")]
    assert report.bad_tags.first == ["a.iob:2 '52'"]
    assert "Not a tag, read as O: 1 (a.iob:2 '52')" in str(report)


def test_a_line_without_tag_is_kept_and_counted(tmp_path):
    (doc,), report = read_iob(write(tmp_path / "a.iob", "Rome\tB-LOC\nis\nold\tO\n"))
    assert doc.text == "Rome is old"
    assert report.bad_lines.first == ["a.iob:2"]


@pytest.mark.parametrize("token", ["", " ", "\u00a0"])
def test_a_token_of_whitespace_is_left_out_and_counted(tmp_path, token):
    (doc,), report = read_iob(write(tmp_path / "a.iob", f"Rome\tB-LOC\n{token}\tO\nold\tO\n"))
    assert doc.text == "Rome old"
    assert report.empty_tokens.first == ["a.iob:2"]


def test_multi_word_lines_of_conllu_are_left_out_and_counted(tmp_path):
    text = "1-2\tdu\t_\n1\tde\tO\n2\tle\tO\n3\tNord\tB-LOC\n"
    (doc,), report = read_iob(write(tmp_path / "a.iob2", text))
    assert doc.text == "de le Nord"
    assert report.bad_lines.first == ["a.iob2:1"]


@pytest.mark.parametrize("separator", ["\t", " "])
def test_a_token_that_begins_with_a_hash_is_no_comment(tmp_path, separator):
    text = f"# a comment of words\nRome{separator}B-LOC\n#{separator}O\n#rome{separator}B-LOC\n"
    (doc,), report = read_iob(write(tmp_path / "a.iob", text))
    assert doc.text == "Rome # #rome"
    assert report.comments == 1


def test_only_a_line_feed_ends_a_line(tmp_path):
    (doc,), _ = read_iob(write(tmp_path / "a.iob", "Ro\u2028me\tB-LOC\r\nis\tO\r\n"))
    assert [token.text for token in doc] == ["Ro\u2028me", "is"]


def test_undecodable_bytes_are_an_error_with_the_line(tmp_path):
    path = tmp_path / "a.iob"
    path.write_bytes(b"Rome\tB-LOC\nZ\xfcrich\tB-LOC\n")
    with pytest.raises(LukeError, match=r"a\.iob, line 2: not UTF-8") as caught:
        read_iob(path)
    assert caught.value.code == "L060"


def test_a_file_without_tags_is_an_error(tmp_path):
    with pytest.raises(LukeError, match=r"line 1: no column holds tags") as caught:
        read_iob(write(tmp_path / "a.txt", "Some prose.\nMore of it.\n"))
    assert caught.value.code == "L060"


@pytest.mark.parametrize("option", ["tag_column", "token_column"])
@pytest.mark.parametrize("number", [0, 3, -3])
def test_a_column_that_is_not_there_is_an_error(tmp_path, option, number):
    with pytest.raises(LukeError, match=f"column {number}; the file has 2") as caught:
        read_iob(write(tmp_path / "a.iob", IOB2), **{option: number})
    assert caught.value.code == "L060"


def test_docs_survive_the_docbin(tmp_path):
    docs, _ = read_iob(write(tmp_path / "a.iob", IOB2), n_sents=0)
    docs[0].user_data["corpus"] = "mine"
    write_docbin(docs, tmp_path / "deep" / "a.spacy")
    (doc,) = DocBin().from_disk(tmp_path / "deep" / "a.spacy").get_docs(spacy.blank("en").vocab)
    assert entities(doc) == entities(docs[0])
    assert [sentence.text for sentence in doc.sents] == ["Ann Lee saw Rome", "Nice"]
    assert doc.user_data["corpus"] == "mine"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.spacy"
    path.write_bytes(b"old")
    docs, _ = read_iob(write(tmp_path / "a.iob", IOB2))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(LukeError, match=r"L029.*a\.spacy: disk full"):
        write_docbin(docs, path)
    assert path.read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.iob", "a.spacy"]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, list[Entity]]:
    """A sentence's length and its entities, which may touch."""
    spans: list[Entity] = []
    position = 0
    for gap, length, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["PER", "LOC", "creative-work"])))
    ):
        spans.append((position + gap, position + gap + length, label))
        position += gap + length
    return position + draw(st.integers(1, 3)), spans


def encode(length: int, spans: Sequence[Entity], scheme: str) -> list[str]:
    tags = ["O"] * length
    for start, end, label in spans:
        follows_own_type = start > 0 and tags[start - 1].endswith(f"-{label}")
        for index in range(start, end):
            first, last = index == start, index == end - 1
            if scheme == "BILUO":
                prefix = "U" if first and last else "B" if first else "L" if last else "I"
            else:
                prefix = "B" if first and (scheme == "IOB2" or follows_own_type) else "I"
            tags[index] = f"{prefix}-{label}"
    return tags


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BILUO"])
@given(st.lists(layouts(), max_size=4))
def test_every_scheme_says_the_same_without_repairs(scheme, sentences):
    encoded = [encode(length, spans, scheme) for length, spans in sentences]
    found = find_scheme(encoded)
    assert not any(spans for _, spans in sentences) or found == scheme
    for tags, (_, spans) in zip(encoded, sentences, strict=True):
        assert read_entities(tags, found) == (spans, [])


def test_blanks_in_a_line_of_a_file_with_tabs_are_read_as_tabs_and_reported(tmp_path):
    text = "Ines\tB-PER\nParo I-PER\nlives\tO\nin\tO\nVigo  B-LOC\nNew York\n10 000\tB-NUM\n.\tO\n"
    (doc,), report = read_iob(write(tmp_path / "a.conll", text))
    assert [token.text for token in doc] == ["Ines", "Paro", "lives", "in", "Vigo", "New York", "10 000", "."]
    assert entities(doc) == [("Ines Paro", "PER"), ("Vigo", "LOC"), ("10 000", "NUM")]
    assert report.split_lines.first == ["a.conll:2", "a.conll:5"]
    assert report.bad_lines.first == ["a.conll:6"]
    assert "blanks where the file has tabs, split there: 2 (a.conll:2, a.conll:5)" in str(report)


def test_some_blanks_of_several_columns_are_read_as_tabs(tmp_path):
    text = "1\tAnn\tB-PER\n2\tin O\n3 Rome B-LOC\n4\tnow\t\tO\n"
    (doc,), report = read_iob(write(tmp_path / "a.tsv", text))
    assert [token.text for token in doc] == ["Ann", "in", "Rome", "now"]
    assert entities(doc) == [("Ann", "PER"), ("Rome", "LOC")]
    assert report.split_lines.count == 3


def test_columns_of_tags_that_are_not_read_are_named(tmp_path):
    _, report = read_iob(write(tmp_path / "a.tsv", "New\tB-ORG\tO\nRome\tI-ORG\tB-LOC\n"))
    assert "tags in column 2 (there are tags, too, in 3, not read)" in str(report)
    _, report = read_iob(tmp_path / "a.tsv", tag_column=2)
    assert "not read" not in str(report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["LOC", "PERSON"]}, "No .* 'PERSON', which only names.* occur: LOC, PER"),
        ({"types": {"PERSON": "x", "LOC": ""}}, "No .* 'PERSON', which types names.* occur: LOC, PER"),
        ({"types": {"PER": "x"}, "only": ["PER"]}, "No .* 'PER', which only names.* occur: LOC, x"),
    ],
)
def test_types_that_do_not_occur_are_warned_of(tmp_path, options, message):
    with pytest.warns(LukeWarning, match=rf"\[W046\] {message}"):
        read_iob(write(tmp_path / "a.iob", IOB2), **options)


def test_types_that_occur_are_not_warned_of(tmp_path, recwarn):
    read_iob(write(tmp_path / "a.iob", IOB2), types={"PER": "person", "LOC": ""}, only=["person"])
    assert not recwarn.list


def test_numbers_of_any_length_are_no_index(tmp_path):
    (doc,), _ = read_iob(write(tmp_path / "a.iob", f"{'9' * 9999}\tB-X\n1\tO\n"))
    assert len(doc[0]) == 9999
