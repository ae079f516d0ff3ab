"""Models back from what their tasks left."""

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
    """The trained model of the task that left `folder`, built by this fit's code.

    Scale its inputs with `normalisation(folder)` (`datasets.standardise_like`).

    Parameters
    ----------
    folder : Path
        An attempt's folder.
    fit : Fit
        The fit that trained it.

    Returns
    -------
    keras.Model

    Raises
    ------
    StoreError
        A file is missing or damaged, or the architecture now makes a model with other weights.
    """
    from neurofit.models.building import Shapes, build

    made = recipe(folder)
    name = made["architecture"]
    if name not in fit.built:
        raise StoreError(f"{folder}: made with architecture '{name}'; this fit has {', '.join(fit.built)}.")
    inputs = {key: tuple(shape) for key, shape in made["shapes"]["inputs"].items()}
    shapes = Shapes(inputs, made["shapes"]["outputs"])
    seeds, dtype = SimpleNamespace(**made["seeds"]), made.get("dtype", "float32")
    model = build(fit.built[name], shapes, made["arguments"], seeds, dtype)
    now = {one.path: list(one.shape) for one in model.trainable_variables}
    if list(now.values()) != list(made["weights"].values()):
        raise StoreError(
            f"{folder}: its weights are {_told(made['weights'])}, but '{name}' now makes {_told(now)}. "
            "Use the code as it was submitted."
        )
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder / WEIGHTS}: missing or damaged ({error}).") from error
    return model


def recipe(folder: Path) -> dict[str, Any]:
    """Everything that made the fit: `recipe.json`."""
    return _read(Path(folder) / RECIPE)


def normalisation(folder: Path) -> dict[str, Any]:
    """The numbers that inputs were scaled with."""
    return _read(Path(folder) / NORMALISATION)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: missing or damaged ({error}).") from error


def _told(weights: dict[str, list[int]]) -> str:
    return ", ".join(f"{path} {tuple(shape)}" for path, shape in weights.items())
