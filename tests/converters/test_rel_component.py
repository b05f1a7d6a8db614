from __future__ import annotations

from typing import Any

import pytest

from spacy_luke.annotations import has_annotation
from spacy_luke.converters import read_rel_component
from spacy_luke.errors import LukeError

from .util import entities, relations, through_docbin, write, write_lines

# "IL-2 binds p53 here." with the tokens IL, -, 2, binds, p53, here, .
WORDS = [("IL", 0, False), ("-", 2, False), ("2", 3, True), ("binds", 5, True), ("p53", 11, True), ("here", 15, False)]


def token(number: int, text: str, start: int, ws: bool) -> dict[str, Any]:
    return {"text": text, "start": start, "end": start + len(text), "id": number, "ws": ws}


def span(first: int, last: int, label: str = "GGP") -> dict[str, Any]:
    return {"token_start": first, "token_end": last, "label": label}


def example(**changes: Any) -> dict[str, Any]:
    tokens = [token(number, *word) for number, word in enumerate([*WORDS, (".", 19, False)])]
    relation = {"head": 2, "child": 4, "head_span": span(0, 2), "child_span": span(4, 4), "label": "Binds"}
    return {
        "text": "IL-2 binds p53 here.",
        "tokens": tokens,
        "spans": [span(0, 2), span(4, 4, "PROT")],
        "relations": [relation],
        "answer": "accept",
        "meta": {"source": "BioNLP 1"},
        **changes,
    }


def test_tokens_spans_and_relations_are_read(tmp_path):
    docs, report = read_rel_component(write_lines(tmp_path / "a.jsonl", example()))
    (doc,) = through_docbin(docs, tmp_path)
    assert doc.text == "IL-2 binds p53 here."
    assert [token.text for token in doc][:3] == ["IL", "-", "2"]
    assert entities(doc) == [("IL-2", "GGP"), ("p53", "PROT")]
    assert relations(doc) == [("IL-2", "Binds", "p53")]
    assert doc.user_data["meta"] == {"source": "BioNLP 1"}
    assert report.relations == {"Binds": 1}


@pytest.mark.parametrize(("head", "child"), [(2, 4), (0, 4), (1, 4)])
def test_without_spans_of_its_own_a_relation_names_tokens(tmp_path, head, child):
    relation = {"head": head, "child": child, "label": "Binds"}
    (doc,), _ = read_rel_component(write_lines(tmp_path / "a.jsonl", example(relations=[relation])))
    assert relations(doc) == [("IL-2", "Binds", "p53")]


def test_spaces_and_spans_can_be_of_characters_only(tmp_path):
    tokens = [{k: v for k, v in item.items() if k != "ws"} for item in example()["tokens"]]
    spans = [{"start": 0, "end": 4, "label": "GGP"}]
    (doc,), _ = read_rel_component(write_lines(tmp_path / "a.jsonl", example(tokens=tokens, spans=spans, relations=[])))
    assert doc.text == "IL-2 binds p53 here."
    assert entities(doc) == [("IL-2", "GGP")]


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_only_accepted_examples_are_written(tmp_path, answer):
    path = write_lines(tmp_path / "a.jsonl", example(), example(answer=answer, text="broken"))
    docs, report = read_rel_component(path)
    assert len(docs) == 1
    assert report.rejected.first == [f"a.jsonl:2 {answer}"]
    assert f"left out: 1 (a.jsonl:2 {answer})" in str(report)


def test_no_relations_and_no_annotation_are_different(tmp_path):
    unlabelled = example()
    del unlabelled["relations"]
    (none, unknown), report = read_rel_component(write_lines(tmp_path / "a.jsonl", example(relations=[]), unlabelled))
    assert has_annotation(none, "relations")
    assert not has_annotation(unknown, "relations")
    assert report.unlabelled.first == ["a.jsonl:2"]


def test_overlapping_spans_and_their_relations_are_reported(tmp_path):
    changed = example(spans=[span(0, 2), span(2, 2), span(4, 4)])
    changed["relations"].append({"head_span": span(2, 2), "child_span": span(4, 4), "label": "Other"})
    (doc,), report = read_rel_component(write_lines(tmp_path / "a.jsonl", changed))
    assert relations(doc) == [("IL-2", "Binds", "p53")]
    assert report.overlapping_entities.first == ["a.jsonl:1 '2'"]
    assert report.dropped_relations == {"Other": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "IL-2 binds p54 here."}, "'tokens' are not 'text', but 'IL-2 binds p53 here.'"),
        ({"tokens": []}, "'tokens' is empty"),
        ({"spans": [span(6, 7)]}, r"there are no tokens 6 to 7 in an example of 7"),
        ({"spans": [{"start": 1, "end": 4, "label": "A"}]}, "the characters 1 to 4 are not whole tokens"),
        ({"spans": [{"token_start": 0, "token_end": 0}]}, "it has no 'label'"),
        ({"relations": [{"head": 5, "child": 4, "label": "A"}]}, "no span has the token 5, its 'head'"),
        ({"relations": [{"head": 2, "label": "A"}]}, "it has no 'child'"),
        ({"relations": [{"head": 2, "child": 4}]}, "it has no 'label'"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_line(tmp_path, changes, message):
    with pytest.raises(LukeError, match=rf"a\.jsonl, line 2.*: {message}") as caught:
        read_rel_component(write_lines(tmp_path / "a.jsonl", example(), example(**changes)))
    assert caught.value.code == "L064"


def test_a_file_that_is_none_is_an_error(tmp_path):
    with pytest.raises(LukeError, match=r"a\.jsonl, line 1: the file is empty"):
        read_rel_component(write(tmp_path / "a.jsonl", "\ufeff\n"))
    with pytest.raises(LukeError, match=r"a\.jsonl, line 2: not JSON"):
        read_rel_component(write(tmp_path / "a.jsonl", "\n{"))
    with pytest.raises(LukeError, match=r"a\.jsonl, line 1: no example is answered with 'accept'"):
        read_rel_component(write_lines(tmp_path / "a.jsonl", example(answer="reject")))


def test_tokens_that_are_not_the_characters_of_a_span_are_an_error(tmp_path):
    content = example(spans=[span(0, 2) | {"start": 0, "end": 4}, span(4, 4) | {"start": 11, "end": 14}])
    (doc,), _ = read_rel_component(write_lines(tmp_path / "a.jsonl", content))
    assert [ent.text for ent in doc.ents] == ["IL-2", "p53"]
    content["spans"][0]["token_end"] = 3
    with pytest.raises(
        LukeError,
        match=r"L064.*a\.jsonl, line 1\.spans\[0\]: the tokens 0 to 3 are 'IL-2 binds', the characters 0 to 4 'IL-2'",
    ):
        read_rel_component(write_lines(tmp_path / "a.jsonl", content))
