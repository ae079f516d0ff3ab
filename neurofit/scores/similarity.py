"""How similarly two populations, or a population and a model's layer, represent the same images.

Both are (image, unit), with any number of units. Nothing is fitted, and nothing is squared unless its
definition says so. Every value must be finite: leave out images or neurons with missing responses first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


ROUNDING = 1e-12  # of a dissimilarity, which is in [0, 2]


def dissimilarities(responses: ArrayLike) -> np.ndarray:
    """Representational dissimilarity matrix: 1 − Pearson correlation, over units, of every two images.

    Parameters
    ----------
    responses : ndarray, shape (image, unit)

    Returns
    -------
    ndarray, shape (image, image)
        In [0, 2], 0 on the diagonal; nan in rows and columns of an image with equal responses of all units.

    Raises
    ------
    ShapeError
        If the responses are not (image, unit).
    DataError
        If a response is not finite.

    References
    ----------
    N. Kriegeskorte et al. (2008), doi:10.3389/neuro.06.004.2008.
    """
    y = _matrix(responses)
    constant = y.max(axis=1) == y.min(axis=1)
    y = y - y.mean(axis=1, keepdims=True)
    norm = np.where(constant, np.nan, np.sqrt((y**2).sum(axis=1)))
    found: np.ndarray = np.clip(1 - (y / norm[:, None]) @ (y / norm[:, None]).T, 0, 2)
    np.fill_diagonal(found, np.where(constant, np.nan, 0))
    return found


def representational_similarity(responses: ArrayLike, others: ArrayLike) -> float:
    """Spearman correlation of two dissimilarity matrices, over the pairs of images (upper triangles).

    Pairs with an image to which all units respond equally are left out. Dissimilarities that differ by no
    more than rounding are ties, so that rescaled responses have the same value.

    Parameters
    ----------
    responses, others : ndarray, shape (image, unit)

    Returns
    -------
    float
        In [-1, 1]; nan if nothing varies over the pairs.

    Raises
    ------
    ShapeError
        If the numbers of images differ.
    DataError
        If a response is not finite.
    """
    one, other = dissimilarities(responses), dissimilarities(others)
    _same_images(one, other)
    upper = np.triu_indices(len(one), 1)
    defined = np.isfinite(one[upper]) & np.isfinite(other[upper])
    ranks = np.stack([_ranks(matrix[upper][defined]) for matrix in (one, other)])
    if not ranks.size or (np.ptp(ranks, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def linear_cka(responses: ArrayLike, others: ArrayLike) -> float:
    """Linear centred kernel alignment with the unbiased HSIC.

    HSIC₁(K, L) / √(HSIC₁(K, K) HSIC₁(L, L)), K = Y Yᵀ. The plain estimator is far above 0 for unrelated
    responses as soon as there are more units than images.

    Parameters
    ----------
    responses, others : ndarray, shape (image, unit)

    Returns
    -------
    float
        1 for rotated or rescaled copies, about 0 for unrelated responses; can be below 0 by chance; nan if
        one of them does not vary.

    Raises
    ------
    ShapeError
        If the numbers of images differ.
    DataError
        If there are fewer than four images, or a response is not finite.

    References
    ----------
    S. Kornblith et al. (2019), doi:10.48550/arXiv.1905.00414. The estimator: L. Song et al. (2012); T.
    Nguyen, M. Raghu and S. Kornblith (2021), doi:10.48550/arXiv.2010.15327.
    """
    one, other = _matrix(responses), _matrix(others)
    _same_images(one, other)
    if len(one) < 4:
        raise DataError(f"linear_cka needs at least four images; there are {len(one)}.")
    kernels = [_kernel(values) for values in (one, other)]
    cross, own, others_own = (_hsic(kernels[i], kernels[j]) for i, j in ((0, 1), (0, 0), (1, 1)))
    return float(cross / np.sqrt(own * others_own)) if own > 0 and others_own > 0 else float("nan")


def _kernel(y: np.ndarray) -> np.ndarray:
    y = y - y.mean(axis=0)  # changes nothing in exact numbers, and keeps digits
    kernel: np.ndarray = y @ y.T
    np.fill_diagonal(kernel, 0)
    return kernel


def _hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """[tr(KL) + ΣK ΣL / ((n − 1)(n − 2)) − 2 / (n − 2) · 1ᵀKL1] / (n (n − 3)), diagonals 0."""
    n = len(k)
    sums = k.sum() * l.sum() / ((n - 1) * (n - 2))
    return float(((k * l).sum() + sums - 2 / (n - 2) * (k.sum(axis=0) @ l.sum(axis=0))) / (n * (n - 3)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks; values that are equal except for rounding have the mean of their ranks."""
    from scipy.stats import rankdata  # slow to import

    order = np.argsort(values, kind="stable")
    group = np.zeros(len(values), np.int64)
    group[order[1:]] = np.cumsum(np.diff(values[order]) > ROUNDING)
    ranks: np.ndarray = rankdata(group)
    return ranks


def _matrix(responses: ArrayLike) -> np.ndarray:
    responses = np.asarray(responses, np.float64)
    if responses.ndim != 2:
        raise ShapeError(f"responses {responses.shape} must be (image, unit).")
    if not np.isfinite(responses).all():
        raise DataError("Some responses are NaN or infinite: leave out their images or units first.")
    return responses


def _same_images(one: np.ndarray, other: np.ndarray) -> None:
    if len(one) != len(other):
        raise ShapeError(
            f"{len(one)} and {len(other)} images: both must be responses to the same ones, in order."
        )
