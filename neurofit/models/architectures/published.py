"""Published networks: that of Klindt et al. 2017, and those of Kindel et al. 2019. Cheap to import.

The networks of Kindel, Christensen and Zylberberg for macaque V1 (docs/macaque.md) are a small CNN and LNLN.
Their arguments have the names of the authors' flags, and their inputs are raw pixels, 0 … 255
(`standardise="none"`).
"""

from __future__ import annotations

from typing import Any, cast

from neurofit.errors import UsageError
from neurofit.models.architectures.basic import penalty

# Lowest initial rate of an output [spikes per presentation]: the bias of a silent neuron would be −∞
SMALLEST_RATE = 1e-3
START = 0.01  # standard deviation of initial weights


def klindt(shapes, *, filters=48, size=13, layers=3, smooth=0.03, sparse=0.05, readout=0.02):
    """[convolution → batch normalisation → softplus] × layers → softplus(what × where).

    The last of the layers has no softplus.

    Convolutions have no biases. Output biases start at the neurons' mean rates (`initialise`). The defaults
    are the authors' for one population of 103 neurons; they also searched smooth .001 … .01, sparse 0 … .05,
    readout .03 … .05. Use it with `Training.klindt()` and `standardise="pixel"`.

    Parameters
    ----------
    shapes : Shapes
    filters : int, default 48
        Of each convolution.
    size : int, default 13
        Width of the first convolution, with padding "valid" [pixels]; the others are 3 wide, with padding
        "same".
    layers : int, default 3
        Number of convolutions.
    smooth : float, default 0.03
        NormalisedLaplacian penalty on the first kernels.
    sparse : float, default 0.05
        GroupSparsity penalty on the other kernels.
    readout : float, default 0.02
        L1 penalty on the product of the factors, which count by their magnitude.

    Returns
    -------
    keras.Model

    References
    ----------
    D. Klindt, A. Ecker, T. Euler and M. Bethge (2017), doi:10.48550/arXiv.1711.02653, and its code.
    """
    import keras

    from neurofit.models.layers import FactorisedReadout
    from neurofit.models.regularizers import GroupSparsity, NormalisedLaplacian

    model = keras.Sequential([keras.Input(shapes.image, name="image")])
    for index in range(1, layers + 1):
        if index == 1:
            window = {"size": size, "padding": "valid"}
            kernel_penalty = penalty(NormalisedLaplacian, smooth)
        else:
            window = {"size": 3, "padding": "same"}
            kernel_penalty = penalty(GroupSparsity, sparse)
        for layer in _convolution(filters, index, kernel_penalty, **window):
            model.add(layer)
        if index < layers:
            model.add(keras.layers.Activation("softplus", name=f"rate_{index}"))
    what_where = {"what_initializer": _truncated(START), "where_initializer": _truncated(START)}
    settings = {"normalised": "none", "magnitude": "both", "product_l1": readout, **what_where}
    model.add(FactorisedReadout(shapes.neurons, activation="softplus", name="neurons", **settings))
    return model


def _convolution(filters, index, kernel_penalty, **window):
    """A convolution without biases, and the normalisation of its batches."""
    import keras

    from neurofit.models.layers import Convolution

    yield Convolution(
        filters,
        use_bias=False,
        kernel_initializer=_truncated(START),
        kernel_regularizer=kernel_penalty,
        name=f"features_{index}",
        **window,
    )
    yield keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, scale=False, name=f"norm_{index}")


def initialise(model, train):
    """Start each output at its neuron's mean response to the training images: bias = softplus⁻¹(mean)."""
    import numpy as np

    counted = train.valid
    means = np.where(counted, train.responses, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    model.get_layer("neurons").bias.assign(np.log(np.expm1(np.maximum(means, SMALLEST_RATE))))


cast(Any, klindt).initialise = initialise


def kindel_cnn(
    shapes,
    *,
    conv1=16,
    conv2=32,
    conv1size=3,
    conv2size=3,
    nk=3,
    nstride=2,
    hidden1=300,
    numconvlayer=2,
    dropout=0.65,
):
    """[convolution → ReLU → max pooling] × numconvlayer → dense ReLU → dropout → dense ReLU.

    Weights start from a truncated normal (cut at two standard deviations), .1 for convolutions and .1 /
    √inputs for dense layers; biases are 0.

    Parameters
    ----------
    shapes : Shapes
    conv1, conv2 : int, default 16, 32
        Filters of the first and of the later convolutions.
    conv1size, conv2size : int, default 3
        Their width [pixels], with padding "valid" and stride 1.
    nk, nstride : int, default 3, 2
        Width and stride of the pooling [pixels], with padding "valid".
    hidden1 : int, default 300
        Dense units.
    numconvlayer : {1, 2, 3}
        Number of convolutions.
    dropout : float, default 0.65
        Share of dense units that is *kept* during training, as in the authors' flag.

    Returns
    -------
    keras.Model

    Raises
    ------
    UsageError
        If numconvlayer or dropout is not valid.

    References
    ----------
    W. Kindel, E. Christensen and J. Zylberberg (2019), doi:10.1167/19.4.29, and its code, v1_predictor.
    """
    import keras

    _check_kindel(numconvlayer, dropout)
    model = keras.Sequential([keras.Input(shapes.image, name="image")])
    for index in range(1, numconvlayer + 1):
        filters, size = (conv1, conv1size) if index == 1 else (conv2, conv2size)
        convolved = {"activation": "relu", "kernel_initializer": _truncated(0.1), "name": f"conv{index}"}
        model.add(keras.layers.Conv2D(filters, size, **convolved))
        model.add(keras.layers.MaxPooling2D(nk, nstride, name=f"pool{index}"))
    model.add(keras.layers.Flatten(name="flatten"))
    model.add(_dense(hidden1, model.output_shape[-1], "hidden"))
    if dropout < 1:
        model.add(keras.layers.Dropout(1 - dropout, name="dropout"))
    model.add(_dense(shapes.neurons, hidden1, "neurons"))
    return model


def _check_kindel(numconvlayer, dropout):
    if numconvlayer not in (1, 2, 3):
        raise UsageError(f"kindel_cnn: numconvlayer={numconvlayer!r}; expected 1, 2 or 3.")
    if not 0 < dropout <= 1:
        raise UsageError(
            f"kindel_cnn: dropout={dropout!r} is the fraction of units that is kept; expected 0 < dropout ≤ 1."
        )


def kindel_lnln(shapes, *, units=250):
    """ReLU(dense) → scale and bias per unit → ReLU(dense) → scale and bias per neuron, on the pixels.

    Parameters
    ----------
    shapes : Shapes
    units : int, default 250
        Of the first layer; the authors tried 150, 250, 350, 500 and 900. Weights start as in `kindel_cnn`.

    Returns
    -------
    keras.Model

    References
    ----------
    W. Kindel, E. Christensen and J. Zylberberg (2019), doi:10.1167/19.4.29, and its code, v1_predictor.
    """
    import keras

    from neurofit.models.layers import UnitScale

    height, width, channels = shapes.image
    return keras.Sequential(
        [
            keras.Input(shapes.image, name="image"),
            keras.layers.Flatten(name="flatten"),
            _dense(units, height * width * channels, "units"),
            UnitScale(name="units_scale"),
            _dense(shapes.neurons, units, "neurons"),
            UnitScale(name="neurons_scale"),
        ]
    )


def _dense(units, inputs, name):
    import keras

    start = _truncated(0.1 / inputs**0.5)
    return keras.layers.Dense(units, activation="relu", kernel_initializer=start, name=name)


def _truncated(stddev):
    """A new initializer for each weight: one instance would draw the same numbers again."""
    import keras

    return keras.initializers.TruncatedNormal(stddev=stddev)
