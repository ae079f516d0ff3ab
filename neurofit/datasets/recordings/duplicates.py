"""Which images show the same photograph: rotated copies, which a split must keep together.

The photograph of each of the 270 macaque images is in a table that `scripts/photograph-groups` computed.

    photographs.csv    image,crc32,group    crc32 of the image's 33×33 bytes, row by row
"""

from __future__ import annotations

import csv
import zlib
from pathlib import Path

import numpy as np

ALIKE = 0.8  # of the macaque images: 94 groups, of 4 mostly; at 0.9 there are 141, and copies end up apart


def rotated_copies(images: np.ndarray, step_degrees: int = 45, alike: float = ALIKE) -> np.ndarray:
    """(image,) ints: equal for images that are rotated copies of one another, directly or through others.

    Parameters
    ----------
    images : ndarray, shape (image, height, width)
        height = width.
    step_degrees : int, default 45
        Rotations are multiples of this.
    alike : float, default ALIKE
        Copies correlate above this in the largest common disc, after rotation.

    Returns
    -------
    ndarray of int, shape (image,)
    """
    return linked(likeness(images, step_degrees) > alike)


def likeness(images: np.ndarray, step_degrees: int = 45) -> np.ndarray:
    """Largest correlation of two images in the common disc, over rotations of one.

    Parameters
    ----------
    images : ndarray, shape (image, height, width)
    step_degrees : int, default 45

    Returns
    -------
    ndarray, shape (image, image)
        Symmetric, in [-1, 1].
    """
    upright = unit(_turned(images, 0))
    largest = np.full((len(images), len(images)), -1.0)
    for degrees in range(0, 360, step_degrees):
        largest = np.maximum(largest, unit(_turned(images, degrees)) @ upright.T)
    return np.maximum(largest, largest.T)


def linked(alike: np.ndarray) -> np.ndarray:
    """(image,) ints: connected components of a symmetric (image, image) relation, numbered as they appear."""
    from scipy.sparse.csgraph import connected_components  # slow to import, and needed by one script

    labels = connected_components(alike, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _turned(images: np.ndarray, degrees: float) -> np.ndarray:
    """(image, pixel): the disc inside each image, rotated, bilinear."""
    middle = (images.shape[1] - 1) / 2
    y, x = np.mgrid[: images.shape[1], : images.shape[2]] - middle
    inside = x**2 + y**2 <= (middle - 1) ** 2
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    row = y[inside] * cos + x[inside] * sin + middle
    column = x[inside] * cos - y[inside] * sin + middle
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = row - top, column - left
    grey = images.astype(np.float64)
    upper = grey[:, top, left] * (1 - right) + grey[:, top, left + 1] * right
    lower = grey[:, top + 1, left] * (1 - right) + grey[:, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def unit(rows: np.ndarray) -> np.ndarray:
    """Each row centred, with norm 1; zeros for a constant row, which is then similar to no other."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    norm = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 1e-9)


PATH = Path(__file__).with_name("photographs.csv")


def groups(images: np.ndarray) -> np.ndarray:
    """(image,) ints, equal for images of one photograph, for images (image, height, width).

    Read from the table if these are the published images, to the last bit; computed for any others.
    """
    with PATH.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [int(row["crc32"]) for row in rows] != checksums(images):
        return rotated_copies(images)
    return np.array([int(row["group"]) for row in rows], np.int64)


def table(images: np.ndarray, groups: np.ndarray) -> str:
    """Text of the table, for images (image, height, width) and groups (image,)."""
    rows = zip(range(len(images)), checksums(images), groups.tolist())
    return "image,crc32,group\n" + "".join(f"{image},{crc},{group}\n" for image, crc, group in rows)


def checksums(images: np.ndarray) -> list[int]:
    """CRC-32 of each image."""
    return [zlib.crc32(np.ascontiguousarray(image, np.uint8).tobytes()) for image in images]
