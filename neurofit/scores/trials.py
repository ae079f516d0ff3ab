"""Repeated trials: which count, their means and variances, for each neuron separately.

Trials are (image, trial, neuron), NaN if an image had fewer. A mask, True where a response counts, is
(image, trial, neuron), or (image, neuron) for all trials of an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import ShapeError
from neurofit.scores.measures import centred, divided

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def trial_mean(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Mean over the trials that count.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (image, neuron)
        nan if no trial counts.
    """
    y, valid = counted_trials(trials, mask)
    return divided(y.sum(axis=1), valid.sum(axis=1))


def anscombe(counts: ArrayLike) -> np.ndarray:
    """2 √(y + 3/8): the variance of a Poisson count becomes about 1, whatever its rate.

    Parameters
    ----------
    counts : ndarray

    Returns
    -------
    ndarray
        Of the same shape.

    References
    ----------
    F. Anscombe (1948), doi:10.1093/biomet/35.3-4.246.
    """
    return 2 * np.sqrt(np.asarray(counts, np.float64) + 3 / 8)


def counted_trials(trials: ArrayLike, mask: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """trials, valid, each (image, trial, neuron): float64, with zeros wherever `valid` is False.

    Raises
    ------
    ShapeError
        If trials do not have these three axes, or the mask does not fit them.
    """
    trials = np.asarray(trials, np.float64)
    if trials.ndim != 3:
        raise ShapeError(f"trials {trials.shape} must be (image, trial, neuron).")
    valid = np.isfinite(trials)
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape not in (trials.shape, trials.shape[::2]):
            raise ShapeError(
                f"mask {mask.shape} must have the shape of trials {trials.shape}, or (image, neuron)."
            )
        valid &= (mask if mask.ndim == 3 else mask[:, None, :]).astype(bool)
    return np.where(valid, trials, 0), valid


def repeated(trials: ArrayLike, mask: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """As `counted_trials`, but an image counts for a neuron only if at least two of its trials do.

    With fewer than two such images nothing counts: signal and noise cannot be separated. Responses are
    relative to the neuron's smallest, so that those of a silent neuron are exactly 0.
    """
    y, valid = counted_trials(trials, mask)
    valid = valid & (valid.sum(axis=1, keepdims=True) > 1)
    valid &= valid.any(axis=1).sum(axis=0) > 1
    smallest = np.where(valid, y, np.inf).min(axis=(0, 1), initial=np.inf)
    return np.where(valid, y - np.where(np.isfinite(smallest), smallest, 0), 0), valid


def noise_variance(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Variance over trials (n − 1), averaged over the images with at least two trials.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At least 0, exactly 0 if all trials of each image are equal; nan if fewer than two images have two
        trials.
    """
    y, valid = repeated(trials, mask)
    return _noise(y, valid)


def total_variance(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Variance (n − 1) over all trials of all images with at least two trials.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
    """
    y, valid = repeated(trials, mask)
    flat, counts = y.reshape(-1, y.shape[2]), valid.reshape(-1, y.shape[2])
    return variance(flat, counts)


def mean_variance(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Variance (n − 1) over images of the mean response, for images with at least two trials.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
    """
    y, valid = repeated(trials, mask)
    return _of_means(y, valid)


def signal_variance(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """The part of `mean_variance` that is not noise: Var(ȳ) − noise · mean_image(1 / trials).

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Can be below 0 by chance; nan if fewer than two images have two trials.
    """
    y, valid = repeated(trials, mask)
    count = valid.sum(axis=1)
    inverse = ((count > 0) / np.maximum(count, 1)).sum(axis=0)
    share = divided(inverse, (count > 0).sum(axis=0))
    return np.asarray(_of_means(y, valid) - _noise(y, valid) * share)


def variance(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(neuron,) variance over the first axis, n − 1; nan if fewer than two values count."""
    count = valid.sum(axis=0)
    squares = (centred(np.where(valid, values, 0), valid) ** 2).sum(axis=0)
    return np.where(count > 1, divided(squares, np.maximum(count - 1, 1)), np.nan)


def _noise(y: np.ndarray, valid: np.ndarray) -> np.ndarray:
    count = valid.sum(axis=1)
    first = np.take_along_axis(y, valid.argmax(axis=1)[:, None, :], axis=1)  # of those that count
    y = np.where(valid, y - first, 0)
    mean = y.sum(axis=1) / np.maximum(count, 1)
    within = (np.where(valid, y - mean[:, None, :], 0) ** 2).sum(axis=1) / np.maximum(count - 1, 1)
    return divided(within.sum(axis=0), (count > 1).sum(axis=0))


def _of_means(y: np.ndarray, valid: np.ndarray) -> np.ndarray:
    count = valid.sum(axis=1)
    return variance(y.sum(axis=1) / np.maximum(count, 1), count > 0)
