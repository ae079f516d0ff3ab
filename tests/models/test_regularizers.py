"""Penalties: formulas, slopes, and each applied once."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import NeurofitError, ShapeError

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(4, 5, 2, 3))  # (height, width, channel, filter)


def laplacian(kernel, axes):
    total = np.zeros_like(kernel)
    for axis in axes:
        length = kernel.shape[axis]
        second = -2 * np.eye(length) + np.eye(length, k=1) + np.eye(length, k=-1)
        total += np.moveaxis(np.tensordot(second, kernel, axes=(1, axis)), 0, axis)
    return (total**2).sum()


def test_penalties_are_their_formulas(ops, close):
    penalties, kernel = nf.models.regularizers, ops.convert_to_tensor(KERNEL)
    close(penalties.L1(0.3)(kernel), 0.3 * np.abs(KERNEL).sum())
    close(penalties.L2(0.3)(kernel), 0.3 * 0.5 * (KERNEL**2).sum())
    for axes in ((0, 1), (0,), (2,), (0, 1, 2)):
        close(penalties.Laplacian(0.3, axes=axes)(kernel), 0.3 * laplacian(KERNEL, axes))
    flat = ops.convert_to_tensor(KERNEL.reshape(40, 3))
    close(penalties.Laplacian(0.3, grid=(4, 5, 2))(flat), 0.3 * laplacian(KERNEL, (0, 1)))


def test_the_gradients_of_penalties_are_their_slopes(tf, slope, close):
    penalties = nf.models.regularizers
    for penalty in (penalties.L1(0.3), penalties.L2(0.3), penalties.Laplacian(0.3)):
        point = tf.constant(KERNEL)
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = penalty(point)
        close(tape.gradient(value, point), slope(penalty, KERNEL, 1e-5), 1e-7)


def test_a_constant_kernel_is_rough_only_at_its_edges(ops):
    ones = np.ones((5, 5, 1, 1))
    found = float(nf.models.regularizers.Laplacian(1.0)(ops.convert_to_tensor(ones)))
    assert found == 4 * 3 + 4 * 2**2  # every edge pixel misses one neighbour, every corner two


def test_a_layer_that_is_used_twice_is_penalised_once(keras):
    shared = nf.models.layers.Dense(3, kernel_regularizer=nf.models.regularizers.L2(2.0), name="shared")
    readout = nf.models.layers.FactorisedReadout(
        2, normalised="none", where_regularizer=nf.models.regularizers.L1(1.0), name="readout"
    )
    one, other = keras.Input((3,)), keras.Input((3,))
    image = keras.Input((2, 2, 1))
    model = keras.Model([one, other, image], [shared(one), shared(other), readout(image)])
    worth = nf.models.penalties(model)
    expected = (np.asarray(shared.kernel) ** 2).sum()
    assert worth["shared/kernel"] == pytest.approx(expected, rel=1e-6)
    _, _, losses = model.stateless_call(
        model.trainable_variables, model.non_trainable_variables,
        [np.ones((1, 3)), np.ones((1, 3)), np.ones((1, 2, 2, 1))], return_losses=True,
    )  # fmt: skip
    assert float(sum(losses)) == pytest.approx(sum(worth.values()), rel=1e-6)


def test_penalties_that_do_not_fit_are_errors(ops):
    penalties = nf.models.regularizers
    with pytest.raises(ShapeError, match="say grid="):
        penalties.Laplacian(1.0)(ops.ones((9, 3)))
    with pytest.raises(ShapeError, match=r"does not fit a weight \(9, 3\)"):
        penalties.Laplacian(1.0, grid=(2, 4))(ops.ones((9, 3)))
    with pytest.raises(NeurofitError, match="number ≥ 0"):
        penalties.L1(-1.0)
