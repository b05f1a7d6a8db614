from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scale.conftest import nlp, pipeline  # noqa: F401 (fixtures)

# Of the cluster, whatever the machine has. With a checkpoint, Ray Data takes two beside that of an actor.
CPUS = 3


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The address of a Ray cluster of `CPUS` CPUs, to which this process is connected, and its folder for trouble.py.

    Its processes have the environment that this one has at the start.
    """
    ray = pytest.importorskip("ray")
    trouble = tmp_path_factory.mktemp("trouble")
    os.environ.update(TROUBLE=str(trouble), RAY_USAGE_STATS_ENABLED="0")
    ray.init("local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray.get_runtime_context().gcs_address, trouble
    ray.shutdown()


@pytest.fixture
def trouble(_cluster) -> Path:
    """The folder for trouble.py, with nothing in it."""
    shutil.rmtree(_cluster[1])
    _cluster[1].mkdir()
    return _cluster[1]


@pytest.fixture
def address(_cluster) -> str:
    return _cluster[0]
