"""How weights start, and what the forward pass makes of them."""

from __future__ import annotations

import math
from numbers import Integral

import keras
import numpy as np
from keras import ops

from neurofit.errors import ShapeError, UsageError, nearest

NORMALISATIONS = ("none", "unit", "at_most_one", "matrix")
SMALLEST_SQUARE = 1e-12  # of a norm, as TensorFlow's l2_normalize has it


@keras.saving.register_keras_serializable("neurofit")
class AbsoluteNormal(keras.initializers.RandomNormal):
    """|N(0, stddev)|: NDN's "trunc_normal" for weights (for biases it is a plain N(0, .1))."""

    def __init__(self, stddev=0.1, seed=None):
        super().__init__(mean=0.0, stddev=stddev, seed=seed)

    def __call__(self, shape, dtype=None):
        return ops.abs(super().__call__(shape, dtype))

    def get_config(self):
        config = super().get_config()
        config.pop("mean")
        return config


def initializer(given=None):
    """The initialiser given, or N(0, .1), NDN's "normal"; "absolute_normal" is |N(0, .1)|, other names are Keras'.

    There is a new one for each weight, because one instance draws the same numbers again.
    """
    if given is None or given == "normal":
        return keras.initializers.RandomNormal(stddev=0.1)
    if given == "absolute_normal":
        return AbsoluteNormal()
    return keras.initializers.get(given)


def as_used(weight, normalised="none", positive=False):
    """The weight as the forward pass sees it: its negative part set to 0, then normalised.

    Parameters
    ----------
    weight : tensor of shape (…, unit)
        The raw weight.
    normalised : {"none", "unit", "at_most_one", "matrix"}
        "unit": every unit's L2 norm is 1. "at_most_one": the weight is divided by it if it is more than 1.
        "matrix": the weight is divided by the norm of all, times the number of units.
    positive : bool
        Whether the negative part is set to 0.
    """
    if positive:
        weight = ops.maximum(weight, 0)
    if normalised == "none":
        return weight
    axes = tuple(range(len(weight.shape) - 1))
    squares = ops.sum(ops.square(weight), axis=axes, keepdims=True)
    if normalised == "unit":
        return weight * ops.rsqrt(ops.maximum(squares, SMALLEST_SQUARE))
    if normalised == "at_most_one":
        return weight * ops.rsqrt(ops.maximum(squares, 1.0))
    return weight * (ops.rsqrt(ops.maximum(ops.sum(squares), SMALLEST_SQUARE)) * weight.shape[-1])


class _OnUsed(keras.regularizers.Regularizer):
    """For Keras to apply to the raw weight: what a penalty says of the weight as it is used."""

    def __init__(self, penalty, used):
        self.penalty, self.used = penalty, used

    def __call__(self, weight):
        return self.penalty(self.used(weight))

    def parts(self, weight):
        used = self.used(weight)
        return self.penalty.parts(used) if hasattr(self.penalty, "parts") else {"": self.penalty(used)}


def penalty_on(layer, regularizer, shape, used=None):
    """A penalty for `add_weight`, so that Keras applies it once, however often the layer is called.

    Parameters
    ----------
    layer : keras.layers.Layer
        The layer of the weight.
    regularizer : Regularizer or None
        The penalty; without one, there is none.
    shape : tuple of int
        Of the raw weight.
    used : callable, optional
        Makes of the raw weight what the penalty sees.

    Raises
    ------
    ShapeError
        The penalty cannot be computed for a weight of this shape.
    """
    regularizer = keras.regularizers.get(regularizer)
    if regularizer is None:
        return None
    penalty = _OnUsed(regularizer, used or (lambda weight: weight))
    penalty(
        ops.zeros(shape, layer.variable_dtype)
    )  # what does not fit is an error here, not in the first epoch
    return penalty


def one_of(layer, name, value, known):
    if value not in known:
        offer = nearest(str(value), known)
        raise UsageError(f"{type(layer).__name__}({name}={value!r}): known are {', '.join(known)}.{offer}")
    return value


def whole(layer, name, value, least=1, most=math.inf):
    """The value, a whole number in [least, most]; UsageError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        wanted = f"≥ {least}" if most == math.inf else f"from {least} to {most}"
        raise UsageError(f"{type(layer).__name__}({name}={value!r}): expected a whole number {wanted}.")
    return value


def needs_maps(layer, shape):
    """Raises ShapeError unless a layer's input is (image, height, width, channel)."""
    if len(shape) != 4:
        raise ShapeError(f"{type(layer).__name__} needs (image, height, width, channel), not {tuple(shape)}.")


def signs(units, inhibitory):
    """(unit,) of 1, and −1 for the last ones."""
    return np.where(np.arange(units) < units - inhibitory, 1.0, -1.0).astype("float32")
