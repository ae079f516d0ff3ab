"""Load models from the files that their tasks left."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from neurofit.errors import StoreError

if TYPE_CHECKING:
    import keras

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
