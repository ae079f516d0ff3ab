"""Where each neuron looks, by the readout that says so."""

from __future__ import annotations

import keras
import numpy as np

from neurofit.models.fitting.build import every_layer
from neurofit.models.inspection.fields import centres


def where_maps(model: keras.Model) -> dict[str, np.ndarray]:
    """Layer → (neuron, height, width): weights over positions of the feature map, as the forward pass uses
    them.

    Of every layer with `factors()`, which gives what and where: the factorised and the rank-one readout.
    """
    readouts = [layer for layer in every_layer(model) if callable(getattr(layer, "factors", None))]
    return {layer.name: _first(layer.factors()[1]) for layer in readouts}


def positions(model: keras.Model) -> dict[str, np.ndarray]:
    """Layer → (neuron, 2): y and x where each neuron looks, −1 the first and 1 the last pixel of the feature
    map.

    The centre of mass of a map's squared weights, so that small ones all over the map do not draw it to the
    middle; or the one position of a layer with `positions()` (the Gaussian readout). nan where a map is 0
    everywhere.
    """
    found = {}
    for layer in every_layer(model):
        if callable(getattr(layer, "positions", None)):
            found[layer.name] = keras.ops.convert_to_numpy(layer.positions())[:, 0, :].T
    for name, maps in where_maps(model).items():
        last = np.maximum(np.array(maps.shape[1:]) - 1, 1)
        found[name] = np.where(np.array(maps.shape[1:]) > 1, 2 * centres(maps) / last - 1, 0.0)
    return found


def _first(maps) -> np.ndarray:
    return np.moveaxis(keras.ops.convert_to_numpy(maps), -1, 0)
