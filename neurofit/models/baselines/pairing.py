"""Scores on several splits, or differences of two models' scores paired by split and neuron: mean and
interval.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95


def over_splits(scores: np.ndarray, test_to_train: float | None = None) -> tuple[float, float, float]:
    """Mean and 95 % interval of scores over splits of the same images: the mean over neurons in each split,
    then over splits.

    Parameters
    ----------
    scores : ndarray, shape (split, neuron)
        nan = not scored, such as a silent neuron. A split without any score is left out.
    test_to_train : float, optional
        Test images per training image. Training sets of resampled splits overlap, so that the variance of the
        mean is s² (1/n + test/train). Without it, splits count as independent, which is right for data of
        their own alone.

    Returns
    -------
    mean, low, high : float
        nan where there is no score; `low` and `high` are nan for a single split. The interval is of the mean
        over such splits of these images, not of what other images would give.

    References
    ----------
    C. Nadeau and Y. Bengio (2003), doi:10.1023/A:1024068626366.
    """
    means = np.array([np.nanmean(row) for row in scores if np.isfinite(row).any()])
    if not len(means):
        return np.nan, np.nan, np.nan
    if len(means) == 1:
        return float(means[0]), np.nan, np.nan
    half = (
        stdtrit(len(means) - 1, (1 + LEVEL) / 2)
        * means.std(ddof=1)
        * np.sqrt(1 / len(means) + (test_to_train or 0))
    )
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)
