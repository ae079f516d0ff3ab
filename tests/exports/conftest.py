"""A study with tasks that are done, failed and never started, and what a program reads of its export."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIXED = """
def fit(task, *, rate=0.1, kind="plain", sizes=(1, 2), deep=False):
    for epoch in range(1, 4):
        task.log(epoch, **{"train/loss": 1 / epoch, "test/correlation": epoch / 10})
    task.log(4, late=7.0)
    task.record(best_epoch=2, warnings=["a <b>note</b> | with *marks*"])
    if kind == "bad":
        raise ValueError("kind is bad")
    return {"test/correlation": float(rate) + task.repetition / 4, "test/mse": 0.5}

experiment = nf.Experiment(
    fit, grid=nf.grid(rate=[0.25, 2], kind=["plain", "bad"]) + nf.grid(rate=["3"], deep=[True]), repetitions=2
)
"""


@pytest.fixture
def mixed(bench):
    """Runs 0 and 2 plain, 1 and 3 bad, 4 with a rate that is text."""
    bench.script("group/exp3", MIXED)
    bench.run("group/exp3")
    return bench


@pytest.fixture
def reading():
    """reading(script, folder): what a script prints in an interpreter of its own."""

    def read(script: str, *words) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return read
