"""One number for a population, with the number of neurons in it and why others are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import DataError, ShapeError, UsageError, nearest
from neurofit.scores.measures import PERFECT_AT_ZERO, counted, is_constant, paired

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


AVERAGES = ("mean", "median")
UNDEFINED = ("zero", "drop")


@dataclass(frozen=True)
class Aggregation:
    """How scores of many neurons become one number. Projects differ in this, so it is explicit.

    Parameters
    ----------
    average : {"mean", "median"}
        Over neurons.
    undefined : {"zero", "drop"}
        What a score that is nan counts: 0, as of a model that predicts nothing; or not at all.
    threshold : float, optional
        Neurons whose reliability is not above it are left out. Default: none is left out.
    per_recording : bool, default False
        Average over each recording's neurons first, and then over recordings, so that each has the same
        weight. Otherwise all neurons are pooled.

    Raises
    ------
    UsageError
        If a value is not known.
    """

    average: str = "mean"
    undefined: str = "zero"
    threshold: float | None = None
    per_recording: bool = False

    def __post_init__(self) -> None:
        for name, known in (("average", AVERAGES), ("undefined", UNDEFINED)):
            value = getattr(self, name)
            if value not in known:
                offer = nearest(str(value), known)
                raise UsageError(f"Aggregation({name}={value!r}): expected one of {', '.join(known)}.{offer}")


@dataclass(frozen=True)
class Summary:
    """The score of a population.

    Parameters
    ----------
    value : float
        Average over the scored neurons; nan only if scores of both infinities are averaged.
    n_scored : int
        Neurons that are in it: their responses vary, and they are reliable enough if there is a threshold.
    n_silent : int
        Neurons left out because their responses in this part are constant, or fewer than two. This depends
        only on the data, so it is the same for every model.
    n_constant_predictions : int
        Scored neurons whose predictions are constant, NaN or infinite.
    per_neuron : ndarray, shape (neuron,)
        What was averaged; nan for neurons left out.
    n_unreliable : int
        Neurons left out by the threshold.
    n_undefined : int
        Neurons whose score is nan and counts 0 (`undefined="zero"`).
    n_dropped : int
        Neurons left out because their score is nan or infinite (`undefined="drop"`).
    per_recording : dict of str to float
        Average of each recording, if requested.
    """

    value: float
    n_scored: int
    n_silent: int
    n_constant_predictions: int
    per_neuron: np.ndarray = field(repr=False, compare=False)
    n_unreliable: int = 0
    n_undefined: int = 0
    n_dropped: int = 0
    per_recording: dict[str, float] = field(default_factory=dict)


def scored(responses: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Which neurons can be scored.

    Parameters
    ----------
    responses : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of bool, shape (neuron,)
        False if the neuron's responses that count are constant, or fewer than two.
    """
    responses = np.asarray(responses, np.float64)
    return ~is_constant(responses, counted(responses, mask))


def must_be_scorable(responses: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Which neurons can be scored, at least one.

    Parameters
    ----------
    responses : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of bool, shape (neuron,)
        As `scored`.

    Raises
    ------
    DataError
        If no neuron can be scored.
    """
    keep = scored(responses, mask)
    if not keep.any():
        raise DataError(
            f"None of {keep.size} neurons can be scored: each one's responses to these "
            f"{len(np.asarray(responses))} images are constant."
        )
    return keep


def population(
    score: Callable[..., np.ndarray],
    responses: ArrayLike,
    predictions: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    how: Aggregation = Aggregation(),
    reliability: ArrayLike | None = None,
    recordings: ArrayLike | None = None,
) -> Summary:
    """Average of a score over the neurons that can be scored.

    A neuron with constant responses is left out, whatever was predicted. If the score of another neuron is
    nan (a constant prediction has no correlation; a NaN has no score) it counts 0, or is dropped, as `how`
    says. A score that a constant prediction does have is kept.

    Parameters
    ----------
    score : callable
        One of `measures`, (responses, predictions, mask=…) → (neuron,); `functools.partial` can set a
        baseline.
    responses, predictions : ndarray, shape (image, neuron)
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts.
    how : Aggregation, optional
    reliability : ndarray, shape (neuron,), optional
        See `aggregate`.
    recordings : ndarray, shape (neuron,), optional
        See `aggregate`.

    Returns
    -------
    Summary

    Raises
    ------
    ShapeError
        If the shapes differ.
    DataError
        If no neuron can be scored.
    UsageError
        If the best value of the score is 0, and undefined ones would count 0.
    """
    _, p, valid = paired(responses, predictions, mask)
    keep = must_be_scorable(responses, mask)
    values = score(responses, predictions, mask=mask)
    measure = score.func if isinstance(score, partial) else score
    undefined = int(np.isnan(values[keep]).sum())
    if measure in PERFECT_AT_ZERO and how.undefined == "zero" and undefined:
        raise UsageError(
            f"{undefined} neurons have no {measure.__name__}, of which 0 is the best: they cannot count 0. Use "
            "how=Aggregation(undefined='drop'), or find out why they have none."
        )
    found = aggregate(values, how=how, among=keep, reliability=reliability, recordings=recordings)
    flat = is_constant(p, valid) | (valid & np.isnan(p)).any(axis=0)
    return replace(found, n_constant_predictions=int((flat & np.isfinite(found.per_neuron)).sum()))


def aggregate(
    values: ArrayLike,
    *,
    how: Aggregation = Aggregation(),
    among: ArrayLike | None = None,
    reliability: ArrayLike | None = None,
    recordings: ArrayLike | None = None,
) -> Summary:
    """One number for existing scores, such as those against trials.

    Parameters
    ----------
    values : ndarray, shape (neuron,)
        nan if a score is not defined.
    how : Aggregation, optional
    among : ndarray of bool, shape (neuron,), optional
        Neurons that can be scored (`scored`); the others count as silent. Default: all.
    reliability : ndarray, shape (neuron,), optional
        What the threshold applies to, such as `ceilings.fev`; nan is not above any threshold.
    recordings : ndarray, shape (neuron,), optional
        The recording of each neuron, for `per_recording`.

    Returns
    -------
    Summary

    Raises
    ------
    UsageError
        If there is a threshold without reliability, or averages per recording without recordings.
    ShapeError
        If an array does not have one value per neuron.
    DataError
        If no neuron is left.
    """
    values = np.asarray(values, np.float64)
    keep = np.ones(values.shape, bool) if among is None else _of_neurons("among", among, values).astype(bool)
    reliable = _reliable(how, reliability, values)
    defined = np.isfinite(values) | (how.undefined == "zero")
    left = keep & reliable & defined
    if not left.any():
        raise DataError(
            f"None of {values.size} neurons is left: {(~keep).sum()} silent, {(keep & ~reliable).sum()} not "
            f"above the threshold {how.threshold}, {(keep & reliable & ~defined).sum()} without a score."
        )
    kept = np.where(left, np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf), np.nan)
    value, per_recording = _averaged(kept, left, how, recordings)
    return Summary(
        value=value,
        n_scored=int(left.sum()),
        n_silent=int((~keep).sum()),
        n_constant_predictions=0,
        per_neuron=kept,
        n_unreliable=int((keep & ~reliable).sum()),
        n_undefined=int((left & np.isnan(values)).sum()),
        n_dropped=int((keep & reliable & ~defined).sum()),
        per_recording=per_recording,
    )


def ceiled_score(correlations: ArrayLike, consistencies: ArrayLike) -> float:
    """Brain-Score's ceiled score: (median r)² / median consistency.

    r² is divided by the consistency (`ceilings.split_half_consistency`), not by its square, because the
    consistency is a ratio of variances: √consistency is the r of a perfect model.

    Parameters
    ----------
    correlations, consistencies : ndarray, shape (neuron,)
        Medians are over the neurons for which they are defined.

    Returns
    -------
    float
        Can be above 1 by chance; 0 if the median r is negative; nan if the median consistency is not above 0.

    References
    ----------
    M. Schrimpf et al. (2018), doi:10.1101/407007.
    """
    medians = []
    for values in (correlations, consistencies):
        values = np.asarray(values, np.float64)
        values = values[np.isfinite(values)]
        medians.append(np.median(values) if values.size else np.nan)
    return float(np.maximum(medians[0], 0) ** 2 / medians[1]) if medians[1] > 0 else float("nan")


def _reliable(how: Aggregation, reliability: ArrayLike | None, values: np.ndarray) -> np.ndarray:
    if how.threshold is None:
        return np.ones(values.shape, bool)
    if reliability is None:
        raise UsageError(
            f"threshold={how.threshold} needs the reliability of each neuron: pass reliability=fev(trials)."
        )
    return _of_neurons("reliability", reliability, values).astype(np.float64) > how.threshold


def _averaged(
    values: np.ndarray, left: np.ndarray, how: Aggregation, recordings: ArrayLike | None
) -> tuple[float, dict[str, float]]:
    average = np.mean if how.average == "mean" else np.median
    if not how.per_recording:
        return float(average(values[left])), {}
    if recordings is None:
        raise UsageError("per_recording=True needs recordings=…, the recording of each neuron.")
    labels = _of_neurons("recordings", recordings, values)
    names = [name for name in dict.fromkeys(labels.tolist()) if left[labels == name].any()]
    each = {str(name): float(average(values[left & (labels == name)])) for name in names}
    return float(np.mean(list(each.values()))), each


def _of_neurons(name: str, given: ArrayLike, values: np.ndarray) -> np.ndarray:
    given = np.asarray(given)
    if given.shape != values.shape:
        raise ShapeError(f"{name} {given.shape} must be (neuron,), one value per score {values.shape}.")
    return given
