"""The convolutional network of Klindt et al. 2017, what/where by its penalties. Cheap to import."""

from __future__ import annotations

SMALLEST_RATE = 1e-3  # that an output bias starts at [spikes per presentation]: a silent neuron's would be −∞
START = 0.01  # standard deviation of what weights start from


def klindt(shapes, *, filters=48, size=13, layers=3, smooth=0.03, sparse=0.05, readout=0.02):
    """[convolution → batch normalisation → softplus] × layers → softplus(what × where); the last has no softplus.

    The first convolution is `size` pixels wide and only where it fits ("valid"), the others are 3 wide
    ("same"); none has biases. Output biases start at the neurons' mean rates (`initialise`). Use it with
    `Training.klindt()` and `standardise="pixel"`. The defaults are the source's for one population of 103
    neurons.

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    filters : int
        Filters of each convolution.
    size : int
        Width of the first convolution [pixels].
    layers : int
        Number of convolutions.
    smooth : float
        `NormalisedLaplacian` of the first kernels. The source also searched .001 … .01.
    sparse : float
        `GroupSparsity` of the other kernels. The source also searched 0 … .05.
    readout : float
        L1 of the product of the readout's factors, which count by their magnitude. The source also searched
        .03 … .05.

    Returns
    -------
    keras.Model

    References
    ----------
    Klindt, Ecker, Euler & Bethge 2017, doi:10.48550/arXiv.1711.02653, and the code that came with it.
    """
    import keras

    from neurofit.models.layers import Convolution, FactorisedReadout
    from neurofit.models.regularizers import GroupSparsity, NormalisedLaplacian

    def start():
        return keras.initializers.TruncatedNormal(
            stddev=START
        )  # a new one each: an instance draws the same again

    model = keras.Sequential([keras.Input(shapes.image, name="image")])
    for index in range(1, layers + 1):
        first = index == 1
        how = {"padding": "valid" if first else "same", "use_bias": False, "kernel_initializer": start()}
        penalty = _penalty(NormalisedLaplacian, smooth) if first else _penalty(GroupSparsity, sparse)
        width = size if first else 3
        model.add(Convolution(filters, width, kernel_regularizer=penalty, name=f"features_{index}", **how))
        model.add(
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, scale=False, name=f"norm_{index}")
        )
        if index < layers:
            model.add(keras.layers.Activation("softplus", name=f"rate_{index}"))
    model.add(
        FactorisedReadout(
            shapes.neurons,
            normalised="none",
            magnitude="both",
            product_l1=readout,
            what_initializer=start(),
            where_initializer=start(),
            activation="softplus",
            name="neurons",
        )
    )
    return model


def initialise(model, train):
    """Has each output start at its neuron's mean response to the training images: bias = softplus⁻¹(mean)."""
    import numpy as np

    counted = train.valid
    means = np.where(counted, train.responses, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    model.get_layer("neurons").bias.assign(np.log(np.expm1(np.maximum(means, SMALLEST_RATE))))


klindt.initialise = initialise


def _penalty(kind, strength):
    return kind(strength) if strength else None
