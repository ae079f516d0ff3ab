"""Models as NDN3 describes them, with its weights."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import neurofit as nf

ACTIVATIONS = {
    "lin": None,
    "exp": "exponential",
    "leaky_relu": "leaky_relu",
    "quad": "quadratic",
    "requ": "rectified_quadratic",
}
NORMALISED = {0: "none", None: "none", 1: "unit", 2: "matrix", -1: "at_most_one"}
FACTORS = {0: "what", 1: "where", 2: "both", 3: "none", None: "none"}


def activation(name):
    from neurofit.models.layers import activations

    own = ACTIVATIONS.get(name, name)
    return getattr(activations, own, own) if own else None


def penalty_settings(kind, terms, channels):
    """NDN3's penalties of one layer as settings of ours.

    On its `sep` they act on both factors, each by itself.
    """
    named, added = nf.models.regularizers.named, nf.models.regularizers.added
    # max_filt of a single channel is 0 there; here it is an error, and left out.
    kept = [named(key, strength) for key, strength in terms.items() if key != "max_filt" or channels > 1]
    names = ("what_regularizer", "where_regularizer") if kind == "sep" else ("kernel_regularizer",)
    return {name: added(*kept) for name in names}


def layer_of(net, index, channels, dtype, penalised):
    layers = nf.models.layers
    kind, units = net["layer_types"][index], net["layer_sizes"][index]
    size, stride = net["conv_filter_widths"][index], net["shift_spacing"][index]
    nw, pos = net["normalize_weights"][index], net["pos_constraints"][index]
    bounds = (net.get("bounds") or [None] * 9)[index]
    sigma = {"variance_bounds": bounds[1]} if bounds else {}
    same = {"activation": activation(net["activation_funcs"][index]), "dtype": dtype}
    terms = (net.get("reg_initializers") or [{}] * 9)[index] if penalised else {}
    if kind in ("normal", "conv", "sep"):
        same |= penalty_settings(kind, terms, channels)
    if kind == "normal":
        return layers.Dense(units, normalised=NORMALISED[nw], positive=bool(pos), **same)
    if kind == "conv":
        return layers.Convolution(
            units, size, stride=stride, normalised=NORMALISED[nw], positive=bool(pos), **same
        )
    if kind == "sep":
        return layers.FactorisedReadout(units, normalised=FACTORS[nw], positive=FACTORS[pos], **same)
    if kind == "diff_of_gaussians":
        return layers.DifferenceOfGaussians(units, **(sigma or {"variance_bounds": (1, 1)}), **same)
    if kind == "conv_diff_of_gaussians":
        return layers.ConvolutionalDifferenceOfGaussians(units, size, stride=stride, **sigma, **same)
    return layers.Scale(**same)


def load_weights(layer, weights, biases):
    """NDN3's arrays, in the shapes of ours."""
    name = type(layer).__name__
    weights, biases = weights.astype(layer.dtype), biases.astype(layer.dtype)
    if "Gaussians" in name:
        arrays = [weights[:6]]
    elif name == "FactorisedReadout":
        channels = layer.what.shape[0]
        arrays = [weights[:channels], weights[channels:].reshape(layer.where.shape)]
    else:
        if getattr(layer, "normalised", "none") == "matrix":  # NDN3 normalises the columns when it loads them
            weights = weights / np.linalg.norm(weights, axis=0)
        arrays = [weights.reshape(layer.kernel.shape)]
    layer.set_weights([*arrays, biases.reshape(layer.bias.shape)])


def built(case, *, prefix="", penalised=False, dtype="float32"):
    """The model of a case with its weights, from image to the last layer, and its layers."""
    import keras

    net = case.meta["net"]
    x = case.arrays.get("in_X", case.arrays.get("in_X_batch"))
    tensor = inputs = keras.Input(x.shape[1:], dtype=dtype)
    made = []
    for index in range(len(net["layer_types"])):
        layer = layer_of(net, index, tensor.shape[-1], dtype, penalised)
        tensor = layer(tensor)
        load_weights(layer, case.arrays[f"{prefix}L{index}_weights"], case.arrays[f"{prefix}L{index}_biases"])
        made.append(layer)
    return keras.Model(inputs, tensor), made


def as_ndn3_has_it(layer, arrays):
    """Weights or gradients of ours in NDN3's arrays:

    (weights, biases); a DoG's unused rows ux₂, uy₂ are 0.
    """
    *parts, bias = (np.asarray(array) for array in arrays)
    if "Gaussians" in type(layer).__name__:
        parts.append(np.zeros((2, parts[0].shape[1])))
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts]), bias[None, :]


@pytest.fixture(scope="session")
def ndn3():
    return SimpleNamespace(
        activation=activation,
        load_weights=load_weights,
        built=built,
        as_ndn3_has_it=as_ndn3_has_it,
        FACTORS=FACTORS,
    )


@pytest.fixture(scope="session")
def agrees(close):
    """agrees(found, case, "out", dtype): within the README's tolerance of what NDN3, or its float64 twin,
    returned.

    The twin is recorded for arrays of up to 6000 elements.
    """

    def check(found, case, name, dtype="float32", tolerance=None):
        wide = dtype == "float64"
        key = f"f64_{name}" if wide else name
        if key in case.arrays:
            close(
                np.reshape(found, case.arrays[key].shape),
                case.arrays[key],
                tolerance or (1e-10 if wide else 5e-6),
            )

    return check
