"""What the tests of models share. TensorFlow loads only where a test asks for it."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from interrupted import StopAt

import neurofit as nf
from neurofit.store.layout import TaskFiles
from neurofit.worker.task_context import Stopped, TaskContext

# As in jobs of one core: with several threads, TensorFlow may add in another order, so that last digits differ
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "spec" / "ndn3_reference"


@pytest.fixture(scope="session")
def keras():
    return importlib.import_module("keras")


@pytest.fixture(scope="session")
def ops(keras):
    return keras.ops


@pytest.fixture(scope="session")
def tf():
    return importlib.import_module("tensorflow")


@pytest.fixture(scope="session")
def reference():
    """reference("A_dog9_31_lin") → what NDN3 itself returned: arrays by name, `meta`, the folder."""

    def load(name: str) -> SimpleNamespace:
        if not (REFERENCE / f"{name}.npz").exists():
            pytest.skip(f"no recorded numbers of NDN3 at {REFERENCE}")
        with np.load(REFERENCE / f"{name}.npz") as file:
            arrays = {key: file[key] for key in file.files if key != "meta"}
            named = {key.replace("-", "_"): value for key, value in arrays.items()}
            return SimpleNamespace(
                meta=json.loads(str(file["meta"])), arrays=arrays, folder=REFERENCE, **named
            )

    return load


@pytest.fixture(scope="session")
def close():
    """Within 5e-6 of the largest magnitude, as the reference numbers suggest for float32."""

    def check(found, expected, tolerance=5e-6):
        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-12)

    return check


@pytest.fixture(scope="session")
def slope(ops):
    """slope(function, array): its gradient by central differences, of a function that gives a number."""

    def differences(function, array, step=1e-3):
        gradient = np.zeros_like(array, np.float64)
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = array.astype(np.float64)
                moved[index] += sign * step
                ends.append(float(function(ops.convert_to_tensor(moved, "float64"))))
            gradient[index] = (ends[0] - ends[1]) / (2 * step)
        return gradient

    return differences


class Desk:
    """One task in a temporary folder: attempts at it, each with a TaskContext as a worker makes it."""

    def __init__(self, root: Path) -> None:
        self.files, self.root = TaskFiles(root / "task"), root
        self.last: TaskContext | None = None

    def task(
        self, *, repetition: int = 0, stop_after: int | None = None, split_by=None, **params
    ) -> TaskContext:
        attempt = self.files.attempt(len(self.files.attempts()) + 1)
        attempt.folder.mkdir(parents=True)
        attempt.claim.write_text("{}")
        self.last = TaskContext(
            params, repetition, 3, split_by, self.root, self.files, attempt, stop_request=StopAt(stop_after)
        )
        return self.last

    def run(self, fit, **how):
        """The metrics, or None where the attempt ended as stopped."""
        task = self.task(**how)
        try:
            return fit(task)
        except Stopped:
            return None
        finally:
            task.close()

    @property
    def facts(self) -> dict:
        return self.last.facts

    def array(self, name: str):
        with np.load(self.last.folder / "predictions.npz") as file:
            return file[name]

    def history(self) -> list[dict[str, str]]:
        lines = (self.last.folder / "history.csv").read_text().splitlines()
        names = lines[0].split(",")
        return [dict(zip(names, line.split(","))) for line in lines[1:]]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def desks(tmp_path):
    """desks("a"): a desk of that name."""
    return lambda name: Desk(tmp_path / name)


def small_data():
    return nf.datasets.simulate(n_images=90, n_neurons=6, size=12, n_test=20, n_trials=4)


@pytest.fixture(scope="session")
def small():
    """A data set of 90 images of 12 × 12 pixels and 6 neurons: 60 to train on, 10 for validation, 20 to test
    on.
    """
    return small_data
