"""Penalties: formulas, slopes, and each applied once."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import ShapeError, UsageError

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


def every_penalty():
    penalties = nf.models.regularizers
    kinds = [
        penalties.L1,
        penalties.L2,
        penalties.Norm2,
        penalties.Orthogonal,
        penalties.GroupSparsity,
        penalties.Laplacian,
        penalties.NormalisedLaplacian,
        penalties.Center,
        penalties.Max,
        penalties.MaxFilters,
        penalties.MaxSpace,
        penalties.Local,
        penalties.Glocal,
        penalties.Differences,
    ]
    return [kind(0.3) for kind in kinds] + [
        penalties.added(penalties.L1(0.3), penalties.Laplacian(0.1, axes=(2,)))
    ]


@pytest.mark.parametrize("index", range(15))
def test_the_gradient_of_a_penalty_is_its_slope(index, tf, slope, close):
    penalty, point = every_penalty()[index], tf.constant(KERNEL)
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = penalty(point)
    close(tape.gradient(value, point), slope(penalty, KERNEL, 1e-5), 1e-6)


@pytest.mark.parametrize("index", range(15))
def test_a_penalty_made_from_its_config_is_the_same(index, keras, ops):
    penalty, kernel = every_penalty()[index], ops.convert_to_tensor(KERNEL)
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(penalty))
    assert float(copy(kernel)) == float(penalty(kernel))


def pairwise(kernel, rivalry):
    """λ tr((W²)ᵀ M W²) as it is written: M (input, input), an entry for each two of a unit's inputs."""
    height, width, channels, units = kernel.shape
    places = [(y, x, c) for y in range(height) for x in range(width) for c in range(channels)]
    matrix = np.array([[rivalry(one, other) for other in places] for one in places], float)
    squares = (kernel**2).reshape(-1, units)
    return np.trace(squares.T @ matrix @ squares)


def apart(one, other):
    return ((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) / ((4 / 2) ** 2 + (5 / 2) ** 2)


RIVALS = {
    "max": lambda one, other: one != other,
    "max_filt": lambda one, other: one[:2] == other[:2] and one != other,
    "max_space": lambda one, other: one[2] == other[2] and one != other,
    "local": lambda one, other: (one[2] == other[2]) * apart(one, other),
    "glocal": apart,
}


@pytest.mark.parametrize("key", list(RIVALS))
def test_rivals_are_pairs_under_their_matrix(key, ops, close):
    named, expected = nf.models.regularizers.named, 0.3 * pairwise(KERNEL, RIVALS[key])
    close(named(key, 0.3)(ops.convert_to_tensor(KERNEL)), expected, 1e-12)
    flat = ops.convert_to_tensor(KERNEL.reshape(40, 3))
    close(named(key, 0.3, grid=(4, 5, 2))(flat), expected, 1e-12)


def test_penalties_of_places_and_channels_suit_the_factors_of_a_readout(ops, close):
    penalties = nf.models.regularizers
    where, what = KERNEL[:, :, 0], KERNEL[0, 0]  # (height, width, neuron), (channel, neuron)
    for key in ("max_space", "local", "glocal"):
        found = penalties.named(key, 0.3)(ops.convert_to_tensor(where))
        close(found, 0.3 * pairwise(where[:, :, None], RIVALS[key]), 1e-12)
    close(
        penalties.MaxFilters(0.3)(ops.convert_to_tensor(what)),
        0.3 * pairwise(KERNEL[:1, :1], RIVALS["max_filt"]),
    )


def test_norms_and_angles_are_their_formulas(ops, close):
    penalties, kernel = nf.models.regularizers, ops.convert_to_tensor(KERNEL)
    close(penalties.Norm2(0.3)(kernel), 0.3 * ((KERNEL**2).sum() - 3) ** 2)
    flat = KERNEL.reshape(40, 3)
    close(penalties.Orthogonal(0.3)(kernel), 0.3 * ((flat.T @ flat - np.eye(3)) ** 2).sum())
    close(penalties.GroupSparsity(0.3)(kernel), 0.3 * np.sqrt((KERNEL**2).sum(axis=(0, 1))).sum())
    rows, columns = np.mgrid[:4, :5]
    squares = (rows - 1.5) ** 2 + (columns - 2) ** 2
    close(penalties.Center(0.3)(kernel), 0.3 * (0.01 * squares[:, :, None, None] * KERNEL**2).sum())


def test_a_normalised_laplacian_is_that_of_each_kernel_over_its_norm(ops, close):
    lap, expected = np.array([[0.25, 0.5, 0.25], [0.5, -3, 0.5], [0.25, 0.5, 0.25]]), 0.0
    for channel in range(2):
        for unit in range(3):
            one = KERNEL[:, :, channel, unit]
            padded = np.pad(one, 1)
            rough = [(padded[y : y + 3, x : x + 3] * lap).sum() for y in range(4) for x in range(5)]
            expected += np.square(rough).sum() / (one**2).sum()
    penalty = nf.models.regularizers.NormalisedLaplacian(0.3)
    close(penalty(ops.convert_to_tensor(KERNEL)), 0.3 * expected)
    close(penalty(ops.convert_to_tensor(7 * KERNEL)), 0.3 * expected)


def test_a_kernel_that_is_all_0_has_penalties_with_slopes(tf):
    zeros = tf.zeros((4, 5, 2, 3))
    for penalty in every_penalty():
        with tf.GradientTape() as tape:
            tape.watch(zeros)
            value = penalty(zeros)
        assert np.isfinite(value) and np.isfinite(tape.gradient(value, zeros)).all()


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
        model.trainable_variables,
        model.non_trainable_variables,
        [np.ones((1, 3)), np.ones((1, 3)), np.ones((1, 2, 2, 1))],
        return_losses=True,
    )
    assert float(sum(losses)) == pytest.approx(sum(worth.values()), rel=1e-6)


def test_each_of_several_penalties_on_a_weight_is_reported(keras):
    penalties = nf.models.regularizers
    both = penalties.added(penalties.L1(0.5), None, penalties.Laplacian(0.1))
    layer = nf.models.layers.Convolution(2, 3, kernel_regularizer=both, name="filters")
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, layer(image))
    worth = nf.models.penalties(model)
    assert worth["filters/kernel/L1"] == pytest.approx(0.5 * np.abs(layer.kernel).sum(), rel=1e-6)
    assert set(worth) == {"filters/kernel/L1", "filters/kernel/Laplacian"}
    assert float(sum(model.losses)) == pytest.approx(sum(worth.values()), rel=1e-6)
    assert penalties.added(None, None) is None and isinstance(
        penalties.added(None, penalties.L2(1.0)), penalties.L2
    )


def test_a_penalty_has_ndns_name():
    penalties = nf.models.regularizers
    assert penalties.named("l2", 0) is None and penalties.named("d2x", None) is None
    assert penalties.named("d2xt", 0.1).axes == (0, 1, 2)
    assert penalties.named("max_filt", 0.1, grid=(4, 5, 2)).grid == (4, 5, 2)
    with pytest.raises(UsageError, match="Did you mean 'max_space'"):
        penalties.named("max_spce", 1.0)


def test_penalties_that_do_not_fit_are_errors(ops):
    penalties = nf.models.regularizers
    with pytest.raises(ShapeError, match="set grid="):
        penalties.Laplacian(1.0)(ops.ones((9, 3)))
    with pytest.raises(ShapeError, match=r"does not fit a weight \(9, 3\)"):
        penalties.Laplacian(1.0, grid=(2, 4))(ops.ones((9, 3)))
    with pytest.raises(ShapeError, match="has no neighbours along these axes"):
        penalties.Laplacian(1.0, axes=(2,))(ops.ones((5, 5, 1, 3)))
    with pytest.raises(ShapeError, match=r"needs a weight \(input, unit\)"):
        penalties.Norm2(1.0)(ops.ones((9,)))
    with pytest.raises(ShapeError, match="at least three places"):
        penalties.Differences(1.0)(ops.ones((2, 3)))
    with pytest.raises(UsageError, match="number ≥ 0"):
        penalties.L1(-1.0)
    with pytest.raises(UsageError, match="expected penalties"):
        penalties.Sum([None])


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("max_filt", (5, 5, 1, 3)),
        ("max_space", (9, 3)),
        ("local", (9, 3)),
        ("glocal", (1, 1, 9, 3)),
        ("center", (9, 3)),
        ("max", (1, 3)),
    ],
)
def test_a_penalty_that_would_do_nothing_is_an_error(key, shape, ops):
    with pytest.raises(ShapeError, match=r"it would have no effect\. Leave it out of this layer"):
        nf.models.regularizers.named(key, 1.0)(ops.ones(shape))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda penalties: penalties.L1("0.1"), "expected a number ≥ 0"),
        (lambda penalties: penalties.L2(None), "expected a number ≥ 0"),
        (lambda penalties: penalties.Laplacian(1.0, axes=(0, 0)), "an axis is given twice"),
        (lambda penalties: penalties.named("norm2_space", 1.0), r"where_regularizer=Norm2\(λ\)"),
        (lambda penalties: penalties.named("d2", 1.0), "No penalty 'd2'. Did you mean"),
    ],
)
def test_invalid_penalties_are_errors(make, told):
    with pytest.raises(UsageError, match=told):
        make(nf.models.regularizers)
