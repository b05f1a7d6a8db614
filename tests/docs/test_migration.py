"""docs/migration.md: each class of transformers beside ours, on the same checkpoint, with the same numbers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import transformers

from .migration_checkpoints import CHECKPOINTS, write_hub_cache

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NAMED = sorted(set(re.findall(r'"((?:studio-ousia|my-org|allenai)/[^"]+)"', PAGE)))
CLASSES = [name for name in dir(transformers) if re.fullmatch(r"(Luke|Longformer)(Model|For\w+)|M?LukeTokenizer", name)]
COMPARISONS = ("assert np.allclose(theirs, ours, atol=1e-4)", "assert np.array_equal(theirs, ours)")
# Runs each block and tells what was compared.
_RUN = """
import json, sys, warnings

warnings.simplefilter("ignore")
names, compared = {}, []
for block in json.load(sys.stdin):
    exec(compile(block, "migration.md", "exec"), names)
    if "theirs" in block:
        theirs, ours = (names["np"].asarray(names[side]) for side in ("theirs", "ours"))
        compared.append([block, theirs.shape == ours.shape, float(theirs.std())])
print(json.dumps(compared))
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> dict[str, tuple[bool, float]]:
    """Block -> whether it compared arrays of one shape, and how much the numbers of one differ.

    The blocks run in a process of their own: transformers reads where the cache of the Hub is when it is imported.
    """
    folder = tmp_path_factory.mktemp("migration")
    cache = write_hub_cache(folder / "hub")
    search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": search}
    done = subprocess.run(
        [sys.executable, "-c", _RUN], input=json.dumps(BLOCKS), cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {block: (same, spread) for block, same, spread in json.loads(done.stdout.splitlines()[-1])}


def test_every_pair_gives_the_same_numbers(compared) -> None:
    pairs = [block for block in BLOCKS if "# spacy-luke" in block]
    assert set(pairs) <= compared.keys()
    for block, (same_shape, spread) in compared.items():
        assert same_shape, block
        assert spread > 0.005, "numbers that differ so little would be equal by chance"


def test_every_block_compares(compared) -> None:
    for block in BLOCKS[1:]:
        assert block.rstrip().endswith(COMPARISONS), block


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_called(name) -> None:
    assert any(f"transformers.{name}." in block for block in BLOCKS)


@pytest.mark.parametrize(
    "task", [None, "entity_classification", "entity_pair_classification", "entity_span_classification"]
)
def test_every_task_of_the_tokenizer_is_told(task) -> None:
    assert f"\n| `{'None' if task is None else json.dumps(task)}` |" in PAGE
    assert task is None or any(f'task="{task}"' in block for block in BLOCKS)


def test_every_checkpoint_of_the_page_has_a_stand_in_and_no_other() -> None:
    assert sorted(CHECKPOINTS) == NAMED
