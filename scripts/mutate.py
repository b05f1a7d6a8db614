"""Change modules in many small ways and list the changes that no test notices.

    python scripts/mutate.py spacy_luke/pipeline/qa/decoding.py
    python scripts/mutate.py spacy_luke/pipeline/base/entities.py --tests tests/pipeline/base tests/pipeline/ner

`make mutate MODULE=... TESTS=...` calls it. The work is mutmut's (https://mutmut.readthedocs.io), in a temporary copy
of what git tracks or does not ignore, so that the working tree stays as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "spacy_luke"
NOT_MUTATED = [r"LukeError\(", r"warn\(", "strict=True"]  # wording, and checks of what cannot be
UNNOTICED = ("survived", "no tests", "suspicious")


def mirrored_tests(module: str) -> str:
    """The tests that mirror the folder of a module: `spacy_luke/pipeline/qa/decoding.py` -> `tests/pipeline/qa`."""
    folder = Path("tests", *Path(module).parts[1:-1])
    while not (ROOT / folder).is_dir():
        folder = folder.parent
    return folder.as_posix()


def copy_tree(target: Path) -> None:
    """Copy the files that git tracks or does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def configure(folder: Path, modules: Sequence[str], tests: Sequence[str]) -> None:
    """Add mutmut's settings to pyproject.toml of the copy. A list of strings is the same in JSON and in TOML."""
    own = {PACKAGE, "tests", "pyproject.toml", "setup.cfg", ".git"}
    settings = {
        "source_paths": [PACKAGE],
        "only_mutate": list(modules),
        "also_copy": sorted(path.name for path in folder.iterdir() if path.name not in own),
        "pytest_add_cli_args_test_selection": list(tests),
        "do_not_mutate_patterns": NOT_MUTATED,
        # Tests run several times in one process, and what has kept the standard output of the first run needs it open.
        "pytest_add_cli_args": ["--capture=no"],
    }
    with (folder / "pyproject.toml").open("a", encoding="utf8") as file:
        file.write("\n[tool.mutmut]\n")
        file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def mutmut(folder: Path, *arguments: str) -> str:
    """Run a command of mutmut in the copy; returns its output."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout


def environment() -> dict[str, str]:
    """Processes that share the cores, and no path before that of the copy."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Print the unnoticed changes as diffs, then how many changes there were of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", help="files of the package, or patterns of them")
    parser.add_argument("--tests", nargs="*", help="files or folders of tests; default: the mirrored folders")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="changes that are tested at once")
    options = parser.parse_args()
    if missing := [module for module in options.modules if not any(ROOT.glob(module))]:
        parser.error(f"no such module: {', '.join(missing)}")
    tests = options.tests or sorted({mirrored_tests(module) for module in options.modules})
    with tempfile.TemporaryDirectory(prefix="mutate-") as name:
        folder = Path(name)
        copy_tree(folder)
        configure(folder, options.modules, tests)
        print(f"Testing changes of {', '.join(options.modules)} with {', '.join(tests)}", flush=True)
        with (folder / "mutmut.log").open("w+", encoding="utf8") as log:
            command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.jobs)]
            if subprocess.run(command, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT).returncode:
                log.seek(0)
                sys.exit(log.read()[-5000:])
        results = [line.strip().rsplit(": ", 1) for line in mutmut(folder, "results", "--all", "true").splitlines()]
        for mutant, status in results:
            if status in UNNOTICED:
                print(f"\n{status}: {mutant}\n{mutmut(folder, 'show', mutant).strip()}", flush=True)
        counts = Counter(status for _, status in results)
        print(f"\n{len(results)} changes:", ", ".join(f"{count} {status}" for status, count in counts.most_common()))


if __name__ == "__main__":
    main()
