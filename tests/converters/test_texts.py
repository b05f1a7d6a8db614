from __future__ import annotations

import pytest
import spacy

from spacy_luke.converters.texts import MAX_RUN, TextTokenizer

TEXT = f"Don't go (now): it's U.S.-made.  http://x.org/a?b=c \n{'x' * MAX_RUN} {'(' * MAX_RUN} end"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer()


def test_texts_have_the_tokens_of_spacy(tokenizer):
    doc, wanted = tokenizer(TEXT), spacy.blank("en")(TEXT)
    assert [(token.text, token.norm_, token.whitespace_) for token in doc] == [
        (token.text, token.norm_, token.whitespace_) for token in wanted
    ]


@pytest.mark.parametrize("run", ["x" * (3 * MAX_RUN + 7), "(" * (MAX_RUN + 1), "a=" * MAX_RUN])
def test_no_character_gets_lost_where_a_long_run_is_cut(tokenizer, run):
    text = f"Don't go. {run}  \n\n{run}"
    doc = tokenizer(text)
    assert doc.text == text
    assert [token.norm_ for token in doc[:4]] == ["do", "not", "go", "."]
    assert not doc.has_annotation("SENT_START")


@pytest.mark.parametrize("pair", ["=", "(a", "'.", "$ ", '!"', "é)"])
def test_long_runs_of_any_characters_are_tokenized(tokenizer, pair):
    """spaCy's tokenizer alone would take many minutes for some of these."""
    text = pair * (100_000 // len(pair))
    assert tokenizer(text).text == text
