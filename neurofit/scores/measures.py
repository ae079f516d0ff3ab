"""Scores of predicted responses, one per neuron.

All take responses and predictions (image, neuron) and a mask (image, neuron), True where the response counts,
or None. A response that is NaN is missing and does not count; a prediction that is NaN or infinite where the
response counts makes that neuron's score nan. Where a score is not defined it is nan; `summary.population`
decides what a nan is worth. Pure NumPy, float64 inside.

How unevenly a neuron's responses are spread over images: 0 = alike to all, 1 = to a single one.
"""

from __future__ import annotations

import numpy as np

from neurofit.errors import ShapeError, UsageError, nearest
from neurofit.scores.pairs import counted, divided, is_constant, mean, paired

EPSILON = 1e-6  # added to a rate before its logarithm, as NDN does [spikes per presentation]


def correlation(responses, predictions, mask=None) -> np.ndarray:
    """Pearson correlation of each neuron's responses with its predictions, over images.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        In [-1, 1]; nan if responses or predictions are constant, or fewer than two images count.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    undefined = is_constant(y, valid) | is_constant(p, valid)
    y, p = _unit(centred(y, valid)), _unit(centred(p, valid))
    return np.where(undefined, np.nan, np.clip((y * p).sum(axis=0), -1, 1))


def explained_variance(responses, predictions, mask=None) -> np.ndarray:
    """1 - Var(y - p) / Var(y): an offset costs nothing, a wrong scale does.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        At most 1, unbounded below; nan if responses are constant.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    error = (centred(y - p, valid) ** 2).sum(axis=0)
    variance = (centred(y, valid) ** 2).sum(axis=0)
    return np.where(is_constant(y, valid), np.nan, 1 - divided(error, variance))


def r_squared(responses, predictions, mask=None) -> np.ndarray:
    """R² = 1 − Σ (y − p)² / Σ (y − ȳ)², ȳ the mean of these responses: an offset and a wrong scale both cost.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        At most 1, unbounded below; nan if responses are constant.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    error = ((y - p) ** 2).sum(axis=0)
    return np.where(is_constant(y, valid), np.nan, 1 - divided(error, (centred(y, valid) ** 2).sum(axis=0)))


def fraction_of_variance_explained(responses, predictions, baseline_mean, mask=None) -> np.ndarray:
    """1 - Σ (y - p)² / Σ (y - baseline)²: 0 for a model that predicts a given baseline.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    baseline_mean : ndarray of shape (neuron,)
        The mean response in the *training* set [spikes per presentation].
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        At most 1, unbounded below; nan if every response equals the baseline, or none counts.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    baseline = _per_neuron(baseline_mean, y)
    error = ((y - p) ** 2).sum(axis=0)
    return 1 - divided(error, (np.where(valid, y - baseline, 0) ** 2).sum(axis=0))


def poisson_log_likelihood(responses, predictions, baseline_mean=None, mask=None) -> np.ndarray:
    """Log likelihood of the spikes beyond that of a constant rate, in bits per spike.

    LL(p) = Σ_image y log(p + ε) - p, with ε = EPSILON = 1e-6; the score is
    (LL(p) - LL(baseline)) / (log 2 · Σ_image y).

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    baseline_mean : ndarray of shape (neuron,), optional
        The constant rate. By default the mean of these responses (NDN's null model), which no constant
        prediction can beat; the mean of the training set is the fair baseline.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        Unbounded; 0 for the baseline itself; nan for a neuron without spikes, with a response < 0 or with a
        prediction ≤ -ε.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    baseline = mean(y, valid) if baseline_mean is None else _per_neuron(baseline_mean, y)
    gain = _log_likelihood(y, p, valid) - _log_likelihood(y, np.broadcast_to(baseline, y.shape), valid)
    return divided(gain, y.sum(axis=0) * np.log(2))


def null_adjusted_log_likelihood(
    responses, predictions, baseline_mean=None, mask=None, *, noise="poisson"
) -> np.ndarray:
    """What the model's loss gains over that of a constant rate.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    baseline_mean : ndarray of shape (neuron,), optional
        The constant rate, as in `poisson_log_likelihood`; the default is NDN's.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.
    noise : {"poisson", "gaussian"}
        "poisson" is `poisson_log_likelihood` in nats per spike, of a loss divided by each neuron's mean rate;
        it equals NDN3's. "gaussian" is Σ (y − baseline)² / images − Σ (y − p)² / images, for each neuron
        separately. It is *not* NDN3's, which subtracts the baseline's error, −error − null (`eval_preds`; in
        `eval_models`, null is a sum over all neurons), so the two cannot be compared.

    Returns
    -------
    ndarray of shape (neuron,)
        Unbounded; 0 for the baseline itself; nan if the log likelihood is, or if no image counts.

    Raises
    ------
    ShapeError
        The shapes differ.
    UsageError
        Another noise was asked for.
    """
    if noise == "poisson":
        return np.log(2) * poisson_log_likelihood(responses, predictions, baseline_mean, mask)
    if noise != "gaussian":
        raise UsageError(
            f"noise={noise!r}: known are poisson, gaussian.{nearest(str(noise), ('poisson', 'gaussian'))}"
        )
    y, p, valid = paired(responses, predictions, mask)
    baseline = mean(y, valid) if baseline_mean is None else _per_neuron(baseline_mean, y)
    gain = np.where(valid, (y - baseline) ** 2 - (y - p) ** 2, 0).sum(axis=0)
    return divided(gain, valid.sum(axis=0))


def poisson_deviance(responses, predictions, mask=None) -> np.ndarray:
    """2 Σ [y log(y / p) − (y − p)] / images: how far this is below the best log likelihood, that of p = y.

    y log y is 0 at 0.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        At least 0 [nats per image, twice]; infinite for a spike where the rate is 0; nan for negative rates or
        responses, or if no image counts.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    y, p, valid = paired(responses, predictions, mask)
    return divided(2 * _missed(y, p, valid), valid.sum(axis=0))


def deviance_explained(responses, predictions, baseline_mean=None, mask=None) -> np.ndarray:
    """D² = 1 − deviance(p) / deviance(baseline): R² for Poisson counts.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    baseline_mean : ndarray of shape (neuron,), optional
        The constant rate, as in `poisson_log_likelihood`.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        At most 1, unbounded below; nan if the baseline misses nothing (a silent neuron).

    Raises
    ------
    ShapeError
        The shapes differ.
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
    return np.where(valid, np.where(possible, spikes - (y - rate), np.nan), 0).sum(axis=0)


def _log_likelihood(y: np.ndarray, rate: np.ndarray, valid: np.ndarray) -> np.ndarray:
    logarithm = np.log(rate + EPSILON, out=np.full(y.shape, np.nan), where=(rate > -EPSILON) & (y >= 0))
    return np.where(valid, y * logarithm - rate, 0).sum(axis=0)


def centred(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Less the mean over valid images; 0 where not valid. `values` is 0 there."""
    return np.where(valid, values - mean(values, valid), 0)


def _unit(values: np.ndarray) -> np.ndarray:
    # By the largest first: squares of very small or large numbers would leave the range of float64.
    values = divided(values, np.broadcast_to(abs(values).max(axis=0, initial=0), values.shape))
    return divided(values, np.broadcast_to(np.sqrt((values**2).sum(axis=0)), values.shape))


def _per_neuron(baseline_mean, responses: np.ndarray) -> np.ndarray:
    baseline = np.asarray(baseline_mean, np.float64)
    if baseline.shape != responses.shape[1:]:
        raise ShapeError(
            f"baseline_mean {baseline.shape} must be (neuron,), one of responses {responses.shape} each."
        )
    return baseline


def gini(responses, mask=None) -> np.ndarray:
    """Gini coefficient: Σ_ij |y_i − y_j| / (2 n² ȳ).

    Parameters
    ----------
    responses : ndarray of shape (image, neuron)
        At least 0; NaN is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        In [0, 1 − 1/n]; nan for a neuron without a response, or with a negative one.

    References
    ----------
    Hurley & Rickard 2009, doi:10.1109/TIT.2009.2027527.
    """
    y, valid, n = _counted(responses, mask)
    rank = np.cumsum(
        np.take_along_axis(valid, order := np.argsort(np.where(valid, y, np.inf), axis=0), axis=0), axis=0
    )
    ordered = np.take_along_axis(y, order, axis=0)
    return divided(((2 * rank - n - 1) * ordered).sum(axis=0), n * _usable(y))


def lifetime_sparseness(responses, mask=None) -> np.ndarray:
    """Lifetime sparseness: (1 − ȳ² / mean y²) / (1 − 1/n).

    Parameters
    ----------
    responses : ndarray of shape (image, neuron)
        At least 0; NaN is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron,)
        In [0, 1]; nan for a neuron without a response, with a negative one, or with one image.

    References
    ----------
    Vinje & Gallant 2000, doi:10.1126/science.287.5456.1273.
    """
    y, _, n = _counted(responses, mask)
    total = _usable(y)
    return divided(1 - divided(total**2, n * (y**2).sum(axis=0)), 1 - divided(np.ones(n.shape), n))


def _counted(responses, mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    responses = np.asarray(responses, np.float64)
    valid = counted(responses, mask)
    return np.where(valid, responses, 0), valid, valid.sum(axis=0)


def _usable(y: np.ndarray) -> np.ndarray:
    """(neuron,) the sum, nan where it is 0 or a response is negative."""
    total = y.sum(axis=0)
    return np.where((y < 0).any(axis=0) | (total == 0), np.nan, total)
