"""Layers and penalties against numbers that NDN3 itself returned (float32, tolerance of its README, section 6)."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
ACTIVATIONS = {"lin": None, "exp": "exponential", "leaky_relu": "leaky_relu", "quad": "quadratic",
               "requ": "rectified_quadratic"}  # fmt: skip
NORMALISED = {0: "none", None: "none", 1: "unit", 2: "matrix", -1: "at_most_one"}
FACTORS = {0: "what", 1: "where", 2: "both", 3: "none", None: "none"}

FORWARD = [
    "A_conv_nonsquare_3ch_w5_s2", "A_conv_w13_s1", "A_conv_w13_s2", "A_conv_w13_s7", "A_conv_w3_s2", "A_conv_w3_s7",
    "A_conv_w7_s4_nw1", "A_convdog_w15_s8", "A_convdog_w3_s2_inverted_bounds", "A_convdog_w7_s4",
    "A_convdog_w7_s4_outside", "A_convstack_31", "A_dog9_31_latecommit_default_bounds", "A_dog9_31_lin",
    "A_dog9_31_outside_softplus", "A_dog9_33_lin", "A_linscale", "A_normal_nw-1", "A_normal_nw1", "A_normal_nw2",
    "A_normal_pos", "A_sep_nw0", "A_sep_nw1", "A_sep_nw2", "A_sep_nw3_none", "A_sep_pos0_nw0", "A_sep_pos1_nw1",
    "A_stack_bl4", "A_stack_bs4_exp1", "A_stack_bs4_exp10_sep", "A_stack_bs4_exp8",
]  # fmt: skip


def activation(name):
    from neurofit.models.layers import activations

    own = ACTIVATIONS.get(name, name)
    return getattr(activations, own, own) if own else None


def layer_of(net, index, channels, **penalty):
    """A layer as NDN3's description has it."""
    layers = nf.models.layers
    kind, units = net["layer_types"][index], net["layer_sizes"][index]
    size, stride = net["conv_filter_widths"][index], net["shift_spacing"][index]
    nw, pos = net["normalize_weights"][index], net["pos_constraints"][index]
    act = activation(net["activation_funcs"][index])
    bounds = (net.get("bounds") or [None] * 9)[index]
    sigma = {"variance_bounds": bounds[1]} if bounds else {}
    if kind == "normal":
        return layers.Dense(units, activation=act, normalised=NORMALISED[nw], positive=bool(pos), **penalty)
    if kind == "conv":
        return layers.Convolution(units, size, stride=stride, activation=act, normalised=NORMALISED[nw],
                                  positive=bool(pos), **penalty)  # fmt: skip
    if kind == "sep":
        return layers.FactorisedReadout(units, activation=act, normalised=FACTORS[nw], positive=FACTORS[pos], **penalty)
    if kind == "diff_of_gaussians":
        return layers.DifferenceOfGaussians(units, activation=act, **(sigma or {"variance_bounds": (1, 0)}))
    if kind == "conv_diff_of_gaussians":
        return layers.ConvolutionalDifferenceOfGaussians(units, size, stride=stride, activation=act, **sigma)
    return layers.Scale(activation=act)


def load_weights(layer, weights, biases):
    """NDN3's arrays, in the shapes of ours."""
    name = type(layer).__name__
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


def built(keras, case, prefix="", regularizers=None):
    """The model of a case with its weights, from image to the last layer."""
    net = case.meta["net"]
    x = case.arrays.get("in_X", case.arrays.get("in_X_batch"))
    tensor = inputs = keras.Input(x.shape[1:])
    made = []
    for index in range(len(net["layer_types"])):
        layer = layer_of(net, index, tensor.shape[-1], **(regularizers or {}).get(index, {}))
        tensor = layer(tensor)
        load_weights(layer, case.arrays[f"{prefix}L{index}_weights"], case.arrays[f"{prefix}L{index}_biases"])
        made.append(layer)
    return keras.Model(inputs, tensor), made


@pytest.mark.parametrize("name", FORWARD)
def test_a_forward_pass_returns_what_ndn3_returned(name, keras, reference, close):
    case = reference(name)
    model, _ = built(keras, case)
    found = np.asarray(model(case.in_X))
    close(found.reshape(len(found), -1), case.out)


def test_every_activation_is_ndn3s(keras, reference, close):
    case = reference("A_normal_activations")
    for name in [key[4:] for key in case.arrays if key.startswith("out_")]:
        layer = nf.models.layers.Dense(case.L0_weights.shape[1], activation=activation(name))
        layer.build(case.in_X.shape)
        load_weights(layer, case.L0_weights, case.L0_biases)
        close(layer(case.in_X), case.arrays[f"out_{name}"])


KERNELS = {"B_conv_1ch_w13": (13, 13, 1), "B_conv_6ch_w3": (3, 3, 6), "B_normal_1x9x9": (9, 9, 1),
           "B_normal_4x6x6": (6, 6, 4), "B_normal_20": None}  # fmt: skip


@pytest.mark.parametrize("name", list(KERNELS))
def test_penalties_are_worth_what_they_are_in_ndn3(name, ops, reference, close):
    case, penalties = reference(name), nf.models.regularizers
    weights, strength = case.L0_weights, float(case.arrays["lambda"])
    close(penalties.L1(strength)(ops.convert_to_tensor(weights)), case.out_l1)
    close(penalties.L2(strength)(ops.convert_to_tensor(weights)), case.out_l2)
    grid = KERNELS[name]
    if grid:
        close(penalties.Laplacian(strength, grid=grid)(ops.convert_to_tensor(weights)), case.out_d2x)
        kernel = ops.convert_to_tensor(weights.reshape(*grid, -1))
        close(penalties.Laplacian(strength)(kernel), case.out_d2x)
        if grid[2] > 1:
            close(penalties.Laplacian(strength, axes=(2,))(kernel), case.out_d2t)
            close(penalties.Laplacian(strength, axes=(0, 1, 2))(kernel), case.out_d2xt)


@pytest.mark.parametrize(("name", "normalised"), [("B_sep_nw0_6x4x4", "what"), ("B_sep_nw1_6x4x4", "where")])
def test_penalties_on_a_readout_see_its_normalised_factors(name, normalised, keras, reference, close):
    case, penalties = reference(name), nf.models.regularizers
    strength = float(case.arrays["lambda"])
    for key, what, where in (("l1", penalties.L1, penalties.L1), ("l2", penalties.L2, penalties.L2),
                             ("d2x", None, penalties.Laplacian)):  # fmt: skip
        layer = nf.models.layers.FactorisedReadout(
            7, normalised=normalised, what_regularizer=what and what(strength), where_regularizer=where(strength)
        )
        layer.build((None, 4, 4, 6))
        load_weights(layer, case.L0_weights, np.zeros(7))
        model = keras.Sequential([keras.Input((4, 4, 6)), layer])
        close(sum(nf.models.penalties(model).values()), case.arrays[f"out_{key}"])


LOSSES = ["C_gaussian", "C_gaussian_filters", "C_poisson_none", "C_poisson_none_filters", "C_poisson_unit",
          "C_poisson_unit_filters", "C_poisson_unit_silent_neuron"]  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_ndn3s(name, ops, reference, close):
    case = reference(name)
    mask = case.arrays.get("in_F", np.ones_like(case.in_Y))
    rates = case.arrays.get("out_poisson_unit_norm")
    for rows, expected in ((slice(None), case.out_cost_all_rows), (case.in_batch_idx, case.out_cost_batch)):
        given = [ops.convert_to_tensor(array[rows]) for array in (case.in_Y, case.in_predictions, mask)]
        if "gaussian" in name:
            close(nf.models.losses.gaussian(*given), expected)
        else:
            close(nf.models.losses.poisson(*given, rates=rates), expected)


def as_ndn3_has_it(layer, arrays):
    """Weights or gradients of ours in NDN3's arrays: (weights, biases); a DoG's unused rows ux₂, uy₂ are 0."""
    *parts, bias = (np.asarray(array) for array in arrays)
    if "Gaussians" in type(layer).__name__:
        parts.append(np.zeros((2, parts[0].shape[1])))
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts]), bias[None, :]


@pytest.mark.parametrize("name", ["D_grad_bl4", "D_grad_bs4_exp10_sep"])
def test_gradients_with_penalties_are_ndn3s(name, tf, keras, reference, close):
    case, penalties = reference(name), nf.models.regularizers
    regularizers = {2: {"kernel_regularizer": penalties.L2(0.1)}}
    if "sep" in name:
        regularizers[1] = {"what_regularizer": penalties.L1(0.1), "where_regularizer": penalties.L1(0.1)}
    model, layers = built(keras, case, regularizers=regularizers)
    with tf.GradientTape() as tape:
        predictions = model(case.in_X_batch)
        cost = nf.models.losses.poisson(
            case.in_Y_batch, predictions, case.arrays.get("in_F_batch"), case.out_poisson_unit_norm
        )
        penalised = cost + sum(model.losses)
    close(predictions, case.out_pred_batch)
    close(cost, case.out_cost)
    close(penalised, case.out_cost_penalized)
    close(sum(nf.models.penalties(model).values()), case.out_reg_pen)
    gradients = iter(tape.gradient(penalised, model.trainable_variables))
    for index, layer in enumerate(layers):
        weights, bias = as_ndn3_has_it(layer, [next(gradients) for _ in layer.trainable_variables])
        close(weights, case.arrays[f"out_grad_L{index}_weights"])
        close(bias, case.arrays[f"out_grad_L{index}_biases"])


@pytest.mark.parametrize("jit", [False, True])
def test_200_steps_of_adam_follow_ndn3s(jit, keras, reference):
    from neurofit.models.fitting.data import Arrays
    from neurofit.models.fitting.program import Program

    case = reference("E_traj_bl4")
    penalty = {2: {"kernel_regularizer": nf.models.regularizers.L2(0.1)}}
    model, layers = built(keras, case, "init_", penalty)
    program = Program(model, nf.models.Training(unit_rates="train", jit=jit),
                      Arrays({"image": case.in_X}, case.in_Y, None), case.out_poisson_unit_norm)  # fmt: skip
    orders, per_epoch = case.in_batches.reshape(20, 160), case.out_cost.reshape(20, 10).mean(axis=1)
    state, done = program.start(), 0
    for epochs, step in ((1, 10), (5, 50), (20, 200)):
        state, cost, penalised = program.epochs(state, orders[done:epochs], 1e-3)
        assert np.abs(cost - per_epoch[done:epochs]).max() < 2e-5
        expected = case.out_cost_penalized.reshape(20, 10).mean(axis=1)[done:epochs]
        assert np.abs(penalised - expected).max() < 2e-5
        program.install(state.weights, state.other)
        for index, layer in enumerate(layers):
            weights, bias = as_ndn3_has_it(layer, layer.trainable_variables)
            rows = slice(0, 6) if index == 0 else slice(None)  # NDN3 keeps ux₂, uy₂, which nothing uses
            assert np.abs(weights[rows] - case.arrays[f"out_step{step}_L{index}_weights"][rows]).max() < 5e-5
            assert np.abs(bias - case.arrays[f"out_step{step}_L{index}_biases"]).max() < 5e-5
        done = epochs
    assert np.abs(np.asarray(model(case.in_X[:32])) - case.out_final_pred32).max() < 5e-5
