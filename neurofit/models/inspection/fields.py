"""Receptive fields (by gradient or by reverse correlation), positions of readouts, and filters of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from neurofit.errors import ShapeError
from neurofit.models.building import every_layer
from neurofit.models.inspection import responses
from neurofit.models.layers.convolution import SeparableConvolution
from neurofit.models.layers.gabor import GaborEnergy
from neurofit.models.layers.gaussians import Gaussians
from neurofit.models.layers.linear import Linear


@runtime_checkable
class HasFactors(Protocol):
    """A readout whose weights are products of what and where, such as the factorised and the rank-one readout."""

    name: str

    def factors(self) -> tuple[Any, Any]:
        """What (channel, neuron) and where (height, width, neuron), as the forward pass uses them."""


@runtime_checkable
class HasPositions(Protocol):
    """A readout that looks at one position per neuron, such as the Gaussian readout."""

    name: str

    def positions(self) -> Any:
        """y and x in [−1, 1], (2, 1, neuron)."""


@runtime_checkable
class HasKernel(Protocol):
    """A layer with a weight `kernel` (…, unit), as Keras' dense layers and convolutions have it."""

    kernel: Any


def receptive_fields(model: keras.Model, *, at: np.ndarray | None = None, neurons=None) -> np.ndarray:
    """Gradient of each neuron's response with respect to each pixel, at one image.

    Parameters
    ----------
    model : keras.Model
    at : ndarray, shape (height, width, channel), optional
        The image, normalised. Default: zeros, the mean grey of the training set if its inputs were centred
        (`global`, `pixel`).
    neurons : sequence of int, optional
        Indices. Default: all.

    Returns
    -------
    ndarray, shape (neuron, height, width, channel)
        Responses per normalised unit. 0 if a rectified neuron is silent at that image.
    """
    indices = responses.chosen(model, neurons)
    image = np.zeros(responses.image_shape(model), np.float32) if at is None else np.asarray(at, np.float32)
    return responses.gradients(model, np.repeat(image[None], len(indices), axis=0), indices)[0]


def spike_triggered_average(
    images: np.ndarray, responses: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Σ y · x / Σ y − mean x: the mean image before a spike, minus the mean image.

    Of a recording, or of a model with `respond(model, images)` as responses. Correlations between the pixels
    of the images, as in photographs, blur it.

    Parameters
    ----------
    images : ndarray, shape (image, height, width, channel)
    responses : ndarray, shape (image, neuron)
        At least 0; NaN where missing.
    mask : ndarray of bool, shape (image, neuron), optional
        True where a response counts. Default: everywhere.

    Returns
    -------
    ndarray, shape (neuron, height, width, channel)
        In the images' units; nan for a neuron without spikes.

    Raises
    ------
    ShapeError
        If images and responses differ in number.
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
    fields : ndarray, shape (neuron, height, width, …)

    Returns
    -------
    ndarray, shape (neuron, 2)
        y and x [pixels]; nan if a field is 0 everywhere.
    """
    energy = np.square(np.asarray(fields, np.float64))
    energy = energy.reshape(*energy.shape[:3], -1).sum(axis=-1)
    y, x = (np.arange(length) for length in energy.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        total = energy.sum(axis=(1, 2))
        return np.stack([energy.sum(axis=2) @ y / total, energy.sum(axis=1) @ x / total], axis=-1)


def where_maps(model: keras.Model) -> dict[str, np.ndarray]:
    """Weights over positions of the feature map, as the forward pass uses them.

    Of every layer that has `factors`, as `HasFactors` describes: the factorised and the rank-one readout.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to ndarray, shape (neuron, height, width)
        One array per layer.
    """
    readouts = [layer for layer in every_layer(model) if isinstance(layer, HasFactors)]
    return {layer.name: _first(layer.factors()[1]) for layer in readouts}


def positions(model: keras.Model) -> dict[str, np.ndarray]:
    """Position at which each neuron looks.

    The centre of mass of a map's squared weights, so that many small weights do not pull it to the middle; or
    the position itself of a layer that has `positions`, as `HasPositions` describes (the Gaussian readout).

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to ndarray, shape (neuron, 2)
        Layer → y and x, −1 for the first and 1 for the last pixel of the feature map; nan if a map is 0
        everywhere.
    """
    found = {}
    for layer in every_layer(model):
        if isinstance(layer, HasPositions):
            found[layer.name] = keras.ops.convert_to_numpy(layer.positions())[:, 0, :].T
    for name, maps in where_maps(model).items():
        last = np.maximum(np.array(maps.shape[1:]) - 1, 1)
        found[name] = np.where(np.array(maps.shape[1:]) > 1, 2 * centres(maps) / last - 1, 0.0)
    return found


def filters(model: keras.Model) -> dict[str, np.ndarray]:
    """Filters of every layer whose weights are images, in the order of the model.

    Differences of Gaussians are (filter, height, width, 1). Others are kernels of convolutions, weights of a
    dense layer that sees the image itself, and Gabor filters as NAME/even and NAME/odd.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to ndarray, shape (filter, height, width, channel)
        One array per layer, float32.
    """
    found: dict[str, np.ndarray] = {}
    for layer in every_layer(model):
        found |= {name: np.asarray(maps, np.float32) for name, maps in _of(layer, _sees_image(model, layer))}
    return found


def _of(layer, image) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(layer, Gaussians):
        yield layer.name, _first(layer.kernel())[..., None]
    elif isinstance(layer, GaborEnergy):
        for part, maps in zip(("even", "odd"), layer.kernels()):
            yield f"{layer.name}/{part}", _first(maps)[..., None]
    elif isinstance(layer, SeparableConvolution):
        yield layer.name, _first(layer.depthwise[:, :, 0])[..., None]
    elif (weight := _kernel_of(layer)) is not None:
        kernel = keras.ops.convert_to_numpy(layer.used(weight) if isinstance(layer, Linear) else weight)
        if kernel.ndim == 4:
            yield layer.name, _first(kernel)
        elif image is not None and kernel.shape[0] == np.prod(image):
            yield layer.name, _first(kernel.reshape(*image, -1))


def _first(kernel) -> np.ndarray:
    """The array with its last axis, the filter's or neuron's, first."""
    return np.moveaxis(keras.ops.convert_to_numpy(kernel), -1, 0)


def _sees_image(model, layer):
    """(height, width, channel) if the layer's input is the image, perhaps flattened or scaled; else None."""
    first = next((one for one in every_layer(model) if _is_spatial(one)), None)
    inputs = responses.inputs_of(model)
    shape = tuple(inputs[0].shape[1:]) if inputs else ()
    return shape if first is layer and len(shape) == 3 else None


def _is_spatial(layer) -> bool:
    """Whether the layer has weights for places or units, unlike a layer with one factor for all."""
    if isinstance(layer, (Gaussians, GaborEnergy, SeparableConvolution)):
        return True
    kernel = _kernel_of(layer)
    return kernel is not None and len(kernel.shape) >= 2


def _kernel_of(layer):
    """The layer's weight `kernel`; None if it has none."""
    kernel = layer.kernel if isinstance(layer, HasKernel) else None
    return kernel if isinstance(kernel, keras.Variable) or keras.ops.is_tensor(kernel) else None
