"""How well a neuron's responses could be predicted: ceilings from its repeated trials alone, one number per neuron.

All functions take trials (image, trial, neuron) and a mask, as described in `trials`. Images with fewer than
two trials do not count. If a ceiling is not defined (silent neuron, one image, no repeats) it is nan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from neurofit.scores.measures import centred, correlation, divided
from neurofit.scores.trials import (
    anscombe,
    counted_trials,
    mean_variance,
    noise_variance,
    repeated,
    signal_variance,
    total_variance,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


ROUNDING = 1e-12  # of a correlation


def signal_power(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """SP = (Var_image(Σ_trial y) − Σ_trial Var_image(y)) / (n (n − 1)): the variance that all trials share.

    Computed as what it equals: the covariance of two trials over images, averaged over all pairs of trials.
    If trials are missing, a pair uses the images that have both, weighted by their number less one.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        Can be below 0 by chance; nan if no two trials share two images.

    References
    ----------
    M. Sahani and J. Linden (2003); O. Schoppe et al. (2016), doi:10.3389/fncom.2016.00010.
    """
    y, valid = repeated(trials, mask)
    products, weights = np.zeros(y.shape[2]), np.zeros(y.shape[2], np.int64)
    for one, other in combinations(range(y.shape[1]), 2):
        both = valid[:, one] & valid[:, other]
        left, right = (centred(np.where(both, y[:, trial], 0), both) for trial in (one, other))
        products += (left * right).sum(axis=0)
        weights += np.maximum(both.sum(axis=0) - 1, 0)
    return divided(products, weights)


def correlation_ceiling(
    trials: ArrayLike, mask: ArrayLike | None = None, *, signal: ArrayLike | None = None
) -> np.ndarray:
    """CC_max = √(SP / Var(ȳ)): the correlation of the true rates with the trial mean.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.
    signal : ndarray, shape (neuron,), optional
        Variance of the signal, to use another estimate (`signal_variance`) than `signal_power`.

    Returns
    -------
    ndarray, shape (neuron,)
        In [0, 1]; 0 if there is no signal (SP ≤ 0); nan for a silent neuron.

    References
    ----------
    O. Schoppe et al. (2016), doi:10.3389/fncom.2016.00010.
    """
    signal = signal_power(trials, mask) if signal is None else np.asarray(signal, np.float64)
    ceiling: np.ndarray = np.sqrt(np.clip(divided(signal, mean_variance(trials, mask)), 0, 1))
    return ceiling


def signal_share(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """signal / (signal + noise) of a single trial, from `signal_variance`.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [0, 1]; nan for a silent neuron.
    """
    signal = np.maximum(signal_variance(trials, mask), 0)
    return divided(signal, signal + noise_variance(trials, mask))


def fev(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Fraction of explainable variance: (total − noise) / total.

    The total variance is over all trials of all images; both have n − 1.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        At most 1; can be below 0 by chance; nan for a silent neuron.

    References
    ----------
    S. Cadena et al. (2019), doi:10.1371/journal.pcbi.1006897.
    """
    total = total_variance(trials, mask)
    return divided(total - noise_variance(trials, mask), total)


def signal_to_noise(trials: ArrayLike, mask: ArrayLike | None = None, *, counts: bool = False) -> np.ndarray:
    """Var_image(ȳ) / mean_image Var_trial(y), the former with n. The noise in ȳ is not subtracted.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.
    counts : bool, default False
        Responses are counts: use their Anscombe transform (`trials.anscombe`).

    Returns
    -------
    ndarray, shape (neuron,)
        At least 0; nan if the trials of each image are identical, so that there is no noise to compare with.

    References
    ----------
    neuralpredictors. D. Pospisil and W. Bair (2021) recommend it as a criterion,
    doi:10.1371/journal.pcbi.1009212.
    """
    y = anscombe(trials) if counts else trials
    images = (repeated(y, mask)[1].any(axis=1)).sum(axis=0)
    return divided(mean_variance(y, mask) * (images - 1) / np.maximum(images, 1), noise_variance(y, mask))


def oracle_jackknife(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Correlation of a response with the mean of the image's other trials, over all trials of all images.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [-1, 1]; nan if responses are constant.

    References
    ----------
    E. Walker et al. (2019), doi:10.1038/s41593-019-0517-x; neuralpredictors.
    """
    y, others, valid = _left_out(trials, mask)
    return correlation(*(values.reshape(-1, y.shape[2]) for values in (y, others, valid)))


def oracle_jackknife_by_trial(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """The correlation of `oracle_jackknife` over images, for each left-out trial position; the mean of those defined.

    A drift from trial to trial lowers `oracle_jackknife`, but not this.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [-1, 1]; nan if no position has a correlation.
    """
    y, others, valid = _left_out(trials, mask)
    each = np.array([correlation(y[:, k], others[:, k], valid[:, k]) for k in range(y.shape[1])])
    return _mean_of_defined(each, y.shape[2])


def oracle_conservative(trials: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """V / √(V · (V + noise)), with V = Var_image(ȳ) and noise = mean_image Var_trial(y), both with n, not n − 1.

    The correlation of single trials with ȳ, as if ȳ were the truth.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray, shape (neuron,)
        In [0, 1]; nan for a silent neuron.

    References
    ----------
    neuralpredictors.
    """
    y, valid = repeated(trials, mask)
    count = valid.sum(axis=1)
    mean = y.sum(axis=1) / np.maximum(count, 1)
    noise = (np.where(valid, y - mean[:, None, :], 0) ** 2).sum(axis=1) / np.maximum(count, 1)
    images = np.maximum((count > 0).sum(axis=0), 1)
    signal = mean_variance(trials, mask) * (images - 1) / images
    oracle: np.ndarray = np.sqrt(divided(signal, signal + noise.sum(axis=0) / images))
    return oracle


def split_half(
    trials: ArrayLike, mask: ArrayLike | None = None, *, splits: int = 200, seed: int = 0
) -> np.ndarray:
    """Correlation over images of the means of two halves of the trials, averaged over splits.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.
    splits : int, default 200
        Number of random splits.
    seed : int, default 0

    Returns
    -------
    ndarray, shape (neuron,)
        In [-1, 1].
    """
    return _halves(trials, mask, splits, seed, lambda r: r)


def split_half_consistency(
    trials: ArrayLike, mask: ArrayLike | None = None, *, splits: int = 200, seed: int = 0
) -> np.ndarray:
    """Split-half correlation corrected to all trials, 2r / (1 + r) (Spearman-Brown), averaged over splits.

    Halves are drawn at random, the same for all images; with 200 of them the mean over neurons is uncertain
    by about .001. A split whose halves are exact opposites (1 + r = 0, except for rounding) does not count.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.
    splits : int, default 200
        Number of random splits.
    seed : int, default 0

    Returns
    -------
    ndarray, shape (neuron,)
        At most 1.

    References
    ----------
    M. Schrimpf et al. (2018, Brain-Score), who use it, not squared, as the ceiling, doi:10.1101/407007.
    """
    return _halves(trials, mask, splits, seed, lambda r: divided(2 * r, np.where(1 + r > ROUNDING, 1 + r, 0)))


def split_half_ceiling(
    trials: ArrayLike, mask: ArrayLike | None = None, *, splits: int = 200, seed: int = 0
) -> np.ndarray:
    """√ of `split_half_consistency`: the correlation of a perfect model with the trial mean; 0 if that is below 0.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.
    mask : ndarray of bool, shape (image, trial, neuron) or (image, neuron), optional
        True where a response counts.
    splits : int, default 200
        Number of random splits.
    seed : int, default 0

    Returns
    -------
    ndarray, shape (neuron,)
        In [0, 1].
    """
    consistency = split_half_consistency(trials, mask, splits=splits, seed=seed)
    ceiling: np.ndarray = np.sqrt(np.maximum(consistency, 0))
    return ceiling


def _left_out(trials: ArrayLike, mask: ArrayLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """trials, the mean of the image's other trials, valid: each (image, trial, neuron)."""
    y, valid = repeated(trials, mask)
    rest = valid.sum(axis=1, keepdims=True) - 1
    others = (y.sum(axis=1, keepdims=True) - y) / np.maximum(rest, 1)
    return y, np.where(valid, others, 0), valid


def _halves(
    trials: ArrayLike,
    mask: ArrayLike | None,
    splits: int,
    seed: int,
    of: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    y, valid = counted_trials(trials, mask)
    each = []
    for chosen in _half_splits(y.shape[1], splits, seed):
        first, second = (_half_mean(y[:, half], valid[:, half]) for half in (chosen, ~chosen))
        each.append(of(correlation(first[0], second[0], first[1] & second[1])))
    return _mean_of_defined(np.array(each), y.shape[2])


def _half_mean(y: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = valid.sum(axis=1)
    return y.sum(axis=1) / np.maximum(count, 1), count > 0


def _half_splits(n: int, splits: int, seed: int) -> Iterator[np.ndarray]:
    """(trial,) bools: True for the first half, of n // 2 trials; the same for all images."""
    rng = np.random.default_rng(seed)
    if n > 1:
        yield from (np.isin(np.arange(n), rng.permutation(n)[: n // 2]) for _ in range(splits))


def _mean_of_defined(each: np.ndarray, n_neurons: int) -> np.ndarray:
    each = each.reshape(-1, n_neurons)
    defined = np.isfinite(each)
    return divided(np.where(defined, each, 0).sum(axis=0), defined.sum(axis=0))
