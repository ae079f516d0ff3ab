"""Student's t-interval of a mean, the same for tables of results and for baseline models."""

from __future__ import annotations

from typing import Any

import numpy as np

LEVEL = 0.95


def half_width(deviation: Any, count: Any, test_to_train: Any = 0.0, level: float = LEVEL) -> Any:
    """Half the width of the interval of a mean over repetitions.

    Where each repetition has a split of its own, training sets overlap, so that the variance of the mean is
    s² (1/n + test/train) instead of s²/n.

    Parameters
    ----------
    deviation : float or ndarray
        Standard deviation s over the repetitions, with n - 1 in its denominator.
    count : int or ndarray
        Number n of repetitions.
    test_to_train : float or ndarray
        Test images per training image if each repetition has a split of its own; 0 if all share one.
    level : float
        Probability that the interval contains the mean, in (0, 1).

    Returns
    -------
    float or ndarray
        nan if there are fewer than two repetitions.

    References
    ----------
    C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52 (2003),
    doi:10.1023/A:1024068626366.
    """
    from scipy.special import (
        stdtrit,
    )  # the quantile of scipy.stats.t, which takes five times longer to import

    quantile = stdtrit(np.subtract(count, 1), (1 + level) / 2)
    return quantile * deviation * np.sqrt(np.divide(1, count) + test_to_train)
