"""The reader of several corpora at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import registry

from spacy_luke.errors import LukeError
from spacy_luke.training.mixed_corpus import build_mixed_corpus

NLP = spacy.blank("en")


def reader(name: str, count: int) -> Callable[[Language], Iterator[Example]]:
    def read(nlp: Language) -> Iterator[Example]:
        for i in range(count):
            text = f"{name}{i}"
            yield Example(nlp.make_doc(text), nlp.make_doc(text))

    return read


def texts(**settings) -> list[str]:
    corpora = {"a": reader("a", 10), "b": reader("b", 4), "c": reader("c", 3)}
    return [example.text for example in build_mixed_corpus(corpora, **settings)(NLP)]


def test_every_corpus_is_read_once_in_random_order() -> None:
    found = texts()
    assert Counter(found) == Counter([f"a{i}" for i in range(10)] + [f"b{i}" for i in range(4)] + ["c0", "c1", "c2"])
    assert found != sorted(found)
    assert texts() == found
    assert texts(seed=1) != found


def test_corpora_are_read_as_often_as_asked() -> None:
    found = Counter(texts(times={"a": 0.5, "b": 2.25, "c": 0}))
    assert sum(found[f"a{i}"] for i in range(10)) == 5
    assert max(found[f"a{i}"] for i in range(10)) == 1
    assert sorted(found[f"b{i}"] for i in range(4)) == [2, 2, 2, 3]
    assert not any(text.startswith("c") for text in found)


def test_each_epoch_of_a_stream_has_its_own_order_and_parts() -> None:
    read = build_mixed_corpus({"a": reader("a", 100)}, {"a": 0.1})
    first, second = ([example.text for example in read(NLP)] for _ in range(2))
    assert len(first) == len(second) == 10
    assert set(first) != set(second)


def test_examples_that_come_twice_are_not_the_same_object() -> None:
    examples = list(build_mixed_corpus({"a": reader("a", 1)}, {"a": 2})(NLP))
    assert examples[0].predicted is not examples[1].predicted


def test_files_are_read_once_for_a_pipeline() -> None:
    asked: list[Language] = []

    def counted(nlp: Language) -> Iterator[Example]:
        asked.append(nlp)
        yield from reader("a", 3)(nlp)

    read, other = build_mixed_corpus({"a": counted}, {"a": 2.5}), spacy.blank("en")
    first, second = list(read(NLP)), list(read(NLP))
    assert asked == [NLP]
    first[0].predicted.user_data["changed"] = True
    assert not any(example.predicted.user_data for example in second)
    assert all(example.predicted.vocab is other.vocab for example in read(other))
    assert asked == [NLP, other]


@pytest.mark.parametrize("times", [{"d": 1.0}, {"a": -1.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_wrong_times_are_refused(times: dict[str, float]) -> None:
    with pytest.raises(LukeError, match="L047"):
        build_mixed_corpus({"a": reader("a", 1)}, times)


def test_it_is_read_from_a_config(tmp_path: Path) -> None:
    for name in ("x", "y"):
        DocBin(docs=[Doc(NLP.vocab, words=[name])]).to_disk(tmp_path / f"{name}.spacy")
    config = {
        "train": {
            "@readers": "spacy-luke.mixed_corpus.v1",
            "times": {"y": 2},
            "corpora": {
                name: {"@readers": "spacy-luke.gold_mentions_corpus.v1", "path": str(tmp_path / f"{name}.spacy")}
                for name in ("x", "y")
            },
        }
    }
    read = registry.resolve(config)["train"]
    assert sorted(example.text for example in read(NLP)) == ["x ", "y ", "y "]
