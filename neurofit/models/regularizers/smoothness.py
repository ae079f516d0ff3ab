"""Where weights are large: near each other's values, and near the middle."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from neurofit.errors import ShapeError, UsageError
from neurofit.models.regularizers.penalty import OnKernel, Penalty

LAPLACE = np.array([[0.25, 0.5, 0.25], [0.5, -3.0, 0.5], [0.25, 0.5, 0.25]])
SMALLEST_SQUARE = 1e-12  # of a kernel's norm: one that is all 0 is as smooth as can be


@keras.saving.register_keras_serializable("neurofit")
class Laplacian(OnKernel):
    """λ Σ (Σ_axes D w)²: smooth along `axes`, with D the second difference (1, −2, 1), zeros beyond the edges.

    Parameters
    ----------
    axes : tuple of int
        Of the weight; with `grid`, of the grid. Of a kernel (height, width, channel, filter), (0, 1) is NDN's
        d2x, (2,) its d2t, (0, 1, 2) its d2xt.
    grid : tuple of int, optional
        (height, width, channel) of a flattened first axis.

    Raises
    ------
    ShapeError
        The weight has no such axes, at least half of them have length 1, or the weight does not fit the grid.
    """

    def __init__(self, strength, axes=(0, 1), grid=None):
        super().__init__(strength, grid)
        self.axes = (axes,) if isinstance(axes, int) else tuple(axes)
        if len(set(self.axes)) < len(self.axes):
            raise UsageError(f"Laplacian(axes={axes!r}): an axis is there twice.")

    def __call__(self, weight):
        weight = self.unfolded(weight)
        shape = tuple(weight.shape)
        last = len(shape) - 1  # the unit's axis: units are no neighbours of each other
        if not self.axes or not all(0 <= axis < last for axis in self.axes):
            raise ShapeError(
                f"Laplacian(axes={self.axes}) needs a weight with these axes and a last one for units; "
                f"this one is {shape}. "
                "For a dense layer on an image, say grid=(height, width, channel)."
            )
        if 2 * sum(shape[axis] == 1 for axis in self.axes) >= len(self.axes):
            raise ShapeError(
                f"Laplacian(axes={self.axes}): a weight {shape} has no neighbours along these axes. "
                "Leave the penalty out of this layer, or name other axes."
            )
        return self.strength * ops.sum(ops.square(sum(second_difference(weight, axis) for axis in self.axes)))

    def get_config(self):
        return super().get_config() | {"axes": list(self.axes)}


@keras.saving.register_keras_serializable("neurofit")
class NormalisedLaplacian(OnKernel):
    """λ Σ_{channel, unit} ‖lap ∗ w‖² / ‖w‖², w (height, width): how rough a kernel is, whatever its size.

    lap is ((¼, ½, ¼), (½, −3, ½), (¼, ½, ¼)), with zeros beyond the edges. The scale of a kernel costs nothing,
    so a layer that follows with weights of its own cannot escape the penalty by taking the scale over.

    References
    ----------
    Klindt, Ecker, Euler & Bethge 2017, doi:10.48550/arXiv.1711.02653.
    """

    def __call__(self, weight):
        kernel = self.kernel(weight, needs="places")
        rough = ops.sum(ops.square(_convolved(kernel)), axis=(0, 1))
        squares = ops.sum(ops.square(kernel), axis=(0, 1))
        return self.strength * ops.sum(rough / ops.maximum(squares, SMALLEST_SQUARE))


@keras.saving.register_keras_serializable("neurofit")
class Center(OnKernel):
    """λ Σ .01 · r² · w², r [pixels] from the middle of the grid: NDN's center."""

    def __call__(self, weight):
        kernel = self.kernel(weight, needs="places")
        y, x = places(*kernel.shape[:2])
        return self.strength * ops.sum(ops.cast(0.01 * (y**2 + x**2), kernel.dtype) * ops.square(kernel))


@keras.saving.register_keras_serializable("neurofit")
class Differences(Penalty):
    """λ Σ_units [mean (Δw)² + mean (ΔΔw)²]: a smooth curve, with Δ the difference of neighbours on the first axis.

    Nothing is assumed beyond the ends: a constant costs nothing.

    References
    ----------
    Cadena et al. 2019, doi:10.1371/journal.pcbi.1006897, of the output nonlinearity.
    """

    def __call__(self, weight):
        if len(weight.shape) < 2 or weight.shape[0] < 3:
            shape = tuple(weight.shape)
            raise ShapeError(
                f"Differences needs a weight (place, unit) of three places or more, not {shape}."
            )
        first = weight[1:] - weight[:-1]
        second = first[1:] - first[:-1]
        return self.strength * sum(ops.sum(ops.mean(ops.square(one), axis=0)) for one in (first, second))


def places(height, width):
    """y and x of each pixel from the middle of the grid [pixels], each (height, width, 1, 1)."""
    rows, columns = np.mgrid[:height, :width].astype(float)[..., None, None]
    return rows - (height - 1) / 2, columns - (width - 1) / 2


def second_difference(weight, axis):
    """w[i − 1] − 2 w[i] + w[i + 1] along an axis, 0 beyond its ends."""
    width = [(1, 1) if index == axis else (0, 0) for index in range(len(weight.shape))]
    padded = ops.pad(weight, width)
    length = weight.shape[axis]
    before, after = (ops.take(padded, ops.arange(start, start + length), axis=axis) for start in (0, 2))
    return before - 2 * weight + after


def _convolved(kernel):
    # Nine shifted copies, not a convolution: XLA and float64 take them alike, and kernels are small.
    height, width = kernel.shape[:2]
    padded = ops.pad(kernel, [(1, 1), (1, 1), (0, 0), (0, 0)])
    shifted = (
        LAPLACE[row, column] * padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    )
    return sum(shifted)
