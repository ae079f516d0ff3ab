"""Linear maps with an activation: dense layers, and scales."""

from __future__ import annotations

import math

import keras
from keras import ops

from neurofit.models.layers.activations import activation_of
from neurofit.models.layers.weights import (
    NORMALISATIONS,
    as_used,
    initializer,
    one_of,
    penalty_on,
    signs,
    whole,
)


class Linear(keras.layers.Layer):
    """Base of dense layers and convolutions: a kernel (…, unit), a bias, an activation.

    Penalties see the kernel as the forward pass does.
    """

    def __init__(
        self,
        units,
        *,
        activation=None,
        normalised="none",
        positive=False,
        inhibitory=0,
        use_bias=True,
        kernel_initializer=None,
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = whole(self, "units", units)
        self.activation = activation_of(activation)
        self.normalised = one_of(self, "normalised", normalised, NORMALISATIONS)
        self.positive, self.use_bias = positive, use_bias
        self.inhibitory = whole(self, "inhibitory", inhibitory, least=0, most=units)
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def add_kernel(self, shape):
        """Create the kernel, with this shape, and the bias."""
        penalty = penalty_on(self, self.kernel_regularizer, shape, self.penalised)
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=self.kernel_initializer, regularizer=penalty
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=self.bias_initializer)

    def used(self, kernel):
        """The kernel as the forward pass sees it."""
        return as_used(kernel, self.normalised, self.positive)

    def penalised(self, kernel):
        """The kernel as a penalty sees it."""
        return self.used(kernel)

    def activated(self, out):
        """The output after bias, activation and the signs of inhibitory units."""
        out = self.activation(out if self.bias is None else out + self.bias)
        return out * ops.cast(signs(self.units, self.inhibitory), out.dtype) if self.inhibitory else out

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "normalised": self.normalised,
            "positive": self.positive,
            "inhibitory": self.inhibitory,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


@keras.saving.register_keras_serializable("neurofit")
class Dense(Linear):
    """act(x · W + b) for (image, …): all axes after the first are flattened, with channels fastest.

    In (image, …), out (image, unit). Weights: `kernel` (input, unit), N(0, .1); `bias` (unit,), 0.

    Parameters
    ----------
    units : int
    activation : str or callable, optional
        Default: linear.
    normalised : {"none", "unit", "at_most_one", "matrix"}
        See `layers.weights.as_used`.
    positive : bool, default False
        Use max(W, 0).
    inhibitory : int, default 0
        Number of units, counted from the last, whose outputs are multiplied by −1.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : str or keras.initializers.Initializer, optional
    kernel_regularizer : keras.regularizers.Regularizer, optional
        Sees the kernel as the forward pass does; for images as (height, width, channel, unit).
    """

    def build(self, input_shape):
        self.grid = tuple(input_shape[1:])
        self.add_kernel((math.prod(self.grid), self.units))

    def penalised(self, kernel):
        return ops.reshape(self.used(kernel), (*self.grid, self.units))

    def call(self, inputs):
        flat = ops.reshape(inputs, (-1, self.kernel.shape[0])) if len(inputs.shape) > 2 else inputs
        return self.activated(ops.matmul(flat, self.used(self.kernel)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)


@keras.saving.register_keras_serializable("neurofit")
class Scale(keras.layers.Layer):
    """act(w · x + b) with one w, initially 1, and one b, initially 0: NDN's lin_scale. Keeps the shape.

    Parameters
    ----------
    activation : str or callable, optional
        Default: linear.
    kernel_regularizer : keras.regularizers.Regularizer, optional
    """

    def __init__(self, *, activation=None, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation_of(activation)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        penalty = penalty_on(self, self.kernel_regularizer, ())
        self.kernel = self.add_weight(name="kernel", shape=(), initializer="ones", regularizer=penalty)
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def call(self, inputs):
        return self.activation(inputs * self.kernel + self.bias)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "activation": keras.activations.serialize(self.activation),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


@keras.saving.register_keras_serializable("neurofit")
class UnitScale(keras.layers.Layer):
    """w · x + b, with a w and a b for each unit of the last axis. Keeps the shape.

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
