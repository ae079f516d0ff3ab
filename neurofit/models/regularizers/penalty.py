"""The base of all penalties, and penalties that do not use places: L1, L2, norms."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import keras
from keras import ops

from neurofit.errors import ShapeError, UsageError


@runtime_checkable
class HasParts(Protocol):
    """A penalty that consists of several."""

    def parts(self, weight: Any) -> dict[str, Any]:
        """Name → value of each part; their sum is the penalty."""


def parts_of(penalty, weight, name: str = "") -> dict[str, Any]:
    """Name → value of each part of a penalty; a penalty without parts is one part with this name."""
    return penalty.parts(weight) if isinstance(penalty, HasParts) else {name: penalty(weight)}


class Penalty(keras.regularizers.Regularizer):
    """λ times a sum over a weight.

    Parameters
    ----------
    strength : float
        λ, at least 0.

    Raises
    ------
    UsageError
        If the strength is not a number ≥ 0.
    """

    def __init__(self, strength):
        if isinstance(strength, bool) or not isinstance(strength, Real) or not 0 <= strength < math.inf:
            raise UsageError(f"{type(self).__name__}(strength={strength!r}): expected a number ≥ 0.")
        self.strength = float(strength)

    def get_config(self):
        return {"strength": self.strength}


class OnKernel(Penalty):
    """A penalty of a weight that has places or channels.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    grid : tuple of int, optional
        Shape of the weight's first axis, if that is a flattened grid: for a dense layer on an image its
        (height, width, channel).
    """

    def __init__(self, strength, grid=None):
        super().__init__(strength)
        self.grid = None if grid is None else tuple(int(length) for length in grid)

    def unfolded(self, weight):
        """The weight with one axis for each of the grid's; the unit's axis is last."""
        shape = tuple(weight.shape)
        if self.grid is None or shape[:-1] == self.grid:
            return weight
        if len(shape) != 2 or math.prod(self.grid) != shape[0]:
            raise ShapeError(
                f"{type(self).__name__}(grid={self.grid}) does not fit a weight {shape}, whose first "
                "axis it should describe."
            )
        return ops.reshape(weight, (*self.grid, shape[-1]))

    def kernel(self, weight, needs=None):
        """The weight as (height, width, channel, unit).

        Parameters
        ----------
        weight : tensor
        needs : {"inputs", "places", "channels"}, optional
            What the weight must have several of.

        Raises
        ------
        ShapeError
            If the weight does not have these axes, or has only one of what the penalty needs.
        """
        whole = self.unfolded(weight)
        shape = tuple(whole.shape)
        if len(shape) == 2:  # (channel, unit)
            kernel = ops.reshape(whole, (1, 1, *shape))
        elif len(shape) == 3:  # (height, width, unit)
            kernel = ops.reshape(whole, (*shape[:2], 1, shape[2]))
        elif len(shape) == 4:
            kernel = whole
        else:
            raise ShapeError(
                f"{type(self).__name__} needs a weight (height, width, channel, unit), not {shape}."
            )
        height, width, channels, _ = kernel.shape
        counts = {"inputs": height * width * channels, "places": height * width, "channels": channels}
        if needs and counts[needs] < 2:
            raise ShapeError(
                f"{type(self).__name__} needs several {needs}, but a weight {shape} has one: it would have no effect. "
                f"Leave it out of this layer{self._advice(shape, needs)}."
            )
        return kernel

    def _advice(self, shape, needs):
        flat = len(shape) == 2 and needs == "places" and self.grid is None
        return ", or set grid=(height, width, channel) if its first axis is a flattened image" if flat else ""

    def get_config(self):
        return super().get_config() | {"grid": self.grid and list(self.grid)}


@keras.saving.register_keras_serializable("neurofit")
class L1(Penalty):
    """λ Σ|w|.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    """

    def __call__(self, weight):
        return self.strength * ops.sum(ops.abs(weight))


@keras.saving.register_keras_serializable("neurofit")
class L2(Penalty):
    """λ · ½ Σ w², as in NDN and `tf.nn.l2_loss`; Keras' own L2 has no ½.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    """

    def __call__(self, weight):
        return self.strength * 0.5 * ops.sum(ops.square(weight))


@keras.saving.register_keras_serializable("neurofit")
class Norm2(Penalty):
    """λ (Σ w² − units)², one sum over the whole weight: NDN's norm2.

    On a readout's `what` and `where` it is NDN's norm2_filt and norm2_space. NDN's norm2 on `sep`, one sum
    over both, is `FactorisedReadout(joint_norm2=λ)`. Only the sum over all units is held near their number;
    one unit can be large and another 0.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    """

    def __call__(self, weight):
        _with_units(self, weight)
        return self.strength * ops.square(ops.sum(ops.square(weight)) - weight.shape[-1])


@keras.saving.register_keras_serializable("neurofit")
class Orthogonal(Penalty):
    """λ Σ (WᵀW − I)² for W (input, unit): units of norm 1, orthogonal to each other.

    All axes but the unit's count as one.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    """

    def __call__(self, weight):
        _with_units(self, weight)
        units = weight.shape[-1]
        flat = ops.reshape(weight, (-1, units))
        products = ops.matmul(ops.transpose(flat), flat)
        return self.strength * ops.sum(ops.square(products - ops.eye(units, dtype=products.dtype)))


@keras.saving.register_keras_serializable("neurofit")
class GroupSparsity(OnKernel):
    """λ Σ_{channel, unit} √(Σ_{height, width} w²): whole kernels become 0, so that a unit reads few channels.

    The slope of √ is unbounded at 0; here a kernel that is all 0 has gradient 0.

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
        squares = ops.sum(ops.square(self.kernel(weight)), axis=(0, 1))
        above = squares > 0
        return self.strength * ops.sum(ops.where(above, ops.sqrt(ops.where(above, squares, 1)), 0))


def _with_units(penalty, weight):
    if len(weight.shape) < 2:
        shape = tuple(weight.shape)
        raise ShapeError(f"{type(penalty).__name__} needs a weight (input, unit), not {shape}.")
