"""The examples with other libraries run as they are, where the library is there."""

from __future__ import annotations

import importlib.util
import shutil
import time

import numpy as np
import pytest

from neurofit.files import read_json


def needs(library: str):
    absent = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(absent, reason=f"{library} is not installed")


@pytest.fixture
def examples(bench, study):
    """A study with the examples."""
    shutil.copytree(
        study.jobs / "examples", bench.study.jobs / "examples", ignore=shutil.ignore_patterns("__pycache__")
    )
    return bench


def scores(bench, name: str) -> dict[int, float]:
    return {
        row["run"]: row["metrics"]["test/correlation"]
        for row in bench.outcomes(name)
        if row["state"] == "done"
    }


@needs("sklearn")
@pytest.mark.process
def test_scikit_learn_predicts_simulated_neurons(examples):
    assert examples.command("submit", "examples/scikit_learn:0,3/0").returncode == 0
    assert examples.wait("examples/scikit_learn") == {"done": 2, "new": 13}
    found = scores(examples, "examples/scikit_learn")
    assert len(found) == 2 and min(found.values()) > 0.1


@needs("torch")
@pytest.mark.slow
def test_pytorch_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(examples):
    name = "examples/pytorch"
    small = f"{name}:0/0"
    assert examples.command("submit", small, "--detach").returncode == 0
    examples.wait(name, until=lambda counts: counts["running"], seconds=60)
    (folder,) = (examples.study.training_data / name / "runs").glob("*/rep-00")
    history = folder / "attempt-01" / "history.csv"
    deadline = time.monotonic() + 120
    while not (history.exists() and len(history.read_text().splitlines()) > 4):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert examples.command("cancel", small, "--yes").returncode == 0
    assert examples.wait(name)["cancelled"] == 1
    assert examples.command("submit", small, "--retry").returncode == 0
    assert examples.wait(name)["done"] == 1
    assert examples.command("submit", small, "--rerun", "--yes").returncode == 0
    examples.wait(name)
    attempts = [read_json(folder / f"attempt-0{number}" / "outcome.json") for number in (2, 3)]
    assert "resumed" in str(attempts[0]["facts"]), attempts[0]["facts"]
    for part in ("train", "test"):
        np.testing.assert_allclose(*(one["metrics"][f"{part}/correlation"] for one in attempts), rtol=1e-4)
