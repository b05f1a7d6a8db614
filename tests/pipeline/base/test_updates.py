"""Updates of components: what they take, and what they add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.encoder.shared_model import (
    adam,
    changed,
    encoder_of,
    examples,
    initialized,
    logits,
    state,
    write_bare,
)
from tests.pipeline.every_component import FACTORIES, TEXT, blank


@pytest.mark.parametrize("factory", FACTORIES)
def test_what_is_no_example_is_the_error_that_spacy_gives(factory: str) -> None:
    nlp = blank(factory)
    pipe: Any = nlp.get_pipe(factory)
    with pytest.raises(TypeError, match=rf"E978.*{type(pipe).__name__}\.update"):
        pipe.update([nlp.make_doc(TEXT)])
    assert not pipe.has_weights


def test_losses_of_updates_add_up_in_the_dictionary_given(tmp_path: Path) -> None:
    tasks = ("luke_ner", "luke_textcat")
    nlp = initialized(write_bare(tmp_path / "bare"), tasks)
    for task in tasks:
        pipe: Any = nlp.get_pipe(task)
        alone = pipe.update(examples(nlp), drop=0.0)[task]
        assert alone > 0
        losses = {task: 1.0, "tagger": 2.0}
        assert pipe.update(examples(nlp), drop=0.0, losses=losses) is losses
        assert losses == {task: pytest.approx(1.0 + alone), "tagger": 2.0}


def test_a_frozen_encoder_is_trained_again_once_weights_were_loaded(tmp_path: Path) -> None:
    nlp = initialized(write_bare(tmp_path / "bare"), ("luke_ner",))
    pipe: Any = nlp.get_pipe("luke_ner")
    pipe.freeze_encoder()
    pipe.from_bytes(pipe.to_bytes())
    before = state(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam())
    logits(nlp, ("luke_ner",))
    assert changed(encoder_of(nlp, "luke_ner"), before)
