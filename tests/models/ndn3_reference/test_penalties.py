"""Penalties against numbers that NDN3 itself returned, every column of its README's table."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import ShapeError

pytestmark = pytest.mark.slow
DTYPES = ("float32", "float64")
GRIDS = {
    "B_conv_1ch_w13": (13, 13, 1),
    "B_conv_6ch_w3": (3, 3, 6),
    "B_normal_1x9x9": (9, 9, 1),
    "B_normal_4x6x6": (6, 6, 4),
    "B_normal_20": (1, 1, 20),
    "B_normal_20_nw2": (1, 1, 20),
}
KEYS = [
    "l1",
    "l2",
    "norm2",
    "max",
    "max_filt",
    "max_space",
    "d2t",
    "d2x",
    "d2xt",
    "local",
    "glocal",
    "center",
    "orth",
]
SEPARABLE = [("B_sep_nw0_6x4x4", "what"), ("B_sep_nw1_6x4x4", "where")]


def penalised_weight(name, weights):
    """The weight that NDN3's penalties see: with normalize_weights 2, columns and then the whole are
    normalised.

    (Its forward pass, and our penalties, see that times the number of units.)
    """
    if not name.endswith("nw2"):
        return weights
    columns = weights / np.linalg.norm(weights, axis=0)
    return columns / np.linalg.norm(columns)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", list(GRIDS))
def test_a_penalty_is_worth_what_it_is_in_ndn3_or_is_an_error(name, key, dtype, ops, reference, agrees):
    """An error where NDN3 raises, and where it is 0 whatever the weights."""
    case, grid = reference(name), GRIDS[name]
    weights = penalised_weight(name, case.L0_weights.astype(dtype))
    penalty = nf.models.regularizers.named(key, float(case.arrays["lambda"]), grid)
    for weight in (weights, weights.reshape(*grid, -1)):
        if case.meta["status"][key] != "value":
            assert "raises" in case.meta["status"][key] or case.meta["status"][key] == "0 by construction"
            with pytest.raises(ShapeError, match="Leave "):
                penalty(ops.convert_to_tensor(weight))
        else:
            agrees(penalty(ops.convert_to_tensor(weight)), case, f"out_{key}", dtype)


def readout(case, ndn3, normalised, dtype, **settings):
    layer = nf.models.layers.FactorisedReadout(
        7, normalised=normalised, name="readout", dtype=dtype, **settings
    )
    layer.build((None, 4, 4, 6))
    ndn3.load_weights(layer, case.L0_weights, np.zeros(7))
    return layer


ON_FACTORS = {  # NDN3's key → the key on what, and on where
    "l1": ("l1", "l1"),
    "l2": ("l2", "l2"),
    "norm2_filt": ("norm2", None),
    "norm2_space": (None, "norm2"),
    "max_filt": ("max_filt", None),
    "max_space": (None, "max_space"),
    "d2t": ("d2t", None),
    "d2x": (None, "d2x"),
    "local": (None, "local"),
    "center": (None, "center"),
    "norm2": (None, None),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", list(ON_FACTORS))
@pytest.mark.parametrize(("name", "normalised"), SEPARABLE)
def test_penalties_on_a_readout_see_its_normalised_factors(
    name, normalised, key, dtype, keras, reference, ndn3, agrees
):
    case, (what, where) = reference(name), ON_FACTORS[key]
    named, strength = nf.models.regularizers.named, float(case.arrays["lambda"])
    settings = {}
    if what:
        settings["what_regularizer"] = named(what, strength, grid=(1, 1, 6))
    if where:
        settings["where_regularizer"] = named(where, strength)
    if key == "norm2":
        settings["joint_norm2"] = strength
    layer = readout(case, ndn3, normalised, dtype, **settings)
    worth = sum(nf.models.penalties(keras.Sequential([keras.Input((4, 4, 6), dtype=dtype), layer])).values())
    if case.meta["status"][key] == "0 by construction":
        assert abs(worth) < 1e-10
    else:
        # `penalties` gives Python's floats: of several in float32 the sum is one of float64.
        agrees(worth, case, f"out_{key}", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "normalised"), SEPARABLE)
def test_norm2_of_both_factors_is_that_of_one_on_the_other(
    name, normalised, dtype, ops, reference, ndn3, agrees
):
    case = reference(name)
    what, where = readout(case, ndn3, normalised, dtype).factors()
    both = ops.concatenate([what, ops.reshape(where, (16, 7))], axis=0)
    agrees(nf.models.regularizers.Norm2(float(case.arrays["lambda"]))(both), case, "out_norm2", dtype)


@pytest.mark.parametrize(("name", "normalised"), SEPARABLE)
def test_a_penalty_on_the_whole_weight_of_a_readout_raises_here_and_there(name, normalised, reference):
    case = reference(name)
    for key in ("max", "d2xt", "glocal"):
        assert "raises" in case.meta["status"][key] and np.isnan(case.arrays[f"out_{key}"])
        with pytest.raises(ValueError, match="kernel_regularizer"):
            nf.models.layers.FactorisedReadout(7, kernel_regularizer=nf.models.regularizers.named(key, 1.0))
    for key in ("norm2_filt", "norm2_space", "max_level"):  # of no layer, or of another: NDN3 ignored them
        with pytest.raises(nf.errors.UsageError, match="No penalty"):
            nf.models.regularizers.named(key, 1.0)
