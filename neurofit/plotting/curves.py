"""Curves over repetitions, as numbers: percentiles by step, and ensembles of populations weighted by neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurofit.errors import ShapeError, UsageError

MAX_POINTS = 500
MAX_ERROR_BARS = 50
MEDIAN = (50, 90, 10, 25)  # percentiles: middle, top, bottom, second line
UPPER_QUARTILE = (75, 95, 5, 25)


@dataclass(frozen=True)
class History:
    """One metric of one repetition, by step. Values that are not finite are dropped.

    Parameters
    ----------
    steps : ndarray of shape (step,)
        In ascending order.
    values : ndarray of shape (step,)
    repetition : int
    neurons : int, optional
        How many neurons the values are the mean of.

    Raises
    ------
    ShapeError
        Steps and values differ in length.
    """

    steps: np.ndarray
    values: np.ndarray
    repetition: int = 0
    neurons: int | None = None

    def __post_init__(self) -> None:
        steps, values = np.asarray(self.steps, float), np.asarray(self.values, float)
        if steps.shape != values.shape or steps.ndim != 1:
            raise ShapeError(
                f"A history has {steps.shape} steps and {values.shape} values; expected (step,) twice."
            )
        kept = np.isfinite(values)
        object.__setattr__(self, "steps", steps[kept])
        object.__setattr__(self, "values", values[kept])


@dataclass(frozen=True)
class Curve:
    """A metric by step over repetitions.

    Parameters
    ----------
    label : str
        The name in legends.
    steps : ndarray of shape (step,)
        Steps of the percentiles.
    middle, top, bottom, second : ndarray of shape (step,)
        Percentiles over the repetitions that reached each step.
    count : ndarray of shape (step,)
        How many repetitions reached each step.
    last : ndarray of shape (repetition,)
        The value of each repetition at its last step.
    percentiles : tuple of float
        Which percentiles these are: middle, top, bottom, second.
    normalised : bool
        Whether each repetition's last step is 1.
    unit : str
        What steps are: "epoch" or "step".
    """

    label: str
    steps: np.ndarray
    middle: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    second: np.ndarray
    count: np.ndarray
    last: np.ndarray
    percentiles: tuple[float, float, float, float] = MEDIAN
    normalised: bool = False
    unit: str = "step"  # what steps are

    @property
    def repetitions(self) -> int:
        return len(self.last)


def over_repetitions(
    histories: Sequence[History],
    label: str = "",
    *,
    percentiles: tuple[float, float, float, float] = MEDIAN,
    normalise_steps: bool = False,
    limit: tuple[float, float] | None = None,
    unit: str = "step",
) -> Curve:
    """Percentiles by step over repetitions, at no more than 500 steps.

    A repetition that logged at other steps is interpolated linearly between its own steps, but not extrapolated.

    Parameters
    ----------
    histories : sequence of History
        One per repetition.
    label : str
        The name of the curve.
    percentiles : tuple of float
        Middle, top, bottom and second line: MEDIAN is (50, 90, 10, 25), UPPER_QUARTILE (75, 95, 5, 25).
    normalise_steps : bool
        Whether each repetition's last step becomes 1, to compare batch sizes.
    limit : tuple of float, optional
        First and last step to keep, before steps are normalised.
    unit : {"step", "epoch"}
        What steps are.

    Returns
    -------
    Curve

    Raises
    ------
    UsageError
        There is no history, or none with a step inside the limits.
    """
    cut = [_within(history, limit) for history in histories]
    cut = [history for history in cut if len(history.steps)]
    if not cut:
        within = f" between steps {limit[0]:g} and {limit[1]:g}" if limit else ""
        raise UsageError(f"'{label}': no repetition has a value{within}.")
    if normalise_steps:
        cut = [replace(one, steps=one.steps / max(one.steps[-1], 1e-12)) for one in cut]
    steps = _grid([one.steps for one in cut])
    if normalise_steps:  # only steps at which all repetitions have started
        steps = steps[steps >= max(one.steps[0] for one in cut)]
    matrix = np.stack([np.interp(steps, one.steps, one.values, left=np.nan, right=np.nan) for one in cut])
    steps, matrix = steps[np.isfinite(matrix).any(axis=0)], matrix[:, np.isfinite(matrix).any(axis=0)]
    middle, top, bottom, second = np.nanpercentile(matrix, percentiles, axis=0)
    last = np.array([one.values[-1] for one in cut])
    count = np.isfinite(matrix).sum(axis=0)
    return Curve(label, steps, middle, top, bottom, second, count, last, percentiles, normalise_steps, unit)


def ensemble(groups: Sequence[Sequence[History]]) -> list[History]:
    """Join several populations into one, such as regions that separate models were fitted to.

    Parameters
    ----------
    groups : sequence of sequences of History
        The histories of each population, a mean over its neurons each. Their `neurons` are the weights.

    Returns
    -------
    list of History
        For every repetition that all populations have: Σ neurons · value / Σ neurons, at the steps that all of
        them span.

    Raises
    ------
    UsageError
        The number of neurons is unknown, or no repetition is in all groups.
    """
    by_repetition = [{one.repetition: one for one in group if len(one.steps)} for group in groups]
    shared = sorted(set.intersection(*(set(group) for group in by_repetition))) if groups else []
    if not shared:
        raise UsageError(
            "An ensemble pairs repetitions, but no repetition is done in all of its populations."
        )
    return [_weighted_mean([group[repetition] for group in by_repetition]) for repetition in shared]


def last_steps(curve: Curve) -> tuple[float, float, float]:
    """Percentiles (middle, top, bottom) over repetitions, each at its own last step."""
    middle, top, bottom = np.percentile(curve.last, curve.percentiles[:3])
    return float(middle), float(top), float(bottom)


def error_bar_places(n: int) -> slice:
    """Which of n points get an error bar: every ⌈n / 50⌉th."""
    return slice(None, None, -(-n // MAX_ERROR_BARS) or 1)


def _within(history: History, limit: tuple[float, float] | None) -> History:
    if limit is None:
        return history
    inside = (history.steps >= limit[0]) & (history.steps <= limit[1])
    return replace(history, steps=history.steps[inside], values=history.values[inside])


def _grid(steps: Sequence[np.ndarray]) -> np.ndarray:
    """All steps that occur; if there are more than 500, 500 of them, evenly spaced, including both ends."""
    every: np.ndarray = np.unique(np.concatenate(steps))
    if len(every) <= MAX_POINTS:
        return every
    chosen: np.ndarray = every[np.round(np.linspace(0, len(every) - 1, MAX_POINTS)).astype(int)]
    return chosen


def _weighted_mean(parts: Sequence[History]) -> History:
    neurons = [history.neurons for history in parts if history.neurons]
    if len(neurons) < len(parts):
        raise UsageError(
            "An ensemble is weighted by numbers of neurons, but some of its tasks did not record the fact "
            "'neurons_scored'."
        )
    low, high = max(history.steps[0] for history in parts), min(history.steps[-1] for history in parts)
    steps = np.unique(np.concatenate([history.steps for history in parts]))
    steps = steps[(steps >= low) & (steps <= high)]
    interpolated = [np.interp(steps, history.steps, history.values) for history in parts]
    values = np.average(interpolated, axis=0, weights=neurons)
    return History(steps, values, parts[0].repetition, sum(neurons))
