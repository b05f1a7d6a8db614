"""Words that a tokenizer was given: found as transformers finds them, aligned with the text, and kept in files."""

from __future__ import annotations

import copy
import json
import pickle
import unicodedata
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from transformers import (
    AddedToken,
    BertTokenizerFast,
    LongformerTokenizer,
    LongformerTokenizerFast,
    LukeTokenizer,
    MLukeTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    XLMRobertaTokenizerFast,
)

from spacy_luke.errors import LukeError
from spacy_luke.tokenization.loading import read_tokenizer_files
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.tokenization.ugly import parts, texts_with_spans
from tests.util import ENTITIES, SPECIAL_STRINGS, write_byte_bpe, write_unigram, write_word_piece

ADDED = [
    "MVX",
    "MVX-12",
    "New York",
    "K\u00e9torol",
    AddedToken("\t", normalized=False),
    AddedToken("left", lstrip=True),
    AddedToken("right", rstrip=True),
    AddedToken("both", lstrip=True, rstrip=True, normalized=False),
    AddedToken("alone", single_word=True),
    AddedToken("Raw", normalized=False),
    AddedToken("Both Alone", lstrip=True, rstrip=True, single_word=True),
]
CONTENTS = [str(token) for token in ADDED]


def _luke(folder: Path) -> PreTrainedTokenizerBase:
    write_byte_bpe(folder)
    (folder / "entities.json").write_text(json.dumps(ENTITIES))
    names = ("vocab.json", "merges.txt", "entities.json")
    return LukeTokenizer(*(str(folder / name) for name in names), task="entity_span_classification")


def _mluke(folder: Path) -> PreTrainedTokenizerBase:
    write_unigram(folder)
    (folder / "entities.json").write_text(json.dumps(ENTITIES))
    return MLukeTokenizer(
        str(folder / "sentencepiece.bpe.model"), str(folder / "entities.json"), task="entity_span_classification"
    )


def _longformer(kind: Any, **settings: Any) -> Callable[[Path], PreTrainedTokenizerBase]:
    def make(folder: Path) -> PreTrainedTokenizerBase:
        write_byte_bpe(folder)
        return kind(str(folder / "vocab.json"), str(folder / "merges.txt"), **settings)

    return make


def _bert(folder: Path) -> PreTrainedTokenizerBase:
    write_word_piece(folder)
    return BertTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


def _xlm_roberta(folder: Path) -> PreTrainedTokenizerBase:
    write_unigram(folder)
    return XLMRobertaTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


def _mluke_of_transformers_5(folder: Path) -> PreTrainedTokenizerBase:
    """Without SentencePiece's normalisation: white space is pieces."""
    write_unigram(folder)
    data = json.loads((folder / "tokenizer.json").read_bytes())
    quotes = [{"type": "Replace", "pattern": {"String": two}, "content": '"'} for two in ("``", "''")]
    data["normalizer"] = {"type": "Sequence", "normalizers": quotes}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    names = {
        "cls_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **names)


MAKERS: dict[str, Callable[[Path], PreTrainedTokenizerBase]] = {
    "luke": _luke,
    "mluke": _mluke,
    "longformer_slow": _longformer(LongformerTokenizer),
    "longformer": _longformer(LongformerTokenizerFast),
    "longformer_prefix": _longformer(LongformerTokenizerFast, add_prefix_space=True),
    "bert": _bert,
    "xlm_roberta": _xlm_roberta,
    "mluke_5": _mluke_of_transformers_5,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Files that transformers saves of each tokenizer with added tokens."""
    found = {}
    for name, make in MAKERS.items():
        tokenizer = make(tmp_path_factory.mktemp("source"))
        assert tokenizer.add_tokens(ADDED) == len(ADDED)
        found[name] = tmp_path_factory.mktemp(name)
        tokenizer.save_pretrained(found[name])
    return found


@pytest.fixture(scope="module")
def references(folders) -> dict[str, PreTrainedTokenizerBase]:
    kinds = {"luke": LukeTokenizer, "mluke": MLukeTokenizer, "longformer_slow": LongformerTokenizer}
    kinds["mluke_5"] = PreTrainedTokenizerFast
    kinds |= {"bert": BertTokenizerFast, "xlm_roberta": XLMRobertaTokenizerFast}
    return {name: kinds.get(name, LongformerTokenizerFast).from_pretrained(folders[name]) for name in MAKERS}


@pytest.fixture(scope="module")
def ours(folders) -> dict[str, PieceTokenizer]:
    return {name: PieceTokenizer(read_tokenizer_files(folder)) for name, folder in folders.items()}


glued = st.lists(st.one_of(st.sampled_from([*CONTENTS, " ", " ", "  ", ".", "x", "\n"]), parts), max_size=10)
texts = glued.map("".join).filter(lambda text: not any(special in text for special in SPECIAL_STRINGS))


def unknown(tokenizer: PieceTokenizer, ids: list[int]) -> bool:
    return tokenizer.special.unk in ids


@pytest.mark.parametrize("name", ["luke", "mluke"])
@given(example=texts_with_spans(texts))
def test_texts_with_spans_equal_those_of_the_slow_tokenizers(ours, references, name, example):
    text, spans = example
    encoded = references[name](text, entity_spans=spans)
    found = ours[name].encode_text(text, [edge for span in spans for edge in span])
    # SentencePiece's unknown words may be looked up among the added tokens, and ours are never without pieces.
    assume(name == "luke" or not unknown(ours[name], found.ids.tolist()))
    assert found.ids.tolist() == encoded["input_ids"][1:-1]
    assert [found.boundary_index[start] + 1 for start, _ in spans] == encoded["entity_start_positions"]
    assert [found.boundary_index[end] for _, end in spans] == encoded["entity_end_positions"]


@pytest.mark.parametrize("name", ["longformer_slow", "longformer", "longformer_prefix", "bert", "mluke_5"])
@example(text="MVX met Raw met")
@example(text=" MVX  met both met")
@given(text=texts)
def test_texts_equal_those_of_transformers(ours, references, name, text):
    expected = references[name](text, add_special_tokens=False)["input_ids"]
    if expected or not text.strip():
        assert ours[name].encode_text(text, []).ids.tolist() == expected


@given(parts=st.lists(st.sampled_from([*CONTENTS, " ", ".", "Ada", "met", "\uff26"]), max_size=10))
def test_texts_equal_those_of_xlm_roberta(ours, references, parts):
    """The white space before an added token is a piece of the fast tokenizer of transformers 4."""
    text = "".join(parts)
    assume("  " not in text and "\t" not in text)
    expected = references["xlm_roberta"](text, add_special_tokens=False)["input_ids"]
    assert ours["xlm_roberta"].encode_text(text, []).ids.tolist() == expected


@pytest.mark.parametrize("name", MAKERS)
@given(example=texts_with_spans(texts))
def test_added_pieces_lie_where_they_are_written(ours, name, example):
    """With the white space that they take away; an added token in which the text is cut is none."""
    text, spans = example
    edges = [edge for span in spans for edge in span]
    found, data = ours[name].encode_text(text, edges), text.encode("utf8")
    contents = {token.id: token.content for token in ours[name].added.values() if not token.special}
    assert (found.byte_spans[1:, 0] >= found.byte_spans[:-1, 0]).all()
    assert (found.byte_spans[:, 0] <= found.byte_spans[:, 1]).all()
    for piece, (start, end) in zip(found.ids.tolist(), found.byte_spans.tolist(), strict=True):
        if piece in contents:
            written = data[start:end].decode("utf8")
            # Characters that the normaliser drops, such as soft hyphens, belong to the piece before them.
            visible = "".join(ch for ch in written if unicodedata.category(ch) not in ("Cc", "Cf"))
            assert visible.strip().casefold() == contents[piece].strip().casefold()
            chars = len(data[:start].decode("utf8")), len(data[:end].decode("utf8"))
            inner = chars[0] + len(written) - len(written.lstrip()), chars[1] - len(written) + len(written.rstrip())
            assert not any(inner[0] < edge < inner[1] for edge in edges)


@pytest.mark.parametrize("dropped", ["\x1f", "\x1f\x1f", "\u200b\x1f"])
def test_characters_that_normalise_to_nothing_do_not_shift_added_tokens(ours, dropped):
    tokenizer = ours["xlm_roberta"]
    for text in (f"{dropped}000MVX", f"{dropped}MVX and MVX", f"a{dropped}MVX"):
        found = tokenizer.encode_text(text, [])
        spans = [
            s
            for i, s in zip(found.ids.tolist(), found.byte_spans.tolist(), strict=True)
            if i == tokenizer.added["MVX"].id
        ]
        assert [text.encode()[a:b] for a, b in spans] == [b"MVX"] * text.count("MVX")


def test_white_space_that_two_added_tokens_claim_is_that_of_the_second(ours):
    """The library finds a tab that is an added token, and the token before it takes it away, too."""
    tokenizer, text = ours["xlm_roberta"], "MVXboth\tMVX"
    found = tokenizer.encode_text(text, [0, 1])
    contents = {token.id: token.content for token in tokenizer.added.values()}
    written = [
        (contents[piece], text[start:end])
        for piece, (start, end) in zip(found.ids.tolist(), found.byte_spans.tolist(), strict=True)
        if contents.get(piece) in ("both", "\t", "MVX")
    ]
    assert written == [("both", "both"), ("\t", "\t"), ("MVX", "MVX")]


@pytest.mark.parametrize("name", ["luke", "longformer", "longformer_slow"])
@given(text=texts)
def test_byte_spans_of_byte_level_pieces_tile_the_text(ours, name, text):
    spans = ours[name].encode_text(text, []).byte_spans.tolist()
    assert [start for start, _ in spans] == [0, *(end for _, end in spans)][: len(spans)]
    assert (spans[-1][1] if spans else 0) == len(text.encode("utf8"))


@pytest.mark.parametrize("name", MAKERS)
@given(items=st.lists(st.tuples(st.one_of(st.sampled_from([*CONTENTS, "x", " "]), parts), st.booleans()), max_size=8))
def test_words_equal_the_text_cut_at_every_word_edge(ours, name, items):
    words, spaces = [word for word, _ in items if word], [space for word, space in items if word]
    text = "".join(word + " " * space for word, space in zip(words, spaces, strict=True))
    starts = np.cumsum([0, *(len(w) + s for w, s in zip(words, spaces, strict=True))]).tolist()
    bounds = [(start, start + len(word)) for start, word in zip(starts, words, strict=False)]
    cut = ours[name].encode_text(text, [edge for bound in bounds for edge in bound])
    found = ours[name].encode_words(words, spaces)
    assert found.ids.tolist() == cut.ids.tolist()
    assert found.starts.tolist() == [cut.boundary_index[start] for start, _ in bounds]
    assert found.ends.tolist() == [cut.boundary_index[end] for _, end in bounds]


@pytest.mark.parametrize("name", MAKERS)
def test_special_tokens_stay_text(ours, name):
    special = {token.id for token in ours[name].added.values() if token.special} - {ours[name].special.unk}
    assert special
    for text in SPECIAL_STRINGS:
        assert not special & set(ours[name].encode_text(f"a {text} MVX{text}", []).ids.tolist())


def test_a_token_that_is_flagged_special_stays_text_though_no_role_names_it(folders):
    files = read_tokenizer_files(folders["longformer"])
    config = json.loads(files["tokenizer_config.json"])
    described = {i: {**token, "special": True} for i, token in config["added_tokens_decoder"].items()}
    data = json.loads(files["tokenizer.json"])
    data["added_tokens"] = [{**token, "special": True} for token in data["added_tokens"]]
    files["tokenizer_config.json"] = json.dumps({**config, "added_tokens_decoder": described}).encode()
    files["tokenizer.json"] = json.dumps(data).encode()
    tokenizer = PieceTokenizer(files)
    assert all(token.special for token in tokenizer.added.values())
    assert tokenizer.added["MVX"].id not in tokenizer.encode_text("a MVX b", []).ids


@pytest.mark.parametrize("name", MAKERS)
def test_an_added_token_is_written_as_it_is(ours, name):
    for content in CONTENTS:
        assert ours[name].text_of(content) == content
    assert ours[name].rows == 1 + max(token.id for token in ours[name].added.values())


# --- files


def test_files_without_flags_are_read_as_by_transformers(folders):
    """added_tokens.json alone, as older versions wrote it."""
    files = read_tokenizer_files(folders["luke"])
    config = json.loads(files["tokenizer_config.json"])
    del config["added_tokens_decoder"]
    files["tokenizer_config.json"] = json.dumps(config).encode()
    tokenizer = PieceTokenizer(files)
    assert {token.content for token in tokenizer.added.values() if not token.special} == set(CONTENTS)
    left = tokenizer.added["left"].id
    assert tokenizer.encode_text("a left", []).ids.tolist()[-2:] == [tokenizer.vocab["\u0120"], left]


def test_the_layout_of_transformers_5_is_read(folders, tmp_path, ours):
    """tokenizer.json and a tokenizer_config.json without tokens; LUKE has a fast tokenizer there."""
    config = {"backend": "tokenizers", "tokenizer_class": "LukeTokenizer", "mask_token": "<mask>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_bytes((folders["longformer"] / "tokenizer.json").read_bytes())
    tokenizer = PieceTokenizer(read_tokenizer_files(tmp_path))
    for text in ("x alone. New York left MVX-12", "aloneMVX right x"):
        expected = ours["longformer"].encode_text(text, []).ids.tolist()
        assert tokenizer.encode_text(text, []).ids.tolist() == expected
    assert tokenizer.added["alone"].id in tokenizer.encode_text("(alone)", []).ids.tolist()
    assert ours["luke"].added["alone"].id not in ours["luke"].encode_text("(alone)", []).ids.tolist()


def test_a_token_that_normalises_to_nothing_is_not_found(folders):
    """The library itself fails on every text then."""
    files = read_tokenizer_files(folders["xlm_roberta"])
    data = json.loads(files["tokenizer.json"])
    token = {"id": 9999, "content": "\t", "special": False, "normalized": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    files["tokenizer.json"] = json.dumps({**data, "added_tokens": [*data["added_tokens"], token | flags]}).encode()
    config = json.loads(files["tokenizer_config.json"])
    config["added_tokens_decoder"] = {}
    files["tokenizer_config.json"] = json.dumps(config).encode()
    tokenizer = PieceTokenizer(files)
    assert 9999 not in tokenizer.encode_text("Ada\tmet MVX", []).ids.tolist()
    assert tokenizer.added["MVX"].id in tokenizer.encode_text("Ada\tmet MVX", []).ids.tolist()


@pytest.mark.parametrize(
    "token",
    [
        "MVX",
        None,
        {"id": 500},
        {"content": "MVX"},
        {"id": "500", "content": "MVX"},
        {"id": -1, "content": "MVX"},
        {"id": True, "content": "MVX"},
    ],
    ids=str,
)
def test_a_broken_added_token_raises_l022_with_its_file(folders, token):
    files = read_tokenizer_files(folders["bert"])
    data = json.loads(files["tokenizer.json"])
    broken = {**files, "tokenizer.json": json.dumps({**data, "added_tokens": [token]}).encode()}
    with pytest.raises(LukeError, match=r"L022.*tokenizer\.json.*(added token|half a character)"):
        PieceTokenizer(broken)
    by_id = {"x" if token != {"id": -1, "content": "MVX"} else "-1": token}
    config = json.dumps({"added_tokens_decoder": by_id}).encode()
    with pytest.raises(LukeError, match=r"L022.*tokenizer_config\.json.*(added token|half a character)"):
        PieceTokenizer({**files, "tokenizer_config.json": config})


@pytest.mark.parametrize("content", [b'{"MVX": "3"}', b'{"MVX": -3}', b'{"MVX": null}'])
def test_broken_ids_of_added_tokens_raise_l022(folders, content):
    with pytest.raises(LukeError, match=r"L022.*added_tokens\.json.*(added token|half a character)"):
        PieceTokenizer({**read_tokenizer_files(folders["luke"]), "added_tokens.json": content})


def test_an_added_token_that_is_a_piece_of_another_id_raises_l028(folders):
    files = read_tokenizer_files(folders["longformer"])
    data = json.loads(files["tokenizer.json"])
    number = data["model"]["vocab"]["e"]
    for changed in (number, number + 1):
        token = {**data["added_tokens"][-1], "id": changed, "content": "e", "special": False}
        content = json.dumps({**data, "added_tokens": [*data["added_tokens"], token]}).encode()
        with (
            pytest.raises(LukeError, match=rf"L028.*'e' has the id {changed}, and {number} as")
            if changed > number
            else nullcontext()
        ):
            PieceTokenizer({**files, "tokenizer.json": content})


@pytest.mark.parametrize("name", ["added_tokens", "added_tokens_decoder"])
def test_added_tokens_of_another_form_raise_l022(folders, name):
    files = read_tokenizer_files(folders["bert"])
    file = "tokenizer.json" if name == "added_tokens" else "tokenizer_config.json"
    data = json.loads(files[file])
    with pytest.raises(LukeError, match=rf"L022.*{file}.*added tokens"):
        PieceTokenizer({**files, file: json.dumps({**data, name: "MVX"}).encode()})


def test_a_copy_finds_the_same(ours):
    text = "x alone New York left MVX-12"
    for tokenizer in ours.values():
        expected = tokenizer.encode_text(text, []).ids.tolist()
        for made in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer)), PieceTokenizer(tokenizer.files)):
            assert made.encode_text(text, []).ids.tolist() == expected
