"""Numbers as the authors of the macaque recordings reported them, from what a task left."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def pooled_fve(folder: Path, part: str = "test") -> float:
    """1 − loss / loss of the training set's mean, both summed over all neurons and images of a part.

    A neuron counts by its variance; `fraction_of_variance_explained` in neurons.csv is each neuron's own.
    Source: doi:10.1167/19.4.29.
    """
    with np.load(Path(folder) / "predictions.npz") as kept:
        chosen = kept["part"] == part
        counts, responses = kept["mask"][chosen], kept["responses"][chosen]
        errors = np.where(counts, kept["predictions"][chosen] - responses, 0)
        deviations = np.where(counts, responses - kept["training_mean"], 0)
    return float(1 - (errors**2).sum() / (deviations**2).sum())
