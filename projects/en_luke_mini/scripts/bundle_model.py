"""Make the pipeline that comes with the package from a trained one: half-precision weights, meta.json, model card.

    python -m scripts.bundle_model training/en_luke_mini/tuned training/en_luke_mini/bundled
    python -m scripts.evaluate_joint training/en_luke_mini/bundled corpus --output metrics/en_luke_mini.json
    python -m scripts.bundle_model training/en_luke_mini/tuned
        ../../packages/en_luke_mini/en_luke_mini/en_luke_mini-0.1.0
        --evaluation metrics/documents.json --evaluation metrics/en_luke_mini.json

The card shows the evaluations in this order. Nothing is written if the pipeline is too large, or, with an evaluation,
if a baseline is better than it on some data.
The package gets a copy of meta.json when the model goes to where it belongs there.
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
from spacy.language import Language
from spacy.util import load_model_from_path

import spacy_luke
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.model_card import model_card
from spacy_luke.pipeline.base.stored_head import CFG
from spacy_luke.pipeline.encoder.component import LukeEncoderPipe

from . import ROOT
from .model_sources import LICENSE, SOURCES

PACKAGE = ROOT / "packages" / "en_luke_mini" / "en_luke_mini"
ABOUT = ROOT / "packages" / "en_luke_mini" / "about.md"
ENCODER = "luke_encoder"
MAX_BYTES = 70_000_000


def bundle(source: Path, target: Path, evaluation: Mapping[str, Any] | None) -> None:
    """Write the pipeline in `source` to `target`, which it replaces, unless it is too large."""
    nlp = lean(source)
    nlp.meta.update(describe(evaluation or {}))
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        nlp.to_disk(staging)
        store_half(nlp, staging / ENCODER)
        size = sum(file.stat().st_size for file in staging.rglob("*") if file.is_file())
        if size > MAX_BYTES:
            raise SystemExit(f"The pipeline has {size:,} bytes, more than {MAX_BYTES:,}. Nothing was written.")
        if evaluation is not None:
            meta = json.loads((staging / "meta.json").read_text(encoding="utf8"))
            card = model_card(meta, evaluation, ABOUT.read_text(encoding="utf8"), size)
            (staging / "README.md").write_text(card, encoding="utf8")
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
    """Write the checkpoint of the encoder again with its weights in float16; reading them gives float32."""
    pipe = nlp.get_pipe(ENCODER)
    assert isinstance(pipe, LukeEncoderPipe)
    assert pipe.description is not None
    cfg = (folder / CFG).read_bytes()
    save_checkpoint(folder, pipe.description, pipe.encoder, dtype=torch.float16, more_files={CFG: cfg}, checksums=True)


def describe(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of meta.json about the model. Its version is that of the package it comes with."""
    major, minor, *_ = spacy_luke.__version__.split(".")
    return {
        "lang": "en",
        "name": "luke_mini",
        "version": spacy_luke.__version__,
        "spacy_version": ">=3.8.13,<4.0.0",
        "description": "Small English pipeline on one LUKE encoder: named entities, their types, relations and links, "
        "and answers to questions.",
        "author": "The spacy-luke authors",
        "email": "",
        "url": "",
        "license": LICENSE,
        "requirements": [f"spacy-luke>={spacy_luke.__version__},<{major}.{int(minor) + 1}"],
        "sources": SOURCES,
        "performance": {
            f"{result['dataset']}: {name}": result["scores"][name]
            for result in evaluation.get("results", ())
            for name in result["metrics"]
        },
    }


def worse(evaluation: Mapping[str, Any]) -> list[str]:
    """The data on which a baseline is as good or better."""
    return [
        f"{result['dataset']} ({name})"
        for result in evaluation["results"]
        for name, score in result.get("baselines", {}).items()
        if (result["scores"][result["metrics"][-1]] or 0) <= (score or 0)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the pipeline")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument(
        "--evaluation",
        type=Path,
        action="append",
        help="JSON file that evaluate_documents or evaluate_joint has written, for the card; may be repeated",
    )
    parser.add_argument("--allow-worse", action="store_true", help="write it even if a baseline is better")
    args = parser.parse_args()

    evaluation = None
    if args.evaluation:
        read = [json.loads(path.read_text(encoding="utf8")) for path in args.evaluation]
        evaluation = {key: [row for one in read for row in one.get(key, ())] for key in ("results", "speed")}
        if (beaten := worse(evaluation)) and not args.allow_worse:
            raise SystemExit(f"A baseline is better: {', '.join(beaten)}. Nothing was written (--allow-worse).")
    bundle(args.model, args.output, evaluation)
    if args.output.resolve().parent == PACKAGE:
        shutil.copyfile(args.output / "meta.json", PACKAGE / "meta.json")


if __name__ == "__main__":
    main()
