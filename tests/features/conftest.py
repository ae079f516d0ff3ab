"""A small network of NumPy, so that the store, its claims and its resuming are tested without TensorFlow."""

from __future__ import annotations

import pytest
from numpy_network import NumpyNetwork, stimuli

from neurofit.study import Study


@pytest.fixture
def study(tmp_path):
    for name in ("jobs", "runners", "training_data", "data"):
        (tmp_path / name).mkdir()
    return Study(tmp_path)


@pytest.fixture
def images():
    return stimuli()


@pytest.fixture
def network():
    return NumpyNetwork()
