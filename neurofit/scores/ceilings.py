"""How well a neuron's responses could be predicted at all: from its repeated trials alone, one number per
neuron.

All take trials (image, trial, neuron) and a mask, as `trials` says; images with fewer than two trials do not
count. Where a ceiling is not defined (silent neuron, one image, no repeats) it is nan.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from neurofit.scores.measures import centred, correlation
from neurofit.scores.pairs import divided
from neurofit.scores.trials import (
    anscombe,
    counted_trials,
    mean_variance,
    noise_variance,
    repeated,
    signal_variance,
    total_variance,
)

ROUNDING = 1e-12  # of a correlation


def signal_power(trials, mask=None) -> np.ndarray:
    """SP = (Var_image(Σ_trial y) − Σ_trial Var_image(y)) / (n (n − 1)): variance that all trials share.

    It is computed as what it equals, the covariance of two trials over images, averaged over all pairs of
    trials. If trials are missing, a pair uses the images that have both, weighted by their number less one.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.

    Returns
    -------
    ndarray of shape (neuron,)
        Below 0 by chance; nan if no two trials share two images.

    References
    ----------
    Sahani & Linden 2003; Schoppe et al. 2016, doi:10.3389/fncom.2016.00010.
    """
    y, valid = repeated(trials, mask)
    products, weights = np.zeros(y.shape[2]), np.zeros(y.shape[2], np.int64)
    for one, other in combinations(range(y.shape[1]), 2):
        both = valid[:, one] & valid[:, other]
        left, right = (centred(np.where(both, y[:, trial], 0), both) for trial in (one, other))
        products += (left * right).sum(axis=0)
        weights += np.maximum(both.sum(axis=0) - 1, 0)
    return divided(products, weights)


def correlation_ceiling(trials, mask=None, *, signal=None) -> np.ndarray:
    """CC_max = √(SP / Var(ȳ)): the correlation with the trial mean that the true rates would have.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.
    signal : ndarray of shape (neuron,), optional
        The signal's variance, to use another estimate than `signal_power`, such as `signal_variance`.

    Returns
    -------
    ndarray of shape (neuron,)
        In [0, 1]; 0 if there is no signal (SP ≤ 0); nan for a silent neuron.

    References
    ----------
    Schoppe et al. 2016, doi:10.3389/fncom.2016.00010.
    """
    signal = signal_power(trials, mask) if signal is None else np.asarray(signal, np.float64)
    return np.sqrt(np.clip(divided(signal, mean_variance(trials, mask)), 0, 1))


def signal_share(trials, mask=None) -> np.ndarray:
    """Share of signal in a single trial's variance, signal / (signal + noise), by `signal_variance`.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.

    Returns
    -------
    ndarray of shape (neuron,)
        In [0, 1]; nan for a silent neuron.
    """
    signal = np.maximum(signal_variance(trials, mask), 0)
    return divided(signal, signal + noise_variance(trials, mask))


def fev(trials, mask=None) -> np.ndarray:
    """Fraction of explainable variance: (total − noise) / total.

    The total is over all trials of all images. Both variances are divided by n − 1.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.

    Returns
    -------
    ndarray of shape (neuron,)
        At most 1, below 0 by chance; nan for a silent neuron.

    References
    ----------
    Cadena et al. 2019, doi:10.1371/journal.pcbi.1006897.
    """
    total = total_variance(trials, mask)
    return divided(total - noise_variance(trials, mask), total)


def signal_to_noise(trials, mask=None, *, counts: bool = False) -> np.ndarray:
    """Var_image(ȳ) / mean_image Var_trial(y), the former divided by n; the noise in ȳ is not subtracted.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.
    counts : bool
        Whether the responses are counts: then it is the ratio of their Anscombe transform (`anscombe`).

    Returns
    -------
    ndarray of shape (neuron,)
        At least 0; nan if the trials of each image are identical, because there is no noise to compare with.

    References
    ----------
    neuralpredictors; Pospisil & Bair 2021, doi:10.1371/journal.pcbi.1009212, argue for it as a criterion.
    """
    y = anscombe(trials) if counts else trials
    images = (repeated(y, mask)[1].any(axis=1)).sum(axis=0)
    return divided(mean_variance(y, mask) * (images - 1) / np.maximum(images, 1), noise_variance(y, mask))


def oracle_jackknife(trials, mask=None) -> np.ndarray:
    """Correlation of each response with the mean of its image's other trials, over all trials of all images.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.

    Returns
    -------
    ndarray of shape (neuron,)
        In [-1, 1]; nan if either is constant.

    References
    ----------
    Walker et al. 2019, doi:10.1038/s41593-019-0517-x; neuralpredictors.
    """
    y, others, valid = _left_out(trials, mask)
    return correlation(*(values.reshape(-1, y.shape[2]) for values in (y, others, valid)))


def oracle_jackknife_by_trial(trials, mask=None) -> np.ndarray:
    """The correlation of `oracle_jackknife` over images, for each left-out trial position, and their mean.

    A drift from trial to trial lowers `oracle_jackknife`, but not this.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.

    Returns
    -------
    ndarray of shape (neuron,)
        In [-1, 1]; the mean of those trial positions for which it is defined.
    """
    y, others, valid = _left_out(trials, mask)
    each = np.array([correlation(y[:, k], others[:, k], valid[:, k]) for k in range(y.shape[1])])
    return _mean_of_defined(each, y.shape[2])


def oracle_conservative(trials, mask=None) -> np.ndarray:
    """V / √(V · (V + noise)), V = Var_image(ȳ), noise = mean_image Var_trial(y), both divided by n, not n − 1.

    This is the correlation of single trials with ȳ, as if ȳ were the truth.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.

    Returns
    -------
    ndarray of shape (neuron,)
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
    return np.sqrt(divided(signal, signal + noise.sum(axis=0) / images))


def split_half(trials, mask=None, *, splits: int = 200, seed: int = 0) -> np.ndarray:
    """Correlation over images of the means of two halves of the trials, averaged over splits.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.
    splits : int
        How many random splits are averaged.
    seed : int
        Seed of the splits.

    Returns
    -------
    ndarray of shape (neuron,)
        In [-1, 1].
    """
    return _halves(trials, mask, splits, seed, lambda r: r)


def split_half_consistency(trials, mask=None, *, splits: int = 200, seed: int = 0) -> np.ndarray:
    """Split-half correlation corrected to all trials, 2r / (1 + r) (Spearman-Brown), averaged over splits.

    Halves are drawn at random, the same for all images. 200 of them leave the mean over neurons uncertain by
    about .001. A split whose halves are exact opposites (1 + r = 0 up to rounding) has no consistency and does
    not count.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.
    splits : int
        How many random splits are averaged.
    seed : int
        Seed of the splits.

    Returns
    -------
    ndarray of shape (neuron,)
        At most 1.

    References
    ----------
    Schrimpf et al. 2018 (Brain-Score), doi:10.1101/407007, where it is the ceiling, unsquared.
    """
    return _halves(trials, mask, splits, seed, lambda r: divided(2 * r, np.where(1 + r > ROUNDING, 1 + r, 0)))


def split_half_ceiling(trials, mask=None, *, splits: int = 200, seed: int = 0) -> np.ndarray:
    """√ of `split_half_consistency`: the correlation of a perfect model with the trial mean.

    Parameters
    ----------
    trials : ndarray of shape (image, trial, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron) or (image, trial, neuron), optional
        True where responses count.
    splits : int
        How many random splits are averaged.
    seed : int
        Seed of the splits.

    Returns
    -------
    ndarray of shape (neuron,)
        In [0, 1]; 0 if the consistency is below 0.
    """
    return np.sqrt(np.maximum(split_half_consistency(trials, mask, splits=splits, seed=seed), 0))


def _left_out(trials, mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """trials, the mean of the image's other trials, valid: each (image, trial, neuron)."""
    y, valid = repeated(trials, mask)
    rest = valid.sum(axis=1, keepdims=True) - 1
    others = (y.sum(axis=1, keepdims=True) - y) / np.maximum(rest, 1)
    return y, np.where(valid, others, 0), valid


def _halves(trials, mask, splits: int, seed: int, of) -> np.ndarray:
    y, valid = counted_trials(trials, mask)
    each = []
    for chosen in _ways(y.shape[1], splits, seed):
        counts = [valid[:, half].sum(axis=1) for half in (chosen, ~chosen)]
        means = [y[:, half].sum(axis=1) / np.maximum(n, 1) for half, n in zip((chosen, ~chosen), counts)]
        each.append(of(correlation(*means, (counts[0] > 0) & (counts[1] > 0))))
    return _mean_of_defined(np.array(each), y.shape[2])


def _ways(n: int, splits: int, seed: int):
    """(trial,) bools: True for the first half, of n // 2 trials; all images are split alike."""
    rng = np.random.default_rng(seed)
    if n > 1:
        yield from (np.isin(np.arange(n), rng.permutation(n)[: n // 2]) for _ in range(splits))


def _mean_of_defined(each: np.ndarray, n_neurons: int) -> np.ndarray:
    each = each.reshape(-1, n_neurons)
    defined = np.isfinite(each)
    return divided(np.where(defined, each, 0).sum(axis=0), defined.sum(axis=0))
