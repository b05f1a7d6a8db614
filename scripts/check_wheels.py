"""Build the packages as they are released, and try them as somebody who installs them does.

    python scripts/check_wheels.py [--outdir dist] [--torch-args "--index-url https://download.pytorch.org/whl/cpu"]

Builds source distributions and, from these, wheels of spacy-luke and en_luke_mini; checks their metadata with twine,
their sizes and what is in them; installs the wheels into an empty environment, with the versions of constraints.txt;
and runs the first example of the README there, whose output has to be the one shown below it. `make check-wheels` calls
it; by itself it needs `pip install -e '.[release]'`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MIB = 2**20
EXAMPLE = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\s*^```text\n(?P<output>.*?)^```$)?", re.DOTALL | re.MULTILINE)

RELATIVE_LINK = re.compile(r"\]\((?!\w+:|#)([^)\s]+)\)")


class CheckFailed(Exception):
    """What is wrong with the packages, in a sentence."""


@dataclass(frozen=True)
class Package:
    """A package of this repository.

    module: what its wheel has, and nothing else. maximum: of the wheel, in bytes. needed: a pattern of a file in it.
    """

    folder: Path
    module: str
    maximum: int
    needed: str


# The package index takes files of at most 100 MiB.
PACKAGES = (
    Package(ROOT, "spacy_luke", 1 * MIB, "spacy_luke/py.typed"),
    Package(ROOT / "packages" / "en_luke_mini", "en_luke_mini", 100 * MIB, "en_luke_mini/*/luke_encoder/*.safetensors"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outdir", type=Path, help="folder to keep the packages in; default: they are not kept")
    parser.add_argument("--torch-args", default="", help="options of pip for PyTorch alone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(Path(folder), args.outdir or Path(folder) / "dist", shlex.split(args.torch_args))
        except CheckFailed as error:
            sys.exit(str(error))


def check(folder: Path, dist: Path, torch_args: list[str]) -> None:
    """Build into `dist`, which has to be empty, and check; an environment is made in `folder`."""
    if dist.exists() and any(dist.iterdir()):
        raise CheckFailed(f"{dist} is not empty.")
    wheels = []
    for package in PACKAGES:
        run(sys.executable, "-m", "build", "--outdir", dist, package.folder)
        wheels += [wheel := find_wheel(dist, package)]
        check_wheel(wheel, package)
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir()))
    python = make_environment(folder / "environment")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--constraint", ROOT / "constraints.txt")
    run(*pip, *torch_args, "torch")
    run(*pip, *wheels)
    code, expected = read_example((ROOT / "README.md").read_text(encoding="utf8"))
    check_output(run_alone(python, code, folder), expected)
    print(f"Built, installed and tried: {', '.join(sorted(path.name for path in dist.iterdir()))}")


def run(*command: str | Path) -> None:
    """Run a command, with its output here; CheckFailed if it fails."""
    print("$", shlex.join(map(str, command)), flush=True)
    if status := subprocess.run(command, check=False).returncode:
        raise CheckFailed(f"{Path(command[0]).name} ended with exit status {status}.")


def find_wheel(dist: Path, package: Package) -> Path:
    """The wheel of a package; CheckFailed if there is none."""
    found = list(dist.glob(f"{package.module}-*.whl"))
    if len(found) != 1:
        raise CheckFailed(f"{dist} has {len(found)} wheels of {package.module}, not 1.")
    return found[0]


def check_wheel(wheel: Path, package: Package) -> None:
    """CheckFailed if a wheel is too large, lacks what is needed, has anything but its package, or a description with
    links that lead nowhere on the package index."""
    size = wheel.stat().st_size
    if size >= package.maximum:
        raise CheckFailed(f"{wheel.name} has {size / MIB:.1f} MiB, which is not below {package.maximum / MIB:.0f}.")
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    others = {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")} - {package.module}
    if others:
        raise CheckFailed(f"{wheel.name} has more than {package.module}: {', '.join(sorted(others))}.")
    if not any(name.match(package.needed) for name in names):
        raise CheckFailed(f"{wheel.name} has no {package.needed}.")
    with zipfile.ZipFile(wheel) as opened:
        [described] = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        relative = RELATIVE_LINK.findall(opened.read(described).decode("utf8"))
    if relative:
        raise CheckFailed(f"{wheel.name} has a description with relative links: {', '.join(relative)}.")
    print(f"{wheel.name}: {size / MIB:.2f} MiB, {len(names)} files", flush=True)


def make_environment(folder: Path) -> Path:
    """The Python of a new environment, which has nothing but pip."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def read_example(readme: str) -> tuple[str, str | None]:
    """The first block of Python in a README, and the block of text right below it, which is what it prints; None if
    there is no such block."""
    found = EXAMPLE.search(readme)
    if found is None:
        raise CheckFailed("The README has no example.")
    return found["code"], found["output"]


def run_alone(python: Path, code: str, folder: Path) -> str:
    """Run code with what is installed, and nothing of this repository or of the user; what it prints."""
    script = folder / "example.py"
    script.write_text(code, encoding="utf8")
    command = [python, "-I", "-X", "utf8", script]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf8", cwd=folder, check=False)
    print(done.stdout, done.stderr, sep="", end="", flush=True)
    if done.returncode:
        raise CheckFailed(f"The example of the README ended with exit status {done.returncode}.")
    return done.stdout


def check_output(output: str, expected: str | None) -> None:
    """CheckFailed if nothing is printed, or anything else than the README shows."""
    if not output.strip():
        raise CheckFailed("The example of the README printed nothing.")
    if expected is not None and output.split() != expected.split():
        raise CheckFailed(f"The README shows another output:\n{expected}")


if __name__ == "__main__":
    main()
