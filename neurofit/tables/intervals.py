"""What varies between the repetitions of a run, and the interval that follows from it.

seeds     Tasks differ in their seeds and share one split: Student's t-interval over repetitions, for that split.
splits    Each repetition has its own split, drawn from the same images. Training sets overlap, so the corrected
          variance of C. Nadeau and Y. Bengio (2003), doi:10.1023/A:1024068626366, is used.
folds     Repetition k tests on fold k. No unbiased estimate of the variance exists, so only the lowest and the
          highest fold are given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit import t_interval

SEEDS, SPLITS, FOLDS = "seeds", "splits", "folds"
_SETS = ("test", "validation")


@dataclass(frozen=True)
class Replication:
    """What varies between the repetitions of a run.

    Parameters
    ----------
    kind : {"seeds", "splits", "folds"}
    ratio : float
        For "splits", images of the scored set per training image; nan if that is not known.
    """

    kind: str = SEEDS
    ratio: float = 0.0

    def interval(self, count: int) -> str | None:
        """Describe `low` and `high` of that many repetitions; None if there are none."""
        if count < 2:
            return None
        if self.kind == FOLDS:
            return "spread over folds: lowest to highest"
        if self.kind == SPLITS and math.isnan(self.ratio):
            return "none: numbers of images not recorded"
        return "95 % corrected t, resampled splits" if self.kind == SPLITS else "95 % t, given one split"


def replication(rows: Sequence[Mapping[str, Any]], metric: str) -> Replication:
    """Determine what varies between these tasks from what they recorded."""
    declared = {row.get("split_by") for row in rows if isinstance(row.get("split_by"), str)}
    if "fold" in declared:
        return Replication(FOLDS)
    splits = {
        repr(seeds.get("split"))
        for row in rows
        if isinstance(seeds := row.get("seeds"), Mapping) and seeds.get("split") is not None
    }
    if "repetition" not in declared and len(splits) < 2:
        return Replication(SEEDS)
    ratios = [_test_to_train(row, metric) for row in rows]
    return Replication(SPLITS, float(np.mean(ratios)) if ratios else math.nan)


def _test_to_train(row: Mapping[str, Any], metric: str) -> float:
    """Images that the metric is computed on per training image, from the fact `images`; nan if not recorded."""
    facts = row.get("facts")
    images = facts.get("images") if isinstance(facts, Mapping) else None
    if not isinstance(images, Mapping):
        return math.nan
    first = metric.split("/")[0]
    if first == "train":
        return math.nan  # overlapping training sets share the images they are scored on
    scored, trained = images.get(first if first in _SETS else "test"), images.get("train")
    counts = [number for number in (scored, trained) if type(number) is int and 0 < number < 2**53]
    return counts[0] / counts[1] if len(counts) == 2 else math.nan


def spread(matrix: np.ndarray, replications: Sequence[Replication] | None = None) -> dict[str, np.ndarray]:
    """Compute the mean, its interval and percentiles over the repetitions of each run.

    Parameters
    ----------
    matrix : ndarray, shape (run, repetition)
        nan where a number is missing.
    replications : sequence of Replication, one per run, optional
        Default: all repetitions are independent.

    Returns
    -------
    dict of ndarray, shape (run,)
        `n`, `mean`, `low`, `high`, `median`, `p10`, `p90`; nan if there are too few numbers.
    """
    count = np.isfinite(matrix).sum(axis=1)
    ordered = np.sort(matrix, axis=1)  # puts nan last
    ratio = np.array([one.ratio for one in replications]) if replications else np.zeros(len(matrix))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.nansum(matrix, axis=1) / count
        deviation = np.sqrt(np.nansum((matrix - mean[:, None]) ** 2, axis=1) / (count - 1))
        half = t_interval.half_width(deviation, count, ratio)
    half = np.where(count > 1, half, np.nan)
    low, high = mean - half, mean + half
    for place, one in enumerate(replications or ()):
        if one.kind == FOLDS and count[place] > 1:
            low[place], high[place] = ordered[place, 0], ordered[place, count[place] - 1]
    percentiles = {
        name: _quantile(ordered, count, at) for name, at in (("median", 0.5), ("p10", 0.1), ("p90", 0.9))
    }
    return {"n": count, "mean": mean, "low": low, "high": high, **percentiles}


def _quantile(ordered: np.ndarray, count: np.ndarray, at: float) -> np.ndarray:
    """Quantile of the first `count` numbers of each row, interpolated linearly like NumPy's default."""
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan)
    place = np.maximum(count - 1, 0) * at
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    row = np.arange(len(ordered))
    quantiles: np.ndarray = ordered[row, low] + (place - low) * (ordered[row, high] - ordered[row, low])
    return quantiles
