"""The mean of the weights of two pipelines of the same make, as a pipeline with all else of the second.

    python -m scripts.average_models training/en_luke_mini/third/start training/en_luke_mini/third/model-last
        training/en_luke_mini/averaged

Where a training went on from weights that had learned the same tasks, the mean of those that it began and ended with
often does better on every set than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", section 3).
With --components, the others keep their weights, and the pipelines may differ in them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from torch.nn import Parameter

from spacy_luke.cli.saving import save_pipeline
from spacy_luke.models.wrapper import torch_module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of a pipeline")
    parser.add_argument("second", type=Path, help="folder of another one, with the same components and labels")
    parser.add_argument("output", type=Path, help="folder to save the pipeline to")
    parser.add_argument(
        "--share", type=float, default=0.5, help="of the second pipeline, between 0 and 1; default: 0.5"
    )
    parser.add_argument("--components", nargs="+", metavar="NAME", help="whose weights are averaged; default: all")
    args = parser.parse_args()

    first, second = spacy.load(args.first), spacy.load(args.second)
    names = args.components or [name for name in second.pipe_names if weights(second, name)]
    for name in names:
        average(weights(first, name), weights(second, name), args.share)
    save_pipeline(second, args.output)
    print(f"{args.output}: the mean of {', '.join(names)}")


def weights(nlp: Language, name: str) -> dict[str, Parameter]:
    """The weights of a component, without those of the encoder that it shares with others."""
    component: Any = nlp.get_pipe(name)
    module = torch_module(component.model) if hasattr(component, "model") else None
    named = module.named_parameters() if module is not None else ()
    return {name: tensor for name, tensor in named if not name.startswith("encoder.")}


@torch.no_grad()
def average(first: dict[str, Parameter], second: dict[str, Parameter], share: float) -> None:
    """Change the second to the mean. share: its weight."""
    if {name: tensor.shape for name, tensor in first.items()} != {
        name: tensor.shape for name, tensor in second.items()
    }:
        raise SystemExit("The weights of the pipelines differ in their names or shapes.")
    for name, tensor in second.items():
        tensor.copy_(first[name].lerp(tensor, share))


if __name__ == "__main__":
    main()
