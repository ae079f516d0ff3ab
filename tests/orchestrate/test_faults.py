"""A storage that fails at random, processes killed at random: every task exactly once.

`scripts/faults` does more.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from faults.rounds import Study, Weather, compiled

ALL = ("eio", "estale", "enospc", "lost", "late", "inode")


@pytest.fixture(scope="session")
def library(tmp_path_factory, processes):
    found = compiled(tmp_path_factory.mktemp("shim"))
    if found is None:
        pytest.skip("there is no C compiler here, which the failing storage is made with")
    return found


@pytest.mark.parametrize(
    ("seed", "weather"),
    [
        (101, Weather(("eio", "estale", "lost"), 0.02, 0)),
        (303, Weather(("late", "inode"), 0.0, 100)),
    ],
)
def test_every_task_is_done_once_whatever_the_storage_does(tmp_path, library, seed, weather):
    tally = Study(tmp_path, library).round("walk", weather, seed, kills=2)
    assert tally.outcomes["done"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(400, 1000, 100))
def test_every_task_is_done_once_in_all_weathers_together(tmp_path, library, seed):
    assert Study(tmp_path, library).round("walk", Weather(ALL, 0.01, 100), seed).outcomes["done"] == 4


def test_a_command_whose_storage_stays_away_gives_up_and_says_so(tmp_path, library):
    study = Study(tmp_path, library)
    study.round("walk", Weather((), 0.0, 0), 1, kills=0)
    environment = {**os.environ, **Weather(("eio",), 1.0, 0).environment(tmp_path, library, 1)}
    command = [sys.executable, "-m", "neurofit", "status", "walk"]
    answer = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert "Input/output error; the storage did not answer properly for 8 s" in " ".join(
        answer.stderr.split()
    )
