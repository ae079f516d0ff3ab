"""Inner products of images' features, from one pass over blocks of units: all that the maps here need.

    X̃ = X − m, m the mean over the training images alone;   K = X̃ X̃ᵀ, (image, image), in float64

With n images, K has n² numbers however many units there are. Ridge, PCA, least squares and PLS depend on the
features through K alone, exactly: w = X̃ᵀ a for every weight vector w that they can find.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofit import scores
from neurofit.errors import DataError, ShapeError
from neurofit.models.linear_maps.blocks import WideMatrix, bands_of
from neurofit.models.linear_maps.forecast import forecast


@dataclass(frozen=True)
class Gram:
    """Products of images' features, centred on the training images.

    Parameters
    ----------
    products : ndarray, shape (band, image, image)
        K of each band.
    train : ndarray of int, shape (training image,)
        Rows of the training images.
    units : tuple of int
        Units of each band.
    along_mean : ndarray, shape (band, image)
        X̃ m, and `mean_square` is m · m: they give the products before centring, which a dissimilarity needs.
    sums : ndarray, shape (band, image)
        Sum over units of each image's features, before centring.
    mean_square : ndarray, shape (band,)
    name : str
        What the features are, for example a network and a layer; recorded with a map.
    seconds : mapping of str to float
        "reading" and "arithmetic".
    """

    products: np.ndarray
    train: np.ndarray
    units: tuple[int, ...]
    along_mean: np.ndarray
    sums: np.ndarray
    mean_square: np.ndarray
    name: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def n_images(self) -> int:
        return self.products.shape[1]

    def fingerprint(self) -> np.ndarray:
        """Squared lengths of the training images' centred features, (band, training image)."""
        return np.stack([np.diag(band)[self.train] for band in self.products])

    def between(self, rows: np.ndarray, others: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Σ_band weight · K of these rows, (row, other); weights of 1 by default."""
        found = np.zeros((len(rows), len(others)))
        for band, weight in zip(self.products, np.ones(len(self.products)) if weights is None else weights):
            if weight:
                found += weight * band[np.ix_(rows, others)]
        return found

    def scales(self) -> np.ndarray:
        """(band,) mean squared length of a training image's centred features; 1 for a band that is constant."""
        rows = self.train
        found = np.array([band[rows, rows].mean() for band in self.products])
        return np.where(found > 0, found, 1.0)

    def dissimilarities(self, rows=None, band: int = 0) -> np.ndarray:
        """1 − Pearson correlation over units of every two images, as `scores.dissimilarities` of the features.

        Parameters
        ----------
        rows : ndarray of int, optional
            Default: all images.
        band : int, default 0

        Returns
        -------
        ndarray, shape (image, image)
        """
        rows = np.arange(self.n_images) if rows is None else np.asarray(rows)
        along = self.along_mean[band][rows]
        raw = self.products[band][np.ix_(rows, rows)] + along[:, None] + along + self.mean_square[band]
        return scores.dissimilarities_of_products(raw, self.sums[band][rows], self.units[band])


def gram_of(
    features: Any,
    train: Any = None,
    *,
    name: str = "",
    memory_gb: float | None = None,
    neurons: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Gram:
    """Compute the inner products of images' features, in one pass over blocks of units.

    Parameters
    ----------
    features : WideMatrix, ndarray, path of a `.npy` file, or a list of these
        (image, unit). A list has one entry per band, for `MapRecipe(kind="banded")`.
    train : ndarray of int or bool, shape (training image,) or (image,), optional
        The training images: features are centred on their mean. Default: all images.
    name : str, default ""
        What the features are, for example "resnet50 (random, seed 3): layer3".
    memory_gb : float, optional
        Memory that the whole process may use. Default: 80 % of what its limits and the host leave.
    neurons : int, default 0
        Of the map to be fitted, for the forecast of memory.
    progress : callable, optional
        Called with the number of units done, and of all.

    Returns
    -------
    Gram

    Raises
    ------
    UsageError
        If it does not fit into memory; before anything is read.
    DataError
        If a feature is not finite, or there are fewer than two training images.
    ShapeError
        If the bands have different numbers of images, or `train` names others.
    """
    bands = bands_of(features)
    images, widest = bands[0].shape[0], max(one.shape[1] for one in bands)
    rows = _rows(train, images)
    block = forecast(images, widest, len(bands), neurons, memory_gb=memory_gb).block
    mean_of = np.zeros(images)
    mean_of[rows] = 1 / len(rows)
    products = np.zeros((len(bands), images, images))
    along, sums, squares = (
        np.zeros((len(bands), images)),
        np.zeros((len(bands), images)),
        np.zeros(len(bands)),
    )
    seconds, done, units = {"reading": 0.0, "arithmetic": 0.0}, 0, sum(one.shape[1] for one in bands)
    for number, matrix in enumerate(bands):
        for centred, mean in centred_blocks(matrix, mean_of, block, seconds):
            started = time.perf_counter()
            _add_products(products[number], centred)
            along[number] += centred @ mean
            sums[number] += centred.sum(axis=1) + mean.sum()
            squares[number] += mean @ mean
            done += centred.shape[1]
            seconds["arithmetic"] += time.perf_counter() - started
            if progress is not None:
                progress(done, units)
        _mirror(products[number])
    return Gram(products, rows, tuple(one.shape[1] for one in bands), along, sums, squares, name, seconds)


def centred_blocks(
    matrix: WideMatrix, mean_of: np.ndarray, block: int, seconds: dict[str, float] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of features less their mean, (image, unit), and the mean, (unit,), in float64.

    Both arrays are buffers, valid until the next block. `mean_of`, (image,), has the weight of each image in
    the mean. Adds to `seconds`, if given, what reading and centring took.

    Raises
    ------
    DataError
        If a feature is not finite.
    """
    images, units = matrix.shape
    read, values = np.empty(images * block, matrix.dtype), np.empty(images * block)
    for start in range(0, units, block):
        started = time.perf_counter()
        stop = min(start + block, units)
        raw = matrix.columns(start, stop, read[: images * (stop - start)].reshape(images, -1))
        between = time.perf_counter()
        centred = values[: raw.size].reshape(raw.shape)
        centred[:] = raw
        mean = mean_of @ centred
        centred -= mean
        if not np.isfinite(centred.sum()):
            raise DataError(f"Features of units {start:,} … {stop - 1:,} are NaN or infinite for some image.")
        if seconds is not None:
            seconds["reading"] += between - started
            seconds["arithmetic"] += time.perf_counter() - between
        yield centred, mean


def _add_products(products: np.ndarray, centred: np.ndarray) -> None:
    """Add centred · centredᵀ to one triangle of the products, in place: half the arithmetic of the product."""
    from scipy.linalg import blas  # slow to import

    # products.T and centred.T are in Fortran order, so that nothing is copied; products.T is the same matrix.
    blas.dsyrk(1.0, centred.T, beta=1.0, c=products.T, trans=1, overwrite_c=1)


def _mirror(products: np.ndarray) -> None:
    """Copy the triangle that `dsyrk` wrote to the other, row by row, without a second matrix."""
    for row in range(len(products)):
        products[row, row + 1 :] = products[row + 1 :, row]


def _rows(train: Any, images: int) -> np.ndarray:
    if train is None:
        return np.arange(images)
    rows = np.asarray(train)
    if rows.dtype == bool and rows.shape == (images,):
        rows = np.flatnonzero(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(np.unique(rows)) != len(rows):
        raise ShapeError(
            f"train {rows.shape} of {rows.dtype}: expected different row numbers, or one bool per image, ({images},)."
        )
    if len(rows) < 2:
        raise DataError(f"{len(rows)} training images: a map needs at least two.")
    if rows.min() < 0 or rows.max() >= images:
        raise ShapeError(f"train has rows {rows.min()} … {rows.max()}, and there are {images} images.")
    return rows.astype(np.int64)
