"""Convolutions with an activation: full, and separable into places and channels."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import ops

from neurofit.errors import ShapeError, UsageError
from neurofit.models.layers.activations import activation_of
from neurofit.models.layers.linear import Linear
from neurofit.models.layers.weights import initializer, needs_maps, one_of, penalty_on, whole

PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class Window:
    """How a kernel moves over a map.

    Parameters
    ----------
    size : int
        Height and width of the kernel [pixels].
    stride : int, default 1
        Distance between two places [pixels].
    dilation : int, default 1
        Distance between two neighbours in the kernel [pixels].
    padding : {"same", "valid"}
        "same" has zeros beyond the edges, so that a map of length n gives ⌈n / stride⌉ (TensorFlow's SAME).
        "valid" uses only places where the whole kernel lies on the map: ⌈(n − (size − 1) · dilation) /
        stride⌉.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    padding: str = "same"

    def checked(self, layer) -> Window:
        """The window itself, if a layer can use it.

        Raises
        ------
        UsageError
            If a value is not valid, or both stride and dilation are above 1.
        """
        one_of(layer, "padding", self.padding, PADDINGS)
        for name in ("size", "stride", "dilation"):
            whole(layer, name, getattr(self, name))
        if self.stride > 1 and self.dilation > 1:
            raise UsageError(
                f"{type(layer).__name__}(stride={self.stride}, dilation={self.dilation}): TensorFlow's "
                "convolutions have one of the two. Set the other to 1."
            )
        return self

    def shape(self, layer, input_shape, channels) -> tuple:
        """(image, height, width, channel) of the output, for an input of this shape."""
        needs_maps(layer, input_shape)
        shrink = (self.size - 1) * self.dilation if self.padding == "valid" else 0
        if min(input_shape[1:3]) <= shrink:
            raise ShapeError(
                f"{type(layer).__name__}: a kernel {shrink + 1} pixels wide does not fit in a map of "
                f"{input_shape[1]} × {input_shape[2]}. A smaller size, or padding='same'."
            )
        height, width = (-(-(length - shrink) // self.stride) for length in input_shape[1:3])
        return (input_shape[0], height, width, channels)

    def convolved(self, inputs, kernel):
        """The cross-correlation with a kernel (size, size, channel, filter)."""
        return ops.conv(inputs, kernel, **self._settings())

    def convolved_each(self, inputs, kernel):
        """The cross-correlation of every channel with its own kernel, (size, size, channel, 1)."""
        return ops.depthwise_conv(inputs, kernel, **self._settings())

    def _settings(self):
        return {
            "strides": self.stride,
            "padding": self.padding,
            "data_format": "channels_last",
            "dilation_rate": self.dilation,
        }

    def get_config(self) -> dict:
        """The window as settings of a layer."""
        return {"size": self.size, "stride": self.stride, "dilation": self.dilation, "padding": self.padding}


@keras.saving.register_keras_serializable("neurofit")
class Convolution(Linear):
    """act(x ∗ K + b): cross-correlation.

    In (image, height, width, channel), out (image, height', width', filter). Weights: `kernel`
    (size, size, channel, filter), N(0, .1); `bias` (filter,), 0.

    Parameters
    ----------
    filters : int
    size : int
        Height and width of the kernel [pixels].
    stride, dilation : int, default 1
        [Pixels]; see `Window`.
    padding : {"same", "valid"}
        See `Window`.
    **kwargs
        As for `Dense`.
    """

    def __init__(self, filters, size, *, stride=1, dilation=1, padding="same", **kwargs):
        super().__init__(whole(self, "filters", filters), **kwargs)
        self.window = Window(size, stride, dilation, padding).checked(self)

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        self.add_kernel((self.window.size, self.window.size, input_shape[-1], self.units))

    def call(self, inputs):
        return self.activated(self.window.convolved(inputs, self.used(self.kernel)))

    def compute_output_shape(self, input_shape):
        return self.window.shape(self, input_shape, self.units)

    def get_config(self):
        config = super().get_config()
        return config | {"filters": config.pop("units"), **self.window.get_config()}


@keras.saving.register_keras_serializable("neurofit")
class SeparableConvolution(keras.layers.Layer):
    """act(Σ_channel (x ∗ D)[channel] · P[channel] + b): one kernel per channel, then a mix of the channels.

    In (image, height, width, channel), out (image, height', width', filter). Weights: `depthwise` (size,
    size, 1, channel) and `pointwise` (channel, filter), N(0, .1); `bias` (filter,), 0. There are size² +
    filters weights per channel instead of size² · filters.

    Parameters
    ----------
    filters : int
    size : int
        Height and width of the kernels [pixels].
    stride, dilation : int, default 1
        [Pixels]; see `Window`.
    padding : {"same", "valid"}
        See `Window`.
    activation : str or callable, optional
        Default: linear.
    use_bias : bool, default True
    depthwise_initializer, pointwise_initializer : str or keras.initializers.Initializer, optional
    bias_initializer : str or keras.initializers.Initializer, default "zeros"
    depthwise_regularizer : keras.regularizers.Regularizer, optional
        Sees the kernel of every channel as a separate unit.
    pointwise_regularizer : keras.regularizers.Regularizer, optional

    References
    ----------
    K.-K. Lurz et al. (2021), doi:10.1101/2020.10.05.326256; their cores also mix channels before.
    """

    def __init__(
        self,
        filters,
        size,
        *,
        stride=1,
        dilation=1,
        padding="same",
        activation=None,
        use_bias=True,
        depthwise_initializer=None,
        pointwise_initializer=None,
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.use_bias = whole(self, "filters", filters), use_bias
        self.window = Window(size, stride, dilation, padding).checked(self)
        self.activation = activation_of(activation)
        self.depthwise_initializer = initializer(depthwise_initializer)
        self.pointwise_initializer = initializer(pointwise_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self.depthwise_regularizer = keras.regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = keras.regularizers.get(pointwise_regularizer)

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        size, channels = self.window.size, input_shape[-1]
        self.depthwise = self._weight("depthwise", (size, size, 1, channels))
        self.pointwise = self._weight("pointwise", (channels, self.filters))
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)

    def _weight(self, name, shape):
        penalty = penalty_on(self, getattr(self, f"{name}_regularizer"), shape)
        start = getattr(self, f"{name}_initializer")
        return self.add_weight(name=name, shape=shape, initializer=start, regularizer=penalty)

    def call(self, inputs):
        each = self.window.convolved_each(inputs, ops.transpose(self.depthwise, (0, 1, 3, 2)))
        out = ops.matmul(each, self.pointwise)
        return self.activation(out if self.bias is None else out + self.bias)

    def compute_output_shape(self, input_shape):
        return self.window.shape(self, input_shape, self.filters)

    def get_config(self):
        return (
            super().get_config()
            | self.window.get_config()
            | {
                "filters": self.filters,
                "activation": keras.activations.serialize(self.activation),
                "use_bias": self.use_bias,
                "depthwise_initializer": keras.initializers.serialize(self.depthwise_initializer),
                "pointwise_initializer": keras.initializers.serialize(self.pointwise_initializer),
                "bias_initializer": keras.initializers.serialize(self.bias_initializer),
                "depthwise_regularizer": keras.regularizers.serialize(self.depthwise_regularizer),
                "pointwise_regularizer": keras.regularizers.serialize(self.pointwise_regularizer),
            }
        )
