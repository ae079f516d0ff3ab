"""Scores of predictions against repeated trials, corrected for the neuron's noise; one per neuron.

All functions take trials (image, trial, neuron), predictions (image, neuron) and a mask, as described in
`trials`. Images with fewer than two trials of a neuron do not count for it (`single_trial_correlation` counts
them). If a prediction is NaN or infinite where a response counts, that neuron's score is nan. Scores that are
divided by an estimate of the signal are nan if it is not above 0, and unreliable if it is small: aggregate
over neurons with `ceilings.fev` above some threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import ShapeError
from neurofit.scores.ceilings import signal_power
from neurofit.scores.measures import centred, correlation, divided, is_constant
from neurofit.scores.trials import counted_trials, noise_variance, repeated, total_variance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def single_trial_correlation(
    trials: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None
) -> np.ndarray:
    """Pearson correlation over all trials of all images, each with its image's prediction.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [-1, 1]; noise keeps even the true rates below 1; nan as for `correlation`.

    Raises
    ------
    ShapeError
        If trials and predictions do not fit together.

    References
    ----------
    K. Willeke et al. (2022, Sensorium), doi:10.48550/arXiv.2206.08666.
    """
    y, valid = counted_trials(trials, mask)
    p = np.broadcast_to(_fitting(predictions, y)[:, None, :], y.shape)
    return correlation(*(values.reshape(-1, y.shape[2]) for values in (y, p, valid)))


def feve(trials: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Fraction of explainable variance explained: 1 − (mean (y − p)² − noise) / (total − noise).

    The mean is over all trials of all images; total and noise are those of `ceilings.fev`.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Unbounded below; can be above 1 by chance; nan if total ≤ noise.

    Raises
    ------
    ShapeError
        If trials and predictions do not fit together.

    References
    ----------
    S. Cadena et al. (2019), doi:10.1371/journal.pcbi.1006897.
    """
    valid = repeated(trials, mask)[1]
    p = _fitting(predictions, valid)
    error = np.where(valid, np.nan_to_num(trials) - p[:, None, :], 0) ** 2
    noise = noise_variance(trials, mask)
    explainable = total_variance(trials, mask) - noise
    unexplained = divided(error.sum(axis=(0, 1)), valid.sum(axis=(0, 1))) - noise
    return np.where(explainable > 0, 1 - divided(unexplained, explainable), np.nan)


def normalised_correlation(
    trials: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None
) -> np.ndarray:
    """CC_norm = cov(ȳ, p) / √(Var(p) · SP) = CC / CC_max: the correlation with the noiseless responses.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Can be beyond ±1 by chance; nan if SP ≤ 0, or predictions are constant.

    Raises
    ------
    ShapeError
        If trials and predictions do not fit together.

    References
    ----------
    A. Hsu et al. (2004), doi:10.1088/0954-898X_15_2_002; O. Schoppe et al. (2016),
    doi:10.3389/fncom.2016.00010.
    """
    y, p, valid = _means(trials, predictions, mask)
    covariance = (y * p).sum(axis=0) / np.maximum(valid.sum(axis=0) - 1, 1)
    return divided(covariance, np.sqrt(_variance(p, valid)) * _root(signal_power(trials, mask)))


def signal_power_explained(
    trials: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None
) -> np.ndarray:
    """SPE = (Var(ȳ) − Var(ȳ − p)) / SP.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Unbounded below, which is why Schoppe et al. advise against it; nan if SP ≤ 0.

    Raises
    ------
    ShapeError
        If trials and predictions do not fit together.

    References
    ----------
    M. Sahani and J. Linden (2003); O. Schoppe et al. (2016), doi:10.3389/fncom.2016.00010.
    """
    y, p, valid = _means(trials, predictions, mask)
    return divided(_variance(y, valid) - _variance(y - p, valid), _root(signal_power(trials, mask)) ** 2)


def r2_er(trials: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """r² of the predictions with the noiseless responses, with unbiased numerator and denominator.

    ((Σ p y)² − s Σ p²) / (Σ p² · (Σ y² − (m − 1) s)), where y is the trial mean of m images and p the
    prediction, both less their means over images, and s = noise · mean_image(1 / trials) is the variance of a
    trial mean. It assumes the same noise variance for all images: for counts, first take the square root, or
    Anscombe's, of trials and predictions.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Can be outside [0, 1] by chance; nan if the denominator is not above 0.

    Raises
    ------
    ShapeError
        If trials and predictions do not fit together.

    References
    ----------
    r̂²_ER of D. Pospisil and W. Bair (2021), doi:10.1371/journal.pcbi.1009212; derived here from its
    definition, and tested against the figures that they print.
    """
    y, p, valid = _means(trials, predictions, mask)
    count, images = repeated(trials, mask)[1].sum(axis=1), valid.sum(axis=0)
    noise = noise_variance(trials, mask) * divided((valid / np.maximum(count, 1)).sum(axis=0), images)
    pp = (p**2).sum(axis=0)
    explained = (p * y).sum(axis=0) ** 2 - noise * pp
    explainable = pp * ((y**2).sum(axis=0) - (images - 1) * noise)
    return np.where(explainable > 0, divided(explained, explainable), np.nan)


def _means(
    trials: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trial means and predictions, both less their means over the images that count; which images count.

    Each (image, neuron).
    """
    y, counts = repeated(trials, mask)
    p = _fitting(predictions, y)
    valid: np.ndarray = np.asarray(counts.any(axis=1))
    p = np.where(valid, np.where(is_constant(np.where(valid, p, 0), valid), 0, p), 0)
    return centred(y.sum(axis=1) / np.maximum(counts.sum(axis=1), 1), valid), centred(p, valid), valid


def _fitting(predictions: ArrayLike, trials: np.ndarray) -> np.ndarray:
    predictions = np.asarray(predictions, np.float64)
    if predictions.shape != trials.shape[::2]:
        raise ShapeError(
            f"trials {trials.shape} must be (image, trial, neuron), predictions {predictions.shape} (image, "
            "neuron)."
        )
    return np.where(np.isfinite(predictions), predictions, np.nan)


def _variance(centred_values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    variance: np.ndarray = (centred_values**2).sum(axis=0) / np.maximum(valid.sum(axis=0) - 1, 1)
    return variance


def _root(power: np.ndarray) -> np.ndarray:
    return np.sqrt(np.where(power > 0, power, np.nan))
