"""Training `luke_qa` inside spaCy."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Config
from transformers import BertConfig, BertModel, LukeForQuestionAnswering, RobertaConfig, RobertaModel

from spacy_luke import Answer
from spacy_luke.batching.strided import StridedWindows
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.errors import LukeWarning
from spacy_luke.pipeline.base.gold import GoldReport
from spacy_luke.pipeline.qa.gold import gold_rows, target
from spacy_luke.pipeline.qa.inputs import QuestionReader
from spacy_luke.tokenization.entity_vocab import EntityVocab
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.pipeline.qa.model import QUESTIONS, TEXT, link, reference_input, write_qa_checkpoint
from tests.pipeline.short_training import CONFIGS, adam, gradients, short, trained
from tests.util import ENTITIES, luke_tokenizer, read_files, write_byte_bpe, write_word_piece

CONFIG = CONFIGS / "qa.cfg"
UNANSWERABLE = "Who lives on the moon?"
DATA = [
    (TEXT, [("Who met Babbage?", "Ada Lovelace"), ("When was the battle?", "1066"), (UNANSWERABLE, None)]),
    (
        "Charles Babbage (in Paris), they say, ran.",
        [("Who ran?", "Charles Babbage"), ("Where?", "Paris"), ("Why?", None)],
    ),
]


def gold_answer(doc: Doc, question: str, text: str | None) -> Answer:
    if text is None:
        return Answer(question, None)
    start = doc.text.index(text)
    return Answer(question, doc.char_span(start, start + len(text), alignment_mode="expand"), text, start_char=start)


def examples(nlp, data=DATA) -> list[Example]:
    made = []
    for text, answers in data:
        predicted, reference = nlp.make_doc(text), nlp.make_doc(text)
        reference._.answers = [gold_answer(reference, *answer) for answer in answers]
        reference._.questions = predicted._.questions = list(dict.fromkeys(question for question, _ in answers))
        made.append(Example(predicted, reference))
    return made


@pytest.fixture(scope="module")
def qa_checkpoint(tmp_path_factory) -> Path:
    return write_qa_checkpoint(tmp_path_factory.mktemp("qa"))


@pytest.fixture
def blank() -> spacy.language.Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_qa")
    return nlp


@pytest.fixture
def pipe(blank, qa_checkpoint):
    pipe = blank.get_pipe("luke_qa")
    pipe.initialize(lambda: examples(blank), checkpoint=str(qa_checkpoint))
    return pipe


def test_training_learns_answers_and_that_there_is_none(blank, pipe) -> None:
    gold = examples(blank)
    sgd = adam()
    for _ in range(60):
        losses = blank.update(gold, sgd=sgd, losses={})
    assert losses["luke_qa"] < 0.05
    for text, answers in DATA:
        doc = blank.make_doc(text)
        doc._.questions = [question for question, _ in answers]
        assert [a.text for a in blank(doc)._.answers] == [answer or "" for _, answer in answers]
        assert [a.span is None for a in doc._.answers] == [answer is None for _, answer in answers]
    scores = blank.evaluate(examples(blank))
    assert scores["qa_em"] == scores["qa_f1"] == scores["qa_no_answer_em"] == 1.0


def test_loss_and_gradient_are_those_of_transformers(blank, pipe, qa_checkpoint) -> None:
    """Of the questions one by one: the reference takes padding for pieces."""
    model = LukeForQuestionAnswering.from_pretrained(qa_checkpoint).eval()
    tokenizer = luke_tokenizer(qa_checkpoint)
    [gold, _] = examples(blank)
    link(gold.predicted, (4, 5, "Babbage"))
    reader = pipe._reader()
    context = reader.context(gold.predicted)
    expected = []
    for question, answer in DATA[0][1]:
        [row] = reader.rows(0, 0, context, question)
        start, end = (0, 0) if answer is None else target(row, [_first_and_last(context, TEXT, answer)])
        positions = {"start_positions": torch.tensor([start]), "end_positions": torch.tensor([end])}
        output = model(**reference_input(tokenizer, gold.predicted, question), **positions)
        expected.append(output.loss)
    loss = torch.stack(expected).mean()
    loss.backward()
    losses = pipe.update([gold], losses={})
    assert losses["luke_qa"] == pytest.approx(loss.item(), abs=1e-5)
    ours = gradients(pipe)
    torch.testing.assert_close(ours["qa_outputs.weight"], model.qa_outputs.weight.grad, atol=1e-5, rtol=1e-4)
    table = model.luke.embeddings.word_embeddings.weight.grad
    torch.testing.assert_close(ours["encoder.embeddings.word.weight"], table, atol=1e-5, rtol=1e-3)


def _first_and_last(context, text: str, answer: str) -> tuple[int, int]:
    start = text.index(answer)
    held = [i for i, (a, b) in enumerate(context.chars.tolist()) if a < start + len(answer) and b > start]
    return held[0], held[-1]


def test_the_target_is_the_first_gold_answer_in_the_window(blank, pipe) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=40, stride=10)
    reader = pipe._reader()
    context = reader.context(blank.make_doc(TEXT))
    ada, hastings = (_first_and_last(context, TEXT, text) for text in ("Ada", "Hastings"))
    rows = list(reader.rows(0, 0, context, "Who?"))
    for row in rows:
        start, end = row.start, row.end
        shown = [a for a in (hastings, ada) if start <= a[0] and a[1] < end]
        first, last = target(row, [hastings, ada])
        if not shown:
            assert (first, last) == (0, 0)
        else:
            assert (first, last) == tuple(row.window_offset + piece - start for piece in shown[0])
    assert {bool(target(row, [ada])[0]) for row in rows} == {True, False}
    [row, *_] = rows
    start, end, at = row.start, row.end, row.window_offset
    assert target(row, [(start, end - 1)]) == (at, at + end - start - 1)
    assert target(row, [(start, end)]) == (0, 0), "its last piece is in the next window"


def test_questions_without_a_gold_answer_take_no_part(blank, pipe) -> None:
    [gold, _] = examples(blank)
    expected = pipe.update([gold], losses={})["luke_qa"]
    pipe._module.zero_grad(set_to_none=True)
    gold.reference._.questions = [*gold.reference._.questions, "What else?"]
    assert pipe.update([gold], losses={})["luke_qa"] == expected
    pipe._module.zero_grad(set_to_none=True)
    bare = Example(blank.make_doc(TEXT), blank.make_doc(TEXT))
    bare.reference._.questions = QUESTIONS
    assert pipe.update([bare], losses={})["luke_qa"] == 0.0
    assert not gradients(pipe)


def test_an_alternative_with_a_span_wins_over_one_without(blank, pipe) -> None:
    losses = []
    for answers in ([(UNANSWERABLE, None), (UNANSWERABLE, "Ada")], [(UNANSWERABLE, "Ada")]):
        losses.append(pipe.update(examples(blank, [(TEXT, answers)]), losses={})["luke_qa"])
    assert losses[0] == losses[1]


def test_the_budget_does_not_change_the_gradient(blank, pipe) -> None:
    found = []
    for budget in (10_000, 150):
        pipe.max_batch_pieces = budget
        pipe.update(examples(blank))
        found.append(gradients(pipe))
    assert found[0].keys() == found[1].keys() >= {"qa_outputs.weight", "encoder.embeddings.word.weight"}
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-5, rtol=1e-3)


def test_the_entity_table_is_not_trained_nor_a_frozen_encoder(blank, pipe) -> None:
    gold = examples(blank)
    for example in gold:
        link(example.predicted, (0, 1, "London"))
    table = "encoder.entity_embeddings.entity.weight"
    for frozen, head_only in ((None, False), (True, True), (False, False)):
        if frozen is not None:
            pipe.freeze_encoder(frozen)
        pipe.update(gold)
        trained = set(gradients(pipe))
        assert table not in trained
        assert (trained == {"qa_outputs.weight", "qa_outputs.bias"}) == head_only
        assert ("encoder.entity_embeddings.position.weight" in trained) != head_only


def test_gradients_of_several_updates_add_up(blank, pipe) -> None:
    gold = examples(blank)
    each = []
    for example in gold:
        pipe.update([example])
        each.append(gradients(pipe)["qa_outputs.weight"])
    for example in gold:
        pipe.update([example])
    torch.testing.assert_close(gradients(pipe)["qa_outputs.weight"], each[0] + each[1])


def test_dropout_is_the_one_asked_for(blank, pipe) -> None:
    gold = examples(blank)
    plain = [pipe.update(gold, losses={})["luke_qa"] for _ in range(2)]
    assert plain[0] == plain[1]
    dropped = [pipe.update(gold, losses={}, drop=0.5)["luke_qa"] for _ in range(2)]
    assert dropped[0] != dropped[1]
    docs = [gold[0].predicted]
    np.testing.assert_array_equal(pipe.logits(docs)[0][1][0], pipe.logits(docs)[0][1][0])


def test_answers_are_found_in_docs_of_other_tokens_and_other_white_space(blank, pipe) -> None:
    reference = blank.make_doc("Ada met Bo.")
    reference._.answers = [gold_answer(reference, "Who?", "Bo")]
    same_text = Doc(blank.vocab, words=["Ada", "met", "B", "o."], spaces=[True, True, False, False])
    more_space = blank.make_doc("Ada  met  Bo.")
    for predicted in (same_text, more_space):
        reader = pipe._reader()
        with warnings.catch_warnings():
            warnings.simplefilter("error", LukeWarning)
            pipe._prepare(lambda predicted=predicted: [Example(predicted, reference)])
        [(rows, answers)] = gold_rows(Example(predicted, reference), reader, GoldReport())
        [(first, last)] = answers
        chars = rows[0].text.text_chars
        assert predicted.text[chars[first, 0] : chars[last, 1]] == "Bo"


def test_answers_that_cannot_be_learned_are_counted_and_reported(blank, qa_checkpoint) -> None:
    pipe = blank.get_pipe("luke_qa")
    long = " ".join(["Ada met Babbage in London"] * 30)
    data = [(TEXT, [("Who?", "Ada"), ("", "London"), (UNANSWERABLE, None)]), (long, [("Who?", long[:700])])]
    gold = examples(blank, data)
    with pytest.warns(LukeWarning) as caught:
        pipe.initialize(lambda: gold, checkpoint=str(qa_checkpoint))
    messages = " ".join(str(w.message) for w in caught)
    assert "W016" in messages
    assert "[W017]" in messages
    assert "2 of 3 gold answers" in messages
    assert "1 to an empty question" in messages
    assert "1 in no window as a whole" in messages
    assert "'London' ()" in messages
    rows = sum(len(rows) for e in gold for rows, _ in gold_rows(e, pipe._reader(), GoldReport()))
    assert rows == 2, "they take no part, and are not learned as unanswerable"


def test_an_answer_that_ends_one_piece_after_a_window_is_in_none(blank, pipe) -> None:
    def learned(length: int) -> tuple[list, GoldReport]:
        pipe._windows_setting = StridedWindows(length, length)
        report = GoldReport(max_pieces=3)
        return [answers for _, answers in gold_rows(gold, pipe._reader(), report)], report

    [gold] = examples(blank, [(TEXT, [("Who?", TEXT)])])
    context = pipe._reader().context(gold.predicted)
    pieces = len(context.ids)
    [row, *_] = pipe._reader().rows(0, 0, context, "Who?")
    room = pieces + len(row.plan.ids)
    answers, report = learned(room)
    assert answers == [[(0, pieces - 1)]]
    assert (report.total, report.too_long, dict(report.missed)) == (1, 1, {})
    answers, report = learned(room - 1)
    assert answers == []
    assert dict(report.missed) == {"in no window as a whole": 1}


def test_a_gold_answer_that_no_piece_holds_is_reported(blank, tmp_path) -> None:
    write_word_piece(tmp_path)
    tokenizer, windows = PieceTokenizer(read_files(tmp_path)), StridedWindows(508, 128)
    settings = {"max_question_pieces": 64, "max_entities": 0, "separators": 2}
    reader = QuestionReader(tokenizer, EntityVocab(ENTITIES), windows, **settings)
    doc, report = Doc(blank.vocab, words=["Ada", "\n", "met"]), GoldReport()
    doc._.answers = [Answer("Who?", doc[1:2])]
    assert list(gold_rows(Example(doc.copy(), doc), reader, report)) == []
    assert dict(report.missed) == {"not in the text of the Doc": 1}


def test_answers_that_are_too_long_to_be_predicted_are_reported(blank, qa_checkpoint) -> None:
    gold = examples(blank, [(TEXT, [("Who?", "Ada"), ("What?", TEXT)])])
    pipe = blank.get_pipe("luke_qa")
    pipe.initialize(lambda: gold, checkpoint=str(qa_checkpoint))
    pieces = len(pipe._reader().context(gold[0].predicted).chars)
    pipe.max_answer_pieces = pieces - 1
    with pytest.warns(LukeWarning, match=rf"W029.*1 of 2.*{pieces - 1} pieces"):
        pipe._prepare(lambda: gold)
    pipe.max_answer_pieces = pieces
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        pipe._prepare(lambda: gold)


def test_an_answer_in_a_token_that_the_predicted_doc_lacks_is_reported(blank, pipe) -> None:
    reference = blank.make_doc("Ada met Bo.")
    reference._.answers = [gold_answer(reference, "Who?", "Bo")]
    predicted = Doc(blank.vocab, words=["Ada", "metBo."], spaces=[True, False])
    with pytest.warns(LukeWarning, match=r"W017.*1 of 1.*not in the text of the Doc.*'Bo' \(Who\?\)"):
        pipe._prepare(lambda: [Example(predicted, reference)])


def test_a_long_question_is_reported_before_training(blank, qa_checkpoint) -> None:
    gold = examples(blank, [(TEXT, [("Who " * 100, "Ada")])])
    with pytest.warns(LukeWarning, match=r"W015.*1 questions"):
        blank.get_pipe("luke_qa").initialize(lambda: gold, checkpoint=str(qa_checkpoint))


# Where training starts from


def test_a_checkpoint_with_the_head_keeps_it(pipe, qa_checkpoint) -> None:
    head = LukeForQuestionAnswering.from_pretrained(qa_checkpoint).qa_outputs
    assert torch.equal(pipe._module.qa_outputs.weight, head.weight)
    assert pipe.labels == ()
    assert pipe.label_data is None


def test_labels_have_no_meaning(blank, qa_checkpoint) -> None:
    pipe = blank.get_pipe("luke_qa")
    pipe.initialize(lambda: examples(blank), checkpoint=str(qa_checkpoint), labels=["A", "B", "C"])
    assert pipe.labels == ()


def _write_roberta(folder: Path) -> None:
    pieces = write_byte_bpe(folder)
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    RobertaModel(RobertaConfig(vocab_size=pieces, max_position_embeddings=130, **settings)).save_pretrained(folder)


def _write_bert(folder: Path) -> None:
    pieces = write_word_piece(folder)
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=pieces, max_position_embeddings=128, **settings)).save_pretrained(folder)


@pytest.mark.parametrize("write", [_write_roberta, _write_bert])
def test_other_encoders_get_a_new_head(blank, tmp_path, write) -> None:
    (tmp_path / "encoder").mkdir()
    write(tmp_path / "encoder")
    pipe = blank.get_pipe("luke_qa")
    gold = examples(blank)
    pipe.initialize(lambda: gold, checkpoint=str(tmp_path / "encoder"))
    sgd = adam(0.002)
    first = blank.update(gold, sgd=sgd, losses={})["luke_qa"]
    for _ in range(20):
        last = blank.update(gold, sgd=sgd, losses={})["luke_qa"]
    assert last < first / 2
    doc = gold[0].predicted.copy()
    [answer] = pipe.answer(doc, QUESTIONS[0])
    assert answer.span is None or answer.text in doc.text


def test_a_checkpoint_with_another_head_gives_its_encoder(blank, checkpoint, tmp_path) -> None:
    pipe = blank.get_pipe("luke_qa")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        pipe.initialize(lambda: examples(blank), checkpoint=str(checkpoint))
    assert pipe._require_weights().entity_vocab["London"] == 3, "the entity vocabulary is kept"
    pipe.to_disk(tmp_path / "saved")
    assert open_checkpoint(tmp_path / "saved").labels == ()
    model = LukeForQuestionAnswering.from_pretrained(tmp_path / "saved")
    assert torch.equal(model.qa_outputs.weight, pipe._module.qa_outputs.weight)
    assert (pipe.windows.max_pieces, pipe.windows.stride) == (124, 128)


def test_without_a_checkpoint_the_encoder_of_the_box_is_trained(blank) -> None:
    pipe = blank.get_pipe("luke_qa")
    gold = examples(blank)
    pipe.initialize(lambda: gold)
    assert blank.update(gold, sgd=adam(1e-4), losses={})["luke_qa"] > 0


def test_data_without_any_answer_is_reported(blank, qa_checkpoint) -> None:
    gold = examples(blank)
    for example in gold:
        example.reference._.answers = None
    with pytest.warns(LukeWarning, match=rf"W018.*none of {len(gold)} Docs.*store_user_data"):
        blank.get_pipe("luke_qa").initialize(lambda: gold, checkpoint=str(qa_checkpoint))


def test_of_no_data_nothing_is_reported(blank, qa_checkpoint) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        blank.get_pipe("luke_qa").initialize(lambda: [], checkpoint=str(qa_checkpoint))


def test_a_component_that_was_not_initialised_trains_the_model_in_the_box(blank) -> None:
    with pytest.warns(LukeWarning, match="W001"):
        losses = blank.get_pipe("luke_qa").update(examples(blank))
    assert losses["luke_qa"] > 0


def test_training_resumes_from_a_saved_pipeline(blank, pipe, tmp_path) -> None:
    gold = examples(blank)
    blank.update(gold, sgd=adam())
    blank.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    sgd = loaded.resume_training()
    first = loaded.update(examples(loaded), sgd=sgd, losses={})["luke_qa"]
    assert first == pytest.approx(blank.update(gold, losses={})["luke_qa"], abs=1e-5)


# The config


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    nlp = spacy.blank("en")
    docs = [example.reference for example in examples(nlp) * 3]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    return tmp_path / "corpus.spacy"


def test_the_config_trains_from_a_checkpoint(qa_checkpoint, corpus, tmp_path) -> None:
    overrides = {
        **short(corpus, qa_checkpoint),
        "training.accumulate_gradient": 2,
        "components.luke_qa.windows.max_pieces": 100,
    }
    best = trained(Config().from_disk(CONFIG, overrides=overrides), tmp_path / "out")
    assert best.get_pipe("luke_qa").windows.max_pieces == 100
    assert 0 <= best.meta["performance"]["qa_f1"] <= 1
    assert str(tmp_path) not in (tmp_path / "out" / "model-best" / "luke_qa" / "config.json").read_text()


def test_the_config_is_complete(corpus) -> None:
    config = Config().from_disk(CONFIG, overrides={"paths.train": str(corpus), "paths.dev": str(corpus)})
    nlp = spacy.util.load_model_from_config(config, auto_fill=False, validate=True)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    assert nlp.config["components"] == filled["components"]
    assert set(filled["training"]["score_weights"]) == set(config["training"]["score_weights"])
