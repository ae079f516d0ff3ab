"""Bilinear resizing of images, with the triangle filter widened where they become smaller (antialiasing)."""

from __future__ import annotations

import numpy as np


def resized(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize images.

    Parameters
    ----------
    images : ndarray, shape (image, height, width, channel)
    height, width : int
        New size [pixels].

    Returns
    -------
    ndarray of float32, shape (image, height, width, channel)
        As `tf.image.resize(images, (height, width), antialias=True)`. Weights sum to 1, so that resizing
        commutes with a conversion of pixel formats.
    """
    down = weights(images.shape[1], height).astype(np.float32)
    across = weights(images.shape[2], width).astype(np.float32)
    rows = np.tensordot(np.asarray(images, np.float32), down, (1, 1))  # (image, width, channel, new height)
    both = np.tensordot(rows, across, (1, 1))  # (image, channel, new height, new width)
    return np.ascontiguousarray(both.transpose(0, 2, 3, 1))


def weights(before: int, after: int) -> np.ndarray:
    """(after, before): share of each old pixel in each new one."""
    scale = before / after
    reach = max(1.0, scale)  # of the triangle, in old pixels
    middles = (np.arange(after) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(before)[None, :] - middles[:, None]) / reach
    triangle = np.maximum(0, 1 - distance)
    return triangle / triangle.sum(axis=1, keepdims=True)
