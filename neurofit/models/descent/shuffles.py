"""The order of the images in each epoch: of seed and epoch alone, so that a resumed training meets the same
batches.
"""

from __future__ import annotations

import numpy as np


def orders(seed: int, first: int, count: int, n_images: int) -> np.ndarray:
    """(epoch, image) int32, for the epochs first … first + count − 1, counted from 0."""
    rows = [
        np.random.default_rng((seed, epoch)).permutation(n_images) for epoch in range(first, first + count)
    ]
    return np.asarray(rows, np.int32)


def orders_in_turn(seed: int, first: int, count: int, recordings: np.ndarray, batch_size: int) -> np.ndarray:
    """(epoch, row) int32: batches of one recording each, in rotation, until the longest has been through.

    recordings : (image,), the number of each image's recording. A shorter one starts again, in another order;
    its last batch is filled up from there, so that every batch is full.
    """
    places = [np.flatnonzero(recordings == number) for number in np.unique(recordings)]
    turns = max(-(-len(one) // batch_size) for one in places)
    rows = []
    for epoch in range(first, first + count):
        random = np.random.default_rng((seed, epoch))
        batches = [_filled(random, one, turns * batch_size).reshape(turns, batch_size) for one in places]
        rows.append(np.stack(batches, axis=1).ravel())
    return np.asarray(rows, np.int32)


def _filled(random: np.random.Generator, images: np.ndarray, length: int) -> np.ndarray:
    """As many shuffles one after the other as it takes, cut to the length."""
    return np.concatenate([random.permutation(images) for _ in range(-(-length // len(images)))])[:length]
