"""Reading a folder: every layout of weights, and an error that names what is wrong with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import LukeForEntitySpanClassification, LukeForMaskedLM

from spacy_luke.checkpoints.heads import SPAN_CLASSIFIER
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.weights import PickledWeights, SafetensorsWeights
from spacy_luke.errors import LukeError
from tests.util import ENTITIES, luke_config, make_input, randomise, reference_input, write_longformer, write_luke

BATCH = make_input([12, 8], [[(1, 3), (4, 9)], [(2, 3)]])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder that transformers wrote, and the model in it."""
    folder = tmp_path_factory.mktemp("original")
    return folder, write_luke(folder)


@pytest.fixture
def folder(original, tmp_path) -> Path:
    """A copy to be spoiled."""
    return shutil.copytree(original[0], tmp_path / "copy")


def states(folder: Path, entity_vocab: str = "full") -> torch.Tensor:
    with torch.no_grad():
        return open_checkpoint(folder).load_encoder(entity_vocab).eval()(BATCH).pieces


def expected(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(**reference_input(BATCH)).last_hidden_state


def edit(folder: Path, **changes: object) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, **changes}))


def respell(name: str) -> str:
    """The names of old TensorFlow conversions."""
    if "LayerNorm" not in name:
        return name
    return name.replace("weight", "gamma").replace("bias", "beta")


def test_what_was_saved_keeps_its_entities_unless_the_special_ones_are_asked_for(original):
    saved = replace(open_checkpoint(original[0]), saved=True)
    every, rows = saved.select_entities("titles.json")
    assert every.equals(saved.entity_vocab)
    assert rows is None
    special, rows = saved.select_entities("special")
    assert len(special) == len(rows) < len(every)


def test_a_pooler_is_there_if_it_is_asked_for(original):
    checkpoint = open_checkpoint(original[0])
    assert checkpoint.load_encoder().pooler is not None
    assert checkpoint.load_encoder(pooling=False).pooler is None


# --- layouts


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_weights_are_read_from_one_file_or_shards_in_both_formats(tmp_path, original, safe, shard):
    write_luke(tmp_path, original[1], safe_serialization=safe, max_shard_size=shard)
    shards = len(list(tmp_path.glob("*.safetensors" if safe else "*.bin")))
    assert (shards > 1) == (shard == "20KB")
    assert torch.allclose(states(tmp_path)[BATCH.piece_mask], expected(original[1])[BATCH.piece_mask], atol=1e-4)


@pytest.mark.parametrize("safe", [True, False])
def test_legacy_names_and_buffers_are_understood(folder, original, safe):
    weights = {respell(name): t for name, t in load_file(folder / "model.safetensors").items()}
    weights["embeddings.position_ids"] = torch.arange(130)[None]
    (folder / "model.safetensors").unlink()
    if safe:
        save_file(weights, folder / "model.safetensors")
    else:
        torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert torch.allclose(states(folder)[BATCH.piece_mask], expected(original[1])[BATCH.piece_mask], atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_become_float32(folder, dtype):
    weights = {name: t.to(dtype) for name, t in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    encoder = open_checkpoint(folder).load_encoder()
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert torch.equal(encoder.pooler.weight, weights["pooler.dense.weight"].float())


def test_parameters_share_no_memory_and_can_be_trained(folder):
    encoder = open_checkpoint(folder).load_encoder()
    parameters = list(encoder.parameters())
    assert len({p.untyped_storage().data_ptr() for p in parameters}) == len(parameters)
    assert all(p.requires_grad for p in parameters)


def test_an_encoder_is_read_from_a_model_with_another_head(tmp_path):
    model = randomise(LukeForMaskedLM(luke_config()))
    write_luke(tmp_path, model)
    assert torch.allclose(states(tmp_path)[BATCH.piece_mask], expected(model.luke)[BATCH.piece_mask], atol=1e-4)


def test_labels_are_read_in_the_order_of_their_ids(tmp_path):
    labels = {i: f"LABEL {i}" for i in range(12)}
    write_luke(tmp_path, LukeForEntitySpanClassification(luke_config(id2label=labels)))
    assert open_checkpoint(tmp_path).labels == tuple(labels.values())


@pytest.mark.parametrize(("settings", "count"), [({}, 2), ({"num_labels": 3}, 3), ({"num_labels": 0}, 0)])
def test_labels_without_names_are_numbered_as_by_transformers(tmp_path, settings, count):
    write_luke(tmp_path, LukeForEntitySpanClassification(luke_config(id2label=dict(enumerate("ABC")))))
    file = tmp_path / "config.json"
    config = json.loads(file.read_text(encoding="utf8"))
    named = ("id2label", "label2id", "num_labels")
    file.write_text(json.dumps({**{k: v for k, v in config.items() if k not in named}, **settings}), encoding="utf8")
    assert open_checkpoint(tmp_path).labels == tuple(f"LABEL_{i}" for i in range(count))


def test_a_new_head_has_as_many_rows_as_asked_for(folder):
    module, _ = open_checkpoint(folder).load_task_module(SPAN_CLASSIFIER, "special", labels=7)
    assert module.classifier.weight.shape == (7, 96)
    assert not module.classifier.bias.any()


# --- the entity vocabulary


def test_special_keeps_the_special_entities_and_their_rows(folder, original):
    checkpoint = open_checkpoint(folder)
    module, vocab = checkpoint.load_task_module(SPAN_CLASSIFIER, "special", labels=2)
    table = original[1].entity_embeddings.entity_embeddings.weight
    assert len(vocab) == 4
    assert module.encoder.config.entity_vocab_size == 4
    for title in ("[PAD]", "[UNK]", "[MASK]", "[MASK2]"):
        assert torch.equal(module.encoder.entity_embeddings.entity.weight[vocab[title]], table[ENTITIES[title]])


def test_a_file_of_titles_keeps_those_that_are_known(folder, original, tmp_path):
    (tmp_path / "titles.txt").write_text("Babbage\nNobody\n\nLondon\n")
    module, vocab = open_checkpoint(folder).load_task_module(SPAN_CLASSIFIER, str(tmp_path / "titles.txt"), labels=2)
    table = original[1].entity_embeddings.entity_embeddings.weight
    assert len(vocab) == 6
    assert "Nobody" not in vocab
    for title in ("Babbage", "London"):
        assert torch.equal(module.encoder.entity_embeddings.entity.weight[vocab[title]], table[ENTITIES[title]])


def test_full_keeps_rows_that_have_no_title(folder):
    (folder / "entity_vocab.json").write_text(json.dumps({t: i for t, i in ENTITIES.items() if i < 5}))
    assert open_checkpoint(folder).load_encoder("full").config.entity_vocab_size == len(ENTITIES)


def test_an_entity_vocabulary_without_specials_raises_l026(folder):
    (folder / "entity_vocab.json").write_text('{"[PAD]": 0, "[UNK]": 1}')
    with pytest.raises(LukeError, match=r"L026.*\[MASK\], \[MASK2\]"):
        open_checkpoint(folder)


def test_an_entity_id_beyond_the_table_raises_l032_with_the_title(folder):
    (folder / "entity_vocab.json").write_text(json.dumps({**ENTITIES, "Tokyo": 99}))
    with pytest.raises(LukeError, match=r"L032.*99.*'Tokyo'.*7 rows"):
        open_checkpoint(folder)


# --- what is wrong with a folder


def test_missing_keys_are_named(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.attention.self.w2e_query.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LukeError, match=r"L024.*Missing keys: encoder\.layer\.1\.attention\.self\.w2e_query\.bias\. "):
        states(folder)


def test_unknown_keys_are_named(folder):
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.adapter.weight"] = torch.zeros(2)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LukeError, match=r"L024.*Unknown keys: encoder\.layer\.0\.adapter\.weight\."):
        states(folder)


def test_layers_beyond_the_configuration_are_unknown_keys(folder):
    edit(folder, num_hidden_layers=1)
    with pytest.raises(LukeError, match=r"L024.*encoder\.layer\.1\..*and \d+ more"):
        states(folder)


def test_a_head_that_is_not_there_is_named(folder):
    edit(folder, architectures=["LukeForEntitySpanClassification"])
    with pytest.raises(LukeError, match=r"L024.*classifier\.bias, classifier\.weight"):
        open_checkpoint(folder).load_task_module(SPAN_CLASSIFIER, "special")


@pytest.mark.parametrize(
    ("setting", "value", "key"),
    [
        ("vocab_size", 1000, "embeddings.word_embeddings.weight"),
        ("entity_vocab_size", 8, "entity_embeddings.entity_embeddings.weight"),
        ("intermediate_size", 50, "encoder.layer.0.intermediate.dense"),
        ("max_position_embeddings", 90, "embeddings.position_embeddings.weight"),
    ],
)
@pytest.mark.parametrize("entity_vocab", ["special", "full"])
def test_weights_of_the_wrong_size_are_named_with_both_sizes(folder, setting, value, key, entity_vocab):
    edit(folder, **{setting: value})
    with pytest.raises(LukeError, match="L025") as error:
        states(folder, entity_vocab)
    assert key in str(error.value)
    assert str(value) in str(error.value)


def test_a_tokenizer_with_more_pieces_than_the_model_raises_l025(folder):
    """Else the first text with such a piece would fail, or read another row on the GPU."""
    edit(folder, vocab_size=300)
    with pytest.raises(
        LukeError, match=r"L025.*the tokenizer has pieces up to id \d+, config.json a vocab_size of 300"
    ):
        open_checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
@pytest.mark.parametrize("safe", [True, False])
def test_a_truncated_weight_file_raises_l022(tmp_path, original, keep, safe):
    write_luke(tmp_path, original[1], safe_serialization=safe)
    file = tmp_path / ("model.safetensors" if safe else "pytorch_model.bin")
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(LukeError, match="L022") as error:
        states(tmp_path)
    assert file.name in str(error.value)


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_no_bytes_make_a_weight_file_raise_anything_but_l022(tmp_path, data):
    file = tmp_path / "file"
    file.write_bytes(data)
    for kind in (SafetensorsWeights, PickledWeights):
        with pytest.raises(LukeError, match="L022"):
            kind([file])


class Malicious:
    def __reduce__(self):
        return os.mkdir, (self.path,)

    def __init__(self, path: str):
        self.path = path


@pytest.mark.parametrize("new_format", [True, False])
def test_a_malicious_pickle_is_refused_and_executes_nothing(folder, new_format):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    harm = folder / "harm"
    torch.save(
        {**weights, "x": Malicious(str(harm))},
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=new_format,
    )
    with pytest.raises(LukeError, match=r"L022.*pytorch_model\.bin"):
        states(folder)
    assert not harm.exists()


@pytest.mark.parametrize("new_format", [True, False])
def test_the_message_does_not_repeat_the_advice_to_unpickle_without_restrictions(folder, new_format):
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    torch.save({"x": Malicious("harm")}, file, _use_new_zipfile_serialization=new_format)
    with pytest.raises(LukeError, match=r"L022.*unsupported GLOBAL \w+\.mkdir") as raised:
        open_checkpoint(folder)
    assert "weights_only" not in str(raised.value)
    assert "trusted" not in str(raised.value)


def test_an_archive_with_compressed_entries_is_refused(folder):
    """torch never writes one. It would read the compressed bytes as weights, or unpack a bomb."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "stored.bin")
    with (
        zipfile.ZipFile(folder / "stored.bin") as stored,
        zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in stored.infolist():
            packed.writestr(entry.filename, stored.read(entry))
    with pytest.raises(LukeError, match=r"L022.*pytorch_model\.bin.*is compressed"):
        open_checkpoint(folder)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.zeros(1).expand(10**6, 10**6), r"\(1000000, 1000000\) and has 4 bytes"),
        (torch.zeros(3, 3).to_sparse(), "no plain tensor"),
        (torch.zeros(3, device="meta"), "no plain tensor"),
        (torch.zeros(3, dtype=torch.complex64), "no plain tensor"),
    ],
    ids=["expanded", "sparse", "meta", "complex"],
)
def test_a_tensor_that_is_larger_than_its_values_or_no_plain_one_is_refused(folder, tensor, why, new_format):
    (folder / "model.safetensors").unlink()
    torch.save({"x": tensor}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=new_format)
    with pytest.raises(LukeError, match=f"L022.*x is {why}"):
        open_checkpoint(folder)


def test_a_pickle_that_holds_no_weights_raises_l022(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"model": {"a": torch.zeros(1)}}, folder / "pytorch_model.bin")
    with pytest.raises(LukeError, match=r"L022.*no dictionary of tensors"):
        states(folder)


def test_a_missing_shard_is_named(tmp_path, original):
    write_luke(tmp_path, original[1], max_shard_size="20KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(LukeError, match=f"L021.*{shard.name}"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../b"}}',
    ],
)
def test_a_broken_index_of_shards_raises_l022(folder, content):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(LukeError, match=r"L022.*index\.json"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "entity_vocab.json"])
def test_a_missing_file_raises_l021_with_its_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(LukeError, match=f"L021.* has no {name}"):
        open_checkpoint(folder)


def test_a_spacy_pipeline_is_named_with_its_components(folder, tmp_path):
    pipeline = tmp_path / "pipeline"
    pipeline.mkdir()
    (pipeline / "meta.json").write_text("{}", encoding="utf8")
    with pytest.raises(LukeError, match=r"L053.*none of this package"):
        open_checkpoint(pipeline)
    folder.rename(pipeline / "luke_ner")
    with pytest.raises(LukeError, match=r"L053.*pipeline.luke_ner"):
        open_checkpoint(pipeline)


def test_a_missing_tokenizer_raises_l028(folder):
    (folder / "vocab.json").unlink()
    with pytest.raises(LukeError, match=r"L028.*merges\.txt"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "entity_vocab.json", "vocab.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe{}", b"null"])
def test_broken_json_raises_l022_with_the_name_of_the_file(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(LukeError, match=f"L022.*{name}"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": None},
        {"id2label": {"0": "A", "2": "B"}, "architectures": ["LukeForEntitySpanClassification"]},
        {"id2label": ["A"], "architectures": ["LukeForEntitySpanClassification"]},
        {"id2label": None, "num_labels": "two", "architectures": ["LukeForEntitySpanClassification"]},
        {"architectures": "LukeModel"},
        {"spacy_luke": "case"},
        {"spacy_luke": {"windows": 3}},
        {"spacy_luke": {"windows": {"a": 1}}},
        {"spacy_luke": {"span_filter": {"a": 1}}},
        {"spacy_luke": {"span_filter": [1]}},
        {"spacy_luke": {"piece_types": 3}},
        {"spacy_luke": {"attribute": ["pos"]}},
        {"spacy_luke": {"max_pieces": "many"}},
        {"spacy_luke": {"max_pieces": -1}},
        {"spacy_luke": {"type_pairs": [["PER"]]}},
        {"spacy_luke": {"single_tail": "born_in"}},
        {"spacy_luke": {"single_tail": [1]}},
        {"spacy_luke": {"type_pairs": {"PER": "LOC"}}},
    ],
    ids=str,
)
def test_a_wrong_value_in_config_json_raises_l004(folder, changes):
    edit(folder, **changes)
    with pytest.raises(LukeError, match=f"L004.*{next(iter(changes)) if len(changes) == 1 else ''}"):
        open_checkpoint(folder)


DEEP = "[" * 10**5
HEAD = {"architectures": ["LukeForEntitySpanClassification"]}


@pytest.mark.parametrize("name", ["config.json", "entity_vocab.json", "vocab.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (DEEP, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "digits"),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ('{"\\ud800": 1}', "half a character"),
    ],
    ids=["deep", "number", "twice", "half a pair"],
)
def test_absurd_json_raises_l022_with_the_name_of_the_file(folder, name, content, why):
    (folder / name).write_text(content)
    with pytest.raises(LukeError, match=f"L022.*{name} cannot be read: .*{why}"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"num_hidden_layers": 10**6}, "L024", "1000000 layers .*there are 2"),
        ({"num_hidden_layers": 10**18}, "L024", "there are 2"),
        ({"hidden_size": 10**18 * 4}, "L025", "embeddings"),
        ({"vocab_size": 10**12}, "L025", "word_embeddings"),
        ({"entity_vocab_size": 10**12}, "L025", "entity_embeddings"),
        ({"entity_emb_size": 10**12}, "L025", "entity_embeddings"),
        ({"intermediate_size": 10**12}, "L025", "intermediate"),
        ({"max_position_embeddings": 10**12}, "L025", "position_embeddings"),
        ({"type_vocab_size": 10**12}, "L025", "token_type_embeddings"),
        ({"pad_token_id": 10**6}, "L004", "pad_token_id"),
        ({"id2label": None, "num_labels": 10**9, **HEAD}, "L004", "num_labels"),
        ({"id2label": None, "num_labels": -1, **HEAD}, "L004", "num_labels"),
        ({"id2label": None, "num_labels": True, **HEAD}, "L004", "num_labels"),
        ({"id2label": {"0": "A", "1": "B", "2": "A"}, **HEAD}, "L004", "several ids for 'A'"),
        ({"id2label": {"0": None}, **HEAD}, "L004", "id2label"),
        ({"id2label": {"0": "A", "00": "B"}, **HEAD}, "L004", "id2label"),
        ({"architectures": [["LukeModel"]]}, "L004", "architectures"),
        ({"architectures": {"a": 1}}, "L004", "architectures"),
        ({"layer_norm_eps": float("nan")}, "L004", "layer_norm_eps"),
        ({"hidden_dropout_prob": 10**400}, "L004", "hidden_dropout_prob"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_values_beyond_what_the_weights_hold_are_refused_before_anything_is_made(folder, changes, code, named):
    edit(folder, **changes)
    with pytest.raises(LukeError, match=f"{code}.*{named}") as raised:
        open_checkpoint(folder).load_encoder()
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("target", ["luke", "longformer"])
@pytest.mark.parametrize("name", ["type_vocab_size", "num_hidden_layers", "vocab_size", "intermediate_size"])
def test_values_beyond_the_weights_of_a_plain_encoder_are_refused(tmp_path, target, name):
    from tests.checkpoints.test_upcycle import write_source

    write_source(tmp_path, "roberta")
    edit(tmp_path, **{name: 10**9})
    with pytest.raises(LukeError, match=r"L02[45]"):
        open_checkpoint(tmp_path, plain_as=target).load_encoder(mentions=True)


def test_values_beyond_the_weights_of_a_longformer_are_refused(tmp_path):
    write_longformer(tmp_path)
    edit(tmp_path, num_hidden_layers=10**9, attention_window=4)
    with pytest.raises(LukeError, match=r"L024.*there are 3"):
        open_checkpoint(tmp_path).load_encoder(mentions=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("added_tokens.json", '{"x": "y"}'),
        ("added_tokens.json", '{"x": [1]}'),
        ("vocab.json", '{"<s>": "0"}'),
        ("vocab.json", '{"<s>": -1}'),
        ("vocab.json", '{"<s>": 1e400}'),
        ("merges.txt", b"\xff\xfe"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": [], "merges": 3}}'),
        ("tokenizer.json", '{"model": {"type": "WordPiece", "vocab": {"a": 0}}, "added_tokens": [3]}'),
        ("tokenizer.json", '{"model": {"type": "Unigram", "vocab": [["a", 0.0]]}, "normalizer": 3}'),
        ("tokenizer.json", '{"model": {"type": ["BPE"]}}'),
        ("tokenizer.json", '{"model": {"type": "WordPiece", "unk_token": "b", "vocab": {"a": 0}}}'),
        ("added_tokens.json", '{"!": 1}'),
    ],
)
def test_a_tokenizer_with_entries_of_another_kind_raises_l022_or_l028(folder, name, content):
    if name == "tokenizer.json":
        (folder / "vocab.json").unlink()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LukeError, match=r"L022|L028"):
        open_checkpoint(folder)


@pytest.mark.parametrize("changes", [{"model_type": "gpt2", "architectures": ["GPT2Model"]}, {"model_type": None}])
def test_an_unknown_architecture_raises_l023(folder, changes):
    edit(folder, **changes)
    with pytest.raises(LukeError, match=r"L023.*roberta"):
        open_checkpoint(folder)


# --- memory

_MEASURE = """
import sys
from pathlib import Path
import torch
from spacy_luke.checkpoints.reader import open_checkpoint
def status(key):
    return next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith(key + ":"))
torch.set_num_threads(1)
open_checkpoint(Path(sys.argv[1])).load_encoder()  # all that is loaded once: libraries, tokenizers
checkpoint = open_checkpoint(Path(sys.argv[2]))
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
encoder = checkpoint.load_encoder()
weights = sum(p.nbytes for p in encoder.parameters())
print((status("VmHWM") - before) / weights, weights)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", ["safetensors", "bin", "bert"])
def test_loading_peaks_below_1_3_times_the_weights(tmp_path, folder, kind):
    """Of a checkpoint in LUKE-base's proportions: a third of the weights are embeddings."""
    sizes = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8}
    big = tmp_path / "big"
    big.mkdir()
    if kind == "bert":
        from tests.checkpoints.test_upcycle import write_source

        write_source(big, "bert", vocab_size=20_000, **sizes)
    else:
        from transformers import LukeModel

        model = LukeModel(luke_config(vocab_size=30_000, entity_vocab_size=20_000, entity_emb_size=256, **sizes))
        write_luke(big, model, safe_serialization=kind == "safetensors")
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(folder), str(big)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )
    assert run.returncode == 0, run.stderr
    peak, weights = map(float, run.stdout.split())
    assert weights > 1e8
    assert peak < 1.3
