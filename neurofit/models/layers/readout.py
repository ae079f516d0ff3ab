"""Readouts: from a map of features to one number per neuron."""

from __future__ import annotations

import keras
from keras import ops

from neurofit.errors import ShapeError, UsageError
from neurofit.models.layers.weights import unit_norm

PARTS = ("none", "what", "where", "both")


@keras.saving.register_keras_serializable("neurofit")
class FactorisedReadout(keras.layers.Layer):
    """What each neuron looks for, and where: out = act(Σ_{h,w,c} x[h, w, c] · where[h, w] · what[c] + b).

    In (image, height, width, channel), out (image, neuron).
    Weights: `what` (channel, neuron), `where` (height, width, neuron), `bias` (neuron,).

    `normalised` ("none", "what", "where", "both") and `positive` (the same) say which factors are divided by their L2 norm per neuron
    and have their negative part set to 0 (first), in the forward pass. Only the factors' product matters, so one of them should be
    normalised. Penalties see the factors as the forward pass does (a penalty on the sum of squares of a normalised factor is therefore
    constant); the optimiser moves the raw ones. NDN3's `sep` is `normalised="what"`, its default.

    Source: doi:10.48550/arXiv.1711.02653 (Klindt, Ecker, Euler, Bethge 2017), without its penalty on the product.
    """

    def __init__(self, neurons, *, normalised="what", positive="none", activation=None, use_bias=True,
                 what_initializer=None, where_initializer=None, bias_initializer="zeros",
                 what_regularizer=None, where_regularizer=None, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        for name, value in (("normalised", normalised), ("positive", positive)):
            if value not in PARTS:
                raise UsageError(f"FactorisedReadout({name}={value!r}): expected one of {', '.join(PARTS)}.")
        self.neurons, self.normalised, self.positive = neurons, normalised, positive
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.what_initializer = _initializer(what_initializer)
        self.where_initializer = _initializer(where_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.what_regularizer = keras.regularizers.get(what_regularizer)
        self.where_regularizer = keras.regularizers.get(where_regularizer)

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ShapeError(f"FactorisedReadout needs (image, height, width, channel), not {tuple(input_shape)}.")
        _, height, width, channels = input_shape
        self.what = self._factor("what", (channels, self.neurons), self.what_initializer, self.what_regularizer)
        shape = (height, width, self.neurons)
        self.where = self._factor("where", shape, self.where_initializer, self.where_regularizer)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.neurons,), initializer=self.bias_initializer)

    def _factor(self, name, shape, initializer, regularizer):
        # The penalty is handed to Keras together with the weight, so that Keras applies it once, however often the layer is called.
        penalty = None if regularizer is None else (lambda weight: regularizer(self._as_used(name, weight)))
        return self.add_weight(name=name, shape=shape, initializer=initializer, regularizer=penalty)

    def _as_used(self, name, weight):
        if self.positive in (name, "both"):
            weight = ops.maximum(weight, 0)
        return unit_norm(weight) if self.normalised in (name, "both") else weight

    def factors(self):
        """what (channel, neuron) and where (height, width, neuron), as the forward pass uses them."""
        return self._as_used("what", self.what), self._as_used("where", self.where)

    def call(self, features):
        what, where = self.factors()
        # Which features first: (image, height · width, neuron) is smaller than a kernel for every pixel and channel.
        seen = ops.matmul(features, what)  # (image, height, width, neuron)
        out = ops.sum(seen * where, axis=(1, 2))
        return self.activation(out if self.bias is None else out + self.bias)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.neurons)

    def get_config(self):
        return super().get_config() | {
            "neurons": self.neurons,
            "normalised": self.normalised,
            "positive": self.positive,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "what_initializer": keras.initializers.serialize(self.what_initializer),
            "where_initializer": keras.initializers.serialize(self.where_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "what_regularizer": keras.regularizers.serialize(self.what_regularizer),
            "where_regularizer": keras.regularizers.serialize(self.where_regularizer),
        }


def _initializer(given):
    return keras.initializers.RandomNormal(stddev=0.1) if given is None else keras.initializers.get(given)
