"""What each unit does to its own value."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("neurofit")
class UnitScale(keras.layers.Layer):
    """w · x + b, with a w and a b for each unit of the last axis. In and out of any one shape.

    Weights: `scale` (unit,), 1; `bias` (unit,), 0.
    """

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")

    def call(self, inputs):
        return inputs * self.scale + self.bias

    def compute_output_shape(self, input_shape):
        return input_shape
