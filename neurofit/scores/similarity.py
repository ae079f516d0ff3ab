"""How similarly two populations, or a population and a model's layer, represent the same images.

Both are (image, unit), with any number of units. Nothing is fitted, and nothing is squared unless its
definition says so. Every value must be finite: leave out images or neurons with missing responses first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import DataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    return _from_correlations((y / norm[:, None]) @ (y / norm[:, None]).T, constant)


def dissimilarities_of_products(products: ArrayLike, sums: ArrayLike, units: int) -> np.ndarray:
    """`dissimilarities` from inner products of images' responses, for populations wider than memory.

    Parameters
    ----------
    products : ndarray, shape (image, image)
        Y Yᵀ, of responses as they are.
    sums : ndarray, shape (image,)
        Sum over units of each image's responses.
    units : int

    Returns
    -------
    ndarray, shape (image, image)
        As of `dissimilarities`; images whose responses vary by less than rounding have nan.

    Raises
    ------
    ShapeError
        If the numbers of images differ.
    """
    products, sums = np.asarray(products, np.float64), np.asarray(sums, np.float64)
    if products.shape != (len(sums), len(sums)):
        raise ShapeError(f"products {products.shape} for {len(sums)} images must be (image, image).")
    covariance = products - np.outer(sums, sums / units)
    variance = np.diag(covariance)
    constant = variance <= 1e-10 * np.diag(products)
    norm = np.sqrt(np.where(constant, np.nan, variance))
    return _from_correlations(covariance / norm / norm[:, None], constant)


def _from_correlations(correlations: np.ndarray, constant: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.clip(1 - correlations, 0, 2)
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
    return _similarity(dissimilarities(responses), dissimilarities(others))


def rdm_similarity(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman correlation of two given dissimilarity matrices, over the pairs of images (upper triangles).

    Parameters
    ----------
    one, other : ndarray, shape (image, image)
        nan where a dissimilarity is not defined; such pairs are left out.

    Returns
    -------
    float
        In [-1, 1]; nan if nothing varies over the pairs.

    Raises
    ------
    ShapeError
        If a matrix is not square and symmetric, or the numbers of images differ.
    """
    return _similarity(*(_rdm(values) / _largest(values) for values in (one, other)))


def _similarity(one: np.ndarray, other: np.ndarray) -> float:
    _same_images(one, other)
    upper = np.triu_indices(len(one), 1)
    defined = np.isfinite(one[upper]) & np.isfinite(other[upper])
    return _correlation(*(_ranks(matrix[upper][defined]) for matrix in (one, other)))


def rdm_ceiling(rdms: Sequence[ArrayLike] | np.ndarray) -> tuple[float, float]:
    """Noise ceiling of `rdm_similarity` with each of several subjects: what the true model would be near.

    Every subject's dissimilarities are replaced by their ranks. Upper: mean over subjects of the Spearman
    correlation with the mean of all subjects, which is the highest that any matrix can have. Lower: with the
    mean of all others.

    Parameters
    ----------
    rdms : ndarray, shape (subject, image, image)
        Pairs that are nan for a subject are left out for all.

    Returns
    -------
    lower, upper : float
        nan if a subject's dissimilarities do not vary.

    Raises
    ------
    ShapeError
        If these are not symmetric matrices of the same images.
    DataError
        If there are fewer than two subjects.

    References
    ----------
    H. Nili et al. (2014), doi:10.1371/journal.pcbi.1003553.
    """
    matrices = [_rdm(one) / _largest(one) for one in rdms]
    if len(matrices) < 2:
        raise DataError(f"rdm_ceiling needs at least two subjects; there are {len(matrices)}.")
    for matrix in matrices[1:]:
        _same_images(matrices[0], matrix)
    pairs = np.stack([matrix[np.triu_indices(len(matrix), 1)] for matrix in matrices])
    ranks = np.stack([_ranks(one) for one in pairs[:, np.isfinite(pairs).all(axis=0)]])
    total = ranks.sum(axis=0)
    lower = np.mean([_correlation(_ranks(total - one), one) for one in ranks])
    upper = np.mean([_correlation(_ranks(total), one) for one in ranks])
    return float(lower), float(upper)


def _largest(values: ArrayLike) -> float:
    """The largest magnitude, so that rounding is a matter of the values' own scale; 1 if there is none."""
    magnitudes = np.abs(np.asarray(values, np.float64))
    return float(np.nanmax(magnitudes, initial=0)) or 1.0


def _rdm(values: ArrayLike) -> np.ndarray:
    matrix = np.asarray(values, np.float64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or not np.allclose(matrix, matrix.T, equal_nan=True):
        raise ShapeError(
            f"dissimilarities {matrix.shape} must be a symmetric matrix, (image, image); a vector of pairs becomes "
            "one with scipy.spatial.distance.squareform."
        )
    return matrix


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if not one.size or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


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
    return cka_of_products(
        *(values @ values.T for values in (one - one.mean(axis=0), other - other.mean(axis=0)))
    )


def cka_of_products(one: ArrayLike, other: ArrayLike) -> float:
    """`linear_cka` from inner products of images' responses, for populations wider than memory.

    Parameters
    ----------
    one, other : ndarray, shape (image, image)
        Y Yᵀ; a constant taken from every unit changes nothing, and subtracting the mean keeps digits.

    Returns
    -------
    float

    Raises
    ------
    ShapeError
        If the numbers of images differ.
    DataError
        If there are fewer than four images, or a product is not finite.
    """
    one, other = _matrix(one), _matrix(other)
    _same_images(one, other)
    if len(one) < 4:
        raise DataError(f"linear_cka needs at least four images; there are {len(one)}.")
    kernels = [values - np.diag(np.diag(values)) for values in (one, other)]
    cross, own, others_own = (_hsic(kernels[i], kernels[j]) for i, j in ((0, 1), (0, 0), (1, 1)))
    return float(cross / np.sqrt(own * others_own)) if own > 0 and others_own > 0 else float("nan")


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
