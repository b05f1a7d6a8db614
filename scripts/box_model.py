"""Put a trained pipeline into the package, with half-precision weights and a model card.

    python scripts/box_model.py training/mini/model-best --metrics metrics/mini.json
        --baseline metrics/spacy_ner.json --output spacy_luke/en_luke_mini

The two files of metrics come from scripts/evaluate_ner.py, run on the same dev sets with luke_ner and with spaCy's own
ner. Nothing is written if the pipeline is worse than spaCy's on one of them, or too large. packages/en_luke_mini gets a
copy of meta.json when the model goes to where the package looks for it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spacy
import torch
from model_card import ENCODER, LICENSE, SOURCES, model_card
from prepare_mini import LABELS
from spacy.language import Language
from spacy.util import load_model_from_path

import spacy_luke
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.pipeline.base import CFG, LukePipe

ROOT = Path(__file__).resolve().parents[1]
BOX = ROOT / "spacy_luke" / "en_luke_mini"
META_COPY = ROOT / "packages" / "en_luke_mini" / "en_luke_mini" / "meta.json"
PIPE = "luke_ner"
MAX_BYTES = 55_000_000


def box(source: Path, target: Path, meta: Mapping[str, Any], card: str) -> None:
    """Write the pipeline in `source` to `target`, which it replaces, unless it is too large."""
    nlp = lean(source)
    nlp.meta.update(meta)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        nlp.to_disk(staging)
        store_half(nlp, staging / PIPE)
        (staging / "README.md").write_text(card, encoding="utf8")
        size = sum(file.stat().st_size for file in staging.rglob("*") if file.is_file())
        if size > MAX_BYTES:
            raise SystemExit(f"The pipeline has {size:,} bytes, more than {MAX_BYTES:,}. Nothing was written.")
        spacy.load(staging)("It opens.")
        for path in (staging, *staging.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    print(f"{target}: {size / 1e6:.1f} MB")


def lean(source: Path) -> Language:
    """The pipeline without what training left behind: the words of the corpora and the paths of the files."""
    nlp = load_model_from_path(source, exclude=["vocab"])
    nlp.config["paths"] = {name: None for name in nlp.config["paths"]}
    return nlp


def store_half(nlp: Language, folder: Path) -> None:
    """Write the checkpoint of luke_ner again with its weights in float16; reading them gives float32."""
    pipe = nlp.get_pipe(PIPE)
    assert isinstance(pipe, LukePipe)
    cfg = (folder / CFG).read_bytes()
    save_checkpoint(folder, pipe._require_weights(), pipe._module, dtype=torch.float16, more_files={CFG: cfg})


def describe(performance: Mapping[str, Any]) -> dict[str, Any]:
    """What meta.json says of the model. Its version is that of the package it comes with."""
    major, minor, *_ = spacy_luke.__version__.split(".")
    return {
        "lang": "en",
        "name": "luke_mini",
        "version": spacy_luke.__version__,
        "spacy_version": ">=3.8.13,<4.0.0",
        "description": f"Small English named entity recognition with LUKE: {', '.join(LABELS)}. "
        "Components: sentencizer, luke_ner.",
        "author": "The spacy-luke authors",
        "email": "",
        "url": "",
        "license": LICENSE,
        "requirements": [f"spacy-luke>={spacy_luke.__version__},<{major}.{int(minor) + 1}"],
        "sources": [
            {"name": source.name, "url": source.url, "license": source.license, "author": source.author}
            for source in (*SOURCES, ENCODER)
        ],
        "performance": dict(performance),
    }


def compare(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Names of the dev sets on which the model is not better; SystemExit if the two did not see the same sets."""
    ours, theirs = metrics["sets"], baseline["sets"]
    for name in sorted(ours.keys() | theirs.keys()):
        counts = [{key: sets.get(name, {}).get(key) for key in ("docs", "entities")} for sets in (ours, theirs)]
        if counts[0] != counts[1]:
            raise SystemExit(f"Dev set {name!r} differs: {counts[0]} in the metrics, {counts[1]} in the baseline.")
    unknown = ours.keys() - {source.dev_set for source in SOURCES}
    if unknown:
        raise SystemExit(f"Dev sets without a source in this script: {', '.join(sorted(unknown))}.")
    return [name for name in ours if (ours[name]["ents_f"] or 0) <= (theirs[name]["ents_f"] or 0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=ROOT / "training/mini/model-best", help="the pipeline")
    parser.add_argument("--metrics", type=Path, default=ROOT / "metrics/mini.json", help="scores of the pipeline")
    parser.add_argument("--baseline", type=Path, default=ROOT / "metrics/spacy_ner.json", help="scores of spaCy's ner")
    parser.add_argument("--output", type=Path, default=BOX, help="the folder to write")
    parser.add_argument("--allow-worse", action="store_true", help="write it even if spaCy's ner is better")
    args = parser.parse_args()

    metrics, baseline = (json.loads(path.read_text(encoding="utf8")) for path in (args.metrics, args.baseline))
    worse = compare(metrics, baseline)
    if worse and not args.allow_worse:
        raise SystemExit(f"Not better than spaCy's ner on: {', '.join(worse)}. Nothing was written (--allow-worse).")
    performance = {key: metrics["all"][key] for key in ("ents_p", "ents_r", "ents_f", "ents_per_type")}
    box(args.model, args.output, describe(performance), model_card(metrics, baseline))
    if args.output.resolve() == BOX:
        shutil.copyfile(BOX / "meta.json", META_COPY)


if __name__ == "__main__":
    main()
