"""Forward passes against numbers that NDN3 itself returned, in float32 and of its float64 twin."""

from __future__ import annotations

import pytest

import neurofit as nf

pytestmark = pytest.mark.slow

FORWARD = [
    "A_conv_nonsquare_3ch_w5_s2",
    "A_conv_w13_s1",
    "A_conv_w13_s2",
    "A_conv_w13_s7",
    "A_conv_w3_s2",
    "A_conv_w3_s7",
    "A_conv_w7_s4_nw1",
    "A_convdog_w15_s8",
    "A_convdog_w3_s2_inverted_bounds",
    "A_convdog_w7_s4",
    "A_convdog_w7_s4_outside",
    "A_convstack_31",
    "A_dog9_31_latecommit_default_bounds",
    "A_dog9_31_lin",
    "A_dog9_31_outside_softplus",
    "A_dog9_33_lin",
    "A_linscale",
    "A_normal_nw-1",
    "A_normal_nw1",
    "A_normal_nw2",
    "A_normal_pos",
    "A_sep_nw0",
    "A_sep_nw1",
    "A_sep_nw2",
    "A_sep_nw3_none",
    "A_sep_pos0_nw0",
    "A_sep_pos1_nw1",
    "A_stack_bl4",
    "A_stack_bs4_exp1",
    "A_stack_bs4_exp10_sep",
    "A_stack_bs4_exp8",
]
DTYPES = ("float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORWARD)
def test_a_forward_pass_returns_what_ndn3_returned(name, dtype, keras, reference, ndn3, agrees):
    case = reference(name)
    model, layers = ndn3.built(case, dtype=dtype)
    every = keras.Model(model.inputs[0], [layer.output for layer in layers])
    *inner, last = keras.tree.flatten(every(case.in_X.astype(dtype)))
    agrees(last, case, "out", dtype)
    for index, found in enumerate(inner):
        agrees(found, case, f"out_L{index}", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_activation_is_ndn3s(dtype, reference, ndn3, agrees):
    case = reference("A_normal_activations")
    names = [key[4:] for key in case.arrays if key.startswith("out_")]
    assert len(names) == 10
    for name in names:
        layer = nf.models.layers.Dense(
            case.L0_weights.shape[1], activation=ndn3.activation(name), dtype=dtype
        )
        layer.build(case.in_X.shape)
        ndn3.load_weights(layer, case.L0_weights, case.L0_biases)
        # TensorFlow keeps the slope .1 of a leaky ReLU in float32, also in the twin.
        tolerance = 2e-8 if name == "leaky_relu" and dtype == "float64" else None
        agrees(layer(case.in_X.astype(dtype)), case, f"out_{name}", dtype, tolerance)


def test_no_forward_case_is_left_out(reference):
    there = {path.stem for path in reference("A_linscale").folder.glob("A_*.npz")}
    assert there == {*FORWARD, "A_normal_activations"}
