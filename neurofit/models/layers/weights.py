"""How weights start, and what the forward pass makes of them."""

from __future__ import annotations

import keras
from keras import ops

SMALLEST_SQUARE = 1e-12  # of a norm, as TensorFlow's l2_normalize has it


def normal():
    """N(0, .1): NDN's "normal", and its "trunc_normal" for biases. A new instance for each weight: one instance repeats itself."""
    return keras.initializers.RandomNormal(stddev=0.1)


@keras.saving.register_keras_serializable("neurofit")
class AbsoluteNormal(keras.initializers.RandomNormal):
    """|N(0, stddev)|: NDN's "trunc_normal" for weights."""

    def __init__(self, stddev=0.1, seed=None):
        super().__init__(mean=0.0, stddev=stddev, seed=seed)

    def __call__(self, shape, dtype=None):
        return ops.abs(super().__call__(shape, dtype))

    def get_config(self):
        config = super().get_config()
        config.pop("mean")
        return config


def unit_norm(weight):
    """Divided by its L2 norm over all axes but the last, the unit's."""
    axes = tuple(range(len(weight.shape) - 1))
    return weight * ops.rsqrt(ops.maximum(ops.sum(ops.square(weight), axis=axes, keepdims=True), SMALLEST_SQUARE))
