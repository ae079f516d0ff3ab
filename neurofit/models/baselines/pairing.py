"""Scores on several splits, or differences of two models' scores paired by split and neuron: mean and interval."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95


def over_splits(scores: np.ndarray) -> tuple[float, float, float]:
    """Mean and Student's interval, low and high, of (split, neuron): the mean over neurons in each split, then over
    splits.

    nan = not scored, such as a silent neuron; a split without any score is left out. nan where there is none; the
    interval is nan for a single one. Splits overlap, so that the interval tells how sure the mean over such splits is,
    not how sure it would be for other images.
    """
    means = np.array([np.nanmean(row) for row in scores if np.isfinite(row).any()])
    if not len(means):
        return np.nan, np.nan, np.nan
    if len(means) == 1:
        return float(means[0]), np.nan, np.nan
    half = stdtrit(len(means) - 1, (1 + LEVEL) / 2) * means.std(ddof=1) / np.sqrt(len(means))
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)

