"""Real queues on this host. A queue that does not come up fails its tests; it does not skip them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def brought_up(script: str, command: str = "start") -> Path:
    """The script of a cluster that now runs."""
    path = REPOSITORY / "scripts" / script
    done = subprocess.run(
        [path, command], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        pytest.fail(
            f"{script} {command} gave {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}",
            pytrace=False,
        )
    return path


@pytest.fixture(scope="session")
def slurm() -> Path:
    return brought_up("cluster-slurm")


@pytest.fixture(scope="session")
def two_clusters() -> Path:
    """A SLURM with a second cluster, beta."""
    return brought_up("cluster-slurm", "second")


@pytest.fixture(scope="session")
def gridengine() -> Path:
    return brought_up("cluster-gridengine")
