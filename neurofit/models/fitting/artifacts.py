"""The files that a fit leaves in its task's folder (`fit.py` lists them), and its summary for the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from neurofit import datasets
from neurofit.files import write_whole
from neurofit.models.building import shapes_of
from neurofit.models.data import PreparedData
from neurofit.models.fitting.scoring import ScoredPredictions, write_predictions
from neurofit.models.ready_made import FitSettings, plain
from neurofit.models.routing import Routed
from neurofit.models.saved import NORMALISATION, RECIPE, WEIGHTS
from neurofit.models.training import FIELDS


def write_recipe(
    fit: FitSettings, routed: Routed, prepared: PreparedData, model: keras.Model, task: Any
) -> None:
    """Write what is known before training: recipe and normalisation."""
    _write(task.folder / RECIPE, recipe(fit, routed, prepared, model, task))
    _write(task.folder / NORMALISATION, prepared.normalisation)


def set_argument(folder: Path, argument: str, value: float) -> None:
    """Set an argument in the recipe to the value that training selected."""
    record = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    record["arguments"][argument] = value
    _write(folder / RECIPE, record)


def write_results(model: keras.Model, parts: datasets.Parts, result: ScoredPredictions, folder: Path) -> None:
    """Write what training made: weights, predictions, scores of each neuron."""
    model.save_weights(folder / WEIGHTS)
    write_predictions(folder, parts, result)


def recipe(
    fit: FitSettings, routed: Routed, prepared: PreparedData, model: keras.Model, task: Any
) -> dict[str, Any]:
    """Everything that determines the fit, as JSON."""
    shapes = shapes_of(prepared.parts.train)
    declared = fit.router.architectures[routed.architecture]
    return {
        "architecture": routed.architecture,
        "arguments": plain({**declared, **routed.build}),
        "shapes": {"inputs": plain(shapes.inputs), "outputs": dict(shapes.outputs)},
        "weights": {one.path: list(one.shape) for one in model.trainable_variables},
        "data": {
            "name": prepared.dataset.name,
            "arguments": plain({**fit.router.data, **routed.data}),
            "hash": prepared.dataset.hash(),
            "images": {name: part.n_images for name, part in prepared.parts.items()},
            "neurons": prepared.dataset.n_neurons,
        },
        "split": {**asdict(prepared.split), "seed": prepared.split_seed, "split_by": task.split_by},
        "standardise": {name: prepared.normalisation[name] for name in ("inputs", "responses", "statistics")},
        "training": plain(asdict(routed.training)),
        "dtype": routed.training.dtype,
        "scores": list(fit.scores),
        "seeds": {name: getattr(task.seeds, name) for name in ("init", "shuffle", "noise", "split")},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
    }


def _write(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1, default=str, ensure_ascii=False)
    write_whole(path, f"{text}\n", durable=False)


ALWAYS = (
    "loss",
    "optimizer",
    "learning_rate",
    "batch_size",
    "epochs",
)  # of a training, also where they are defaults


def summary(recipe: Mapping[str, Any], facts: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
    """Model, data, training, how it ended, and the scores, one line each.

    Parameters
    ----------
    recipe : mapping
        As in `recipe.json`.
    facts : mapping
        How the training ended: epochs, best_epoch, stop_reason, neurons_scored, neurons_silent.
    metrics : mapping of str to float

    Returns
    -------
    str
    """
    return "\n".join(
        [
            f"model: {recipe['architecture']}({_listed(recipe['arguments'])})",
            f"data: {_data(recipe)}",
            f"training: {_training(recipe['training'])}",
            *_path(facts),
            f"ended: {facts['stop_reason']} after {facts['epochs']} epochs, weights of epoch "
            f"{facts['best_epoch']}",
            f"scores: {_listed({name: f'{value:.4f}' for name, value in metrics.items()})}"
            f" ({facts['neurons_scored']} neurons, {facts['neurons_silent']} silent left out)",
        ]
    )


def _path(facts: Mapping[str, Any]) -> list[str]:
    """A line with each point of a regularisation path and its loss, if there was a path."""
    points = []
    for point in facts.get("path", []):
        argument, strength = next(iter(point.items()))
        points.append(f"{argument}={strength} {point['validation/loss']:.4f} ({point['epochs']} epochs)")
    if not points:
        return []
    return [f"path: {', '.join(points)}; lowest validation loss at {facts['path_chose']}"]


def _data(recipe: Mapping[str, Any]) -> str:
    data, split, scaled = recipe["data"], recipe["split"], recipe["standardise"]
    images = ", ".join(f"{count} {name}" for name, count in data["images"].items())
    groups = f"split with seed {split['seed']}" + (f" by {split['split_by']}" if split["split_by"] else "")
    return f"{data['name']} ({data['hash']}), {data['neurons']} neurons, images: {images}, {groups}; {_listed(scaled)}"


def _training(training: Mapping[str, Any]) -> str:
    shown = {
        name: value for name, value in training.items() if name in ALWAYS or value != _plain(FIELDS.get(name))
    }
    if training["optimizer"] == "lbfgs":
        shown = {name: value for name, value in shown.items() if name not in ("batch_size", "learning_rate")}
    shown.pop("checkpoint_minutes", None)
    return _listed(shown)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
