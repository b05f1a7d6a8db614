"""The mean of the weights of two pipelines of the same make, as a pipeline with all else of the second.

    python -m scripts.average_models training/en_luke_mini/third/start training/en_luke_mini/third/model-last
        training/en_luke_mini/averaged

Where a training went on from weights that had learned the same tasks, the mean of those that it began and ended with
often does better on every set than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", section 3).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of a pipeline")
    parser.add_argument("second", type=Path, help="folder of another one, with the same components and labels")
    parser.add_argument("output", type=Path, help="folder to save the pipeline to")
    args = parser.parse_args()

    files = [file.relative_to(args.second) for file in sorted(args.second.rglob("*.safetensors"))]
    if not files:
        raise SystemExit(f"{args.second} has no weights.")
    means = {file: mean(args.first / file, args.second / file) for file in files}
    shutil.copytree(args.second, args.output, dirs_exist_ok=True)
    for file, weights in means.items():
        with safe_open(args.second / file, framework="pt") as handle:
            save_file(weights, args.output / file, handle.metadata())
    print(f"{args.output}: the mean of {len(files)} files")


def mean(first: Path, second: Path) -> dict[str, Tensor]:
    """Average the weights in two files, in float32."""
    one, two = load_file(first), load_file(second)
    if {name: tensor.shape for name, tensor in one.items()} != {name: tensor.shape for name, tensor in two.items()}:
        raise SystemExit(f"The weights in {first} and {second} differ in their names or shapes.")
    return {name: (one[name].float() + two[name].float()) / 2 for name in two}


if __name__ == "__main__":
    main()
