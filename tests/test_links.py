"""`span._.linked_entities` is plain data that goes where a Doc goes."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_luke.errors import LukeError

LINKS = (("Ada Lovelace", 0.75), ("Ada (language)", 0.25))


@pytest.fixture
def doc() -> Doc:
    doc = spacy.blank("en")("Ada met Bo in Rome .")
    doc[0:1]._.linked_entities = LINKS
    doc[2:3]._.linked_entities = []
    return doc


def through_docbin(doc: Doc) -> Doc:
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    return next(iter(DocBin().from_bytes(data).get_docs(doc.vocab)))


@pytest.mark.parametrize(
    "copied",
    [
        lambda doc: doc,
        lambda doc: doc.copy(),
        lambda doc: Doc(doc.vocab).from_bytes(doc.to_bytes()),
        through_docbin,
        lambda doc: doc[0:3].as_doc(copy_user_data=True),
        lambda doc: Doc.from_docs([doc, doc]),
    ],
)
def test_they_are_in_every_copy(doc, copied) -> None:
    found = copied(doc)
    assert found[0:1]._.linked_entities == LINKS
    assert found[2:3]._.linked_entities == ()


def test_they_move_with_the_words(doc) -> None:
    assert Doc.from_docs([doc, doc])[6:7]._.linked_entities == LINKS


def test_a_span_that_was_not_linked_has_none_and_none_removes_them(doc) -> None:
    assert doc[0:3]._.linked_entities == ()
    doc[0:1]._.linked_entities = None
    assert doc[0:1]._.linked_entities == ()
    assert not any("linked" in str(key) and key[2] == 0 for key in doc.user_data)


def test_scores_of_numpy_become_plain_numbers(doc) -> None:
    doc[0:1]._.linked_entities = [("A", np.float32(0.5))]
    assert type(doc[0:1]._.linked_entities[0][1]) is float


@pytest.mark.parametrize("value", ["Ada", [("Ada",)], [(3, 0.5)], [("Ada", 1.5)], [("Ada", "x")], ["Ada"], 3])
def test_anything_else_raises_l070(doc, value) -> None:
    with pytest.raises(LukeError, match=r"L070.*linked_entities"):
        doc[0:1]._.linked_entities = value
    assert doc[0:1]._.linked_entities == LINKS


def test_an_empty_span_raises_l071(doc) -> None:
    with pytest.raises(LukeError, match="L071"):
        doc[0:0]._.linked_entities = LINKS
