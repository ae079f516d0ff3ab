"""Bounds on weights, which hold after every step of training, whatever the optimiser."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from neurofit.errors import UsageError


@keras.saving.register_keras_serializable("neurofit")
class Between(keras.constraints.Constraint):
    """Puts weights back into [low, high] after every step.

    A clip in the forward pass alone would leave a weight outside its bounds without a gradient, for ever.

    Parameters
    ----------
    low, high : float or ndarray
        The bounds; arrays broadcast with the weight.
    """

    def __init__(self, low, high):
        self.low, self.high = np.asarray(low, np.float64), np.asarray(high, np.float64)

    def __call__(self, weight):
        return ops.clip(weight, ops.cast(self.low, weight.dtype), ops.cast(self.high, weight.dtype))

    def get_config(self):
        return {"low": self.low.tolist(), "high": self.high.tolist()}


def bounds(variable) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value of each weight of a variable, both of its shape; ±inf if it is free.

    Raises
    ------
    UsageError
        The variable's constraint is more than bounds.
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
            f"optimizer='lbfgs' keeps bounds (NonNeg, Between), and {variable.path} has a constraint of "
            "another kind, "
            f"{type(constraint).__name__}. Take adam, or write it into the layer's forward pass."
        )
    return np.broadcast_to(low, shape), np.broadcast_to(high, shape)
