"""Train a config in parts, each a `spacy train` of its own, so that a run that was killed goes on at the last part.

    python -m scripts.train_in_parts configs/en_luke_mini.cfg training/en_luke_mini --steps 1500 --parts 3
        --paths.corpus corpus/joint --paths.checkpoint training/pretrained/model-best

Part N, in training/en_luke_mini/N, takes its components from the model that the part before ended with. The rate
goes on along the line of the config's `warmup_linear.v1`, which is stretched to --steps; the optimiser's moments start
anew, over a few steps of warm-up. Parts that are finished are not done again. The last model is copied to
training/en_luke_mini/model-last. With --from, the first part goes on from a pipeline, too, but with the settings and
the whole schedule of the config; components that --new names are made anew.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from spacy.cli._util import parse_config_overrides
from spacy.util import load_config, load_model_from_config
from thinc.api import Config

REWARM = 10


def part_of(
    config: Config, number: int, parts: int, steps: int, before: Path | None, new: Collection[str] = ()
) -> Config:
    """The config of a part. before: the pipeline that it goes on from. new: components that are not taken from it."""
    made = config.copy()
    schedule = made["training"]["optimizer"]["learn_rate"]
    if schedule.get("@schedules") != "warmup_linear.v1":
        raise SystemExit("The learning rate of the config is no warmup_linear.v1, which this script goes on with.")
    begin, end = (steps * n // parts for n in (number, number + 1))
    rate, warmup = schedule["initial_rate"], schedule["warmup_steps"] * steps // schedule["total_steps"]
    if number:
        # The line from `rate` after the warm-up to 0 at the last step, as it is from `begin` on.
        rate *= (steps - begin - REWARM) / (steps - warmup)
        warmup = REWARM
    if before is not None:
        made["components"].update(
            {name: {"source": str(before)} for name in made["nlp"]["pipeline"] if name not in new}
        )
        made["initialize"]["components"] = {}
    schedule.update(initial_rate=rate, warmup_steps=warmup, total_steps=steps - begin)
    made["training"].update(max_steps=end - begin, seed=made["training"]["seed"] + number)
    made["training"]["eval_frequency"] = min(made["training"]["eval_frequency"], end - begin)
    return made


def with_settings(model: Path, config: Config, folder: Path, new: Collection[str]) -> Path:
    """Save the weights of a pipeline with the components' settings of a config. new: components that are left out."""
    if not (folder / "done").exists():
        changed = load_config(model / "config.cfg")
        kept = [name for name in config["nlp"]["pipeline"] if name not in new]
        changed["nlp"]["pipeline"] = kept
        changed["components"] = {name: config["components"][name] for name in kept}
        folder.mkdir(parents=True, exist_ok=True)
        load_model_from_config(changed).from_disk(model).to_disk(folder)
        (folder / "done").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="config of the training")
    parser.add_argument("output", type=Path, help="folder of the parts")
    parser.add_argument("--steps", type=int, required=True, help="of all parts together")
    parser.add_argument("--parts", type=int, default=6)
    parser.add_argument("--until", type=int, help="part before which to stop; the rate falls as if all were done")
    parser.add_argument("--from", dest="start", type=Path, help="pipeline to start with, instead of new components")
    parser.add_argument("--new", nargs="+", default=(), help="components that are made anew, not taken from --from")
    parser.add_argument("--gpu-id", type=int, default=-1)
    args, rest = parser.parse_known_args()

    config = load_config(args.config, overrides=parse_config_overrides(rest), interpolate=True)
    before = with_settings(args.start, config, args.output / "start", args.new) if args.start else None
    for number in range(args.parts if args.until is None else args.until):
        folder = args.output / str(number)
        if not (folder / "done").exists():
            folder.mkdir(parents=True, exist_ok=True)
            new = args.new if number == 0 else ()
            part_of(config, number, args.parts, args.steps, before, new).to_disk(folder / "config.cfg")
            command = ["-m", "spacy", "train", folder / "config.cfg", "--output", folder, "--gpu-id", args.gpu_id]
            subprocess.run([sys.executable, *map(str, command)], check=True)
            (folder / "done").touch()
        before = folder / "model-last"
    assert before is not None  # parts are at least one
    shutil.copytree(before, args.output / "model-last", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
