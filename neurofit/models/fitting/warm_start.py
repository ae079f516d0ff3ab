"""Where a training starts: weights of an earlier one, and which weights stay as they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from neurofit import packed
from neurofit.errors import StoreError, UsageError
from neurofit.files import read_json
from neurofit.models import data
from neurofit.models.fitting.weight_matching import match
from neurofit.models.ready_made import FitSettings
from neurofit.models.saved import WEIGHTS, load_folder
from neurofit.models.weight_names import matching, named_layers, named_weights

log = logging.getLogger(__name__)


def take_over(model: keras.Model, fit: FitSettings, where: str, task: Any) -> dict[str, Any]:
    """Copy the weights of a finished task into the model, where layer, name and shape are the same.

    Layers without names of their own are found by their place; see `weight_matching.match`. Other weights (a readout
    of other neurons, for example) keep their own initial values.

    Parameters
    ----------
    model : keras.Model
    fit : Fit
    where : str
        The folder of a task or of one of its attempts, relative to the study; `{repetition}` stands for this
        task's repetition. For a task, the newest attempt that is done counts; name an attempt's folder to use
        an earlier one.
    task : Task

    Returns
    -------
    dict
        Which weights were copied and which were not, for the outcome.

    Raises
    ------
    StoreError
        If there is no such folder, or it has no trained model.
    UsageError
        If no weight fits, or layers without names do not match those of the finished task.
    """
    folder = _finished(task.study / where.format(repetition=task.repetition), where)
    there = load_folder(folder, fit)
    try:
        found = match(model, there)
    except UsageError as error:
        raise UsageError(f"start={where!r}: {error}") from None
    for _, variable, other in found.taken:
        variable.assign(other.value)
    taken, left = [name for name, _, _ in found.taken], found.left
    if not taken:
        raise UsageError(
            f"start={where!r}: none of its weights ({_with_shapes(there)}) has the layer, name and shape of a "
            f"weight here ({_with_shapes(model)}). Use the same layer names in both architectures."
        )
    if found.shapes:
        differ = "; ".join(
            f"{name} is {own} here and {its} there" for name, (own, its) in found.shapes.items()
        )
        data.warn(task, f"start: weights of another shape keep their own initial values: {differ}.")
    log.info("Weights of %s: copied %s; missing or of another shape: %s.", folder, taken, left)
    return {"folder": str(folder), "taken": taken, "left": left}


def _with_shapes(model: keras.Model) -> str:
    return ", ".join(f"{name} {tuple(one.shape)}" for name, one in named_weights(model))


def freeze(model: keras.Model, names: Sequence[str]) -> None:
    """Exclude these layers ("core", "network/conv[1-3]_*"), or weights ("neurons/where"), from training.

    A frozen batch normalisation uses its statistics and no longer adapts them. Penalties of frozen weights,
    which nothing could lower, are no longer counted.

    Raises
    ------
    UsageError
        If there is no such layer or weight, or no weight is left to train.
    """
    layers, weights = dict(named_layers(model)), dict(named_weights(model))
    known = list(dict.fromkeys([*layers, *weights]))
    for pattern in names:
        for name in matching(pattern, known, "freeze"):
            (layers if name in layers else weights)[name].trainable = False
    if not model.trainable_variables:
        raise UsageError(f"freeze={list(names)}: nothing is left to train.")


def _finished(folder: Path, where: str) -> Path:
    attempts = sorted(folder.glob("attempt-*"), key=lambda one: (len(one.name), one.name), reverse=True)
    trained = [
        one for one in (folder, *attempts) if packed.exists(one / WEIGHTS) and (one / "outcome.json").exists()
    ]
    found = next((one for one in trained if one == folder or _is_done(one / "outcome.json")), None)
    if found is None:
        raise StoreError(
            f"start={where!r}: {folder} has no trained model of a finished task. Name a folder under "
            "training_data/, such as 'training_data/exp3/runs/017-3f9a1c2e/rep-{repetition:02d}'."
        )
    return found


def _is_done(outcome: Path) -> bool:
    """Whether an attempt is done. A later attempt that failed or was stopped does not displace it."""
    return bool(read_json(outcome).get("state", "done") == "done")
