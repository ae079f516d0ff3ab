"""Checks of a data set. Each runs once, when the data set is made."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neurofit.condition import Where
from neurofit.errors import DataError, ShapeError, UsageError

_PARTS = ("train", "test")


def shapes(dataset) -> None:
    """Check that inputs, responses, trials and mask have the right axes and agree on their lengths."""
    name, responses = dataset.name, dataset.responses
    if not dataset.inputs:
        raise ShapeError(
            f"{name}: inputs is empty. Expected a dict such as {{'image': (image, height, width, channel)}}."
        )
    _has_axes(name, "responses", responses, ("image", "neuron"))
    if 0 in responses.shape:
        raise ShapeError(f"{name}: responses (image, neuron) is empty: {responses.shape}.")
    for key, array in dataset.inputs.items():
        if key == "image":
            _has_axes(name, "inputs['image']", array, ("image", "height", "width", "channel"))
        if array.ndim == 0 or len(array) != len(responses):
            count = len(array) if array.ndim else "no"
            raise ShapeError(
                f"{name}: {count} images but {len(responses)} rows of responses: inputs['{key}'] "
                f"{array.shape} and responses (image, neuron) {responses.shape} must have the same length "
                "along 'image'."
            )
    if dataset.trials is not None:
        _has_axes(name, "trials", dataset.trials, ("image", "trial", "neuron"))
        if dataset.trials.shape[::2] != responses.shape:
            raise ShapeError(
                f"{name}: trials (image, trial, neuron) {dataset.trials.shape} do not fit "
                f"responses (image, neuron) {responses.shape}."
            )
    if dataset.mask is not None:
        if dataset.mask.shape != responses.shape:
            raise ShapeError(
                f"{name}: mask (image, neuron) {dataset.mask.shape} does not fit "
                f"responses (image, neuron) {responses.shape}."
            )
        if dataset.mask.dtype != bool:
            raise DataError(
                f"{name}: mask holds {dataset.mask.dtype}, expected bool: True where the response counts."
            )


def lengths(dataset) -> None:
    """Check that everything given per image or per neuron has the right length."""
    for field in ("image_ids", "official"):
        _per_image(dataset, field)
    if len(dataset.neurons) != dataset.n_neurons:
        raise ShapeError(
            f"{dataset.name}: neurons has {len(dataset.neurons)} rows but responses (image, neuron) "
            f"{dataset.responses.shape} has {dataset.n_neurons} neurons."
        )
    for name, label in dataset.labels.items():
        if label.shape != (dataset.n_images,):
            raise ShapeError(
                f"{dataset.name}: label '{name}' (image,) has shape {label.shape} but responses (image, neuron) "
                f"{dataset.responses.shape} has {dataset.n_images} images."
            )
        if label.dtype.kind not in "iuU":
            raise DataError(
                f"{dataset.name}: label '{name}' holds {label.dtype}, expected text or one int per image."
            )


def values(dataset) -> None:
    """Check that inputs are finite, responses finite or NaN, ids unique, and no neuron is empty."""
    name = dataset.name
    for key, array in dataset.inputs.items():
        parts = [array] if isinstance(array, np.ndarray) else array.blocks()
        bad = ~np.concatenate([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in parts])
        if bad.any():
            raise DataError(
                f"{name}: inputs['{key}'] has NaN or infinite values in {bad.sum()} of {len(array)} images "
                f"({_listed(dataset.image_ids[bad])}). Only responses may be missing: leave these images out."
            )
    infinite = np.isinf(dataset.responses).any(axis=0)
    if infinite.any():
        neurons = _listed(np.flatnonzero(infinite))
        raise DataError(f"{name}: infinite responses of neurons {neurons}. A missing response is NaN.")
    if len(np.unique(dataset.image_ids)) != dataset.n_images:
        ids, counts = np.unique(dataset.image_ids, return_counts=True)
        raise DataError(f"{name}: image_ids must be unique; more than once: {_listed(ids[counts > 1])}.")
    silent = ~dataset.valid.any(axis=0)
    if silent.any():
        raise DataError(
            f"{name}: all responses are NaN or masked for neurons {_listed(np.flatnonzero(silent))}: "
            "leave these columns out."
        )
    if dataset.official is not None and not set(dataset.official) <= set(_PARTS):
        raise DataError(
            f"{name}: official holds {_listed(np.unique(dataset.official))}, expected 'train' and 'test'."
        )


def groups(dataset) -> None:
    """Check that there is one integer group per image."""
    _per_image(dataset, "groups")
    if dataset.groups.dtype.kind not in "iu":
        raise DataError(f"{dataset.name}: groups holds {dataset.groups.dtype}, expected one int per image.")


def indices(chosen, length: int, axis: str) -> np.ndarray:
    """Indices along an axis, from indices or from one bool per element.

    Parameters
    ----------
    chosen : sequence of int or of bool
    length : int
        Length of the axis.
    axis : str
        Name of the axis, for errors.

    Returns
    -------
    ndarray of int

    Raises
    ------
    ShapeError
        If there is not one bool per element.
    DataError
        If an index is out of range, or the values are neither ints nor bools.
    """
    chosen = np.asarray(chosen)
    if chosen.dtype == bool:
        if chosen.shape != (length,):
            raise ShapeError(
                f"The mask {chosen.shape} along '{axis}' must have {length} elements, one bool each."
            )
        return np.flatnonzero(chosen)
    if chosen.size == 0:
        return np.zeros(0, np.int64)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise DataError(
            f"Indices along '{axis}' are a list of ints or of bools, not {chosen.dtype} {chosen.shape}."
        )
    if chosen.min() < -length or chosen.max() >= length:
        raise DataError(
            f"Index {chosen.max()} along '{axis}', which has {length} elements (0 … {length - 1})."
        )
    return chosen


def condition(neurons: pd.DataFrame, text: str) -> np.ndarray:
    """The neurons for which a condition holds.

    Parameters
    ----------
    neurons : pandas.DataFrame
    text : str
        A condition on its columns, such as "reliability > 0.15".

    Returns
    -------
    ndarray of bool, shape (neuron,)

    Raises
    ------
    DataError
        If the condition cannot be evaluated.
    """
    columns = {str(name): neurons[name].tolist() for name in neurons}
    try:
        holds = Where(text, tuple(columns), noun="column")
        return np.array([holds(dict(zip(columns, row))) for row in zip(*columns.values())], bool)
    except UsageError as error:
        raise DataError(str(error)) from None


def _has_axes(name: str, what: str, array: np.ndarray, axes: tuple[str, ...]) -> None:
    if array.ndim != len(axes):
        raise ShapeError(
            f"{name}: {what} has {array.ndim} axes, {array.shape}; expected ({', '.join(axes)})."
        )


def _per_image(dataset, field: str) -> None:
    array = getattr(dataset, field)
    if array is not None and array.shape != (dataset.n_images,):
        raise ShapeError(
            f"{dataset.name}: {field} (image,) has shape {array.shape} but responses (image, neuron) "
            f"{dataset.responses.shape} has {dataset.n_images} images."
        )


def _listed(values, at_most: int = 5) -> str:
    shown = ", ".join(str(value) for value in values[:at_most])
    return shown + (f" and {len(values) - at_most} more" if len(values) > at_most else "")
