"""Load models from the files that their tasks left."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit import datasets
from neurofit.errors import StoreError

if TYPE_CHECKING:
    import keras

    from neurofit.models.prediction import Predictions
    from neurofit.models.ready_made import FitSettings

WEIGHTS = "weights.weights.h5"
RECIPE = "recipe.json"
NORMALISATION = "normalisation.json"


def load_folder(folder: Path, fit: FitSettings) -> keras.Model:
    """The trained model of a task, built by the code of this fit.

    Scale its inputs with `normalisation(folder)` and `datasets.standardise_like`.

    Parameters
    ----------
    folder : Path
        The folder of a finished attempt.
    fit : Fit
        The fit of the task's experiment.

    Returns
    -------
    keras.Model

    Raises
    ------
    StoreError
        If a file is missing or damaged, or the architecture now builds a model with other weights.
    """
    from neurofit.models.building import Shapes, build

    record = recipe(folder)
    name = record["architecture"]
    if name not in fit.built:
        raise StoreError(f"{folder}: made with architecture '{name}'; this fit has {', '.join(fit.built)}.")
    inputs = {key: tuple(shape) for key, shape in record["shapes"]["inputs"].items()}
    shapes = Shapes(inputs, record["shapes"]["outputs"])
    seeds, dtype = SimpleNamespace(**record["seeds"]), record.get("dtype", "float32")
    model = build(fit.built[name], shapes, record["arguments"], seeds, dtype)
    now = {one.path: list(one.shape) for one in model.trainable_variables}
    if list(now.values()) != list(record["weights"].values()):
        raise StoreError(
            f"{folder}: its weights are {_listed(record['weights'])}, but '{name}' now makes "
            f"{_listed(now)}. Use the code that was submitted."
        )
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder / WEIGHTS}: missing or damaged ({error}).") from error
    return model


def predict(fit: FitSettings, folder: Path, data: Any, study: Path) -> Predictions:
    """The responses of a task's model to other images, scaled with the numbers of its training set.

    Parameters
    ----------
    fit : Fit
        The fit of the task's experiment.
    folder : Path
        The folder of a finished attempt.
    data, study
        See `models.prediction.images_of`.

    Returns
    -------
    Predictions

    Raises
    ------
    StoreError
        If a file of the folder is missing or damaged.
    DataError
        If the images cannot be read, or do not have the shape that the model takes.
    """
    import keras

    from neurofit.models.building import as_model_takes
    from neurofit.models.prediction import predict

    record, scaling = recipe(folder), normalisation(folder)
    model, dtype = load_folder(folder, fit), record.get("dtype", "float32")
    units = {"mean": 0.0, "std": 1.0, **(scaling["parts"]["train"].get("responses") or {})}

    def respond(inputs: dict[str, np.ndarray]) -> np.ndarray:
        scaled = {
            name: values.astype(dtype) for name, values in datasets.standardise_like(scaling, inputs).items()
        }
        outputs = keras.tree.flatten(model(as_model_takes(scaled), training=False))
        predicted = np.concatenate([keras.ops.convert_to_numpy(one) for one in outputs], axis=-1)
        return predicted * np.asarray(units["std"]) + np.asarray(units["mean"])

    return predict(respond, record["shapes"]["inputs"], folder, data, study)


def recipe(folder: Path) -> dict[str, Any]:
    """The contents of `recipe.json`: everything that determined the model.

    Parameters
    ----------
    folder : Path
        The folder of a finished attempt.

    Returns
    -------
    dict

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    return _read(Path(folder) / RECIPE)


def normalisation(folder: Path) -> dict[str, Any]:
    """The numbers that the inputs were scaled with, the contents of `normalisation.json`.

    Parameters
    ----------
    folder : Path
        The folder of a finished attempt.

    Returns
    -------
    dict

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    return _read(Path(folder) / NORMALISATION)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: missing or damaged ({error}).") from error


def _listed(weights: dict[str, list[int]]) -> str:
    return ", ".join(f"{path} {tuple(shape)}" for path, shape in weights.items())
