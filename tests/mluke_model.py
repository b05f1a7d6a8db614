"""Toy mLUKE checkpoints as transformers saves them: a SentencePiece model, titles of several languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn
from transformers import MLukeTokenizer

from tests.util import luke_config, randomise, train_sentencepiece

# Ligatures, full-width and half-width letters, composed and decomposed accents and Korean, emoji, Thai, Arabic, Hebrew.
SCRIPTS = [
    "The \ufb01rst \ufb02ag, \u2460 of \u00bd: e\u0301le\u0300ve or \u00e9l\u00e8ve?",
    "\uff34\uff4f\uff4b\uff59\uff4f \uff11\uff12 \u6771\u4eac\u30bf\u30ef\u30fc \uff76\uff9e\uff97\uff7d \u65e5\u672c",
    "\u1112\u1161\u11ab\u1100\u1173\u11af \ud55c\uae00 \uc11c\uc6b8",
    "\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22 \u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e",
    "\u0627\u0644\u0633\u0651\u064e\u0644\u0627\u0645\u064f \ufefb \u0639\u0644\u064a\u0643\u0645 \u05e9\u05dc\u05d5",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f in \u0410\u0441\u0442",
]
TITLES = {"[MASK]": 0, "[PAD]": 1, "[UNK]": 2, "en:Japan": 3, "ja:\u65e5\u672c": 3, "en:Ada": 4, "[MASK2]": 5}


def write_mluke(folder: Path, kind: Any, **changes: Any) -> nn.Module:
    """A folder with a random model; returns it. The tokenizer knows every character of `SCRIPTS`."""
    folder.mkdir(exist_ok=True)
    lines = [*SCRIPTS, "Ada met Babbage in London. abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789"]
    (folder / "made.model").write_bytes(train_sentencepiece(lines, 400))
    (folder / "made.json").write_text(json.dumps(TITLES, ensure_ascii=False), encoding="utf8")
    tokenizer = MLukeTokenizer(str(folder / "made.model"), str(folder / "made.json"))
    tokenizer.save_pretrained(folder)
    for name in ("made.model", "made.json"):
        (folder / name).unlink()
    config = luke_config(vocab_size=len(tokenizer), entity_vocab_size=len(set(TITLES.values())), **changes)
    made = randomise(kind(config))
    made.save_pretrained(folder)
    return made
