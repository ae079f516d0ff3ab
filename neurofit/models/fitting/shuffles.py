"""The order of the images in each epoch: of seed and epoch alone, so that a resumed training meets the same batches."""

from __future__ import annotations

import numpy as np


def orders(seed: int, first: int, count: int, n_images: int) -> np.ndarray:
    """(epoch, image) int32, for the epochs first … first + count − 1, counted from 0."""
    rows = [np.random.default_rng((seed, epoch)).permutation(n_images) for epoch in range(first, first + count)]
    return np.asarray(rows, np.int32)
