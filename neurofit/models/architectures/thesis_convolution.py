"""The thesis' models with convolutions: of free kernels, of differences of Gaussians, and what/where
readouts.

Arguments have the thesis' own names, so that its run lists and ours read alike:

    c_filters, c_size   filters of a convolution, and their height and width [pixels]
    cd2x                strength of the Laplacian penalty on its kernels
    hidden, hidden_lt   hidden units per neuron, rounded down; their layer: "normal" (dense), "sep" (what/where readout)
    hidden_t, hidden_s  penalty on the hidden layer's weights, by NDN's name (`regularizers.named`), and its strength

Weights and biases start from N(0, .1), but for the Gaussians (`thesis_dense`); every model ends in
softplus(neurons). A penalty that NDN took and then ignored is left out here as well, and the task's log says
so: an axis of the grid that has no effect stays, so that runs keep their numbers.
"""

from __future__ import annotations

import logging

from neurofit.errors import UsageError
from neurofit.models.architectures.basic import hidden_units
from neurofit.models.architectures.thesis_dense import START_BELOW

FIRST_SIZE = 13  # pixels, of the what/where model's first convolution
LAST_L2 = 0.1  # on the last layer, where there is a dense one

log = logging.getLogger(__name__)


def conv_hidden(shapes, *, hidden=0.2, c_filters=9, c_size=7, conv_layers=1):
    """Linear convolution(c_filters) × conv_layers → softplus(hidden · neurons) → softplus(neurons), no penalties.

    Strides are half of c_size, rounded up.
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
    """softplus convolution(c_filters) → softplus hidden(hidden_lt) → softplus(neurons), L2 of .1 on the last.

    hidden_t="l2" leaves the hidden layer without a penalty, so that hidden_s has no effect: the thesis gave
    both layers' L2 under one key of a dict, where the last layer's replaced the hidden one's.
    """
    from neurofit.models.layers import Convolution
    from neurofit.models.regularizers import named

    if hidden_t == "l2":
        _without_effect(f"hidden_t=l2, hidden_s={hidden_s:g}", "the last layer's l2 took its place")
        hidden_s = 0
    smooth = named("d2x", cd2x)
    stride = (c_size + 1) // 2
    features = Convolution(
        c_filters,
        c_size,
        stride=stride,
        activation="softplus",
        kernel_regularizer=smooth,
        bias_initializer="normal",
        name="features",
    )
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
    """Convolution of c_filters DoGs → softplus hidden(hidden_lt) → softplus(neurons), L2 of .1 on the last.

    `activation` is that of the convolution. With c_size=3 the bounds of the centres contradict each other, and
    every Gaussian stays at pixel 2 of the kernel, its corner, as in NDN.
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

    max_filt on the first convolution, whose input has one channel, and L2 on the readout's `what`, whose norm
    is 1, mean nothing and are left out.

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    c_filters : int
        Filters of each convolution.
    cd2x : float
        Laplacian penalty on the kernels.
    conv_reg_type, conv_reg_str : str, float
        A second penalty on the kernels of all three convolutions.
    last_type, last_str : str, float
        A penalty on the readout's factors.
    secondary_conv_size : int
        Width of the second and third convolution; the first is 13 wide.
    spacing : int
        Stride of all three; 0 means half of each one's size, rounded down.

    Returns
    -------
    keras.Model
    """
    import keras

    from neurofit.models.layers import FactorisedReadout
    from neurofit.models.regularizers import named

    second = conv_reg_type, conv_reg_str
    what = None if last_type == "l2" else named(last_type, last_str)
    return keras.Sequential(
        [
            keras.Input(shapes.image, name="image"),
            *_three_convolutions(shapes, c_filters, cd2x, second, secondary_conv_size, spacing),
            FactorisedReadout(
                shapes.neurons,
                activation="softplus",
                bias_initializer="normal",
                what_regularizer=what,
                where_regularizer=named(last_type, last_str),
                name="neurons",
            ),
        ]
    )


def conv_factorised_norm2(shapes, *, c_filters=48, cd2x=0.1, norm2_filt=0.0, l1=0.1):
    """`conv_factorised` with L1 on the readout. norm2_filt has no effect: NDN ignored it on convolutions."""
    if norm2_filt:
        _without_effect(
            f"norm2_filt={norm2_filt:g}", "NDN has it for factorised readouts, and ignored it elsewhere"
        )
    return conv_factorised(shapes, c_filters=c_filters, cd2x=cd2x, last_str=l1)


def conv_factorised_max(shapes, *, c_filters=48, cd2x=0.1, max_filt=0.0, l1=0.1):
    """`conv_factorised` with L1 on the readout, and competition among the channels of a kernel at each pixel."""
    return conv_factorised(shapes, c_filters=c_filters, cd2x=cd2x, conv_reg_str=max_filt, last_str=l1)


def _three_convolutions(shapes, filters, smoothness, second, secondary_size, spacing):
    from neurofit.models.layers import Convolution
    from neurofit.models.regularizers import added, named

    for index, size in enumerate((FIRST_SIZE, secondary_size, secondary_size)):
        one_channel = index == 0 and shapes.image[-1] == 1
        extra = None if second[0] == "max_filt" and one_channel else named(*second)
        yield Convolution(
            filters,
            size,
            stride=spacing or size // 2,
            activation="softplus",
            bias_initializer="normal",
            kernel_regularizer=added(named("d2x", smoothness), extra),
            name=f"features_{index + 1}",
        )


def _then_hidden(shapes, features, hidden, kind="normal", penalty="l2", strength=0.0, last_l2=0.0):
    """The convolutions, a hidden layer of that kind with that penalty, and the neurons."""
    import keras

    from neurofit.models.layers import Dense, FactorisedReadout
    from neurofit.models.regularizers import named

    units, start = (
        hidden_units(hidden, shapes.neurons),
        {"activation": "softplus", "bias_initializer": "normal"},
    )
    if kind == "sep":
        factors = {f"{factor}_regularizer": named(penalty, strength) for factor in ("what", "where")}
        layer = FactorisedReadout(units, name="hidden", **factors, **start)
    elif kind == "normal":
        layer = Dense(units, kernel_regularizer=named(penalty, strength), name="hidden", **start)
    else:
        raise UsageError(f"hidden_lt={kind!r}: expected 'normal' or 'sep'.")
    last = Dense(shapes.neurons, kernel_regularizer=named("l2", last_l2), name="neurons", **start)
    return keras.Sequential([keras.Input(shapes.image, name="image"), *features, layer, last])


def _without_effect(argument, why):
    log.warning("%s has no effect: %s.", argument, why)
