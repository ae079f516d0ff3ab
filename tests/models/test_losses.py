"""Losses and optimisers against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
Y = RNG.poisson(2.0, (7, 4)).astype(np.float32)  # (image, neuron)
P = RNG.uniform(0.1, 4.0, (7, 4)).astype(np.float32)


def test_losses_are_sums_over_neurons_and_means_over_images(close):
    losses = nf.models.losses
    close(losses.poisson(Y, P), -(Y * np.log(1e-6 + P) - P).sum() / 7)
    close(losses.gaussian(Y, P), ((Y - P) ** 2).sum() / 7)
    rates = Y.mean(axis=0)
    close(losses.poisson(Y, P, rates=rates), -((Y * np.log(1e-6 + P) - P) / rates).sum() / 7)


def test_a_missing_response_adds_nothing_to_the_loss_nor_to_the_gradient(tf):
    missing = np.zeros_like(Y, bool)
    missing[2, 1] = missing[5, 3] = True
    for loss in (nf.models.losses.poisson, nf.models.losses.gaussian):
        found = []
        for responses, mask in ((np.where(missing, np.nan, Y), None), (Y, 1.0 - missing)):
            predictions = tf.constant(P)
            with tf.GradientTape() as tape:
                tape.watch(predictions)
                value = loss(tf.constant(responses, tf.float32), predictions, mask)
            gradient = tape.gradient(value, predictions).numpy()
            assert np.isfinite(gradient).all() and (gradient[missing] == 0).all() and gradient[~missing].all()
            found.append(float(value))
        assert found[0] == found[1]


def test_losses_keep_a_leading_axis_of_repetitions(close):
    both = np.stack([P, P + 1])
    for loss in (nf.models.losses.poisson, nf.models.losses.gaussian):
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
        weights = weights - rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * mean / (np.sqrt(square) + 1e-8)
    return weights


@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_adam_is_its_formula_with_and_without_an_axis_of_repetitions(shape, ops, close):
    weights, gradients = RNG.normal(size=shape), RNG.normal(size=shape)
    moments = (ops.zeros(shape, "float64"), ops.zeros(shape, "float64"))
    found = ops.convert_to_tensor(weights)
    for step in (1, 2, 3):
        found, moments = nf.models.optimizers.adam(found, ops.convert_to_tensor(gradients), moments, step, 0.1)
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
