"""The thesis' models: differences of Gaussians, pixel filters, convolutions.

Arguments have the names of the thesis, so that its run lists and ours agree:

    c_filters, c_size   filters of a convolution, and their height and width [pixels]
    cd2x                strength of the Laplacian penalty on its kernels
    hidden              hidden units per neuron, rounded down
    hidden_lt           their layer: "normal" (dense), "sep" (what/where readout)
    hidden_t, hidden_s  penalty on the hidden layer's weights, by NDN's name (`regularizers.named`); its strength

Variances of Gaussians are in (1, 25). Weights and biases start from N(0, .1) unless stated otherwise; centres
start as in NDN, with rows 2 pixels below their bounds (`layers.DifferenceOfGaussians`, start_below), which
leaves some filters without a gradient. Every model ends in softplus(neurons). Penalties are summed over
weights, L2 with its ½, as in NDN. A penalty that NDN accepted and then ignored is left out here too, and the
task's log says so: an axis of the grid that has no effect remains, so that runs keep their numbers.
"""

from __future__ import annotations

import logging

from neurofit.errors import UsageError
from neurofit.models.architectures.basic import hidden_units, linear_nonlinear

START_BELOW = 2.0  # pixels
FIRST_SIZE = 13  # pixels, of the first of three convolutions
LAST_L2 = 0.1  # on the last layer after a hidden one
SOFTPLUS = {"activation": "softplus", "bias_initializer": "normal"}

log = logging.getLogger(__name__)


def dog_hidden(
    shapes,
    *,
    dog_layers=9,
    hidden=0.2,
    activation="linear",
    biases="normal",
    hidden_layers=1,
    lin_scale=False,
    reg_h=0.0,
    reg_l=0.0,
):
    """[w · x + b →] DoG(dog_layers) → softplus(hidden · neurons) × hidden_layers → softplus(neurons).

    Parameters
    ----------
    shapes : Shapes
    dog_layers : int, default 9
        Number of DoG filters.
    hidden : float, default 0.2
        Units per neuron, rounded down.
    activation : str, default "linear"
        Of the DoG filters.
    biases : {"normal", "zeros"}
        Initial biases.
    hidden_layers : int, default 1
    lin_scale : bool, default False
        Whether the pixels have a learned scale.
    reg_h, reg_l : float, default 0
        L2 on the weights of the (first) hidden and of the last layer.

    Returns
    -------
    keras.Model
    """
    from neurofit.models.layers import Scale
    from neurofit.models.regularizers import named

    first = [Scale(name="scale")] if lin_scale else []
    penalties = named("l2", reg_h), named("l2", reg_l)
    return _dog(
        shapes, dog_layers, hidden, activation, biases, penalties, first=first, hidden_layers=hidden_layers
    )


def dog_penalised(shapes, *, dog_layers=9, hidden=0.2, reg_type="l2", reg_lambda=0.0):
    """`dog_hidden` with one kind of penalty (`regularizers.named`) on hidden and last layer.

    Parameters
    ----------
    shapes : Shapes
    dog_layers : int, default 9
    hidden : float, default 0.2
    reg_type : str, default "l2"
    reg_lambda : float, default 0

    Returns
    -------
    keras.Model
    """
    from neurofit.models.regularizers import named

    penalties = named(reg_type, reg_lambda), named(reg_type, reg_lambda)
    return _dog(shapes, dog_layers, hidden, penalties=penalties)


def dog_l2(shapes, *, dog_layers=9, hidden=0.2, l2=0.0):
    """`dog_penalised` with L2.

    Parameters
    ----------
    shapes : Shapes
    dog_layers : int, default 9
    hidden : float, default 0.2
    l2 : float, default 0

    Returns
    -------
    keras.Model
    """
    return dog_penalised(shapes, dog_layers=dog_layers, hidden=hidden, reg_type="l2", reg_lambda=l2)


def dog_dropout(shapes, *, hidden=0.2, dropout_h=1.0):
    """`dog_hidden`, trained with a share of the hidden units.

    There is one draw per batch, the same for all its images, as in NDN; kept units count 1 / dropout_h.
    Predictions use all units (NDN's validation curves still had the noise).

    Parameters
    ----------
    shapes : Shapes
    hidden : float, default 0.2
    dropout_h : float, default 1
        Share of units that is *kept*, in [0, 1]: NDN's keep_prob, despite its name. 1 drops nothing. 0 keeps
        nothing, in training and prediction: only the last layer's biases learn; NDN refused it.

    Returns
    -------
    keras.Model

    Raises
    ------
    UsageError
        If the share is outside [0, 1].
    """
    import keras

    if not 0 <= dropout_h <= 1:
        raise UsageError(f"dog_dropout(dropout_h={dropout_h!r}): expected the share of units to keep, 0 … 1.")
    units = hidden_units(hidden, shapes.neurons)
    after = [keras.layers.Dropout(1 - dropout_h, noise_shape=(1, units), name="dropout")]
    if dropout_h == 0:
        after = [keras.layers.Rescaling(0.0, name="dropout")]
    return _dog(shapes, 9, hidden, after=after)


def lnln(shapes, *, hidden=0.2, reg_h=0.0, reg_l=0.0):
    """softplus(hidden · neurons) → softplus(neurons) on the pixels.

    Parameters
    ----------
    shapes : Shapes
    hidden : float, default 0.2
    reg_h : float, default 0
        Laplacian on the filters of the pixels.
    reg_l : float, default 0
        L2 on the last layer's weights.

    Returns
    -------
    keras.Model
    """
    return linear_nonlinear(shapes, hidden=hidden, smoothness=reg_h, l2=reg_l)


def ln(shapes, *, reg_l=0.0):
    """softplus(neurons) on the pixels.

    Parameters
    ----------
    shapes : Shapes
    reg_l : float, default 0
        Laplacian on the filters.

    Returns
    -------
    keras.Model
    """
    return linear_nonlinear(shapes, hidden=0, smoothness=reg_l)


def _dog(
    shapes,
    filters,
    hidden,
    activation="linear",
    biases="normal",
    penalties=(None, None),
    *,
    first=(),
    after=(),
    hidden_layers=1,
):
    """`first` → DoG(filters) → the hidden layers → `after` → the neurons."""
    import keras

    from neurofit.models.layers import Dense, DifferenceOfGaussians

    start = {"bias_initializer": biases}
    dog = {"activation": activation, "start_below": START_BELOW, "name": "dog"}
    dense, units = {"activation": "softplus", **start}, hidden_units(hidden, shapes.neurons)
    # All layers are made before the model builds any: initial weights depend on this order.
    layers = [*first, DifferenceOfGaussians(filters, **dog, **start)]
    for index in range(1, hidden_layers + 1):
        on_first = penalties[0] if index == 1 else None
        layers.append(Dense(units, kernel_regularizer=on_first, name=f"hidden_{index}", **dense))
    layers += [*after, Dense(shapes.neurons, kernel_regularizer=penalties[1], name="neurons", **dense)]
    return keras.Sequential([keras.Input(shapes.image, name="image"), *layers])


def conv_hidden(shapes, *, hidden=0.2, c_filters=9, c_size=7, conv_layers=1):
    """linear convolution(c_filters) × conv_layers → softplus(hidden · neurons) → softplus(neurons).

    There are no penalties. Strides are half of c_size, rounded up.

    Parameters
    ----------
    shapes : Shapes
    hidden : float, default 0.2
    c_filters : int, default 9
    c_size : int, default 7
    conv_layers : int, default 1

    Returns
    -------
    keras.Model
    """
    from neurofit.models.layers import Convolution

    stride = (c_size + 1) // 2
    convolutions = [
        Convolution(c_filters, c_size, stride=stride, bias_initializer="normal", name=f"features_{index}")
        for index in range(1, conv_layers + 1)
    ]
    return _then_hidden(shapes, convolutions, hidden)


def conv_penalised(
    shapes, *, c_size=15, c_filters=30, cd2x=0.01, hidden_t="l1", hidden_s=0.1, hidden_lt="sep", hidden=0.2
):
    """softplus convolution(c_filters) → softplus hidden(hidden_lt) → softplus(neurons).

    The last weights have an L2 penalty of .1. With hidden_t="l2" the hidden layer has no penalty, and
    hidden_s has no effect: the thesis set both layers' L2 under one key of a dict, where the last layer's
    replaced the hidden one's.

    Parameters
    ----------
    shapes : Shapes
    c_size : int, default 15
    c_filters : int, default 30
    cd2x : float, default 0.01
    hidden_t : str, default "l1"
    hidden_s : float, default 0.1
    hidden_lt : {"sep", "normal"}
    hidden : float, default 0.2

    Returns
    -------
    keras.Model
    """
    from neurofit.models.layers import Convolution
    from neurofit.models.regularizers import named

    if hidden_t == "l2":
        _without_effect(f"hidden_t=l2, hidden_s={hidden_s:g}", "the l2 of the last layer replaces it")
        hidden_s = 0
    window = {"size": c_size, "stride": (c_size + 1) // 2, "kernel_regularizer": named("d2x", cd2x)}
    features = Convolution(c_filters, **window, **SOFTPLUS, name="features")
    return _then_hidden(shapes, [features], hidden, hidden_lt, hidden_t, hidden_s, LAST_L2)


def conv_dog(
    shapes,
    *,
    c_size=7,
    c_filters=9,
    hidden_t="l1",
    hidden_s=0.1,
    hidden_lt="normal",
    activation="softplus",
    hidden=0.2,
):
    """Convolution of c_filters DoGs → softplus hidden(hidden_lt) → softplus(neurons).

    The last weights have an L2 penalty of .1. With c_size=3 the bounds of the centres contradict each other,
    and every Gaussian stays at pixel 2 of the kernel, its corner, as in NDN.

    Parameters
    ----------
    shapes : Shapes
    c_size : int, default 7
    c_filters : int, default 9
    hidden_t : str, default "l1"
    hidden_s : float, default 0.1
    hidden_lt : {"normal", "sep"}
    activation : str, default "softplus"
        Of the convolution.
    hidden : float, default 0.2

    Returns
    -------
    keras.Model
    """
    from neurofit.models.layers import ConvolutionalDifferenceOfGaussians

    features = ConvolutionalDifferenceOfGaussians(
        c_filters,
        c_size,
        stride=(c_size + 1) // 2,
        activation=activation,
        start_below=START_BELOW,
        bias_initializer="normal",
        name="features",
    )
    return _then_hidden(shapes, [features], hidden, hidden_lt, hidden_t, hidden_s, LAST_L2)


def conv_factorised(
    shapes,
    *,
    c_filters=48,
    cd2x=0.1,
    conv_reg_type="max_filt",
    conv_reg_str=0.0,
    last_type="l1",
    last_str=0.1,
    secondary_conv_size=3,
    spacing=2,
):
    """softplus convolution × 3 → softplus factorised readout of neurons: what and where.

    Penalties without effect are left out: max_filt on the first convolution, whose input has one channel, and
    L2 on the readout's `what`, whose norm is 1.

    Parameters
    ----------
    shapes : Shapes
    c_filters : int, default 48
    cd2x : float, default 0.1
    conv_reg_type, conv_reg_str : str and float, default "max_filt", 0
        A second penalty on the kernels of all three convolutions, and its strength.
    last_type, last_str : str and float, default "l1", 0.1
        Penalty on the readout's factors, and its strength.
    secondary_conv_size : int, default 3
        Of the second and third convolution [pixels]; the first is 13 wide.
    spacing : int, default 2
        Stride of all three [pixels]; 0: half of each one's size, rounded down.

    Returns
    -------
    keras.Model
    """
    import keras

    from neurofit.models.layers import FactorisedReadout
    from neurofit.models.regularizers import named

    second = conv_reg_type, conv_reg_str
    convolutions = _three_convolutions(shapes, c_filters, cd2x, second, secondary_conv_size, spacing)
    factors = {"where_regularizer": named(last_type, last_str)}
    if last_type != "l2":
        factors["what_regularizer"] = named(last_type, last_str)
    model = keras.Sequential([keras.Input(shapes.image, name="image"), *convolutions])
    model.add(FactorisedReadout(shapes.neurons, **factors, **SOFTPLUS, name="neurons"))
    return model


def conv_factorised_norm2(shapes, *, c_filters=48, cd2x=0.1, norm2_filt=0.0, l1=0.1):
    """`conv_factorised` with L1 on the readout. norm2_filt has no effect: NDN ignored it on convolutions.

    Parameters
    ----------
    shapes : Shapes
    c_filters : int, default 48
    cd2x : float, default 0.1
    norm2_filt : float, default 0
    l1 : float, default 0.1

    Returns
    -------
    keras.Model
    """
    if norm2_filt:
        _without_effect(
            f"norm2_filt={norm2_filt:g}", "NDN has it for factorised readouts, and ignored it elsewhere"
        )
    return conv_factorised(shapes, c_filters=c_filters, cd2x=cd2x, last_str=l1)


def conv_factorised_max(shapes, *, c_filters=48, cd2x=0.1, max_filt=0.0, l1=0.1):
    """`conv_factorised` with L1 on the readout, and competition among the channels of a kernel at each pixel.

    Parameters
    ----------
    shapes : Shapes
    c_filters : int, default 48
    cd2x : float, default 0.1
    max_filt : float, default 0
    l1 : float, default 0.1

    Returns
    -------
    keras.Model
    """
    return conv_factorised(shapes, c_filters=c_filters, cd2x=cd2x, conv_reg_str=max_filt, last_str=l1)


def _three_convolutions(shapes, filters, smoothness, second, secondary_size, spacing):
    from neurofit.models.layers import Convolution
    from neurofit.models.regularizers import added, named

    for index, size in enumerate((FIRST_SIZE, secondary_size, secondary_size)):
        one_channel = index == 0 and shapes.image[-1] == 1
        extra = None if second[0] == "max_filt" and one_channel else named(*second)
        window = {"size": size, "stride": spacing or size // 2}
        penalties = added(named("d2x", smoothness), extra)
        yield Convolution(
            filters, **window, **SOFTPLUS, kernel_regularizer=penalties, name=f"features_{index + 1}"
        )


def _then_hidden(shapes, features, hidden, kind="normal", penalty="l2", strength=0.0, last_l2=0.0):
    """The convolutions, a hidden layer of that kind with that penalty, and the neurons."""
    import keras

    from neurofit.models.layers import Dense, FactorisedReadout
    from neurofit.models.regularizers import named

    units = hidden_units(hidden, shapes.neurons)
    if kind == "sep":
        factors = {f"{factor}_regularizer": named(penalty, strength) for factor in ("what", "where")}
        layer = FactorisedReadout(units, name="hidden", **factors, **SOFTPLUS)
    elif kind == "normal":
        layer = Dense(units, kernel_regularizer=named(penalty, strength), name="hidden", **SOFTPLUS)
    else:
        raise UsageError(f"hidden_lt={kind!r}: expected 'normal' or 'sep'.")
    last = Dense(shapes.neurons, kernel_regularizer=named("l2", last_l2), name="neurons", **SOFTPLUS)
    return keras.Sequential([keras.Input(shapes.image, name="image"), *features, layer, last])


def _without_effect(argument, why):
    log.warning("%s has no effect: %s.", argument, why)
