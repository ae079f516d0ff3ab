"""The thesis' experiments, for every test of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurofit.experiments import scripts
from neurofit.study import Study

STUDY = Study(Path(__file__).resolve().parents[2])
GROUPS = (
    "exp_repro",
    "experiments_1",
    "experiments_2",
    "experiments_3",
    "experiments_4",
    "gen_1",
    "mult1",
    "multeval",
)
BASELINES = ("bl1", "bl2", "bl3", "bl4")


def names() -> list[str]:
    every = [entry.name for entry in scripts.discover(STUDY)]
    return [name for name in every if name in BASELINES or name.partition("/")[0] in GROUPS]


def pytest_generate_tests(metafunc):
    if "experiment_name" in metafunc.fixturenames:
        metafunc.parametrize("experiment_name", names())


@pytest.fixture(scope="session")
def study() -> Study:
    """This repository."""
    return STUDY


@pytest.fixture
def experiment(study, experiment_name):
    """Each of the thesis' experiments, one after the other."""
    entry = scripts.find(study, experiment_name)
    return scripts.load(study, entry.path, entry.name)
