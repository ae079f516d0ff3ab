"""How weights are initialised, normalised, penalised and bounded, and checks of a layer's settings."""

from __future__ import annotations

import math
from numbers import Integral

import keras
import numpy as np
from keras import ops

from neurofit.errors import ShapeError, UsageError, nearest
from neurofit.models.regularizers.penalty import parts_of

NORMALISATIONS = ("none", "unit", "at_most_one", "matrix")
SMALLEST_SQUARE = 1e-12  # of a norm, as TensorFlow's l2_normalize has it


@keras.saving.register_keras_serializable("neurofit")
class AbsoluteNormal(keras.initializers.RandomNormal):
    """|N(0, stddev)|: NDN's "trunc_normal" for weights (for biases NDN has a plain N(0, .1)).

    Parameters
    ----------
    stddev : float, default 0.1
    seed : int, optional
    """

    def __init__(self, stddev=0.1, seed=None):
        super().__init__(mean=0.0, stddev=stddev, seed=seed)

    def __call__(self, shape, dtype=None):
        return ops.abs(super().__call__(shape, dtype))

    def get_config(self):
        config = super().get_config()
        config.pop("mean")
        return config


def initializer(given=None):
    """The initializer with this name, or the one given.

    An instance draws the same numbers again, so each weight needs a new one.

    Parameters
    ----------
    given : str or keras.initializers.Initializer, optional
        None or "normal" is N(0, .1), NDN's "normal"; "absolute_normal" is |N(0, .1)|; other names are Keras'.

    Returns
    -------
    keras.initializers.Initializer
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
    weight : tensor, shape (…, unit)
    normalised : {"none", "unit", "at_most_one", "matrix"}
        "unit": every unit is divided by its L2 norm. "at_most_one": only if that is above 1. "matrix":
        everything is divided by the norm of all units, and multiplied by the number of units.
    positive : bool, default False
        Set the negative part to 0.

    Returns
    -------
    tensor, shape (…, unit)
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
    """Applies a penalty to the weight as it is used, for Keras to call with the raw weight."""

    def __init__(self, penalty, used):
        self.penalty, self.used = penalty, used

    def __call__(self, weight):
        return self.penalty(self.used(weight))

    def parts(self, weight):
        """Name → value of each part of the penalty."""
        return parts_of(self.penalty, self.used(weight))


def penalty_on(layer, regularizer, shape, used=None):
    """A penalty for `add_weight`, so that Keras applies it once however often the layer is called.

    Parameters
    ----------
    layer : keras.layers.Layer
    regularizer : str, keras.regularizers.Regularizer or None
    shape : tuple of int
        Of the raw weight.
    used : callable, optional
        Maps the raw weight to what the penalty sees.

    Returns
    -------
    keras.regularizers.Regularizer or None
        None if there is no penalty.

    Raises
    ------
    ShapeError
        If the penalty cannot be computed for a weight of this shape.
    """
    regularizer = keras.regularizers.get(regularizer)
    if regularizer is None:
        return None
    penalty = _OnUsed(regularizer, used or (lambda weight: weight))
    penalty(ops.zeros(shape, layer.variable_dtype))  # raises here, not in the first epoch, if it does not fit
    return penalty


def one_of(layer, name, value, known):
    """The value, if it is one of the known ones; UsageError otherwise."""
    if value not in known:
        offer = nearest(str(value), known)
        raise UsageError(
            f"{type(layer).__name__}({name}={value!r}): expected one of {', '.join(known)}.{offer}"
        )
    return value


def whole(layer, name, value, least=1, most=math.inf):
    """The value, if it is a whole number in [least, most]; UsageError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        wanted = f"≥ {least}" if most == math.inf else f"from {least} to {most}"
        raise UsageError(f"{type(layer).__name__}({name}={value!r}): expected a whole number {wanted}.")
    return value


def needs_maps(layer, shape):
    """Raise ShapeError unless a layer's input is (image, height, width, channel)."""
    if len(shape) != 4:
        raise ShapeError(f"{type(layer).__name__} needs (image, height, width, channel), not {tuple(shape)}.")


def signs(units, inhibitory):
    """1 for each unit and −1 for the last `inhibitory` ones, (unit,)."""
    return np.where(np.arange(units) < units - inhibitory, 1.0, -1.0).astype("float32")


@keras.saving.register_keras_serializable("neurofit")
class Between(keras.constraints.Constraint):
    """Keeps weights in [low, high] by clipping them after each step.

    A clip in the forward pass alone would leave a weight that is outside without a gradient permanently.

    Parameters
    ----------
    low, high : float or ndarray
        Arrays broadcast with the weight.
    """

    def __init__(self, low, high):
        self.low, self.high = np.asarray(low, np.float64), np.asarray(high, np.float64)

    def __call__(self, weight):
        return ops.clip(weight, ops.cast(self.low, weight.dtype), ops.cast(self.high, weight.dtype))

    def get_config(self):
        return {"low": self.low.tolist(), "high": self.high.tolist()}


def bounds(variable) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of each element of a variable; ±inf without a constraint.

    Parameters
    ----------
    variable : keras.Variable

    Returns
    -------
    low, high : ndarray
        Both of the variable's shape.

    Raises
    ------
    UsageError
        If the constraint is not a bound.
    """
    constraint, shape = variable.constraint, tuple(variable.shape)
    if constraint is None:
        low, high = -np.inf, np.inf
    elif isinstance(constraint, keras.constraints.NonNeg):
        low, high = 0.0, np.inf
    elif isinstance(constraint, Between):
        low, high = constraint.low, constraint.high
    else:
        raise UsageError(
            f"optimizer='lbfgs' supports only bounds (NonNeg, Between), but {variable.path} has a "
            f"{type(constraint).__name__}. Use adam, or move it into the layer's forward pass."
        )
    return np.broadcast_to(low, shape), np.broadcast_to(high, shape)
