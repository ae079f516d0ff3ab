"""Losses and optimisers against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import DataError

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
Y = RNG.poisson(2.0, (7, 4)).astype(np.float32)  # (image, neuron)
P = RNG.uniform(0.1, 4.0, (7, 4)).astype(np.float32)
SPIKES = (Y > 1).astype(np.float32), RNG.uniform(0.05, 0.95, (7, 4)).astype(np.float32)


def test_losses_are_sums_over_neurons_and_means_over_images(close):
    losses = nf.models.losses
    close(losses.poisson(Y, P), -(Y * np.log(1e-6 + P) - P).sum() / 7)
    close(losses.gaussian(Y, P), ((Y - P) ** 2).sum() / 7)
    rates = Y.mean(axis=0)
    close(losses.poisson(Y, P, rates=rates), -((Y * np.log(1e-6 + P) - P) / rates).sum() / 7)


def test_bernoulli_is_the_cross_entropy_and_gamma_the_likelihood_of_its_distribution(close):
    from scipy import stats

    losses, (y, p) = nf.models.losses, SPIKES
    close(losses.bernoulli(y, p), -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum() / 7)
    close(losses.gamma(Y, P), (Y / (P + 1e-6) + np.log(P + 1e-6)).sum() / 7)
    responses, other = Y + 0.5, RNG.uniform(0.1, 4.0, (7, 4)).astype(np.float32)
    for shape in (1.0, 3.0):  # only the part that depends on the prediction: two predictions differ alike
        likelihood = [stats.gamma.logpdf(responses, shape, scale=mean / shape).sum() for mean in (P, other)]
        found = [float(losses.gamma(responses, mean)) * 7 for mean in (P, other)]
        assert shape * (found[0] - found[1]) == pytest.approx(likelihood[1] - likelihood[0], rel=1e-4)


@pytest.mark.parametrize("name", ["poisson", "gaussian", "bernoulli", "gamma"])
def test_the_gradient_of_a_loss_is_its_slope(name, tf, slope, close):
    y, p = SPIKES if name == "bernoulli" else (Y, P)
    point = tf.constant(p, tf.float64)

    def value(predictions):
        return getattr(nf.models.losses, name)(tf.constant(y, tf.float64), predictions)

    with tf.GradientTape() as tape:
        tape.watch(point)
        total = value(point)
    close(tape.gradient(total, point), slope(value, p, 1e-6), 1e-6)


def test_certain_predictions_leave_bernoulli_finite():
    found = nf.models.losses.bernoulli(np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32))
    assert 2 * 15 < float(found) < 2 * 17


def test_responses_outside_the_range_of_a_loss_are_errors():
    check = nf.models.losses.check_responses
    check("bernoulli", np.array([[0, 1, np.nan]]))
    check("gaussian", np.array([[-3.0]]))
    with pytest.raises(
        DataError, match="'poisson' needs responses ≥ 0, but 1 of the test set are not, such as -3"
    ):
        check("poisson", np.array([[-3.0, 1.0]]), "test")
    with pytest.raises(DataError, match=r"responses in \[0, 1\], but 1 are not, such as 2"):
        check("bernoulli", np.array([[0, 2]]))
    with pytest.raises(DataError, match="'gamma' needs responses ≥ 0"):
        check("gamma", np.array([[-1.0]]))


@pytest.mark.parametrize("name", ["bernoulli", "gamma"])
def test_a_training_with_each_loss_finds_what_was_planted(name, keras):
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(400, 3)).astype(np.float32)
    drive = inputs @ np.array([[1.0, 0.2], [-1.5, 0.8], [0.3, 1.0]]) - 0.2
    if name == "bernoulli":
        activation, mean = "sigmoid", 1 / (1 + np.exp(-drive))
        responses = rng.random(mean.shape) < mean
    else:
        activation, mean = "softplus", np.log1p(np.exp(drive))
        responses = rng.gamma(2.0, mean / 2)
    model = keras.Sequential([keras.Input((3,)), nf.models.layers.Dense(2, activation=activation)])
    part = Arrays({"image": inputs}, responses.astype(np.float32), None)
    program = Program(model, nf.models.Training(loss=name), part)
    state, *_ = program.epochs(program.start(), np.repeat(np.arange(400)[None], 30, axis=0), 0.01)
    found, _ = program.predict(state.weights, state.other, part)
    assert np.corrcoef(found.ravel(), mean.ravel())[0, 1] > 0.98
    assert np.abs(found.mean(axis=0) - mean.mean(axis=0)).max() < 0.05


def test_a_missing_response_adds_nothing_to_the_loss_nor_to_the_gradient(tf):
    missing = np.zeros_like(Y, bool)
    missing[2, 1] = missing[5, 3] = True
    for loss in (getattr(nf.models.losses, name) for name in ("poisson", "gaussian", "bernoulli", "gamma")):
        found, (y, p) = [], SPIKES if loss.__name__ == "bernoulli" else (Y, P)
        for responses, mask in ((np.where(missing, np.nan, y), None), (y, 1.0 - missing)):
            predictions = tf.constant(p)
            with tf.GradientTape() as tape:
                tape.watch(predictions)
                value = loss(tf.constant(responses, tf.float32), predictions, mask)
            gradient = tape.gradient(value, predictions).numpy()
            assert np.isfinite(gradient).all() and (gradient[missing] == 0).all() and gradient[~missing].all()
            found.append(float(value))
        assert found[0] == found[1]


def test_losses_keep_a_leading_axis_of_repetitions(close):
    both = np.stack([P, P + 1])
    for loss in (nf.models.losses.poisson, nf.models.losses.gaussian, nf.models.losses.gamma):
        close(loss(Y, both), [float(loss(Y, P)), float(loss(Y, P + 1))])


def test_a_silent_neuron_does_not_drown_the_others():
    silent = Y.copy()
    silent[:, 2] = 0
    rates = nf.models.losses.mean_rates([silent], [np.ones(Y.shape, bool)])
    assert rates[2] == pytest.approx(silent.mean(axis=0)[[0, 1, 3]].mean())


def test_a_mean_rate_counts_the_images_on_which_a_neuron_was_not_recorded():
    valid = np.ones(Y.shape, bool)
    valid[:4, 0] = False
    rates = nf.models.losses.mean_rates([np.where(valid, Y, np.nan)], [valid])
    assert rates[0] == pytest.approx(Y[4:, 0].sum() / 7)


def adam(weights, gradients, rate, steps):
    mean = square = np.zeros_like(weights)
    for step in range(1, steps + 1):
        mean = 0.9 * mean + 0.1 * gradients
        square = 0.999 * square + 0.001 * gradients**2
        weights = weights - rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * mean / (
            np.sqrt(square) + 1e-8
        )
    return weights


@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_adam_is_its_formula_with_and_without_an_axis_of_repetitions(shape, ops, close):
    weights, gradients = RNG.normal(size=shape), RNG.normal(size=shape)
    moments = (ops.zeros(shape, "float64"), ops.zeros(shape, "float64"))
    found = ops.convert_to_tensor(weights)
    for step in (1, 2, 3):
        found, moments = nf.models.optimizers.adam(
            found, ops.convert_to_tensor(gradients), moments, step, 0.1
        )
    close(found, adam(weights, gradients, 0.1, 3))


def test_adamw_shrinks_weights_and_sgd_has_momentum(ops, close):
    optimizers, Training = nf.models.optimizers, nf.models.Training
    weights, gradients = ops.convert_to_tensor(RNG.normal(size=5)), ops.convert_to_tensor(RNG.normal(size=5))
    zeros = ops.zeros(5, "float64")
    decayed = optimizers.optimizer(Training(optimizer="adamw", weight_decay=0.5))
    found, _ = decayed.update(weights, gradients, (zeros, zeros), 1, 0.1)
    plain, _ = optimizers.adam(weights, gradients, (zeros, zeros), 1, 0.1)
    close(found, np.asarray(plain) - 0.1 * 0.5 * np.asarray(weights))
    heavy = optimizers.optimizer(Training(optimizer="sgd", momentum=0.9))
    assert heavy.moments == 1
    moved, moments = heavy.update(weights, gradients, (zeros,), 1, 0.1)
    moved, _ = heavy.update(moved, gradients, moments, 2, 0.1)
    close(moved, np.asarray(weights) - 0.1 * (1 + 1.9) * np.asarray(gradients))
