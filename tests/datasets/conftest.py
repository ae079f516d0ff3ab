"""Small data sets to try things on, and the real recordings where they are."""

from pathlib import Path

import numpy as np
import pytest

from neurofit.datasets import Dataset


@pytest.fixture
def recordings(shared) -> Path:
    folder = shared / "data"
    if not folder.is_dir():
        pytest.skip(f"the real recordings are not in {folder}")
    return folder


@pytest.fixture
def make():
    """make(n_images=…, n_neurons=…, **fields): a data set of random numbers."""

    def build(n_images: int = 12, n_neurons: int = 3, seed: int = 0, **fields) -> Dataset:
        rng = np.random.default_rng(seed)
        given = {
            "name": "toy",
            "inputs": {"image": rng.normal(size=(n_images, 4, 5, 1))},
            "responses": rng.poisson(2.0, (n_images, n_neurons)).astype(float),
        }
        return Dataset(**{**given, **fields})

    return build
