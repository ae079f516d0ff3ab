"""One number for a population, with how many neurons are in it and why others are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from neurofit.errors import DataError, ShapeError, UsageError, nearest
from neurofit.scores.measures import PERFECT_AT_ZERO
from neurofit.scores.pairs import counted, is_constant, paired

AVERAGES = ("mean", "median")
UNDEFINED = ("zero", "drop")


@dataclass(frozen=True)
class Aggregation:
    """How the scores of many neurons become one number. Projects differ in this, so you choose.

    Parameters
    ----------
    average : {"mean", "median"}
        The average over neurons.
    undefined : {"zero", "drop"}
        What a score that is nan counts: 0, as of a model that predicts nothing, or not at all.
    threshold : float, optional
        Neurons whose reliability is not above it are left out. By default, no neuron is.
    per_recording : bool
        Whether to average each recording's neurons first, and then take the mean over recordings, so that
        each has the same weight. By default, all neurons are pooled.
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
                raise UsageError(f"Aggregation({name}={value!r}): known are {', '.join(known)}.{offer}")


@dataclass(frozen=True)
class Summary:
    """A population's score.

    Parameters
    ----------
    value : float
        Average over the scored neurons; nan only if scores of both infinities are averaged.
    n_scored : int
        Neurons that are in it: their responses vary, and they are reliable enough if that was asked.
    n_silent : int
        Neurons left out because their responses on this split are constant, or fewer than two. This depends
        on the data alone, so they are the same for every model.
    n_constant_predictions : int
        Scored neurons whose predictions are constant, NaN or infinite.
    per_neuron : ndarray of shape (neuron,)
        The scores that were averaged; nan for neurons left out.
    n_unreliable : int
        Neurons left out by the threshold.
    n_undefined : int
        Neurons whose score is nan and counts 0 (`undefined="zero"`).
    n_dropped : int
        Neurons left out because their score is nan or infinite (`undefined="drop"`).
    per_recording : dict of str to float
        Each recording's average, if that was asked.
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


def scored(responses, mask=None) -> np.ndarray:
    """Which neurons can be scored: their responses that count are at least two, and not constant.

    Parameters
    ----------
    responses : ndarray of shape (image, neuron)
        NaN is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    bool ndarray of shape (neuron,)
    """
    responses = np.asarray(responses, np.float64)
    return ~is_constant(responses, counted(responses, mask))


def must_be_scorable(responses, mask=None) -> np.ndarray:
    """`scored`; raises DataError where it is False for all."""
    keep = scored(responses, mask)
    if not keep.any():
        raise DataError(
            f"None of {keep.size} neurons can be scored: each one's responses to these {len(responses)} "
            "images are "
            "constant."
        )
    return keep


def population(
    score: Callable[..., np.ndarray],
    responses,
    predictions,
    mask=None,
    *,
    how: Aggregation = Aggregation(),
    reliability=None,
    recordings=None,
) -> Summary:
    """The average of a score over the neurons that can be scored.

    A neuron with constant responses is left out, whatever was predicted. If the score of another is nan (a
    constant prediction has no correlation; a NaN has no score), it counts 0, or is dropped, as `how` says. A
    score that a constant prediction does have stays.

    Parameters
    ----------
    score : callable
        A score of this module, (responses, predictions, mask=…) -> (neuron,). `functools.partial` fills in a
        baseline.
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.
    how : Aggregation
        How neurons are averaged.
    reliability : ndarray of shape (neuron,), optional
        See `aggregate`.
    recordings : sequence of str, length neuron, optional
        See `aggregate`.

    Returns
    -------
    Summary
        The number, and who was left out.

    Raises
    ------
    ShapeError
        The shapes differ.
    DataError
        No neuron can be scored.
    UsageError
        The best value of the score is 0, so that undefined scores must not count 0.
    """
    _, p, valid = paired(responses, predictions, mask)
    keep = must_be_scorable(responses, mask)
    values = score(responses, predictions, mask=mask)
    if (
        getattr(score, "func", score) in PERFECT_AT_ZERO
        and how.undefined == "zero"
        and np.isnan(values[keep]).any()
    ):
        raise UsageError(
            f"{int(np.isnan(values[keep]).sum())} neurons have no {getattr(score, 'func', score).__name__}, "
            "of which 0 "
            "is the best: they cannot count 0. Say how=Aggregation(undefined='drop'), or see why they have "
            "none."
        )
    found = aggregate(values, how=how, among=keep, reliability=reliability, recordings=recordings)
    flat = is_constant(p, valid) | (valid & np.isnan(p)).any(axis=0)
    return replace(found, n_constant_predictions=int((flat & np.isfinite(found.per_neuron)).sum()))


def aggregate(
    values, *, how: Aggregation = Aggregation(), among=None, reliability=None, recordings=None
) -> Summary:
    """One number from scores that you have already, such as those against trials.

    Parameters
    ----------
    values : ndarray of shape (neuron,)
        The scores; nan if a score is not defined.
    how : Aggregation
        How neurons are averaged.
    among : bool ndarray of shape (neuron,), optional
        Neurons that can be scored at all (`scored`); the others count as silent. By default, all.
    reliability : ndarray of shape (neuron,), optional
        What the threshold is compared with, such as `fev`; nan is not above any threshold.
    recordings : sequence of str, length neuron, optional
        The recording of each neuron, for `per_recording`.

    Returns
    -------
    Summary
        The number, and who was left out.

    Raises
    ------
    UsageError
        A threshold without reliability, or averages per recording without recordings.
    ShapeError
        One of these does not have one value per neuron.
    DataError
        No neuron is left.
    """
    values = np.asarray(values, np.float64)
    keep = np.ones(values.shape, bool) if among is None else _of_neurons("among", among, values).astype(bool)
    reliable = _reliable(how, reliability, values)
    defined = np.isfinite(values) | (how.undefined == "zero")
    left = keep & reliable & defined
    if not left.any():
        raise DataError(
            f"None of {values.size} neurons is left: {(~keep).sum()} silent, {(keep & ~reliable).sum()} not "
            "above the "
            f"threshold {how.threshold}, {(keep & reliable & ~defined).sum()} without a score."
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


def ceiled_score(correlations, consistencies) -> float:
    """Brain-Score's (median r)² / median consistency, of `split_half_consistency`, not of its square.

    r² is over r here because the consistency is itself a ratio of variances: √consistency is the r of a
    perfect model. Medians are over the neurons for which they are defined.

    Parameters
    ----------
    correlations, consistencies : ndarray of shape (neuron,)
        `correlation` and `split_half_consistency`.

    Returns
    -------
    float
        Above 1 by chance; 0 if the median r is negative; nan if the median consistency is not above 0.

    References
    ----------
    Schrimpf et al. 2018, doi:10.1101/407007.
    """
    medians = []
    for values in (correlations, consistencies):
        values = np.asarray(values, np.float64)
        values = values[np.isfinite(values)]
        medians.append(np.median(values) if values.size else np.nan)
    return float(np.maximum(medians[0], 0) ** 2 / medians[1]) if medians[1] > 0 else float("nan")


def _reliable(how: Aggregation, reliability, values: np.ndarray) -> np.ndarray:
    if how.threshold is None:
        return np.ones(values.shape, bool)
    if reliability is None:
        raise UsageError(
            f"threshold={how.threshold} is for a reliability of each neuron: give reliability=fev(trials)."
        )
    return _of_neurons("reliability", reliability, values).astype(np.float64) > how.threshold


def _averaged(
    values: np.ndarray, left: np.ndarray, how: Aggregation, recordings
) -> tuple[float, dict[str, float]]:
    average = np.mean if how.average == "mean" else np.median
    if not how.per_recording:
        return float(average(values[left])), {}
    if recordings is None:
        raise UsageError("per_recording=True needs recordings=…, the recording that each neuron is of.")
    labels = _of_neurons("recordings", recordings, values)
    names = [name for name in dict.fromkeys(labels.tolist()) if left[labels == name].any()]
    each = {str(name): float(average(values[left & (labels == name)])) for name in names}
    return float(np.mean(list(each.values()))), each


def _of_neurons(name: str, given, values: np.ndarray) -> np.ndarray:
    given = np.asarray(given)
    if given.shape != values.shape:
        raise ShapeError(f"{name} {given.shape} must be (neuron,), one of the {values.shape} scores each.")
    return given
