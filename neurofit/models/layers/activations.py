"""Activations that Keras lacks: functions, and a nonlinearity that is learned for each neuron.

Keras has linear, relu, elu, softplus, exponential, sigmoid, tanh.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from numbers import Integral

import keras
import numpy as np
from keras import ops

from neurofit.errors import ShapeError, UsageError, nearest
from neurofit.models.layers.weights import penalty_on


@keras.saving.register_keras_serializable("neurofit")
def quadratic(x):
    """x²."""
    return ops.square(x)


@keras.saving.register_keras_serializable("neurofit")
def rectified_quadratic(x):
    """max(x, 0)²."""
    return ops.square(ops.maximum(x, 0))


@keras.saving.register_keras_serializable("neurofit")
def leaky_relu(x):
    """x, or .1 x below 0 (Keras' own has .2)."""
    return ops.maximum(x, 0.1 * x)


_for_xla = contextvars.ContextVar("_for_xla", default=False)


def for_xla(function: Callable) -> Callable:
    """The function, within which activations are written as XLA computes them fastest."""

    @functools.wraps(function)
    def within(*args):
        token = _for_xla.set(True)
        try:
            return function(*args)
        finally:
            _for_xla.reset(token)

    return within


@keras.saving.register_keras_serializable("neurofit")
def softplus(x):
    """log(1 + eˣ).

    TensorFlow's operation is fastest alone. XLA, which joins operations, takes a third less time for one exponential
    that the derivative shares; both forms agree within rounding.
    """
    if not _for_xla.get():
        return ops.softplus(x)
    positive = x >= 0  # not |x| and max(x, 0), whose derivatives at 0 add up to 0
    return ops.where(positive, x, 0) + ops.log1p(ops.exp(ops.where(positive, -x, x)))


OWN = {"quadratic": quadratic, "rectified_quadratic": rectified_quadratic, "softplus": softplus}


def activation_of(given):
    """The activation function with this name, or the function itself.

    Parameters
    ----------
    given : str, callable or None
        A name of Keras, "quadratic" or "rectified_quadratic"; None is linear.

    Returns
    -------
    callable

    Raises
    ------
    UsageError
        If there is no such name.
    """
    if isinstance(given, str) and given in OWN:
        return OWN[given]
    try:
        return keras.activations.get(given)
    except ValueError as error:
        known = [*OWN, "linear", "relu", "leaky_relu", "elu", "softplus", "exponential", "sigmoid", "tanh"]
        offer = nearest(str(given), known)
        has = ", ".join(known)
        raise UsageError(f"No activation {given!r}.{offer} Known: {has}, and others of Keras.") from error


@keras.saving.register_keras_serializable("neurofit")
class OutputNonlinearity(keras.layers.Layer):
    """f(x) = (elu(x − 1) + 1) · m(x), with m > 0 learned for each neuron: a neuron's response to its drive.

    log m is `log_gain` at `bins` + 1 knots from `low` to `high`; m is linear between knots, and constant
    beyond both ends. f starts as elu(x − 1) + 1: e^(x − 1) below 1, x above.

    In and out (image, neuron). Weight: `log_gain` (knot, neuron), initially 0.

    Parameters
    ----------
    bins : int, default 50
        Number of intervals between knots.
    low, high : float, default -3, 6
        First and last knot.
    gain_regularizer : keras.regularizers.Regularizer, optional
        Penalty on `log_gain` that keeps it smooth: `regularizers.Differences`.

    Raises
    ------
    UsageError
        If bins is not a whole number ≥ 1, or low is not below high.

    References
    ----------
    S. Cadena et al. (2019), doi:10.1371/journal.pcbi.1006897. Their m falls to 0 at the lowest knot, where a
    neuron then has no gradient.
    """

    def __init__(self, *, bins=50, low=-3.0, high=6.0, gain_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(bins, Integral) and bins >= 1 and low < high):
            given = f"OutputNonlinearity(bins={bins!r}, low={low!r}, high={high!r})"
            raise UsageError(f"{given}: expected a whole number of bins ≥ 1, and low < high.")
        self.bins, self.low, self.high = bins, float(low), float(high)
        self.gain_regularizer = keras.regularizers.get(gain_regularizer)

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ShapeError(f"OutputNonlinearity needs (image, neuron), not {tuple(input_shape)}.")
        shape = (self.bins + 1, input_shape[-1])
        penalty = penalty_on(self, self.gain_regularizer, shape)
        self.log_gain = self.add_weight(
            name="log_gain", shape=shape, initializer="zeros", regularizer=penalty
        )

    def call(self, drive):
        knots = np.linspace(self.low, self.high, self.bins + 1)[:, None]
        apart = ops.abs(ops.clip(drive, self.low, self.high)[:, None, :] - ops.cast(knots, drive.dtype))
        shares = ops.maximum(1 - apart * (self.bins / (self.high - self.low)), 0)  # (image, knot, neuron)
        return (keras.activations.elu(drive - 1) + 1) * ops.sum(shares * ops.exp(self.log_gain), axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "bins": self.bins,
            "low": self.low,
            "high": self.high,
            "gain_regularizer": keras.regularizers.serialize(self.gain_regularizer),
        }
