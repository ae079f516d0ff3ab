"""Activations that Keras lacks. (It has linear, relu, elu, softplus, exponential, sigmoid, tanh.)"""

from __future__ import annotations

import keras
from keras import ops


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
    """x, or .1 x below 0 (Keras' own takes .2)."""
    return ops.maximum(x, 0.1 * x)
