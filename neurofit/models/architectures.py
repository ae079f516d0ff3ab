"""Architectures that the jobs share: each a function of shapes and arguments that returns a Keras model."""

from __future__ import annotations


def hsm(shapes, *, filters=9, hidden=0.2, dog_activation="linear", biases="zeros", l2=0.0, start_below=0.0):
    """DoG(filters) → softplus(hidden × neurons) → softplus(neurons): the HSM model.

    hidden: units per neuron; biases: "zeros" or "normal", N(0, .1); l2: penalty on the last layer's weights;
    start_below: see `layers.DifferenceOfGaussians`.
    Source: doi:10.1371/journal.pcbi.1004927.
    """
    import keras

    from neurofit.models.layers import DifferenceOfGaussians
    from neurofit.models.layers.weights import normal
    from neurofit.models.regularizers import L2

    def bias():
        return normal() if biases == "normal" else "zeros"

    image = keras.Input(shapes.image, name="image")
    x = DifferenceOfGaussians(
        filters, activation=dog_activation, bias_initializer=bias(), start_below=start_below, name="dog"
    )(image)
    x = keras.layers.Dense(int(hidden * shapes.neurons), "softplus", kernel_initializer=normal(),
                           bias_initializer=bias(), name="hidden")(x)  # fmt: skip
    x = keras.layers.Dense(shapes.neurons, "softplus", kernel_initializer=normal(), bias_initializer=bias(),
                           kernel_regularizer=L2(l2) if l2 else None, name="neurons")(x)  # fmt: skip
    return keras.Model(image, x, name="hsm")
