"""Penalties on weights: λ times a sum over the weight, never divided by its size.

One penalty belongs to one weight of one layer (`kernel_regularizer=…`), and Keras applies it once. `penalties(model)`
shows what each is worth. Axes are those of the weight: a convolution's kernel is (height, width, channel, filter).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from neurofit.errors import ShapeError, UsageError


class _Penalty(keras.regularizers.Regularizer):
    def __init__(self, strength):
        if not np.isfinite(strength) or strength < 0:
            raise UsageError(f"{type(self).__name__}(strength={strength!r}): expected a number ≥ 0.")
        self.strength = float(strength)

    def get_config(self):
        return {"strength": self.strength}


@keras.saving.register_keras_serializable("neurofit")
class L1(_Penalty):
    """λ Σ|w|."""

    def __call__(self, weight):
        return self.strength * ops.sum(ops.abs(weight))


@keras.saving.register_keras_serializable("neurofit")
class L2(_Penalty):
    """λ · ½ Σ w², as NDN and `tf.nn.l2_loss` have it; Keras' own L2 has no ½."""

    def __call__(self, weight):
        return self.strength * 0.5 * ops.sum(ops.square(weight))


@keras.saving.register_keras_serializable("neurofit")
class Laplacian(_Penalty):
    """λ Σ (Σ_axes D w)²: smooth along `axes`, D the second difference (1, −2, 1) with zeros beyond the weight's edges.

    Parameters
    ----------
    axes : of the weight; for `grid`, of the grid. (0, 1) is NDN's d2x of a kernel (height, width, channel, filter)
    grid : the shape of the weight's first axis where that is a flattened grid: for a dense layer on an image its
        (height, width, channel)

    Raises
    ------
    ShapeError : the weight has no such axes, or does not fit the grid
    """

    def __init__(self, strength, axes=(0, 1), grid=None):
        super().__init__(strength)
        self.axes = tuple(axes)
        self.grid = None if grid is None else tuple(grid)

    def __call__(self, weight):
        shape = tuple(weight.shape)
        if self.grid is not None:
            if np.prod(self.grid) != shape[0]:
                raise ShapeError(f"Laplacian(grid={self.grid}) does not fit a weight {shape}, whose first axis is it.")
            weight = ops.reshape(weight, (*self.grid, *shape[1:]))
        last = len(weight.shape) - 1  # the unit's axis: units are no neighbours of each other
        if not self.axes or not all(0 <= axis < last for axis in self.axes):
            raise ShapeError(
                f"Laplacian(axes={self.axes}) needs a weight with these axes and a last one for units; "
                f"this one is {shape}. "
                "For a dense layer on an image, say grid=(height, width, channel)."
            )
        return self.strength * ops.sum(ops.square(sum(second_difference(weight, axis) for axis in self.axes)))

    def get_config(self):
        return {**super().get_config(), "axes": list(self.axes), "grid": self.grid and list(self.grid)}


def second_difference(weight, axis):
    """w[i − 1] − 2 w[i] + w[i + 1] along an axis, 0 beyond its ends."""
    width = [(1, 1) if index == axis else (0, 0) for index in range(len(weight.shape))]
    padded = ops.pad(weight, width)
    length = weight.shape[axis]
    before, after = (ops.take(padded, ops.arange(start, start + length), axis=axis) for start in (0, 2))
    return before - 2 * weight + after


def penalties(model: keras.Model) -> dict[str, float]:
    """What each penalty is worth now, "layer/weight" → value; their sum is what training adds to the loss."""
    found = {}
    for variable in model.trainable_variables:
        if variable.regularizer is not None:
            found[variable.path] = float(variable.regularizer(variable.value))
    return found
