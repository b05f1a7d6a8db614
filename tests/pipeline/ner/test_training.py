"""Training `luke_ner` inside spaCy."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Config

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.models.architectures import build_luke_encoder
from spacy_luke.pipeline.base.losses import cross_entropy
from spacy_luke.pipeline.ner.loss import sample_negatives
from tests.pipeline.short_training import CONFIGS, adam, short, trained

DATA = [
    ("Ada Lovelace met Charles Babbage in London.", [(0, 12, "PER"), (17, 32, "PER"), (36, 42, "LOC")]),
    ("The Royal Society is in London.", [(4, 17, "ORG"), (24, 30, "LOC")]),
]


def examples(nlp, data=DATA) -> list[Example]:
    made = [Example.from_dict(nlp.make_doc(text), {"entities": ents}) for text, ents in data]
    for example in made:
        for token in example.predicted:
            token.is_sent_start = token.i == 0
    return made


@pytest.fixture
def blank() -> spacy.language.Language:
    nlp = spacy.blank("en")
    windows = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
    nlp.add_pipe("luke_ner", config={"windows": windows})
    return nlp


def test_training_learns_the_examples(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    sgd = adam()
    for _ in range(30):
        losses = blank.update(gold, sgd=sgd, losses={})
    assert losses["luke_ner"] < 0.05
    assert blank.evaluate(examples(blank))["ents_f"] == 1.0


def test_labels_come_from_the_data_and_a_fitting_head_is_kept(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    pipe.initialize(lambda: examples(blank), checkpoint=str(checkpoint))
    assert pipe.logit_labels == ("NIL", "LOC", "ORG", "PER")
    other = spacy.blank("en").add_pipe("luke_ner").load_checkpoint(checkpoint)
    assert torch.equal(pipe._module.classifier.weight, other._module.classifier.weight)


def test_other_labels_get_a_new_head(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank, [("Ada runs.", [(0, 3, "HERO")])])
    with pytest.warns(LukeWarning, match=r"W006.*HERO"):
        pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    assert pipe.logit_labels == ("NIL", "HERO")
    assert pipe.label_data == ("HERO",)


def test_a_new_head_has_the_negative_label_of_the_settings(encoder_checkpoint) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner", config={"negative_label": "nothing"})
    pipe.initialize(lambda: examples(nlp), checkpoint=encoder_checkpoint)
    assert pipe.logit_labels == ("nothing", "LOC", "ORG", "PER")
    assert pipe.labels == ("LOC", "ORG", "PER")


def test_given_labels_win_over_those_of_the_data(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    with pytest.warns(LukeWarning, match="W006"):
        pipe.initialize(lambda: examples(blank), checkpoint=str(checkpoint), labels=["LOC", "ORG", "PER", "MISC"])
    assert pipe.logit_labels == ("NIL", "LOC", "ORG", "PER", "MISC")


def test_a_label_that_the_component_does_not_have_is_an_error(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    pipe.initialize(lambda: examples(blank), checkpoint=str(checkpoint))
    with pytest.raises(LukeError, match=r"L041.*HERO"):
        blank.update(examples(blank, [("Ada runs.", [(0, 3, "HERO")])]))


def test_no_labels_at_all_is_an_error(blank, tmp_path, encoder_checkpoint) -> None:
    with pytest.raises(LukeError, match=r"L043.*annotation in doc\.ents, or"):
        blank.get_pipe("luke_ner").initialize(lambda: examples(blank, [("Ada.", [])]), checkpoint=encoder_checkpoint)


def test_without_labels_the_message_says_where_they_are_looked_for(blank, encoder_checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    pipe.overlap = True
    with pytest.raises(LukeError, match=r"L043.*doc\.spans\['luke_ner'\], since overlap = true"):
        pipe.initialize(lambda: examples(blank), checkpoint=encoder_checkpoint)


@pytest.fixture(scope="module")
def encoder_checkpoint(checkpoint: Path, tmp_path_factory) -> str:
    """The tiny checkpoint without its head."""
    from spacy_luke.checkpoints.writer import save_checkpoint

    opened = open_checkpoint(checkpoint)
    folder = tmp_path_factory.mktemp("bare")
    encoder = opened.load_encoder()
    save_checkpoint(folder, opened.describe(encoder.config), encoder)
    return str(folder)


def test_gold_spans_that_no_candidate_covers_are_counted_and_reported(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    data = [
        ("Ada Lovelace. Babbage came.", [(4, 21, "PER")]),
        ("x " * 40 + "London", [(0, 86, "LOC")]),
        ("Ada met Bo.", [(0, 3, "PER")]),
    ]
    gold = examples(blank, data)
    gold[0].predicted[3].is_sent_start = True
    with pytest.warns(LukeWarning, match=r"W003.*2 of 3.*1 across a sentence boundary.*1 too long.*Lovelace"):
        pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    blank.update(gold)
    assert pipe.missed_gold.total() == 2


def test_docs_and_tokens_without_annotation_are_left_out_of_the_loss(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    pipe.initialize(lambda: examples(blank), checkpoint=str(checkpoint))
    unknown = Example(blank.make_doc("Ada met Bo."), blank.make_doc("Ada met Bo."))
    assert blank.update([unknown], losses={})["luke_ner"] == 0.0
    words = ["Ada", "met", "Bo"]
    partial = Example.from_dict(Doc(blank.vocab, words=words), {"words": words, "entities": ["U-PER", "-", "-"]})
    encoded = pipe._encode([partial.predicted])
    gold = pipe._gold(partial, encoded.candidates[0])
    known = [tuple(s) for s, k in zip(encoded.candidates[0].spans.tolist(), gold.known, strict=True) if k]
    assert known == [(0, 1)]


def test_negative_candidates_may_be_sampled(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    encoded = pipe._encode([e.predicted for e in gold])
    targets = [pipe._gold(e, c) for e, c in zip(gold, encoded.candidates, strict=True)]
    negative = pipe.logit_labels.index("NIL")
    for limit, expected in ((None, [len(t.targets) for t in targets]), (0, [3, 2]), (6, [9, 8])):
        samples = [sample_negatives(c, t, negative, limit) for c, t in zip(encoded.candidates, targets, strict=True)]
        assert [len(s.mentions) for s in samples] == expected
        for sample, target in zip(samples, targets, strict=True):
            positive = np.flatnonzero(target.targets)
            assert set(positive) <= set(sample.mentions.tolist()), "gold spans are never left out"


def test_sampled_negatives_are_corrected_for_their_rate(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    [candidates] = pipe._encode([gold[0].predicted]).candidates
    target = pipe._gold(gold[0], candidates)
    negative, negatives = pipe.logit_labels.index("NIL"), len(candidates.mentions) - 3
    sample = sample_negatives(candidates, target, negative, 6)
    np.testing.assert_allclose(sample.log_rates, np.log(6 / negatives))
    assert not sample_negatives(candidates, target, negative, negatives + 1).log_rates.any()


def parameters(pipe) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in pipe._module.named_parameters()}


def test_a_frozen_encoder_does_not_change(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    spacy.registry.callbacks.get("spacy-luke.freeze_encoder.v1")()(blank)
    before = parameters(pipe)
    blank.update(gold, sgd=adam())
    changed = {name for name, p in parameters(pipe).items() if not torch.equal(p, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_freezing_a_component_without_encoder_is_an_error(blank) -> None:
    blank.add_pipe("sentencizer")
    with pytest.raises(LukeError, match=r"L047.*sentencizer"):
        spacy.registry.callbacks.get("spacy-luke.freeze_encoder.v1")(["sentencizer"])(blank)


def test_gradients_of_several_updates_add_up(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))

    def gradient() -> torch.Tensor:
        return pipe._module.classifier.weight.grad.clone()

    blank.update(gold[:1], sgd=False)
    first = gradient()
    blank.update(gold[1:], sgd=False)
    total = gradient()
    pipe._module.zero_grad(set_to_none=True)
    blank.update(gold[1:], sgd=False)
    torch.testing.assert_close(total, first + gradient())


def test_the_budget_does_not_change_the_gradient(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    gradients = []
    for budget in (10_000, 60):
        pipe.max_batch_pieces = budget
        pipe._module.zero_grad(set_to_none=True)
        blank.update(gold, sgd=False)
        gradients.append({n: p.grad.clone() for n, p in pipe._module.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() >= {"classifier.weight", "encoder.embeddings.word.weight"}
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, atol=1e-5, rtol=1e-3)


def test_dropout_of_an_update_is_the_one_asked_for(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
    plain = [blank.update(gold, sgd=False, losses={})["luke_ner"] for _ in range(2)]
    assert plain[0] == plain[1], "no dropout unless asked for"
    dropped = [blank.update(gold, sgd=False, losses={}, drop=0.5)["luke_ner"] for _ in range(2)]
    assert dropped[0] != dropped[1]
    docs = [blank.make_doc(DATA[0][0])]
    np.testing.assert_array_equal(pipe.logits(docs)[0][1], pipe.logits(docs)[0][1])


def test_training_resumes_from_a_saved_pipeline(blank, checkpoint, tmp_path) -> None:
    gold = examples(blank)
    blank.get_pipe("luke_ner").initialize(lambda: gold, checkpoint=str(checkpoint))
    blank.update(gold, sgd=adam())
    blank.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    sgd = loaded.resume_training()
    first = loaded.update(examples(loaded), sgd=sgd, losses={})["luke_ner"]
    assert first == pytest.approx(blank.update(gold, losses={})["luke_ner"], abs=1e-5)
    assert loaded.update(examples(loaded), losses={})["luke_ner"] != first


def test_overlapping_gold_spans_can_be_learned(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    pipe.overlap = True
    reference = blank.make_doc("The Royal Society of London")
    reference.spans["luke_ner"] = [reference.char_span(4, 27, "ORG"), reference.char_span(21, 27, "LOC")]
    gold = [Example(blank.make_doc(reference.text), reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        pipe.initialize(lambda: gold, checkpoint=str(checkpoint))
        sgd = adam()
        for _ in range(40):
            blank.update(gold, sgd=sgd)
        scores = blank.evaluate(gold)
    assert scores["spans_luke_ner_f"] == 1.0


def test_cross_entropy_is_that_of_torch() -> None:
    logits = torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(0, 4, (7,))
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    expected.backward()
    gradient, loss = cross_entropy(logits.detach().numpy(), targets.numpy())
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, logits.grad, atol=1e-6)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    nlp = spacy.blank("en")
    docs = []
    for text, ents in DATA * 4:
        doc = nlp.make_doc(text)
        for token in doc:
            token.is_sent_start = token.i == 0
        doc.set_ents([doc.char_span(*e[:2], label=e[2]) for e in ents])
        docs.append(doc)
    DocBin(docs=docs).to_disk(tmp_path / "corpus.spacy")
    return tmp_path / "corpus.spacy"


def test_the_config_trains_from_a_checkpoint(checkpoint, corpus, tmp_path) -> None:
    overrides = {
        **short(corpus, checkpoint),
        "training.accumulate_gradient": 2,
        "components.luke_ner.windows.max_pieces": 100,
    }
    config = Config().from_disk(CONFIGS / "ner.cfg", overrides=overrides)
    best = trained(config, tmp_path / "out")
    assert best.get_pipe("luke_ner").logit_labels == ("NIL", "LOC", "ORG", "PER")
    assert "ents_f" in best.meta["performance"]
    assert str(tmp_path) not in (tmp_path / "out" / "model-best" / "luke_ner" / "config.json").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "configs/ner.cfg",
        "projects/en_luke_mini/configs/mini.cfg",
        "configs/ner_fast.cfg",
        "configs/token_classifier.cfg",
        "configs/textcat.cfg",
        "configs/multiple_choice.cfg",
        "configs/ner_longformer.cfg",
        "configs/relations_longformer.cfg",
        "configs/qa_longformer.cfg",
    ],
)
def test_configs_are_complete(name: str, corpus) -> None:
    config = Config().from_disk(CONFIGS.parent / name, overrides={"paths.train": str(corpus), "paths.dev": str(corpus)})
    nlp = spacy.util.load_model_from_config(config, auto_fill=False, validate=True)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    component = nlp.pipe_names[-1]
    assert set(nlp.config["components"][component]) == set(filled["components"][component])
    encoder = nlp.config["components"][component]["model"]["encoder"]
    assert ("Longformer" in encoder["@architectures"]) == ("longformer" in name)


def test_a_second_label_of_a_gold_span_is_reported(blank, checkpoint) -> None:
    pipe = blank.get_pipe("luke_ner")
    pipe.overlap = True
    reference = blank.make_doc("London calls")
    reference.spans["luke_ner"] = [reference.char_span(0, 6, "LOC"), reference.char_span(0, 6, "ORG")]
    gold = [Example(blank.make_doc(reference.text), reference)]
    with pytest.warns(LukeWarning, match=r"W009.*1 gold span"):
        pipe.initialize(lambda: gold, checkpoint=str(checkpoint))


def test_a_lower_casing_tokenizer_without_case_types_is_named(blank, checkpoint) -> None:
    opened = open_checkpoint(checkpoint)
    pipe = blank.get_pipe("luke_ner")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        pipe._from_checkpoint(opened)
        opened.tokenizer.lowercase = opened.tokenizer.case_types = True
        pipe._from_checkpoint(opened)
    opened.tokenizer.case_types = False
    with pytest.warns(LukeWarning, match="W008"):
        pipe._from_checkpoint(opened)
    assert pipe.has_weights


def test_labels_without_a_negative_one_are_an_error(checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "PER", "1": "ORG", "2": "LOC"}
    (folder / "config.json").write_text(json.dumps(config))
    pipe = spacy.blank("en").add_pipe("luke_ner")
    with pytest.raises(LukeError, match=r"L030.*PER"):
        pipe.load_checkpoint(folder)
    assert not pipe.logit_labels


def test_an_unknown_precision_is_an_error() -> None:
    with pytest.raises(LukeError, match=r"L005.*float8"):
        build_luke_encoder(precision="float8")
