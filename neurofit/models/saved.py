"""The files that define a trained model (`fit.py` lists all files of a task): written by its task, and loaded again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit import datasets, unpacked
from neurofit.datasets.normalisation import check_units
from neurofit.errors import StoreError
from neurofit.files import write_whole
from neurofit.models.ready_made import ComputesInputs, plain
from neurofit.models.training import FIELDS

if TYPE_CHECKING:
    import keras

    from neurofit.models.data import PreparedData
    from neurofit.models.prediction import Predictions
    from neurofit.models.ready_made import FitSettings, Routed

WEIGHTS = "weights.weights.h5"
RECIPE = "recipe.json"
NORMALISATION = "normalisation.json"
# Settings of a training that the summary shows even where they are defaults
ALWAYS = ("loss", "optimizer", "learning_rate", "batch_size", "epochs")


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

    folder = unpacked.folder(Path(folder))
    record = recipe(folder)
    name = record["architecture"]
    if name not in fit.built:
        raise StoreError(f"{folder}: made with architecture '{name}'; this fit has {', '.join(fit.built)}.")
    inputs = {key: tuple(shape) for key, shape in record["shapes"]["inputs"].items()}
    label = record.get("label", {"name": None, "classes": ()})  # of a co-trained model
    shapes = Shapes(inputs, record["shapes"]["outputs"], label["name"], len(label["classes"]) or None)
    seeds, dtype = SimpleNamespace(**record["seeds"]), record.get("dtype", "float32")
    model = build(fit.built[name], shapes, record["arguments"], seeds, dtype)
    now = {one.path: list(one.shape) for one in model.trainable_variables}
    if list(now.values()) != list(record["weights"].values()):
        raise StoreError(
            f"{folder}: its weights are {_shapes(record['weights'])}, but '{name}' now makes "
            f"{_shapes(now)}. Use the code that was submitted."
        )
    if not (folder / WEIGHTS).exists():
        raise StoreError(
            f"{folder}: {WEIGHTS} is missing. A trial that its search ended early (fact pruned_at) keeps no weights; "
            "choose one that ran to its end, such as EXPERIMENT:best/0."
        )
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder / WEIGHTS}: missing or damaged ({error}).") from error
    return model


def predict(
    fit: FitSettings, folder: Path, data: Any, study: Path, model: keras.Model | None = None
) -> Predictions:
    """The responses of a task's model to other images, scaled with the numbers of its training set.

    Parameters
    ----------
    fit : Fit
        The fit of the task's experiment.
    folder : Path
        The folder of a finished attempt.
    data, study
        See `models.prediction.images_of`.
    model : keras.Model, optional
        The task's model, if it is loaded already.

    Returns
    -------
    Predictions

    Raises
    ------
    StoreError
        If a file of the folder is missing or damaged.
    DataError
        If the images cannot be read, do not have the shape that the model takes, or look scaled already.
    """
    import keras

    from neurofit.models import prediction
    from neurofit.models.building import as_model_takes, responses_in

    record, scaling = recipe(folder), normalisation(folder)
    trained, dtype = load_folder(folder, fit) if model is None else model, record.get("dtype", "float32")
    label = record.get("label", {}).get("name")
    units = {"mean": 0.0, "std": 1.0, **(scaling["parts"]["train"].get("responses") or {})}

    def respond(inputs: dict[str, np.ndarray]) -> np.ndarray:
        check_units(scaling, inputs)
        scaled = {
            name: values.astype(dtype) for name, values in datasets.standardise_like(scaling, inputs).items()
        }
        outputs = responses_in(trained(as_model_takes(trained, scaled), training=False), label)
        predicted = np.concatenate([keras.ops.convert_to_numpy(one) for one in outputs], axis=-1)
        return np.asarray(predicted * np.asarray(units["std"]) + np.asarray(units["mean"]))

    if isinstance(fit.data, ComputesInputs):
        arguments = {
            name: value
            for name, value in record["data"]["arguments"].items()
            if name not in ("split", "standardise")
        }
        data = prediction.computed(
            data,
            study,
            record["shapes"]["inputs"]["image"],
            partial(fit.data.inputs_of, **arguments),
            like=prediction.Declared.of_name(arguments.get("data"), study),
        )
    return prediction.predict(respond, record["shapes"]["inputs"], folder, data, study)


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


def _shapes(weights: dict[str, list[int]]) -> str:
    return ", ".join(f"{path} {tuple(shape)}" for path, shape in weights.items())


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(unpacked.located(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: missing or damaged ({error}).") from error
    return record


def write_recipe(
    fit: FitSettings, routed: Routed, prepared: PreparedData, model: keras.Model, task: Any
) -> None:
    """Write what is known before training: recipe and normalisation.

    Parameters
    ----------
    fit : Fit
    routed : Routed
        The arguments of the run.
    prepared : PreparedData
    model : keras.Model
    task : Task
    """
    _write(task.folder / RECIPE, _made(fit, routed, prepared, model, task))
    _write(task.folder / NORMALISATION, prepared.normalisation)


def set_argument(folder: Path, argument: str, value: float) -> None:
    """Set an argument in the recipe to the value that training selected."""
    record = recipe(folder)
    record["arguments"][argument] = value
    _write(folder / RECIPE, record)


def _write(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1, default=str, ensure_ascii=False)
    write_whole(path, f"{text}\n", durable=False)


def _made(
    fit: FitSettings, routed: Routed, prepared: PreparedData, model: keras.Model, task: Any
) -> dict[str, Any]:
    """The recipe: everything that determines the model, as JSON."""
    import keras
    import tensorflow as tf

    from neurofit.models.building import shapes_of

    shapes = shapes_of(prepared.parts.train)
    label = prepared.classes
    declared = fit.router.architectures[routed.architecture]
    return {
        "architecture": routed.architecture,
        "arguments": plain({**declared, **routed.build}),
        "shapes": {"inputs": plain(shapes.inputs), "outputs": dict(shapes.outputs)},
        **({} if label is None else {"label": {"name": label.label, "classes": list(label.names)}}),
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
        "training": plain(routed.training),
        "dtype": routed.training.dtype,
        "scores": list(fit.scores),
        "seeds": {name: getattr(task.seeds, name) for name in ("init", "shuffle", "noise", "split")},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
    }


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
