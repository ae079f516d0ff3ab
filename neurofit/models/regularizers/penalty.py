"""What all penalties share: a strength, and a weight seen as a kernel (height, width, channel, unit)."""

from __future__ import annotations

import math
from numbers import Real

import keras
from keras import ops

from neurofit.errors import ShapeError, UsageError


class Penalty(keras.regularizers.Regularizer):
    """λ times a sum over a weight."""

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
    grid : the shape of the weight's first axis where that is a flattened grid: for a dense layer on an image
    its
        (height, width, channel)
    """

    def __init__(self, strength, grid=None):
        super().__init__(strength)
        self.grid = None if grid is None else tuple(int(length) for length in grid)

    def unfolded(self, weight):
        """The weight with its grid's axes apart, the unit's last."""
        shape = tuple(weight.shape)
        if self.grid is None or shape[:-1] == self.grid:
            return weight
        if len(shape) != 2 or math.prod(self.grid) != shape[0]:
            raise ShapeError(
                f"{type(self).__name__}(grid={self.grid}) does not fit a weight {shape}, whose first axis "
                "is it."
            )
        return ops.reshape(weight, (*self.grid, shape[-1]))

    def kernel(self, weight, needs=None):
        """The weight as (height, width, channel, unit), where it has several of what the penalty needs.

        needs : "inputs", "places" or "channels"
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
                f"{type(self).__name__} is about several {needs}, and a weight {shape} has one: it would do "
                "nothing. "
                f"Leave it out of this layer{self._advice(shape, needs)}."
            )
        return kernel

    def _advice(self, shape, needs):
        flat = len(shape) == 2 and needs == "places" and self.grid is None
        return ", or say grid=(height, width, channel) if its first axis is a flattened image" if flat else ""

    def get_config(self):
        return super().get_config() | {"grid": self.grid and list(self.grid)}
