"""Penalties that use places and channels: smoothness, and competition between weights.

Competition is λ tr((W²)ᵀ M W²), with one implementation for every M that NDN has. M (input, input) says how
much two inputs of a unit exclude each other. It is never computed: each M here is a sum of few products aᵢ
bⱼ, less the diagonal, so that Σᵢⱼ sᵢ Mᵢⱼ sⱼ, s = w², is Σ_k (Σᵢ aₖᵢ sᵢ)(Σⱼ bₖⱼ sⱼ) − Σᵢ sᵢ².
"""

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
    """λ Σ (Σ_axes D w)²: smooth along `axes`; D is the second difference (1, −2, 1), with zeros outside.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    axes : int or tuple of int, default (0, 1)
        Axes of the weight, or of `grid`. For a kernel (height, width, channel, filter), (0, 1) is NDN's d2x,
        (2,) its d2t, (0, 1, 2) its d2xt.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.

    Raises
    ------
    UsageError
        If an axis is given twice.
    ShapeError
        If the weight does not have these axes, at least half of them have length 1, or it does not fit the
        grid.
    """

    def __init__(self, strength, axes=(0, 1), grid=None):
        super().__init__(strength, grid)
        self.axes = (axes,) if isinstance(axes, int) else tuple(axes)
        if len(set(self.axes)) < len(self.axes):
            raise UsageError(f"Laplacian(axes={axes!r}): an axis is given twice.")

    def __call__(self, weight):
        weight = self.unfolded(weight)
        shape = tuple(weight.shape)
        last = len(shape) - 1  # the unit's axis: units are not neighbours of each other
        if not self.axes or not all(0 <= axis < last for axis in self.axes):
            raise ShapeError(
                f"Laplacian(axes={self.axes}) needs a weight with these axes and a last one for units; this "
                f"one is {shape}. For a dense layer on an image, set grid=(height, width, channel)."
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
    """λ Σ_{channel, unit} ‖lap ∗ w‖² / ‖w‖², w (height, width): how rough a kernel is, whatever its scale.

    lap is ((¼, ½, ¼), (½, −3, ½), (¼, ½, ¼)), with zeros beyond the edges. As the scale of a kernel does not
    matter, a following layer with weights of its own cannot avoid the penalty by taking over the scale.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.

    References
    ----------
    D. Klindt, A. Ecker, T. Euler and M. Bethge (2017), doi:10.48550/arXiv.1711.02653.
    """

    def __call__(self, weight):
        kernel = self.kernel(weight, needs="places")
        rough = ops.sum(ops.square(_convolved(kernel)), axis=(0, 1))
        squares = ops.sum(ops.square(kernel), axis=(0, 1))
        return self.strength * ops.sum(rough / ops.maximum(squares, SMALLEST_SQUARE))


@keras.saving.register_keras_serializable("neurofit")
class Center(OnKernel):
    """λ Σ .01 · r² · w², r [pixels] from the middle of the grid: NDN's center.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.
    """

    def __call__(self, weight):
        kernel = self.kernel(weight, needs="places")
        y, x = places(*kernel.shape[:2])
        return self.strength * ops.sum(ops.cast(0.01 * (y**2 + x**2), kernel.dtype) * ops.square(kernel))


@keras.saving.register_keras_serializable("neurofit")
class Differences(Penalty):
    """λ Σ_units [mean (Δw)² + mean (ΔΔw)²]: a smooth curve; Δ is the difference along the first axis.

    Nothing is assumed beyond the ends: a constant has no penalty.

    Parameters
    ----------
    strength : float
        λ, at least 0.

    References
    ----------
    S. Cadena et al. (2019), doi:10.1371/journal.pcbi.1006897, of the output nonlinearity.
    """

    def __call__(self, weight):
        if len(weight.shape) < 2 or weight.shape[0] < 3:
            shape = tuple(weight.shape)
            raise ShapeError(
                f"Differences needs a weight (place, unit) with at least three places, not {shape}."
            )
        first = weight[1:] - weight[:-1]
        second = first[1:] - first[:-1]
        return self.strength * sum(ops.sum(ops.mean(ops.square(one), axis=0)) for one in (first, second))


def places(height, width):
    """y and x of each pixel from the middle of the grid [pixels], each (height, width, 1, 1)."""
    rows, columns = np.mgrid[:height, :width].astype(float)[..., None, None]
    return rows - (height - 1) / 2, columns - (width - 1) / 2


def second_difference(weight, axis):
    """w[i − 1] − 2 w[i] + w[i + 1] along an axis, with 0 beyond its ends."""
    width = [(1, 1) if index == axis else (0, 0) for index in range(len(weight.shape))]
    padded = ops.pad(weight, width)
    length = weight.shape[axis]
    before, after = (ops.take(padded, ops.arange(start, start + length), axis=axis) for start in (0, 2))
    return before - 2 * weight + after


def _convolved(kernel):
    # Nine shifted copies, not a convolution: they work with XLA and with float64, and kernels are small.
    height, width = kernel.shape[:2]
    padded = ops.pad(kernel, [(1, 1), (1, 1), (0, 0), (0, 0)])
    shifted = (
        LAPLACE[row, column] * padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    )
    return sum(shifted)


class _Competition(OnKernel):
    """λ tr((W²)ᵀ M W²) for one M."""

    needs: str  # what a weight must have several of
    rivals: tuple[int, ...]  # axes of (height, width, channel, unit) whose entries compete with each other
    pooled: tuple[int, ...] = ()  # axes that are summed over first
    diagonal = 1.0  # what is taken off each entry's pair with itself

    def products(self, height, width):
        """Pairs (a, b), each a number or (height, width, 1, 1), whose products add up to M."""
        return [(1.0, 1.0)]

    def __call__(self, weight):
        squares = ops.square(self.kernel(weight, self.needs))
        if self.pooled:
            squares = ops.sum(squares, axis=self.pooled, keepdims=True)
        total = -self.diagonal * ops.sum(ops.square(squares)) if self.diagonal else 0.0
        for pair in self.products(*squares.shape[:2]):
            one, other = (ops.sum(ops.cast(side, squares.dtype) * squares, axis=self.rivals) for side in pair)
            total = total + ops.sum(one * other)
        return self.strength * total


@keras.saving.register_keras_serializable("neurofit")
class Max(_Competition):
    """λ Σ_units [(Σ w²)² − Σ w⁴]: one of a unit's inputs should dominate. NDN's max.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.
    """

    needs, rivals = "inputs", (0, 1, 2)


@keras.saving.register_keras_serializable("neurofit")
class MaxFilters(_Competition):
    """λ Σ_{place, unit} [(Σ_channel w²)² − Σ_channel w⁴]: one channel should dominate at each place.

    NDN's max_filt. A weight (channel, unit), such as a readout's `what`, is one place.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.
    """

    needs, rivals = "channels", (2,)


@keras.saving.register_keras_serializable("neurofit")
class MaxSpace(_Competition):
    """λ Σ_{channel, unit} [(Σ_place w²)² − Σ_place w⁴]: one place should dominate in each channel.

    NDN's max_space.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.
    """

    needs, rivals = "places", (0, 1)


class _Apart(_Competition):
    """|p − q|² = |p|² + |q|² − 2 p · q, divided by (height / 2)² + (width / 2)²."""

    needs, rivals, diagonal = "places", (0, 1), 0.0

    def products(self, height, width):
        y, x = places(height, width)
        size = (height / 2) ** 2 + (width / 2) ** 2
        squared = (y**2 + x**2) / size
        return [(squared, 1.0), (1.0, squared), (-2 * y / size, y), (-2 * x / size, x)]


@keras.saving.register_keras_serializable("neurofit")
class Local(_Apart):
    """λ Σ_{channel, unit} Σ_pq w²_p w²_q |p − q|² / ((height / 2)² + (width / 2)²): NDN's local.

    Holds each channel in one place.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.
    """


@keras.saving.register_keras_serializable("neurofit")
class Glocal(_Apart):
    """As `Local`, on w² summed over channels: all channels of a unit in one place. NDN's glocal.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis.
    """

    pooled = (2,)
