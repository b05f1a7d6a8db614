"""Pipelines that an earlier version of the package saved: they load, and give the same numbers."""

from pathlib import Path

import numpy as np
import pytest
import spacy

from tests.pipeline.encoder.shared_model import examples

# Saved by the last version whose components lay in `spacy_luke.pipeline` as files: every component on a tiny random
# encoder, most of them on a shared one, and the logits of one Doc.
SAVED = Path(__file__).parents[1] / "data" / "saved_0_1_0"
LOGITS = dict(np.load(SAVED / "logits.npz"))


@pytest.mark.parametrize("name", sorted({name.rpartition(".")[0] for name in LOGITS}))
def test_every_component_gives_the_logits_it_gave(name: str) -> None:
    nlp = spacy.load(SAVED / "pipeline")
    doc = examples(nlp)[0].predicted
    doc._.questions = ["Who met Babbage?"]
    doc._.choices = [("Who met Babbage?", ["Ada", "Bo"])]
    found = nlp.get_pipe(name).logits([doc])[0][1]
    for i, scores in enumerate(found if isinstance(found, list) else [found]):
        np.testing.assert_allclose(scores, LOGITS[f"{name}.{i}"], atol=1e-5)


def test_it_is_saved_as_it_is_now(tmp_path: Path) -> None:
    spacy.load(SAVED / "pipeline").to_disk(tmp_path)
    doc = spacy.load(SAVED / "pipeline")("Ada Lovelace met Babbage in London.")
    again = spacy.load(tmp_path)(doc.text)
    assert doc.ents
    assert [(e.text, e.label_, e.kb_id_) for e in again.ents] == [(e.text, e.label_, e.kb_id_) for e in doc.ents]
