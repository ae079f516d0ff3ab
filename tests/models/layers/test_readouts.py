"""Readouts against plain NumPy, and the penalty on a product of factors."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(5, 7, 8, 3)).astype(np.float32)  # (image, height, width, channel)


def test_a_rank_one_readout_is_its_formula(close):
    layer = nf.models.layers.RankOneReadout(6, bias_initializer="normal")
    layer.build(MAPS.shape)
    what, down, along, bias = layer.get_weights()
    assert (what.shape, down.shape, along.shape) == ((3, 6), (7, 6), (8, 6))
    close(layer(MAPS), np.einsum("nhwc,cu,hu,wu->nu", MAPS, what, down, along) + bias)


def test_the_gradient_of_a_rank_one_readout_is_its_slope(tf, ops, slope, close):
    layer = nf.models.layers.RankOneReadout(2, dtype="float64")
    maps = ops.convert_to_tensor(MAPS[:2], "float64")
    layer.build(maps.shape)
    rest = [one.value for one in layer.trainable_variables]

    def value(down):
        return ops.sum(layer.stateless_call([rest[0], down, *rest[2:]], [], maps)[0] ** 2)

    point = ops.convert_to_tensor(RNG.normal(size=(7, 2)))
    with tf.GradientTape() as tape:
        tape.watch(point)
        total = value(point)
    close(tape.gradient(total, point), slope(value, np.asarray(point), 1e-5), 1e-6)


def between(maps, y, x):
    """(image, channel): bilinear, −1 the first pixel and 1 the last."""
    height, width = maps.shape[1:3]
    row, column = (y + 1) * (height - 1) / 2, (x + 1) * (width - 1) / 2
    rows = np.maximum(1 - abs(np.arange(height) - row), 0)
    columns = np.maximum(1 - abs(np.arange(width) - column), 0)
    return np.einsum("nhwc,h,w->nc", maps, rows, columns)


POSITIONS = np.array([[-1.0, 0.3, 1.0, 2.0, 0.0], [-1.0, -0.71, 1.0, 0.1, -3.0]])  # (y and x, neuron)


@pytest.mark.parametrize("sampled", [False, True])
def test_a_learned_position_that_leaves_the_map_comes_back(sampled, keras):
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    place = keras.Sequential(
        [
            keras.Input((7, 8, 2)),
            nf.models.layers.GaussianReadout(1, sampled=sampled, what_initializer="ones", use_bias=False),
        ]
    )
    y, x = np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 8), indexing="ij")
    ramps = np.repeat(np.stack([y - 0.9, x + 0.5], axis=-1)[None], 16, axis=0).astype(np.float32)
    place.layers[-1].what.assign([[1.0], [0.0]])
    training = nf.models.Training(epochs=300, learning_rate=0.3, loss="gaussian", freeze=())
    place.layers[-1].what.trainable = False
    program = Program(place, training, Arrays({"image": ramps}, np.zeros((16, 1), np.float32), None))
    state = program.start()
    for rate in (0.5, 0.05, 0.01):  # the first steps take it off the map
        state, *_ = program.epochs(state, np.repeat(np.arange(16)[None], 100, axis=0), rate)
    program.install(state.weights, state.other)
    assert float(place.layers[-1].position[0, 0]) == pytest.approx(0.9, abs=0.1)


def test_a_gaussian_readout_looks_between_pixels(close):
    layer = nf.models.layers.GaussianReadout(5, bias_initializer="normal")
    layer.build(MAPS.shape)
    layer.position.assign(POSITIONS)
    layer.what.assign(RNG.normal(size=(3, 5)))
    clipped = np.clip(POSITIONS, -1, 1)
    seen = np.stack(
        [between(MAPS, *clipped[:, one]) @ np.asarray(layer.what)[:, one] for one in range(5)], axis=1
    )
    close(layer(MAPS), seen + np.asarray(layer.bias))


def test_a_gaussian_readout_draws_positions_per_image_and_neuron_while_training(keras):
    layer = nf.models.layers.GaussianReadout(400, start_within=0.0, seed=1)
    layer.build(MAPS.shape)
    layer.spread.assign(np.broadcast_to(np.array([[0.1, 0.0], [0.06, 0.08]])[:, :, None], (2, 2, 400)))
    drawn = np.asarray(layer.positions(50))
    assert drawn.shape == (2, 50, 400)
    assert np.abs(drawn.mean(axis=(1, 2))).max() < 0.005
    covariance = np.cov(drawn.reshape(2, -1))
    assert np.abs(covariance - [[0.01, 0.006], [0.006, 0.01]]).max() < 5e-4
    assert not np.allclose(layer(MAPS, training=True), layer(MAPS, training=False))
    assert np.array_equal(layer(MAPS, training=False), layer(MAPS))


def test_a_drawn_position_is_read_as_a_fixed_one_is(ops, close):
    from neurofit.models.layers.positions import bilinear

    y, x = RNG.uniform(-1, 1, (2, 5, 4)).astype(np.float32)
    found = np.asarray(
        bilinear(ops.convert_to_tensor(MAPS), ops.convert_to_tensor(y), ops.convert_to_tensor(x))
    )
    for image in range(5):
        for neuron in range(4):
            expected = between(MAPS[image : image + 1], y[image, neuron], x[image, neuron])[0]
            close(found[image, neuron], expected)


def test_the_gradient_of_a_position_is_its_slope(tf, ops, slope, close):
    layer = nf.models.layers.GaussianReadout(3, dtype="float64")
    maps = ops.convert_to_tensor(MAPS, "float64")
    layer.build(maps.shape)
    rest = [one.value for one in layer.trainable_variables]

    def value(position):
        outputs, _ = layer.stateless_call([rest[0], position, *rest[2:]], layer.non_trainable_variables, maps)
        return ops.sum(outputs**2)

    start = np.array([[0.3, -0.4, 0.05], [-0.71, 0.55, 0.2]])
    point = ops.convert_to_tensor(start)
    with tf.GradientTape() as tape:
        tape.watch(point)
        total = value(point)
    close(tape.gradient(total, point), slope(value, start, 1e-5), 1e-6)


def test_a_gaussian_readout_finds_a_neurons_place():
    """Pixels that are noise of their own, smoothed; the neuron is one of them."""
    import keras

    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    rng = np.random.default_rng(3)
    noise = rng.normal(size=(200, 13, 13))
    smooth = (
        sum(np.roll(noise, (dy, dx), axis=(1, 2)) for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2)) / 5
    )
    images = smooth[..., None].astype(np.float32)
    layer = nf.models.layers.GaussianReadout(2, start_within=0.0, start_spread=0.2)
    model = keras.Sequential([keras.Input((13, 13, 1)), layer])
    responses = images[:, [8, 4], [3, 7], 0]
    program = Program(model, nf.models.Training(loss="gaussian"), Arrays({"image": images}, responses, None))
    orders = np.stack([rng.permutation(200) for _ in range(60)])
    state, cost, _ = program.epochs(program.start(), orders, 0.01)
    program.install(state.weights, state.other)
    pixels = (np.asarray(layer.position) + 1) * 6
    assert np.abs(pixels - [[8, 4], [3, 7]]).max() < 0.3
    assert cost[-1] < 0.3 * cost[0]


def product_l1(layer):
    what, where = (np.asarray(factor, np.float64) for factor in layer.factors())
    return np.abs(np.einsum("hwu,cu->hwcu", where, what)).sum()


@pytest.mark.parametrize("normalised", ["none", "what"])
def test_the_penalty_on_a_product_is_on_every_product_and_applied_once(normalised, keras):
    layer = nf.models.layers.FactorisedReadout(
        4,
        normalised=normalised,
        product_l1=0.3,
        where_regularizer=nf.models.regularizers.L2(0.1),
        name="readout",
    )
    one, other = keras.Input((7, 8, 3)), keras.Input((7, 8, 3))
    model = keras.Model([one, other], [layer(one), layer(other)])
    worth = nf.models.penalties(model)
    assert set(worth) == {"readout/where/L2", "readout/where/OfProduct"}
    assert worth["readout/where/OfProduct"] == pytest.approx(0.3 * product_l1(layer), rel=1e-5)
    assert float(sum(model.losses)) == pytest.approx(sum(worth.values()), rel=1e-5)


def test_the_penalty_on_a_product_moves_both_factors_also_when_one_is_frozen(tf, keras):
    layer = nf.models.layers.FactorisedReadout(4, normalised="none", product_l1=0.3)
    image = keras.Input((7, 8, 3))
    model = keras.Model(image, layer(image))

    def gradients(*weights):
        with tf.GradientTape() as tape:
            total = sum(model.losses)
        assert float(total) == pytest.approx(0.3 * product_l1(layer), rel=1e-5)
        return [np.asarray(one) for one in tape.gradient(total, weights)]

    where_sums = np.abs(np.asarray(layer.where)).sum(axis=(0, 1))
    what_sums = np.abs(np.asarray(layer.what)).sum(axis=0)
    on_what, on_where = gradients(layer.what, layer.where)
    assert np.allclose(on_what, 0.3 * np.sign(layer.what) * where_sums, rtol=1e-5)
    assert np.allclose(on_where, 0.3 * np.sign(layer.where) * what_sums, rtol=1e-5)
    layer.where.trainable = False
    (on_what,) = gradients(layer.what)
    assert np.allclose(on_what, 0.3 * np.sign(layer.what) * where_sums, rtol=1e-5)


def test_the_penalty_on_three_factors_is_borne_by_the_last_that_is_trained(keras):
    layer = nf.models.layers.RankOneReadout(4, product_l1=0.3, name="readout")
    image = keras.Input((7, 8, 3))
    model = keras.Model(image, layer(image))
    expected = pytest.approx(0.3 * product_l1(layer), rel=1e-5)
    for bearer in ("where_x", "where_y", "what"):
        assert nf.models.penalties(model)[f"readout/{bearer}/OfProduct"] == expected
        assert float(sum(model.losses)) == expected
        getattr(layer, bearer).trainable = False
    assert not model.losses or float(sum(model.losses)) == 0


def test_a_penalty_on_what_is_normalised_says_that_it_has_no_effect(caplog):
    penalty = nf.models.regularizers.L2(0.1)
    layer = nf.models.layers.FactorisedReadout(
        4, what_regularizer=penalty, where_regularizer=penalty, name="readout"
    )
    layer.build(MAPS.shape)
    assert [record.getMessage() for record in caplog.records] == [
        "readout: L2 on 'what' has no effect, as it is divided by its norm."
    ]


def test_the_penalty_on_a_product_is_in_the_compiled_training(keras):
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    layer = nf.models.layers.FactorisedReadout(4, product_l1=0.3, activation="softplus")
    model = keras.Sequential([keras.Input((7, 8, 3)), layer])
    program = Program(model, nf.models.Training(), Arrays({"image": MAPS}, np.ones((5, 4), np.float32), None))
    expected = 0.3 * product_l1(layer)
    state, cost, penalised = program.epochs(program.start(), np.arange(5)[None], 1e-3)
    assert penalised[0] - cost[0] == pytest.approx(expected, rel=1e-4)
    program.install(state.weights, state.other)
    assert product_l1(layer) < expected / 0.3
