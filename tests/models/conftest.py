"""What the tests of models share. TensorFlow loads only where a test asks for it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

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
    """reference("A_dog9_31_lin") → what NDN3 itself returned: arrays by name, and `meta`."""

    def load(name: str) -> SimpleNamespace:
        if not (REFERENCE / f"{name}.npz").exists():
            pytest.skip(f"no recorded numbers of NDN3 at {REFERENCE}")
        with np.load(REFERENCE / f"{name}.npz") as file:
            arrays = {key: file[key] for key in file.files if key != "meta"}
            named = {key.replace("-", "_"): value for key, value in arrays.items()}
            return SimpleNamespace(meta=json.loads(str(file["meta"])), arrays=arrays, **named)

    return load


@pytest.fixture(scope="session")
def close():
    """Within 5e-6 of the largest magnitude, as the reference numbers suggest for float32."""

    def check(found, expected, tolerance=5e-6):
        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-12)

    return check
