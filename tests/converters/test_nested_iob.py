"""Layers of nested mentions in columns."""

from __future__ import annotations

import pytest

from spacy_luke.converters import read_nested_iob
from spacy_luke.errors import LukeError, LukeWarning

# The layout of LitBank: a layer a column, and at times an empty one at the end.
FILE = """\
the\tB-PER\tB-PER\tO\t
Lord\tI-PER\tI-PER\tB-PER\t
of\tI-PER\tO\tO\t
Lincoln\tI-PER\tB-GPE\tO\t

Here\tO\tO\tO\t
he\tB-PER\tO\tB-PER\t
"""


def write(folder, text: str):
    path = folder / "a.tsv"
    path.write_text(text, encoding="utf8")
    return path


def spans(doc, key: str = "luke_ner") -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label_) for span in doc.spans[key]]


def test_every_column_is_a_layer_of_one_document(tmp_path) -> None:
    (doc,), report = read_nested_iob(write(tmp_path, FILE))
    assert spans(doc) == [(0, 2, "PER"), (0, 4, "PER"), (1, 2, "PER"), (3, 4, "GPE"), (5, 6, "PER")]
    assert [sentence.text.strip() for sentence in doc.sents] == ["the Lord of Lincoln", "Here he"]
    assert not doc.ents
    assert report.spans == {"PER": 4, "GPE": 1}
    assert report.repeated_mentions.count == 1, "he"
    assert "Spans: 5 (PER 4, GPE 1)" in str(report)


def test_types_are_chosen_and_the_key_is_set(tmp_path) -> None:
    (doc,), report = read_nested_iob(write(tmp_path, FILE), types={"GPE": "LOC"}, only=["LOC"], spans_key="sc")
    assert spans(doc, "sc") == [(3, 4, "LOC")]
    assert report.dropped["PER"] == 5


def test_marks_of_documents_are_kept(tmp_path) -> None:
    docs, _ = read_nested_iob(write(tmp_path, f"-DOCSTART-\n\n{FILE}\n-DOCSTART-\n\n{FILE}"))
    assert [len(doc) for doc in docs] == [6, 6]


@pytest.mark.parametrize("text", ["", "a\nb\n", "O\tx\nO\ty\n"])
def test_a_file_without_tags_is_an_error(tmp_path, text: str) -> None:
    with pytest.raises(LukeError, match=r"L060.*no column after the first"):
        read_nested_iob(write(tmp_path, text))


def test_a_column_that_counts_the_tokens_is_none_of_them(tmp_path):
    text = "1\tNew\tB-ORG\tB-LOC\n2\tRome\tI-ORG\tI-LOC\n3\twon\tO\tO\n"
    (doc,), report = read_nested_iob(write(tmp_path, text))
    assert [token.text for token in doc] == ["New", "Rome", "won"]
    assert sorted(span.label_ for span in doc.spans["luke_ner"]) == ["LOC", "ORG"]
    assert "tokens in column 2, tags in columns 3, 4" in str(report)


def test_types_that_do_not_occur_are_warned_of(tmp_path):
    with pytest.warns(LukeWarning, match=r"W046.*'PER', which only names.*occur: LOC"):
        read_nested_iob(write(tmp_path, "Rome\tB-LOC\tO\n"), only=["PER"])
