"""What repetitions are repetitions of, and the interval that follows: the unit of replication is the
repetition.

seeds     tasks differ in their seeds and share one split: Student's t over repetitions, conditional on that split
splits    each repetition has a split of its own, cut anew from the same images: training sets overlap, so that the
          variance of the mean is s² (1/n + test/train) instead of s²/n: C. Nadeau and Y. Bengio, "Inference
          for the generalization error", Machine Learning 52 (2003), doi:10.1023/A:1024068626366
folds     repetition k tests on fold k: no unbiased estimate of the variance exists, so that only the lowest and the
          highest fold are given
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
SEEDS, SPLITS, FOLDS = "seeds", "splits", "folds"
_SETS = ("test", "validation")


@dataclass(frozen=True)
class Replication:
    """What varies between the repetitions of a run.

    Parameters
    ----------
    kind : {"seeds", "splits", "folds"}
    ratio : float
        Images of the set that a metric is of per training image, where `kind` is "splits"; nan where that is
        not known.
    """

    kind: str = SEEDS
    ratio: float = 0.0

    def interval(self, count: int) -> str | None:
        """What `low` and `high` are, of so many repetitions; None where there are none."""
        if count < 2:
            return None
        if self.kind == FOLDS:
            return "spread over folds: lowest to highest"
        if self.kind == SPLITS and math.isnan(self.ratio):
            return "none: numbers of images not recorded"
        return "95 % corrected t, resampled splits" if self.kind == SPLITS else "95 % t, given one split"


def replication(rows: Sequence[Mapping[str, Any]], metric: str) -> Replication:
    """What varies between these tasks, by what they recorded of it."""
    declared = {row.get("split_by") for row in rows if isinstance(row.get("split_by"), str)}
    if "fold" in declared:
        return Replication(FOLDS)
    seeds = {
        repr(seeds.get("split"))
        for row in rows
        if isinstance(seeds := row.get("seeds"), Mapping) and seeds.get("split") is not None
    }
    if "repetition" not in declared and len(seeds) < 2:
        return Replication(SEEDS)
    ratios = [_ratio(row, metric) for row in rows]
    return Replication(SPLITS, float(np.mean(ratios)) if ratios else math.nan)


def _ratio(row: Mapping[str, Any], metric: str) -> float:
    """Images that the metric is of per image trained on, from the fact `images`; nan where it does not
    say.
    """
    facts = row.get("facts")
    images = facts.get("images") if isinstance(facts, Mapping) else None
    if not isinstance(images, Mapping):
        return math.nan
    first = metric.split("/")[0]
    if first == "train":
        return math.nan  # training sets that overlap share what they are scored on
    scored, trained = images.get(first if first in _SETS else "test"), images.get("train")
    counts = all(type(number) is int and 0 < number < 2**53 for number in (scored, trained))
    return scored / trained if counts else math.nan


def spread(matrix: np.ndarray, how: Sequence[Replication] | None = None) -> dict[str, np.ndarray]:
    """What the numbers of each row are like.

    Parameters
    ----------
    matrix : ndarray, shape (run, repetition)
        nan where a number is missing.
    how : sequence of Replication, one per run, optional
        Without it, all repetitions are independent.

    Returns
    -------
    dict of ndarray, shape (run,)
        `n`, `mean`, `low`, `high`, `median`, `p10`, `p90`; nan where there is none.
    """
    from scipy.special import stdtrit  # 100 ms, which a table of tasks need not pay

    count = np.isfinite(matrix).sum(axis=1)
    ordered = np.sort(matrix, axis=1)  # puts nan last
    ratio = np.array([one.ratio for one in how]) if how else np.zeros(len(matrix))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.nansum(matrix, axis=1) / count
        deviation = np.sqrt(np.nansum((matrix - mean[:, None]) ** 2, axis=1) / (count - 1))
        half = stdtrit(count - 1, (1 + LEVEL) / 2) * deviation * np.sqrt(1 / count + ratio)
    half = np.where(count > 1, half, np.nan)
    low, high = mean - half, mean + half
    for place, one in enumerate(how or ()):
        if one.kind == FOLDS and count[place] > 1:
            low[place], high[place] = ordered[place, 0], ordered[place, count[place] - 1]
    quantiles = {
        name: _quantile(ordered, count, at) for name, at in (("median", 0.5), ("p10", 0.1), ("p90", 0.9))
    }
    return {"n": count, "mean": mean, "low": low, "high": high, **quantiles}


def _quantile(ordered: np.ndarray, count: np.ndarray, at: float) -> np.ndarray:
    """NumPy's default, linear between the two nearest, over the first `count` of each row."""
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan)
    place = np.maximum(count - 1, 0) * at
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    row = np.arange(len(ordered))
    return ordered[row, low] + (place - low) * (ordered[row, high] - ordered[row, low])
