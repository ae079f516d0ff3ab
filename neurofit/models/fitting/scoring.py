"""Predictions of a trained model for every part, their scores, and their files (`models/fit.py` lists these).

Uses only NumPy.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit import datasets, scores
from neurofit.errors import DataError
from neurofit.models import data
from neurofit.models.labels import Classes

if TYPE_CHECKING:
    import tensorflow as tf

    from neurofit.models.training_loop.program import Program


# Measured against the mean response to the training images
AGAINST_TRAIN = ("fraction_of_variance_explained", "poisson_log_likelihood")
# Of a test set with repeated trials
AGAINST_TRIALS = ("correlation_ceiling", "normalised_correlation", "feve")
OF_COUNTS = "poisson_log_likelihood"  # of a data set without responses below 0
AGAINST_TRUTH = "truth_correlation"  # of a test set whose noiseless responses are known
# Scores that are divided by a neuron's signal mean little if there is hardly any:
# doi:10.1371/journal.pcbi.1006897.
RELIABLE = scores.Aggregation(threshold=0.15)


@dataclass(frozen=True)
class ScoredPredictions:
    """Predictions for every part, and their scores.

    Parameters
    ----------
    predictions : dict of str to ndarray, shape (image, neuron)
        One array per part.
    metrics : dict of str to float
        "part/score" of the population.
    per_neuron : dict of str to ndarray, shape (neuron,)
        "part/score" of each neuron.
    n_scored, n_silent, n_constant : int
        Neurons of the test set that are scored, have constant responses, or have constant predictions.
    n_reliable : int, optional
        Neurons that `normalised_correlation` and `feve` are averaged over; None if these are not scored.
    undefined : tuple of str
        Messages about scores of the test set that some neurons do not have, and which count 0.
    labels : dict of str to ndarray, shape (image,)
        Of a co-trained model: the predicted labels of each part.
    """

    predictions: dict[str, np.ndarray]
    metrics: dict[str, float]
    per_neuron: dict[str, np.ndarray]
    n_scored: int
    n_silent: int
    n_constant: int
    n_reliable: int | None = None
    undefined: tuple[str, ...] = ()
    labels: dict[str, np.ndarray] = field(default_factory=dict)


def check_scorable(test: datasets.Dataset, names: tuple[str, ...]) -> None:
    """Find problems with the scores that would otherwise appear only after the training.

    Raises
    ------
    DataError
        If `truth_correlation` is requested and the data set has no truth, or no response of the test set
        varies.
    """
    scores.must_be_scorable(test.responses, test.mask)
    if AGAINST_TRUTH in names and test.truth is None:
        raise DataError(
            f"{test.name} has no truth for the score {AGAINST_TRUTH}: only a simulation knows its own rates. "
            "Leave it out of Fit(scores=…)."
        )


def predict_and_score(
    program: Program,
    kept: tuple[tf.Tensor, tuple[tf.Tensor, ...]],
    parts: datasets.Parts,
    names: tuple[str, ...],
    classes: Classes | None = None,
) -> ScoredPredictions:
    """Predict every part and compute every score. Scores against trials and truth are those of the test set.

    Raises
    ------
    DataError
        If no neuron of the test set can be scored.
    """
    dtype = program.training.dtype
    both = {name: program.predict_both(*kept, data.arrays(part, dtype)) for name, part in parts.items()}
    result = score({name: one[0] for name, one in both.items()}, parts, names)
    if classes is None:
        return result
    logits = {name: one for name, (_, one, _) in both.items() if one is not None}
    accuracies = {
        f"{name}/{classes.label}_accuracy": classes.accuracy(logits[name], classes.codes(part))
        for name, part in sorted(parts.items(), key=lambda pair: pair[0] != "test")
    }
    known = {name: value for name, value in accuracies.items() if value is not None}
    labels = {name: classes.predicted(one) for name, one in logits.items()}
    return replace(result, metrics=result.metrics | known, labels=labels)


def score(
    predictions: dict[str, np.ndarray], parts: datasets.Parts, names: tuple[str, ...]
) -> ScoredPredictions:
    """Compute every score of these predictions, {part: (image, neuron)}, on every part.

    Raises
    ------
    DataError
        If no neuron of the test set can be scored.
    """
    test, means = parts.test, training_means(parts.train)
    counts = scores.population(scores.correlation, test.responses, predictions["test"], test.mask)
    summaries = against_responses("test", test, predictions["test"], names, means)
    summaries |= against_trials(test, predictions["test"], names)
    if AGAINST_TRUTH in names:
        assert test.truth is not None  # check_scorable refuses a test set without a truth
        summaries[f"test/{AGAINST_TRUTH}"] = scores.population(
            scores.correlation, test.truth["rates"], predictions["test"]
        )
    for part_name, part in reversed(parts.items()):
        if part_name != "test":
            summaries |= against_responses(part_name, part, predictions[part_name], names, means)
    reliable = [
        summaries[name].n_scored for name in ("test/normalised_correlation", "test/feve") if name in summaries
    ]
    return ScoredPredictions(
        predictions,
        metrics={name: summary.value for name, summary in summaries.items()},
        per_neuron={name: summary.per_neuron for name, summary in summaries.items()},
        n_scored=counts.n_scored,
        n_silent=counts.n_silent,
        n_constant=counts.n_constant_predictions,
        n_reliable=reliable[0] if reliable else None,
        undefined=tuple(_undefined(summaries)),
    )


def _undefined(summaries: dict[str, scores.Summary]) -> Iterator[str]:
    """Messages about undefined scores, beyond those of constant predictions, which are counted separately."""
    for name, summary in summaries.items():
        if name.startswith("test/") and summary.n_undefined > summary.n_constant_predictions:
            yield (
                f"{name}: {summary.n_undefined} of {summary.n_scored} neurons have none and count 0. A "
                "likelihood of counts has none where a prediction is below 0."
            )


def against_responses(
    name: str, part: Any, predictions: np.ndarray, wanted: tuple[str, ...], means: np.ndarray
) -> dict[str, scores.Summary]:
    """Summaries of scores against responses, by "part/score".

    A part in which no response varies has none; for the test set that is an error.

    Parameters
    ----------
    name : str
        Name of the part.
    part : Dataset
        Or any object with `responses`, `mask` and `valid`.
    predictions : ndarray, shape (image, neuron)
    wanted : tuple of str
        Names of scores.
    means : ndarray, shape (neuron,)
        Mean responses of the training set.

    Returns
    -------
    dict of str to scores.Summary
    """
    summaries = {}
    for score in wanted:
        if score in AGAINST_TRIALS or score == AGAINST_TRUTH:
            continue
        measure = getattr(scores, score)
        if score == OF_COUNTS and (part.responses[part.valid] < 0).any():
            continue
        if score in AGAINST_TRAIN:
            measure = partial(measure, baseline_mean=means)
        try:
            summaries[f"{name}/{score}"] = scores.population(measure, part.responses, predictions, part.mask)
        except DataError:
            if name == "test":
                raise
    return summaries


def against_trials(test: Any, predictions: np.ndarray, wanted: tuple[str, ...]) -> dict[str, scores.Summary]:
    """Summaries of the scores that need repeated trials, by "part/score".

    The ceiling is averaged over the neurons that have one (a recording without trials has none), the other
    scores over the neurons that are reliable enough.

    Parameters
    ----------
    test : Dataset
        Or any object with `responses`, `trials` and `mask`.
    predictions : ndarray, shape (image, neuron)
    wanted : tuple of str
        Names of scores.

    Returns
    -------
    dict of str to scores.Summary
    """
    if test.trials is None or np.isnan(scores.noise_variance(test.trials, test.mask)).all():
        return {}
    among, reliability = scores.scored(test.responses, test.mask), scores.fev(test.trials, test.mask)
    enough, summaries = (among & (reliability > RELIABLE.threshold)).any(), {}
    for score in AGAINST_TRIALS:
        if score not in wanted:
            continue
        if score == "correlation_ceiling":
            values = scores.correlation_ceiling(test.trials, test.mask)
            if (known := among & ~np.isnan(values)).any():
                summaries[f"test/{score}"] = scores.aggregate(values, among=known)
        elif enough:
            values = getattr(scores, score)(test.trials, predictions, test.mask)
            summaries[f"test/{score}"] = scores.aggregate(
                values, how=RELIABLE, among=among, reliability=reliability
            )
    return summaries


def training_means(train: datasets.Dataset) -> np.ndarray:
    """Mean training response of each neuron, (neuron,); 0 for a neuron without any."""
    valid = train.valid
    sums = np.where(valid, train.responses, 0).sum(axis=0)
    return np.asarray(sums / np.maximum(valid.sum(axis=0), 1))


def by_recording(result: ScoredPredictions, recordings: np.ndarray) -> dict[str, float]:
    """Mean score of each recording's neurons, as "part/score/recording"; empty if there is one recording.

    A recording without scorable neurons in a part has no score there.

    Parameters
    ----------
    result : ScoredPredictions
    recordings : ndarray of str, shape (neuron,)

    Returns
    -------
    dict of str to float
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


def write_predictions(
    folder: Path, parts: datasets.Parts, result: ScoredPredictions, classes: Classes | None = None
) -> None:
    """Write predictions.npz and neurons.csv."""
    _predictions(folder / "predictions.npz", parts, result, classes)
    _neurons(folder / "neurons.csv", parts.test, result)


def _predictions(
    path: Path, parts: datasets.Parts, result: ScoredPredictions, classes: Classes | None
) -> None:
    shown = [(name, part) for name, part in parts.items() if name != "train"]
    neurons = parts.test.neurons
    repeated: dict[str, Any] = (
        {} if parts.test.trials is None else {"trials": np.concatenate([part.trials for _, part in shown])}
    )
    if classes is not None:
        repeated["label"] = np.concatenate([part.label(classes.label).astype(str) for _, part in shown])
        repeated["predicted_label"] = np.concatenate([result.labels[name] for name, _ in shown])
    np.savez_compressed(
        path,
        image_id=np.concatenate([_plain_array(part.image_ids) for _, part in shown]),
        part=np.concatenate([np.full(part.n_images, name) for name, part in shown]),
        predictions=np.concatenate([result.predictions[name] for name, _ in shown]),
        responses=np.concatenate([part.responses for _, part in shown]),
        mask=np.concatenate([part.valid for _, part in shown]),
        recording=neurons["recording"].to_numpy().astype(str),
        number=neurons["number"].to_numpy().astype(np.int64),
        training_mean=training_means(parts.train),
        **repeated,
    )


def _neurons(path: Path, test: datasets.Dataset, result: ScoredPredictions) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["recording", "number", *result.per_neuron])
        columns = [test.neurons["recording"], test.neurons["number"], *result.per_neuron.values()]
        table.writerows(zip(*columns))


def _plain_array(ids: np.ndarray) -> np.ndarray:
    return ids.astype(str) if ids.dtype == object else ids
