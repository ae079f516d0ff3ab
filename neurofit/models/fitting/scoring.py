"""A trained model's predictions for every part, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from neurofit import datasets, scores
from neurofit.errors import DataError
from neurofit.models import data

if TYPE_CHECKING:
    import tensorflow as tf

    from neurofit.models.training_loop.program import Program

AGAINST_TRAIN = (
    "fraction_of_variance_explained",
    "poisson_log_likelihood",
)  # measured against the training set's mean
AGAINST_TRIALS = (
    "correlation_ceiling",
    "normalised_correlation",
    "feve",
)  # of a test set with repeated trials
OF_COUNTS = "poisson_log_likelihood"  # of a data set without responses below 0
AGAINST_TRUTH = "truth_correlation"  # of a test set whose noiseless responses are known
# What is divided by a neuron's signal says nothing where there is hardly any:
# doi:10.1371/journal.pcbi.1006897.
RELIABLE = scores.Aggregation(threshold=0.15)


@dataclass(frozen=True)
class Scored:
    """Predictions and scores of a fit, of all neurons and of each.

    Parameters
    ----------
    predictions : dict of str to ndarray of shape (image, neuron)
        By part.
    metrics : dict of str to float
        "part/score".
    per_neuron : dict of str to ndarray of shape (neuron,)
        "part/score" of each neuron.
    n_scored, n_silent, n_constant : int
        Counts of the test set.
    n_reliable : int, optional
        Neurons over which `normalised_correlation` and `feve` are averaged, if these are scored.
    undefined : tuple of str
        In words, scores of the test set that some neurons do not have, and that count 0.
    """

    predictions: dict[str, np.ndarray]
    metrics: dict[str, float]
    per_neuron: dict[str, np.ndarray]
    n_scored: int
    n_silent: int
    n_constant: int
    n_reliable: int | None = None
    undefined: tuple[str, ...] = ()


def check(test: datasets.Dataset, names: tuple[str, ...]) -> None:
    """Raise now what would otherwise fail only after the training.

    Raises
    ------
    DataError
        A correlation with the truth is wanted, and the data set has none; or no response of the test set
        varies.
    """
    scores.must_be_scorable(test.responses, test.mask)
    if AGAINST_TRUTH in names and test.truth is None:
        raise DataError(
            f"{test.name} has no truth for the score {AGAINST_TRUTH}: only a simulation knows its own rates. "
            "Leave it out of Fit(scores=…)."
        )


def scored(
    program: Program, kept: tuple[tf.Tensor, tuple], parts: datasets.Parts, names: tuple[str, ...]
) -> Scored:
    """Every score on every part; those against trials and truth on the test set alone.

    Raises
    ------
    DataError
        No neuron of the test set can be scored.
    """
    dtype = program.training.dtype
    predictions = {name: program.predict(*kept, data.arrays(part, dtype))[0] for name, part in parts.items()}
    return score(predictions, parts, names)


def score(predictions: dict[str, np.ndarray], parts: datasets.Parts, names: tuple[str, ...]) -> Scored:
    """Every score of these predictions, {part: (image, neuron)}, on every part. Raises as `scored` does."""
    test, means = parts.test, training_means(parts.train)
    counts = scores.population(scores.correlation, test.responses, predictions["test"], test.mask)
    found = against_responses("test", test, predictions["test"], names, means)
    found |= against_trials(test, predictions["test"], names)
    if AGAINST_TRUTH in names:
        found[f"test/{AGAINST_TRUTH}"] = scores.population(
            scores.correlation, test.truth["rates"], predictions["test"]
        )
    for part_name, part in reversed(parts.items()):
        if part_name != "test":
            found |= against_responses(part_name, part, predictions[part_name], names, means)
    reliable = [
        found[name].n_scored for name in ("test/normalised_correlation", "test/feve") if name in found
    ]
    return Scored(
        predictions,
        metrics={name: summary.value for name, summary in found.items()},
        per_neuron={name: summary.per_neuron for name, summary in found.items()},
        n_scored=counts.n_scored,
        n_silent=counts.n_silent,
        n_constant=counts.n_constant_predictions,
        n_reliable=reliable[0] if reliable else None,
        undefined=tuple(_undefined(found)),
    )


def _undefined(found: dict[str, scores.Summary]) -> Iterator[str]:
    """Beyond constant predictions, which are counted anyway."""
    for name, summary in found.items():
        if name.startswith("test/") and summary.n_undefined > summary.n_constant_predictions:
            yield (
                f"{name}: {summary.n_undefined} of {summary.n_scored} neurons have none and count 0. A "
                "likelihood of "
                "counts has none where a prediction is below 0."
            )


def against_responses(name: str, part, predictions, wanted: tuple[str, ...], means: np.ndarray) -> dict:
    """Summaries by "part/score". A part in which no response varies has none; in the test set that is an error.

    Parameters
    ----------
    name : str
        The part.
    part : datasets.Dataset
        Or anything with its `responses`, `mask` and `valid`.
    predictions : ndarray of shape (image, neuron)
        Of this part.
    wanted : tuple of str
        Names of scores.
    means : ndarray of shape (neuron,)
        Mean responses of the training set.
    """
    found = {}
    for score in wanted:
        if score in AGAINST_TRIALS or score == AGAINST_TRUTH:
            continue
        measure = getattr(scores, score)
        if score == OF_COUNTS and (part.responses[part.valid] < 0).any():
            continue
        if score in AGAINST_TRAIN:
            measure = partial(measure, baseline_mean=means)
        try:
            found[f"{name}/{score}"] = scores.population(measure, part.responses, predictions, part.mask)
        except DataError:
            if name == "test":
                raise
    return found


def against_trials(test, predictions, wanted: tuple[str, ...]) -> dict:
    """The scores that repeated trials allow.

    The ceiling is over the neurons that have one (a recording without trials has none), the others are over
    those that are reliable enough.

    Parameters
    ----------
    test : datasets.Dataset
        Or anything with its `responses`, `trials` and `mask`.
    predictions : ndarray of shape (image, neuron)
        Of the test set.
    wanted : tuple of str
        Names of scores.
    """
    if test.trials is None or np.isnan(scores.noise_variance(test.trials, test.mask)).all():
        return {}
    among, reliability = scores.scored(test.responses, test.mask), scores.fev(test.trials, test.mask)
    enough, found = (among & (reliability > RELIABLE.threshold)).any(), {}
    for score in AGAINST_TRIALS:
        if score not in wanted:
            continue
        if score == "correlation_ceiling":
            values = scores.correlation_ceiling(test.trials, test.mask)
            if (known := among & ~np.isnan(values)).any():
                found[f"test/{score}"] = scores.aggregate(values, among=known)
        elif enough:
            values = getattr(scores, score)(test.trials, predictions, test.mask)
            found[f"test/{score}"] = scores.aggregate(
                values, how=RELIABLE, among=among, reliability=reliability
            )
    return found


def training_means(train: datasets.Dataset) -> np.ndarray:
    """(neuron,) mean training response; 0 for a neuron without any."""
    valid = train.valid
    return np.where(valid, train.responses, 0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)


def by_recording(result: Scored, recordings: np.ndarray) -> dict[str, float]:
    """The mean of each score over each recording's neurons, "part/score/recording", if there are several.

    Parameters
    ----------
    result : Scored
        The scores.
    recordings : ndarray of str of shape (neuron,)
        The recording of each neuron. If no neuron of a recording can be scored on a part, it has no score
        there.
    """
    names = list(dict.fromkeys(recordings.astype(str).tolist()))
    if len(names) < 2:
        return {}
    found = {}
    for score, values in result.per_neuron.items():
        for name in names:
            own = values[(recordings == name) & ~np.isnan(values)]
            if own.size:
                found[f"{score}/{name}"] = float(own.mean())
    return found
