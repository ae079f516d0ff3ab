"""Receptive fields: of a model by its gradient, of responses (measured or predicted) by reverse
correlation.
"""

from __future__ import annotations

import keras
import numpy as np

from neurofit.errors import ShapeError
from neurofit.models.inspection import responses


def receptive_fields(model: keras.Model, *, at: np.ndarray | None = None, neurons=None) -> np.ndarray:
    """What each pixel adds to each neuron's response near one image: its gradient there.

    Parameters
    ----------
    model : keras.Model
        With one image input.
    at : ndarray of shape (height, width, channel), optional
        The image, normalised. The default is zeros, the mean grey of the training set if its inputs were
        centred (ways `global` and `pixel`).
    neurons : sequence of int, optional
        By default all.

    Returns
    -------
    ndarray of shape (neuron, height, width, channel)
        Responses per normalised unit. 0 if a rectified neuron is silent at that image.
    """
    indices = responses.chosen(model, neurons)
    image = np.zeros(responses.image_shape(model), np.float32) if at is None else np.asarray(at, np.float32)
    return responses.gradients(model, np.repeat(image[None], len(indices), axis=0), indices)[0]


def spike_triggered_average(
    images: np.ndarray, responses: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Σ y · x / Σ y − mean x: the mean image before a spike, minus the mean image.

    It takes a recording, or a model with `respond(model, images)` as responses. Images that are correlated
    from pixel to pixel, as photographs are, blur it.

    Parameters
    ----------
    images : ndarray of shape (image, height, width, channel)
        In any units.
    responses : ndarray of shape (image, neuron)
        At least 0; NaN is missing.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    ndarray of shape (neuron, height, width, channel)
        In the images' units; nan for a neuron without spikes.

    Raises
    ------
    ShapeError
        Images and responses differ in number.
    """
    images, responses = np.asarray(images, np.float64), np.asarray(responses, np.float64)
    if len(images) != len(responses):
        raise ShapeError(f"{len(images)} images, but responses to {len(responses)}.")
    valid = np.isfinite(responses) if mask is None else np.isfinite(responses) & np.asarray(mask, bool)
    counted = np.where(valid, responses, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = counted / counted.sum(axis=0) - valid / valid.sum(axis=0)
    return np.tensordot(weights.T, images, axes=1)


def centres(fields: np.ndarray) -> np.ndarray:
    """Centre of mass of each field's squares.

    Parameters
    ----------
    fields : ndarray of shape (neuron, height, width, …)
        For example `receptive_fields`.

    Returns
    -------
    ndarray of shape (neuron, 2)
        y and x [pixels]; nan if a field is 0 everywhere.
    """
    energy = np.square(np.asarray(fields, np.float64))
    energy = energy.reshape(*energy.shape[:3], -1).sum(axis=-1)
    y, x = (np.arange(length) for length in energy.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        total = energy.sum(axis=(1, 2))
        return np.stack([energy.sum(axis=2) @ y / total, energy.sum(axis=1) @ x / total], axis=-1)
