"""Splits, training and numbers of Kindel et al. for the macaque recordings (doi:10.1167/19.4.29).

Cheap to import. docs/macaque.md maps the flags of their program to these arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neurofit import unpacked
from neurofit.models.fit import Fit
from neurofit.models.training import Training

SPLIT = {"train": 180, "validation": 38, "test": 52}  # of 270 images, keeping copies of a photograph together
RANDOM_SPLIT = {**SPLIT, "ignore_groups": True}  # as theirs were
RECORDINGS = [f"macaque_v1/{number:02d}" for number in range(1, 7)]
BATCH, STEPS_PER_EPOCH, STEPS_PER_LOOK = 50, 4, 200


def fit(
    architectures: Mapping[str, Callable[..., Any]],
    *,
    steps: int = 60_000,
    learning_rate: float = 1e-4,
    **other: Any,
) -> Fit:
    """A fit as of the authors: raw pixels, mean squared error, plain gradient descent.

    Every 200 steps, the loss on the early-stopping images is computed. Training continues to the end, and the
    weights with the lowest loss are kept.

    Parameters
    ----------
    architectures : mapping of str to callable
    steps : int, default 60000
    learning_rate : float, default 1e-4
    **other : object
        More arguments of `Fit`.

    Returns
    -------
    Fit
    """
    epochs = steps // STEPS_PER_EPOCH
    training = Training(
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=learning_rate,
        optimizer="sgd",
        loss="mean_squared",
        validate_every=STEPS_PER_LOOK // STEPS_PER_EPOCH,
        patience=epochs,
    )
    return Fit(architectures, training=training, standardise="none", **other)


def pooled_fve(folder: Path, part: str = "test") -> float:
    """1 − loss / loss of the training set's mean, both summed over all neurons and images of a part.

    A neuron counts by its variance; `fraction_of_variance_explained` in neurons.csv is computed for each
    neuron.

    Parameters
    ----------
    folder : Path
        The folder of a finished attempt.
    part : {"test", "validation"}

    Returns
    -------
    float
    """
    import numpy as np

    with np.load(unpacked.located(Path(folder) / "predictions.npz")) as kept:
        chosen = kept["part"] == part
        counts, responses = kept["mask"][chosen], kept["responses"][chosen]
        errors = np.where(counts, kept["predictions"][chosen] - responses, 0)
        deviations = np.where(counts, responses - kept["training_mean"], 0)
    return float(1 - (errors**2).sum() / (deviations**2).sum())
