"""A trained model's predictions for every part, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from neurofit import datasets, scores
from neurofit.errors import DataError
from neurofit.models.descent.program import Program
from neurofit.models.fitting import data

AGAINST_TRAIN = ("fraction_of_variance_explained", "poisson_log_likelihood")  # measured against the training set's mean


@dataclass(frozen=True)
class Scored:
    """Predictions per part, (image, neuron); scores "part/score", of all and per neuron; the test set's counts."""

    predictions: dict[str, np.ndarray]
    metrics: dict[str, float]
    per_neuron: dict[str, np.ndarray]
    n_scored: int
    n_silent: int
    n_constant: int


def scored(program: Program, kept: tuple[tf.Tensor, tuple], parts: datasets.Parts, names: tuple[str, ...]) -> Scored:
    """Every score on every part.

    Raises
    ------
    DataError : no neuron of the test set can be scored
    """
    dtype = program.training.dtype
    predictions = {name: program.predict(*kept, data.arrays(part, dtype))[0] for name, part in parts.items()}
    means = training_means(parts.train)
    metrics, per_neuron, counts = {}, {}, None
    for part_name, part in reversed(parts.items()):
        for name in names:
            measure = getattr(scores, name)
            if name in AGAINST_TRAIN:
                measure = partial(measure, baseline_mean=means)
            try:
                summary = scores.population(measure, part.responses, predictions[part_name], part.mask)
            except DataError:
                if part_name == "test":
                    raise
                continue  # nothing varies in this part: it has no score, and the test set's stand
            metrics[f"{part_name}/{name}"] = summary.value
            per_neuron[f"{part_name}/{name}"] = summary.per_neuron
            counts = counts or summary
    return Scored(predictions, metrics, per_neuron, counts.n_scored, counts.n_silent, counts.n_constant_predictions)


def training_means(train: datasets.Dataset) -> np.ndarray:
    """(neuron,) mean training response; 0 for a neuron without any."""
    valid = train.valid
    return np.where(valid, train.responses, 0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)


def by_recording(result: Scored, recordings: np.ndarray) -> dict[str, float]:
    """"part/score/recording" → mean over that recording's neurons, where there are several recordings.

    recordings : (neuron,) of names. One of which no neuron can be scored on a part has no score there
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
