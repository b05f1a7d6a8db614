"""The layout in which other tests write files of transformers 5 is the one in which it saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.checkpoints.layout_5 import to_layout_5

from .models import FIVE, write_checkpoint

# Entries of tokenizer_config.json that say nothing of the tokenizer, or are the defaults.
UNIMPORTANT = {
    "clean_up_tokenization_spaces",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
    "local_files_only",
    "model_max_length",
    "special_tokens_pattern",
    "token_type_ids_include_special_tokens",
    "token_type_ids_pattern",
    "trim_offsets",
}


@pytest.mark.skipif(not FIVE, reason="files of transformers 5")
@pytest.mark.parametrize(("family", "kind"), [("luke", "LukeForMaskedLM"), ("longformer", "LongformerForMaskedLM")])
def test_the_layout_is_that_of_transformers_5(tmp_path, family, kind) -> None:
    saved, laid_out = tmp_path / "saved", tmp_path / "laid_out"
    write_checkpoint(saved, family, kind)
    # Back to what transformers 4 would have saved.
    laid_out.mkdir()
    for file in (tmp_path / "saved_made").iterdir():
        (laid_out / file.name).write_bytes(file.read_bytes())
    config, weights = _json(saved / "config.json"), load_file(saved / "model.safetensors")
    decoder = weights.pop("lm_head.decoder.weight", None)
    if family == "luke":
        weights["lm_head.bias"] = weights.pop("lm_head.decoder.bias")
    save_file(weights, laid_out / "model.safetensors")
    config["torch_dtype"] = config.pop("dtype")
    (laid_out / "config.json").write_text(json.dumps(config))
    to_layout_5(laid_out, decoder=decoder)

    assert {path.name for path in laid_out.iterdir()} == {path.name for path in saved.iterdir()}
    for name in ("config.json", "tokenizer.json"):
        assert _without_version(_json(laid_out / name)) == _without_version(_json(saved / name))
    found, expected = (_json(path / "tokenizer_config.json") for path in (laid_out, saved))
    assert found == {name: expected[name] for name in found}
    assert expected.keys() - found.keys() <= UNIMPORTANT
    assert load_file(laid_out / "model.safetensors").keys() == load_file(saved / "model.safetensors").keys()


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf8"))


def _without_version(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "transformers_version"}
