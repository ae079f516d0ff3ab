"""The files of a fit, in its task's folder (`fit.py` lists them)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from neurofit import datasets
from neurofit.files import write_whole
from neurofit.models.building import shapes_of
from neurofit.models.data import Material
from neurofit.models.fitting.predictions import write
from neurofit.models.fitting.scoring import Scored
from neurofit.models.ready_made import FitSettings, plain
from neurofit.models.routing import Routed
from neurofit.models.saved import NORMALISATION, RECIPE, WEIGHTS


def before(fit: FitSettings, routed: Routed, material: Material, model: keras.Model, task: Any) -> None:
    """What is known before training: recipe and normalisation."""
    _write(task.folder / RECIPE, recipe(fit, routed, material, model, task))
    _write(task.folder / NORMALISATION, material.normalisation)


def chosen(folder: Path, argument: str, value: float) -> None:
    """What training made of an argument: the recipe then makes the model whose weights are kept."""
    made = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    made["arguments"][argument] = value
    _write(folder / RECIPE, made)


def after(model: keras.Model, parts: datasets.Parts, result: Scored, folder: Path) -> None:
    """What training made: weights, predictions, scores per neuron."""
    model.save_weights(folder / WEIGHTS)
    write(folder, parts, result)


def recipe(
    fit: FitSettings, routed: Routed, material: Material, model: keras.Model, task: Any
) -> dict[str, Any]:
    """Everything that makes the fit what it is, as JSON."""
    shapes = shapes_of(material.parts.train)
    declared = fit.router.architectures[routed.architecture]
    return {
        "architecture": routed.architecture,
        "arguments": plain({**declared, **routed.build}),
        "shapes": {"inputs": plain(shapes.inputs), "outputs": dict(shapes.outputs)},
        "weights": {one.path: list(one.shape) for one in model.trainable_variables},
        "data": {
            "name": material.dataset.name,
            "arguments": plain({**fit.router.data, **routed.data}),
            "hash": material.dataset.hash(),
            "images": {name: part.n_images for name, part in material.parts.items()},
            "neurons": material.dataset.n_neurons,
        },
        "split": {**asdict(material.split), "seed": material.split_seed, "split_by": task.split_by},
        "standardise": {name: material.normalisation[name] for name in ("inputs", "responses", "statistics")},
        "training": plain(asdict(routed.training)),
        "dtype": routed.training.dtype,
        "scores": list(fit.scores),
        "seeds": {name: getattr(task.seeds, name) for name in ("init", "shuffle", "noise", "split")},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
    }


def _write(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1, default=str, ensure_ascii=False)
    write_whole(path, f"{text}\n", durable=False)
