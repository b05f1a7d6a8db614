from __future__ import annotations

from typing import Any

import pytest

from spacy_luke.annotations import has_annotation
from spacy_luke.converters import read_docred
from spacy_luke.errors import LukeError

from .util import entities, relations, through_docbin, write, write_json


def mention(sent_id: int, start: int, end: int, label: str = "PER") -> dict[str, Any]:
    return {"name": "", "sent_id": sent_id, "pos": [start, end], "type": label}


def example(**changes: Any) -> dict[str, Any]:
    return {
        "title": "Ann",
        "sents": [["Ann", "Lee", "met", "Bo", "."], ["Lee", "likes", "Rome", "."]],
        "vertexSet": [
            [mention(0, 0, 2), mention(1, 0, 1)],
            [mention(0, 3, 4)],
            [mention(1, 2, 3, "LOC")],
        ],
        "labels": [{"h": 0, "t": 1, "r": "P26", "evidence": [0]}],
        **changes,
    }


def label(head: int, tail: int, name: str = "P26") -> dict[str, Any]:
    return {"h": head, "t": tail, "r": name, "evidence": []}


def test_mentions_are_entities_that_know_their_entity(tmp_path):
    docs, report = read_docred(write_json(tmp_path / "a.json", [example()]))
    (doc,) = through_docbin(docs, tmp_path)
    assert doc.text == "Ann Lee met Bo. Lee likes Rome."
    assert [sent.text for sent in doc.sents] == ["Ann Lee met Bo.", "Lee likes Rome."]
    assert entities(doc) == [("Ann Lee", "PER"), ("Bo", "PER"), ("Lee", "PER"), ("Rome", "LOC")]
    assert [ent.ent_id_ for ent in doc.ents] == ["0", "1", "0", "2"]
    assert doc.user_data["title"] == "Ann"
    assert (report.documents, report.sentences, report.tokens) == (1, 2, 9)


def test_a_relation_is_written_between_the_mentions_of_a_sentence_only(tmp_path):
    docs, report = read_docred(write_json(tmp_path / "a.json", [example()]))
    (doc,) = through_docbin(docs, tmp_path)
    assert relations(doc) == [("Ann Lee", "P26", "Bo")]
    assert report.entity_relations == 1
    assert report.nearest_mentions.count == 0


def test_all_pairs_within_sentences_are_written(tmp_path):
    sents = [["Ann", "met", "Bo", "and", "Bo", "."], ["Ann", "saw", "Bo", "."]]
    vertices = [[mention(0, 0, 1), mention(1, 0, 1)], [mention(0, 2, 3), mention(0, 4, 5), mention(1, 2, 3)]]
    content = example(sents=sents, vertexSet=vertices, labels=[label(1, 0)])
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [content]))
    assert relations(doc) == [("Bo", "P26", "Ann")] * 3
    assert report.relations == {"P26": 3}
    assert report.entity_relations == 1


def test_entities_of_different_sentences_are_related_by_their_nearest_mentions(tmp_path):
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [example(labels=[label(2, 1)])]))
    assert relations(doc) == [("Rome", "P26", "Bo")]
    assert report.nearest_mentions.first == ["a.json:1.labels[0]"]

    far = [[mention(0, 0, 1), mention(1, 0, 1)], [mention(2, 0, 1)]]
    content = example(sents=[["Ann", "a"], ["Ann", "b"], ["Bo", "c"]], vertexSet=far)
    (doc,), _ = read_docred(write_json(tmp_path / "a.json", [content]))
    ((head, _, _),) = relations(doc)
    assert head == "Ann"
    assert doc._.relations[0].head.start == 2


def test_overlapping_mentions_are_reported_and_their_relations_too(tmp_path):
    vertices = [[mention(0, 0, 2)], [mention(0, 1, 2)], [mention(0, 3, 4)]]
    labels = [label(0, 2), label(1, 2, "P7")]
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [example(vertexSet=vertices, labels=labels)]))
    assert entities(doc) == [("Ann Lee", "PER"), ("Bo", "PER")]
    assert report.overlapping_entities.first == ["a.json:1 'Lee'"]
    assert relations(doc) == [("Ann Lee", "P26", "Bo")]
    assert report.dropped_relations == {"P7": 1}
    assert report.lost_relations.first == ["a.json:1.labels[1] P7"]
    assert "Relations left out: 1 (P7 1)" in str(report)


def test_an_entity_whose_other_mention_is_kept_keeps_its_relations(tmp_path):
    vertices = [[mention(0, 0, 2)], [mention(0, 1, 2), mention(1, 0, 1)], [mention(1, 2, 3, "LOC")]]
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [example(vertexSet=vertices, labels=[label(1, 2)])]))
    assert relations(doc) == [("Lee", "P26", "Rome")]
    assert report.lost_relations.count == 0


def test_a_document_whose_relations_are_all_lost_does_not_deny_them(tmp_path):
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [example(labels=[label(0, 0)])]))
    assert not has_annotation(doc, "relations")
    assert report.lost_relations.count == 1


def test_no_relations_and_no_labels_are_different(tmp_path):
    unlabelled = example()
    del unlabelled["labels"]
    (none, unknown), report = read_docred(write_json(tmp_path / "a.json", [example(labels=[]), unlabelled]))
    assert has_annotation(none, "relations")
    assert not has_annotation(unknown, "relations")
    assert report.unlabelled.first == ["a.json:2"]


def test_a_repeated_label_is_written_once(tmp_path):
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [example(labels=[label(0, 1), label(0, 1)])]))
    assert len(relations(doc)) == 1
    assert report.repeated_relations.first == ["a.json:1.labels[1]"]


def test_tokens_of_white_space_are_left_out(tmp_path):
    content = example(sents=[[" ", "Ann", " ", "Lee", "met", "Bo"]], labels=[])
    content["vertexSet"] = [[mention(0, 0, 4)], [mention(0, 0, 1)]]
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [content]))
    assert entities(doc) == [("Ann Lee", "PER")]
    assert doc[0].is_sent_start
    assert report.empty_tokens.count == 2
    assert report.empty_entities.count == 1


@pytest.mark.parametrize("name", ["spouse", ["spouse", "a description"]])
def test_names_are_written_instead_of_ids(tmp_path, name):
    names = write_json(tmp_path / "rel_info.json", {"P26": name})
    (doc,), _ = read_docred(write_json(tmp_path / "a.json", [example()]), names=names)
    assert relations(doc) == [("Ann Lee", "spouse", "Bo")]


def test_a_relation_without_name_is_an_error(tmp_path):
    names = write_json(tmp_path / "rel_info.json", {"P1": "x"})
    with pytest.raises(LukeError, match=r"record 1\.labels\[0\]: .*has no name for its relation 'P26'") as caught:
        read_docred(write_json(tmp_path / "a.json", [example()]), names=names)
    assert caught.value.code == "L064"


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"sents": [["a"], "b"]}, "", "'sents' is not a list of lists of words"),
        ({"sents": []}, "", "all its tokens are empty"),
        ({"vertexSet": [[mention(2, 0, 1)]]}, r"\.vertexSet\[0\]\[0\]", "entity 0 is in sentence 2 of 2"),
        ({"vertexSet": [[], [mention(0, 3, 6)]]}, r"\.vertexSet\[1\]\[0\]", "tokens 3 to 5 of a sentence of 5"),
        (
            {"vertexSet": [[mention(0, 3, 4), mention(0, 3, "4")]]},
            r"\.vertexSet\[0\]\[1\]",
            r"'pos' is not \[first token, end\]",
        ),
        ({"vertexSet": [3]}, "", r"'vertexSet\[0\]' is not a list"),
        ({"labels": [label(0, 3)]}, r"\.labels\[0\]", "there are entities 0 to 2, not both 0 and 3"),
        ({"labels": [{"h": 0, "t": 1}]}, r"\.labels\[0\]", "it has no 'r'"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_record(tmp_path, changes, place, message):
    with pytest.raises(LukeError, match=rf"a\.json, record 2{place}: .*{message}") as caught:
        read_docred(write_json(tmp_path / "a.json", [example(), example(**changes)]))
    assert caught.value.code == "L064"


def test_an_empty_file_is_an_error(tmp_path):
    with pytest.raises(LukeError, match=r"a\.json, line 1: the file is empty"):
        read_docred(write(tmp_path / "a.json", " \n"))


WORDS = [
    ["Ann", "Paro", "was", "born", "in", "Vigo", "."],
    ["She", "runs", "a", "yard", "in", "Porto", ",", "Nautil", ",", "with", "Bo", "."],
]


def named(name: str, sentence: int, start: int, end: int) -> dict[str, Any]:
    return {"name": name, "sent_id": sentence, "pos": [start, end], "type": "X"}


def with_names(*mentions: dict[str, Any]) -> dict[str, Any]:
    return {"title": "x", "sents": WORDS, "vertexSet": [[item] for item in mentions], "labels": []}


@pytest.mark.parametrize(
    ("way", "mentions"),
    [
        ("counted over the document", [("Ann Paro", 0, 0, 2), ("Vigo", 0, 5, 6), ("Nautil", 1, 14, 15)]),
        ("counted from 1", [("Ann Paro", 0, 1, 3), ("Vigo", 0, 6, 7)]),
        ("those of the last token, not of the end", [("Ann Paro", 0, 0, 1), ("Vigo", 0, 5, 5)]),
        ("counted from 1 with the last token, not the end", [("Ann Paro", 0, 1, 2), ("Vigo", 0, 6, 6)]),
        ("in sentences that are counted from 1", [("Ann Paro", 1, 0, 2), ("Nautil", 2, 7, 8)]),
        ("one too low", [("Vigo", 0, 4, 5), ("Nautil", 1, 6, 7)]),
        ("counted over the document, from 1", [("Porto", 1, 13, 14), ("Nautil", 1, 15, 16)]),
        ("counted over the document, with the last token, not the end", [("Porto", 1, 12, 12), ("Nautil", 1, 14, 14)]),
    ],
)
def test_positions_that_are_counted_in_another_way_are_refused_with_it(tmp_path, way, mentions):
    path = write_json(tmp_path / "a.json", [example(), with_names(*(named(*item) for item in mentions))])
    with pytest.raises(
        LukeError, match=rf"a\.json, record 2: .* {len(mentions)} of .*were the positions {way}\."
    ) as caught:
        read_docred(path)
    assert caught.value.code == "L150"


@pytest.mark.parametrize("name", ["Ann Paro", "ann paro", "AnnParo", "Ann  Paro", "Ann\nParo", "ＡＮＮ Paro"])
def test_a_name_may_differ_in_blanks_and_case(tmp_path, name):
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [with_names(named(name, 0, 0, 2))]))
    assert entities(doc) == [("Ann Paro", "X")]
    assert report.other_names.count == 0


def test_escapes_of_treebanks_are_no_other_name(tmp_path):
    content = with_names(named("AC (Milan)", 0, 0, 4), named("AC -LRB- Milan -RRB-", 0, 0, 4))
    content["sents"] = [["AC", "-LRB-", "Milan", "-RRB-", "won"]]
    _, report = read_docred(write_json(tmp_path / "a.json", [content]))
    assert report.other_names.count == 0


def test_another_name_is_reported_and_its_tokens_are_those_of_the_file(tmp_path):
    content = with_names(named("Ann Paro", 0, 0, 2), named("The Shipyard", 1, 7, 8), named("Ann Paro", 1, 0, 1))
    (doc,), report = read_docred(write_json(tmp_path / "a.json", [content]))
    assert entities(doc) == [("Ann Paro", "X"), ("She", "X"), ("Nautil", "X")]
    assert report.other_names.first == ["a.json:1 'The Shipyard' at 'Nautil'", "a.json:1 'Ann Paro' at 'She'"]
