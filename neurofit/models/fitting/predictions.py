"""Predictions and scores per neuron in a task's folder (`models/fit.py` lists what is in them), in NumPy
alone.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from neurofit import datasets
from neurofit.models.fitting.scoring import Scored, training_means


def write(folder: Path, parts: datasets.Parts, result: Scored) -> None:
    """predictions.npz and neurons.csv."""
    _predictions(folder / "predictions.npz", parts, result)
    _neurons(folder / "neurons.csv", parts.test, result)


def _predictions(path: Path, parts: datasets.Parts, result: Scored) -> None:
    shown = [(name, part) for name, part in parts.items() if name != "train"]
    neurons = parts.test.neurons
    repeated = (
        {} if parts.test.trials is None else {"trials": np.concatenate([part.trials for _, part in shown])}
    )
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


def _neurons(path: Path, test: datasets.Dataset, result: Scored) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["recording", "number", *result.per_neuron])
        columns = [test.neurons["recording"], test.neurons["number"], *result.per_neuron.values()]
        table.writerows(zip(*columns))


def _plain_array(ids: np.ndarray) -> np.ndarray:
    return ids.astype(str) if ids.dtype == object else ids
