"""Scores of predicted responses, one per neuron.

All functions take responses and predictions (image, neuron) and a mask (image, neuron), True where the
response counts, or None. A response that is NaN is missing and does not count. If a prediction is NaN or
infinite where the response counts, that neuron's score is nan. A score that is not defined is nan;
`summary.population` decides what a nan counts. float64 inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import ShapeError, UsageError, nearest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


EPSILON = 1e-6  # added to a rate before its logarithm, as NDN does [spikes per presentation]


def correlation(responses: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Pearson correlation of each neuron's responses with its predictions, over images.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [-1, 1]; nan if responses or predictions are constant, or fewer than two images count.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    undefined = is_constant(y, valid) | is_constant(p, valid)
    y, p = _unit(centred(y, valid)), _unit(centred(p, valid))
    return np.where(undefined, np.nan, np.clip((y * p).sum(axis=0), -1, 1))


def explained_variance(
    responses: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None
) -> np.ndarray:
    """1 − Var(y − p) / Var(y): an offset costs nothing, a wrong scale does.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At most 1, unbounded below; nan if responses are constant.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    error = (centred(y - p, valid) ** 2).sum(axis=0)
    variance = (centred(y, valid) ** 2).sum(axis=0)
    return np.where(is_constant(y, valid), np.nan, 1 - divided(error, variance))


def r_squared(responses: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """R² = 1 − Σ (y − p)² / Σ (y − ȳ)², with ȳ the mean of these responses: an offset and a wrong scale cost.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At most 1, unbounded below; nan if responses are constant.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    error = ((y - p) ** 2).sum(axis=0)
    return np.where(is_constant(y, valid), np.nan, 1 - divided(error, (centred(y, valid) ** 2).sum(axis=0)))


def fraction_of_variance_explained(
    responses: ArrayLike, predictions: ArrayLike, baseline_mean: ArrayLike, mask: ArrayLike | None = None
) -> np.ndarray:
    """1 − Σ (y − p)² / Σ (y − baseline)²: 0 for a model that predicts the baseline, which is given, not estimated.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    baseline_mean : ndarray, shape (neuron,)
        Mean response in the *training* set [spikes per presentation].
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At most 1, unbounded below; nan if every response equals the baseline, or none counts.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    baseline = _per_neuron(baseline_mean, y)
    error = ((y - p) ** 2).sum(axis=0)
    return 1 - divided(error, (np.where(valid, y - baseline, 0) ** 2).sum(axis=0))


def poisson_log_likelihood(
    responses: ArrayLike,
    predictions: ArrayLike,
    baseline_mean: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> np.ndarray:
    """Log likelihood of the spikes beyond that of a constant rate, in bits per spike.

    LL(p) = Σ_image y log(p + ε) − p, with ε = EPSILON = 1e-6; score = (LL(p) − LL(baseline)) / (log 2 ·
    Σ_image y).

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    baseline_mean : ndarray, shape (neuron,), optional
        The constant rate. Default: the mean of these responses (NDN's null model), which no constant
        prediction can beat; the training set's mean is the fair one.
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Unbounded; 0 for the baseline itself; nan for a neuron without spikes, with a response < 0 or with a
        prediction ≤ −ε.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    baseline = mean(y, valid) if baseline_mean is None else _per_neuron(baseline_mean, y)
    gain = _log_likelihood(y, p, valid) - _log_likelihood(y, np.broadcast_to(baseline, y.shape), valid)
    return divided(gain, y.sum(axis=0) * np.log(2))


def null_adjusted_log_likelihood(
    responses: ArrayLike,
    predictions: ArrayLike,
    baseline_mean: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    noise: str = "poisson",
) -> np.ndarray:
    """Gain of the model's loss over that of a constant rate.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    baseline_mean : ndarray, shape (neuron,), optional
        As in `poisson_log_likelihood`; None is NDN's.
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.
    noise : {"poisson", "gaussian"}
        "poisson": `poisson_log_likelihood` in nats per spike, of a loss divided by each neuron's mean rate,
        as in NDN3. "gaussian": Σ (y − baseline)² / images − Σ (y − p)² / images for each neuron, *not* NDN3's
        value, which subtracts the baseline's error, −error − null (`eval_preds`; in `eval_models` null is a
        sum over all neurons).

    Returns
    -------
    ndarray, shape (neuron,)
        Unbounded; 0 for the baseline itself; nan if the log likelihood is, or no image counts.

    Raises
    ------
    ShapeError
        If the shapes differ.
    UsageError
        If the noise is not known.
    """
    if noise == "poisson":
        bits = poisson_log_likelihood(responses, predictions, baseline_mean, mask)
        return np.asarray(np.log(2) * bits)
    if noise != "gaussian":
        raise UsageError(
            f"noise={noise!r}: expected poisson or gaussian.{nearest(str(noise), ('poisson', 'gaussian'))}"
        )
    y, p, valid = paired(responses, predictions, mask)
    baseline = mean(y, valid) if baseline_mean is None else _per_neuron(baseline_mean, y)
    gain = np.where(valid, (y - baseline) ** 2 - (y - p) ** 2, 0).sum(axis=0)
    return divided(gain, valid.sum(axis=0))


def poisson_deviance(
    responses: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None
) -> np.ndarray:
    """2 Σ [y log(y / p) − (y − p)] / images: distance from the best log likelihood, p = y. y log y is 0 at 0.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At least 0 [nats per image, twice]; infinite for a spike where the rate is 0; nan for negative rates
        or responses, or if no image counts.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    return divided(2 * _missed(y, p, valid), valid.sum(axis=0))


def deviance_explained(
    responses: ArrayLike,
    predictions: ArrayLike,
    baseline_mean: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> np.ndarray:
    """D² = 1 − deviance(p) / deviance(baseline): R² for Poisson counts.

    Parameters
    ----------
    responses, predictions : ndarray, shape (image, neuron)
    baseline_mean : ndarray, shape (neuron,), optional
        As in `poisson_log_likelihood`.
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At most 1, unbounded below; nan if the baseline's deviance is 0 (a silent neuron).

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    baseline = mean(y, valid) if baseline_mean is None else _per_neuron(baseline_mean, y)
    unexplained = _missed(y, np.broadcast_to(baseline, y.shape), valid)
    return np.where(is_constant(y, valid), np.nan, 1 - divided(_missed(y, p, valid), unexplained))


PERFECT_AT_ZERO = frozenset({poisson_deviance})  # no score of a model that predicts nothing


def _missed(y: np.ndarray, rate: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Half the deviance, (neuron,)."""
    possible = (y >= 0) & (rate >= 0)  # NaN is not
    with np.errstate(divide="ignore", invalid="ignore"):
        spikes = np.where(y > 0, y * np.log(y / rate), 0)
    missed: np.ndarray = np.where(valid, np.where(possible, spikes - (y - rate), np.nan), 0).sum(axis=0)
    return missed


def _log_likelihood(y: np.ndarray, rate: np.ndarray, valid: np.ndarray) -> np.ndarray:
    logarithm = np.log(rate + EPSILON, out=np.full(y.shape, np.nan), where=(rate > -EPSILON) & (y >= 0))
    likelihood: np.ndarray = np.where(valid, y * logarithm - rate, 0).sum(axis=0)
    return likelihood


def centred(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values less their mean over valid images; 0 where not valid, as `values` is there."""
    return np.where(valid, values - mean(values, valid), 0)


def _unit(values: np.ndarray) -> np.ndarray:
    # By the largest first: squares of very small or large numbers would leave the range of float64.
    values = divided(values, np.broadcast_to(abs(values).max(axis=0, initial=0), values.shape))
    return divided(values, np.broadcast_to(np.sqrt((values**2).sum(axis=0)), values.shape))


def _per_neuron(baseline_mean: ArrayLike, responses: np.ndarray) -> np.ndarray:
    baseline = np.asarray(baseline_mean, np.float64)
    if baseline.shape != responses.shape[1:]:
        raise ShapeError(
            f"baseline_mean {baseline.shape} must be (neuron,), one value per neuron of responses {responses.shape}."
        )
    return baseline


def gini(responses: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Gini coefficient: Σ_ij |y_i − y_j| / (2 n² ȳ).

    How unevenly a neuron's responses are spread over images: 0 = the same to all, 1 = to a single one.

    Parameters
    ----------
    responses : ndarray, shape (image, neuron)
        At least 0; NaN = missing.
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [0, 1 − 1/n]; nan for a neuron without a response, or with a negative one.

    References
    ----------
    N. Hurley and S. Rickard (2009), doi:10.1109/TIT.2009.2027527.
    """
    from scipy.stats import rankdata  # slow to import

    y, valid, n = _counted(responses, mask)
    rank = rankdata(np.where(valid, y, np.inf), method="ordinal", axis=0)
    return divided(((2 * rank - n - 1) * y).sum(axis=0), n * _usable(y))


def lifetime_sparseness(responses: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """(1 − ȳ² / mean y²) / (1 − 1/n).

    Parameters
    ----------
    responses : ndarray, shape (image, neuron)
        At least 0; NaN = missing.
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [0, 1]; nan for a neuron without a response, with a negative one, or with one image.

    References
    ----------
    W. Vinje and J. Gallant (2000), doi:10.1126/science.287.5456.1273.
    """
    y, _, n = _counted(responses, mask)
    total = _usable(y)
    return divided(1 - divided(total**2, n * (y**2).sum(axis=0)), 1 - divided(np.ones(n.shape), n))


def _counted(responses: ArrayLike, mask: ArrayLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    responses = np.asarray(responses, np.float64)
    valid = counted(responses, mask)
    return np.where(valid, responses, 0), valid, valid.sum(axis=0)


def _usable(y: np.ndarray) -> np.ndarray:
    """Sum of each neuron's responses, (neuron,); nan if it is 0 or a response is negative."""
    total = y.sum(axis=0)
    return np.where((y < 0).any(axis=0) | (total == 0), np.nan, total)


def paired(
    responses: ArrayLike, predictions: ArrayLike, mask: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """responses, predictions, valid, each (image, neuron): float64, with zeros wherever `valid` is False.

    Valid: the mask is True (None = everywhere), and the response is finite. A prediction that is NaN or
    infinite makes all of its neuron's valid predictions NaN, so that every score of that neuron is nan.

    Raises
    ------
    ShapeError
        If an array is not (image, neuron), or the shapes differ.
    """
    responses = np.asarray(responses, np.float64)
    predictions = np.asarray(predictions, np.float64)
    if responses.ndim != 2 or responses.shape != predictions.shape:
        raise ShapeError(
            f"responses {responses.shape} and predictions {predictions.shape} must both be (image, "
            "neuron), with equal shapes."
        )
    valid = counted(responses, mask)
    broken = (valid & ~np.isfinite(predictions)).any(axis=0)
    predictions = np.where(valid, np.where(broken, np.nan, predictions), 0)
    return np.where(valid, responses, 0), predictions, valid


def counted(responses: np.ndarray, mask: ArrayLike | None = None) -> np.ndarray:
    """(image, neuron) bool: the mask is True and the response finite."""
    finite: np.ndarray = np.isfinite(responses)
    if mask is None:
        return finite
    mask = np.asarray(mask)
    if mask.shape != responses.shape:
        raise ShapeError(
            f"mask {mask.shape} and responses {responses.shape} must both be (image, neuron), with equal shapes."
        )
    both: np.ndarray = finite & mask.astype(bool)
    return both


def is_constant(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(neuron,) bool: fewer than two valid values, or all of them equal, to the last bit. NaN equals nothing."""
    low = np.where(valid, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(valid, values, -np.inf).max(axis=0, initial=-np.inf)
    constant: np.ndarray = (valid.sum(axis=0) < 2) | (low == high)
    return constant


def mean(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(neuron,) mean over valid images; nan if there are none. `values` is 0 where not valid."""
    return divided(values.sum(axis=0), valid.sum(axis=0))


def divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator; nan where the denominator is 0, without a warning."""
    ratio: np.ndarray = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator != 0)
    return ratio
