"""The networks of Kindel, Christensen & Zylberberg for macaque V1: a small CNN, and LNLN (docs/macaque.md).

Arguments are called as their flags. Inputs are raw pixels, 0 … 255 (`standardise="none"`). Cheap to import.
Source: doi:10.1167/19.4.29 and its code, v1_predictor.
"""

from __future__ import annotations

from neurofit.errors import UsageError


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

    Weights start as a truncated normal (cut at two standard deviations), .1 for convolutions and .1 / √inputs
    for dense layers; biases start at 0.

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    conv1, conv2 : int
        Filters of the first and of the later convolutions.
    conv1size, conv2size : int
        Their width [pixels], VALID, stride 1.
    nk, nstride : int
        Width and stride of the pooling, VALID.
    hidden1 : int
        Dense units.
    numconvlayer : {1, 2, 3}
        Number of convolutions.
    dropout : float
        The share of dense units that is *kept* during training, as the authors' flag has it.

    Returns
    -------
    keras.Model

    References
    ----------
    Kindel, Christensen & Zylberberg 2019, doi:10.1167/19.4.29.
    """
    import keras

    if numconvlayer not in (1, 2, 3):
        raise UsageError(f"kindel_cnn: numconvlayer={numconvlayer!r}; expected 1, 2 or 3.")
    if not 0 < dropout <= 1:
        raise UsageError(
            f"kindel_cnn: dropout={dropout!r} is the share that is kept; expected 0 < dropout ≤ 1."
        )
    layers = [keras.Input(shapes.image, name="image")]
    for index in range(numconvlayer):
        filters, size = (conv1, conv1size) if index == 0 else (conv2, conv2size)
        start = keras.initializers.TruncatedNormal(stddev=0.1)
        name = f"conv{index + 1}"
        layers.append(
            keras.layers.Conv2D(filters, size, activation="relu", kernel_initializer=start, name=name)
        )
        layers.append(keras.layers.MaxPooling2D(nk, nstride, name=f"pool{index + 1}"))
    model = keras.Sequential([*layers, keras.layers.Flatten(name="flatten")])
    model.add(_dense(hidden1, model.output_shape[-1], "hidden"))
    if dropout < 1:
        model.add(keras.layers.Dropout(1 - dropout, name="dropout"))
    model.add(_dense(shapes.neurons, hidden1, "neurons"))
    return model


def kindel_lnln(shapes, *, units=250):
    """ReLU(dense) → scale and bias per unit → ReLU(dense) → scale and bias per neuron, on the pixels.

    Weights start as in `kindel_cnn`.

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    units : int
        Units of the first layer. The authors tried 150, 250, 350, 500 and 900.

    Returns
    -------
    keras.Model
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

    start = keras.initializers.TruncatedNormal(stddev=0.1 / inputs**0.5)
    return keras.layers.Dense(units, activation="relu", kernel_initializer=start, name=name)
