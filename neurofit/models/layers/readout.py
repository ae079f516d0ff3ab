"""Readouts: from a map of features to one number per neuron."""

from __future__ import annotations

import keras
from keras import ops

from neurofit.errors import ShapeError
from neurofit.models.layers.weights import as_used, initializer, one_of, penalty_on

FACTORS = ("none", "what", "where", "both")


@keras.saving.register_keras_serializable("neurofit")
class FactorisedReadout(keras.layers.Layer):
    """What each neuron looks for, and where: act(Σ_{h,w,c} x[h, w, c] · where[h, w] · what[c] + b).

    In (image, height, width, channel), out (image, neuron).
    Weights: `what` (channel, neuron) and `where` (height, width, neuron), N(0, .1); `bias` (neuron,), 0.

    `normalised` says which factors are divided by their L2 norm per neuron, `positive` which have their negative part
    set to 0 before ("none", "what", "where", "both"). Only the product of the factors matters, so one of them should be
    normalised; NDN3's `sep` has normalised="what" by default. Penalties see the factors as the forward pass does, so
    that Σ w² of a normalised one is constant; the optimiser moves the raw ones.

    Source: doi:10.48550/arXiv.1711.02653 (Klindt, Ecker, Euler, Bethge 2017), without its penalty on the product.
    """

    def __init__(self, neurons, *, normalised="what", positive="none", activation=None, use_bias=True,
                 what_initializer=None, where_initializer=None, bias_initializer="zeros",
                 what_regularizer=None, where_regularizer=None, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.neurons = neurons
        self.normalised = one_of(self, "normalised", normalised, FACTORS)
        self.positive = one_of(self, "positive", positive, FACTORS)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.what_initializer = initializer(what_initializer)
        self.where_initializer = initializer(where_initializer)
        self.bias_initializer = initializer(bias_initializer)
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

    def _factor(self, name, shape, start, regularizer):
        penalty = penalty_on(regularizer, lambda weight: self._used(name, weight), shape)
        return self.add_weight(name=name, shape=shape, initializer=start, regularizer=penalty)

    def _used(self, name, weight):
        normalised = "unit" if self.normalised in (name, "both") else "none"
        return as_used(weight, normalised, positive=self.positive in (name, "both"))

    def factors(self):
        """what (channel, neuron) and where (height, width, neuron), as the forward pass uses them."""
        return self._used("what", self.what), self._used("where", self.where)

    def call(self, features):
        what, where = self.factors()
        channels, neurons = what.shape
        pixels = ops.transpose(ops.reshape(features, (-1, where.shape[0] * where.shape[1], channels)), (0, 2, 1))
        # Where first: (image, channel, neuron) is the smallest of the three ways, and the fastest.
        there = ops.matmul(pixels, ops.reshape(where, (-1, neurons)))
        out = ops.sum(there * what, axis=1)
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
