"""Windows of a component where neither its config nor its checkpoint says how a Doc is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_luke.batching.strided import StridedWindows
from spacy_luke.batching.windows import JoinedSentences, SentenceWindows
from spacy_luke.encoders.config import EncoderConfig
from tests.pipeline.every_component import open_component
from tests.util import write_longformer

# Pieces that the encoder can take, special ones included -> windows. The paper's components and transformers' examples
# of fine-tuning were trained with these.
DEFAULTS: dict[str, Callable[[int], Any]] = {
    "luke_ner": lambda pieces: SentenceWindows(min(510, pieces - 2), "document"),
    "luke_relations": lambda pieces: SentenceWindows(min(510, pieces - 2), "none"),
    "luke_entity_typer": lambda pieces: SentenceWindows(min(510, pieces - 2), "none"),
    "luke_token_classifier": lambda pieces: SentenceWindows(min(510, pieces - 2), "none"),
    "luke_textcat": lambda pieces: StridedWindows(min(510, pieces - 2), 382),
    "luke_qa": lambda pieces: StridedWindows(min(508, pieces - 4), 128),
    "luke_entity_linker": lambda pieces: StridedWindows(min(510, pieces - 2), 384),
    "luke_encoder": lambda pieces: StridedWindows(pieces - 2, 3 * (pieces - 2) // 4),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.parametrize("factory", DEFAULTS)
@pytest.mark.parametrize("pieces", [64, 512, 600])
def test_windows_are_as_long_as_those_of_the_reference_and_the_encoder_allow(
    folder: Path, factory: str, pieces: int, monkeypatch: Any
) -> None:
    _, pipe = open_component(factory, folder / factory)
    monkeypatch.setattr(EncoderConfig, "max_pieces", pieces)
    assert pipe.windows == DEFAULTS[factory](pieces)


@pytest.mark.parametrize("windows", [SentenceWindows(90, "none"), JoinedSentences(90, 40), StridedWindows(90, 60)])
def test_windows_of_the_config_are_those_of_the_saved_component(folder: Path, tmp_path: Path, windows: Any) -> None:
    _, pipe = open_component("luke_ner", folder / "luke_ner")
    pipe._windows_setting = windows
    pipe.load_checkpoint(folder / "luke_ner").to_disk(tmp_path)
    assert open_component("luke_ner", tmp_path)[1].windows == windows


def test_a_longformer_reads_as_much_as_it_can_every_three_quarters_of_that(tmp_path: Path) -> None:
    write_longformer(tmp_path / "longformer")
    model = {"@architectures": "spacy-luke.LongformerEncoder.v1"}
    pipe: Any = spacy.blank("en").add_pipe("luke_encoder", config={"model": model})
    longest = pipe.load_checkpoint(tmp_path / "longformer").description.config.max_pieces - 2
    assert pipe.windows == StridedWindows(longest, 3 * longest // 4)
