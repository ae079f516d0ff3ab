"""Layers in the compiled training: batch statistics, noise, and what XLA makes of them."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(24, 7, 8, 2)).astype(np.float32)  # (image, height, width, channel)
RESPONSES = RNG.poisson(1.0, (24, 3)).astype(np.float32)


@pytest.fixture
def program(keras):
    """program(layer, …): a Program of these layers on MAPS."""
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    def made(*layers, jit=False):
        model = keras.Sequential([keras.Input(MAPS.shape[1:]), *layers])
        return Program(
            model, nf.models.Training(batch_size=8, jit=jit), Arrays({"image": MAPS}, RESPONSES, None)
        )

    return made


def arrays(maps):
    from neurofit.models.data import Arrays

    return Arrays({"image": maps}, np.zeros((len(maps), 3), np.float32), None)


ORDERS = np.arange(24)[None]


@pytest.mark.parametrize("size", [1, 5, 7, 30])
@pytest.mark.parametrize("together", [2, 3, 50])
def test_steps_that_xla_runs_at_once_are_the_steps_of_the_plain_loop(keras, size, together):
    """Whatever is left of an epoch: single steps, and a smaller batch."""
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    class Several(Program):
        steps_at_once = together

    def trained(kind, jit):
        keras.utils.set_random_seed(1)
        layers = (
            keras.layers.Dense(5, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, "softplus"),
        )
        model = keras.Sequential([keras.Input(MAPS.shape[1:]), keras.layers.Flatten(), *layers])
        training = nf.models.Training(batch_size=size, jit=jit)
        one = kind(model, training, Arrays({"image": MAPS}, RESPONSES, None))
        return one.epochs(one.start(), orders, 1e-3)

    orders = np.stack([np.random.default_rng(epoch).permutation(24) for epoch in range(3)])
    (state, *losses), (plain, *expected) = trained(Several, True), trained(Program, False)
    assert int(state.step) == 3 * -(-24 // size) == int(plain.step)
    for one, other in zip(losses, expected):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    for one, other in zip((state.weights, *state.other), (plain.weights, *plain.other)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_batch_normalisation_follows_its_batches_and_predicts_with_what_it_found(program, keras, close):
    norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    readout = nf.models.layers.FactorisedReadout(3, activation="softplus")
    one = program(norm, readout)
    state, *_ = one.epochs(one.start(), ORDERS, 1e-3)
    mean, variance = np.zeros(2), np.ones(2)
    for batch in MAPS.reshape(3, 8, 7, 8, 2).astype(np.float64):
        mean = 0.9 * mean + 0.1 * batch.mean(axis=(0, 1, 2))
        variance = 0.9 * variance + 0.1 * batch.var(axis=(0, 1, 2))
    one.install(state.weights, state.other)
    close(norm.moving_mean, mean, 1e-4)
    close(norm.moving_variance, variance, 1e-4)
    normalised = (MAPS - mean) / np.sqrt(variance + 1e-3) * np.asarray(norm.gamma) + np.asarray(norm.beta)
    found, _ = one.predict(state.weights, state.other, arrays(MAPS))
    close(found, readout(normalised.astype(np.float32)), 1e-4)


def test_elu_learns_below_zero(program):
    core = nf.models.layers.Convolution(4, 3, activation="elu")
    one = program(core, nf.models.layers.FactorisedReadout(3, activation="softplus"))
    state, cost, _ = one.epochs(one.start(), np.repeat(ORDERS, 40, axis=0), 1e-2)
    assert cost[-1] < cost[0]
    one.install(state.weights, state.other)
    drive = np.asarray(core(MAPS))
    assert -1 < drive.min() < 0


def test_dropout_of_whole_units_is_ndns_and_other_dropout_is_keras(keras):
    """NDN's mask is one for all images of a batch; it says how many units stay, Keras how many go."""
    ones = np.ones((6, 400), np.float32)
    for shape, shared in (((1, None), True), (None, False)):
        dropped = np.asarray(keras.layers.Dropout(0.25, noise_shape=shape, seed=1)(ones, training=True))
        assert set(np.unique(dropped)) == {0, np.float32(1 / 0.75)}
        assert abs((dropped == 0).mean() - 0.25) < 0.1
        assert (dropped == dropped[0]).all() == shared


def test_dropout_is_off_in_predictions(program, keras):
    layers = (
        nf.models.layers.Dense(3, activation="softplus"),
        keras.layers.Dropout(0.5, noise_shape=(1, None)),
    )
    one = program(*layers)
    state = one.start()
    found, _ = one.predict(state.weights, state.other, arrays(MAPS))
    assert np.allclose(found, layers[0](MAPS), atol=1e-6)
    _, cost, _ = one.epochs(state, ORDERS, 1e-9)
    assert abs(cost[0] - one.loss_of(found, one_part())) > 1e-3


def one_part():
    from neurofit.models.data import Arrays

    return Arrays({"image": MAPS}, RESPONSES, None)


def stacks(keras):
    layers, penalties = nf.models.layers, nf.models.regularizers
    smooth = penalties.added(
        penalties.NormalisedLaplacian(0.01), penalties.MaxFilters(0.01), penalties.Local(0.01)
    )
    return {
        "separable": [
            layers.Convolution(4, 3, padding="valid", activation="elu", kernel_regularizer=smooth),
            keras.layers.BatchNormalization(),
            layers.SeparableConvolution(4, 3, depthwise_regularizer=penalties.Laplacian(0.01)),
            layers.RankOneReadout(3),
            layers.OutputNonlinearity(gain_regularizer=penalties.Differences(0.1)),
        ],
        "position": [
            layers.Convolution(4, 3, activation="elu", kernel_regularizer=penalties.GroupSparsity(0.01)),
            layers.GaussianReadout(
                3, sampled=False, activation="softplus", what_regularizer=penalties.L1(0.01)
            ),
        ],
        "gabor": [
            layers.GaborEnergy(5, orientations=3, learned=True, stride=2),
            layers.FactorisedReadout(3, activation="softplus", product_l1=0.01),
        ],
    }


@pytest.mark.parametrize("name", ["separable", "position", "gabor"])
def test_xla_computes_the_same_training(name, program, keras):
    found = []
    for jit in (False, True):
        keras.utils.set_random_seed(1)
        one = program(*stacks(keras)[name], jit=jit)
        state, cost, penalised = one.epochs(one.start(), np.repeat(ORDERS, 3, axis=0), 1e-2)
        assert (penalised > cost).all() and np.isfinite(penalised).all()
        found.append((state.weights.numpy(), cost, penalised))
    for plain, compiled in zip(*found):
        assert np.allclose(plain, compiled, atol=2e-4)


@pytest.mark.parametrize("jit", [False, True])
def test_drawn_positions_differ_from_step_to_step_and_their_state_is_kept(jit, program, keras):
    one = program(nf.models.layers.GaussianReadout(3, activation="softplus", start_spread=0.5), jit=jit)
    state = one.start()
    costs = []
    for _ in range(3):  # nothing learned in between
        state, cost, _ = one.epochs(state, ORDERS, 1e-12)
        costs.append(cost[0])
    assert len(set(costs)) == 3
    _, cost, _ = one.epochs(one.start(), ORDERS, 1e-12)
    assert cost[0] == costs[0]
