"""Where each neuron looks, by the readout that says so.

Filters as the forward pass uses them: differences of Gaussians rendered, Gabor filters, kernels, dense
weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from neurofit.models.building import every_layer
from neurofit.models.inspection.fields import centres


def where_maps(model: keras.Model) -> dict[str, np.ndarray]:
    """Weights over positions of the feature map, as the forward pass uses them.

    Parameters
    ----------
    model : keras.Model
        With layers that have `factors()`, which gives what and where: the factorised and the rank-one readout.

    Returns
    -------
    dict of str to ndarray of shape (neuron, height, width)
        By layer.
    """
    readouts = [layer for layer in every_layer(model) if callable(getattr(layer, "factors", None))]
    return {layer.name: _first_readout(layer.factors()[1]) for layer in readouts}


def positions(model: keras.Model) -> dict[str, np.ndarray]:
    """Where each neuron looks on the feature map.

    This is the centre of mass of a map's squared weights, so that small ones all over the map do not draw it
    to the middle; or the one position of a layer with `positions()` (the Gaussian readout).

    Parameters
    ----------
    model : keras.Model
        With a readout that has places.

    Returns
    -------
    dict of str to ndarray of shape (neuron, 2)
        y and x by layer: −1 is the first and 1 the last pixel of the feature map. nan if a map is 0 everywhere.
    """
    found = {}
    for layer in every_layer(model):
        if callable(getattr(layer, "positions", None)):
            found[layer.name] = keras.ops.convert_to_numpy(layer.positions())[:, 0, :].T
    for name, maps in where_maps(model).items():
        last = np.maximum(np.array(maps.shape[1:]) - 1, 1)
        found[name] = np.where(np.array(maps.shape[1:]) > 1, 2 * centres(maps) / last - 1, 0.0)
    return found


def _first_readout(maps) -> np.ndarray:
    return np.moveaxis(keras.ops.convert_to_numpy(maps), -1, 0)


def filters(model: keras.Model) -> dict[str, np.ndarray]:
    """Weights that are images, of every layer that has such weights, in the model's order.

    These are differences of Gaussians as (filter, height, width, 1); kernels of convolutions; weights of a
    dense layer that sees the image itself; and Gabor filters as NAME/even and NAME/odd.

    Parameters
    ----------
    model : keras.Model
        Any.

    Returns
    -------
    dict of str to ndarray of shape (filter, height, width, channel)
        By layer.
    """
    found = {}
    for layer in every_layer(model):
        found |= {name: np.asarray(maps, np.float32) for name, maps in _of(layer, _sees_image(model, layer))}
    return found


def _of(layer, image) -> Iterator[tuple[str, np.ndarray]]:
    if callable(rendered := getattr(layer, "kernel", None)):
        yield layer.name, _first(rendered())[..., None]
    elif callable(pair := getattr(layer, "kernels", None)):
        yield from (
            (f"{layer.name}/{part}", _first(maps)[..., None]) for part, maps in zip(("even", "odd"), pair())
        )
    elif (depthwise := getattr(layer, "depthwise", None)) is not None:
        yield layer.name, np.moveaxis(keras.ops.convert_to_numpy(depthwise)[:, :, 0], -1, 0)[..., None]
    elif (kernel := getattr(layer, "kernel", None)) is not None:
        kernel = keras.ops.convert_to_numpy(_used(layer, kernel))
        if kernel.ndim == 4:
            yield layer.name, _first(kernel)
        elif image is not None and kernel.shape[0] == np.prod(image):
            yield layer.name, _first(kernel.reshape(*image, -1))


def _first(kernel) -> np.ndarray:
    """The last axis, the filter's, comes first."""
    return np.moveaxis(keras.ops.convert_to_numpy(kernel), -1, 0)


def _used(layer, kernel):
    """The kernel after the layer's own normalisation, of layers that have one."""
    return layer.used(kernel) if callable(getattr(layer, "used", None)) else kernel


def _sees_image(model, layer):
    """(height, width, channel) if the layer's input is the model's, perhaps flattened or scaled; else None."""
    first = next((one for one in every_layer(model) if _is_spatial(one)), None)
    shape = tuple(model.inputs[0].shape[1:]) if getattr(model, "inputs", None) else ()
    return shape if first is layer and len(shape) == 3 else None


def _is_spatial(layer) -> bool:
    """Whether it weighs places or units, unlike a layer with one factor for all."""
    kernel = getattr(layer, "kernel", None)
    others = any(getattr(layer, name, None) is not None for name in ("kernels", "depthwise"))
    return others or (kernel is not None and getattr(kernel, "ndim", 2) >= 2)
