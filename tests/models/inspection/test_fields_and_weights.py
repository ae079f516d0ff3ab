"""Gradients, spike-triggered averages and weights of models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from neurofit.errors import ShapeError, UsageError

pytestmark = pytest.mark.slow
SHAPE = (6, 5, 1)


@pytest.fixture(scope="module")
def inspection(keras):
    from neurofit.models import inspection

    return inspection


@pytest.fixture(scope="module")
def linear(keras):
    """exp(w · x) of three neurons, and w as (neuron, height, width, channel)."""
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3, "exponential")]
    )
    fields = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32") / 10
    model.layers[-1].set_weights([fields.reshape(3, -1).T, np.array([0.0, 0.5, -0.5], "float32")])
    return model, fields


@pytest.fixture(scope="module")
def two_readouts(keras, linear):
    """The same three neurons as outputs of two layers: the first, then the others."""
    kernel, bias = linear[0].layers[-1].get_weights()
    image = keras.Input(SHAPE)
    heads = [keras.layers.Dense(1, "exponential"), keras.layers.Dense(2, "exponential")]
    model = keras.Model(image, [head(keras.layers.Flatten()(image)) for head in heads])
    heads[0].set_weights([kernel[:, :1], bias[:1]])
    heads[1].set_weights([kernel[:, 1:], bias[1:]])
    return model


def images(n=300, seed=1):
    return np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype("float32")


def test_the_field_of_a_neuron_is_its_gradient_at_an_image(inspection, linear):
    model, fields = linear
    at = images(1)[0]
    rate = np.exp((fields * at).sum(axis=(1, 2, 3)) + [0, 0.5, -0.5])
    found = inspection.receptive_fields(model, at=at)
    np.testing.assert_allclose(found, fields * rate[:, None, None, None], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        inspection.receptive_fields(model, neurons=[2]), fields[2:] * np.exp(-0.5), rtol=1e-4, atol=1e-6
    )


def test_gradients_agree_with_finite_differences(inspection, linear):
    model, _ = linear
    at, step = images(1), 1e-2
    slope, value = inspection.gradients(model, at, [1])
    moved = np.repeat(at, 2, axis=0)
    moved[0, 2, 3, 0] += step
    moved[1, 2, 3, 0] -= step
    up, down = inspection.respond(model, moved)[:, 1]
    assert slope[0, 2, 3, 0] == pytest.approx((up - down) / (2 * step), rel=1e-2)
    assert value[0] == pytest.approx(inspection.respond(model, at)[0, 1])


def test_neurons_of_several_readouts_count_through(inspection, linear, two_readouts):
    shown = images(5)
    np.testing.assert_allclose(
        inspection.respond(two_readouts, shown), inspection.respond(linear[0], shown), rtol=1e-5
    )
    np.testing.assert_allclose(
        inspection.receptive_fields(two_readouts),
        inspection.receptive_fields(linear[0]),
        rtol=1e-4,
        atol=1e-6,
    )


def test_the_spike_triggered_average_of_white_noise_is_the_field(inspection, linear):
    model, fields = linear
    shown = images(20000)
    found = inspection.spike_triggered_average(shown, inspection.respond(model, shown))
    np.testing.assert_allclose(found, fields, atol=0.03)  # of exp(w · x) under N(0, 1) it is w itself


def test_missing_responses_count_for_nothing(inspection):
    shown, responses = images(4), np.array([[1.0], [3.0], [np.nan], [9.0]])
    mask = np.array([[True], [True], [True], [False]])
    found = inspection.spike_triggered_average(shown, responses, mask)
    np.testing.assert_allclose(found[0], (shown[0] + 3 * shown[1]) / 4 - (shown[0] + shown[1]) / 2, atol=1e-6)
    assert np.isnan(inspection.spike_triggered_average(shown, np.zeros((4, 1)))).all()
    with pytest.raises(ShapeError, match="4 images, but responses to 3"):
        inspection.spike_triggered_average(shown, responses[:3])


def test_the_centre_of_a_field_is_where_its_energy_is(inspection):
    fields = np.zeros((2, *SHAPE))
    fields[0, 2, 3], fields[0, 4, 3] = 1, -1
    assert inspection.centres(fields)[0].tolist() == [3, 3]
    assert np.isnan(inspection.centres(fields)[1]).all()


def test_what_a_model_lacks_is_reported(inspection, linear, keras):
    with pytest.raises(UsageError, match="neurons 0 to 2"):
        inspection.receptive_fields(linear[0], neurons=[3])
    with pytest.raises(ShapeError, match=r"expected \(image, 6, 5, 1\)"):
        inspection.respond(linear[0], np.zeros((2, 5, 6, 1)))
    pair = [keras.Input(SHAPE), keras.Input((2,))]
    model = keras.Model(pair, keras.layers.Dense(1)(pair[1]))
    with pytest.raises(UsageError, match="2 known inputs"):
        inspection.respond(model, images(2))


def test_filters_are_as_the_forward_pass_uses_them(inspection, keras):
    from neurofit.models.layers import Convolution, Dense, DifferenceOfGaussians

    dog = keras.Sequential([keras.Input(SHAPE), DifferenceOfGaussians(2, name="dog"), Dense(3, name="cells")])
    found = inspection.filters(dog)
    assert list(found) == ["dog"] and found["dog"].shape == (2, 6, 5, 1)
    shown = images(3)
    expected = np.tensordot(shown[..., 0], found["dog"][..., 0], axes=[[1, 2], [1, 2]])
    np.testing.assert_allclose(dog.layers[0](shown), expected, rtol=1e-4, atol=1e-5)  # its bias starts at 0
    conv = keras.Sequential([keras.Input(SHAPE), Convolution(4, 3, normalised="unit", name="conv")])
    kernels = inspection.filters(conv)["conv"]
    assert kernels.shape == (4, 3, 3, 1)
    np.testing.assert_allclose(np.square(kernels).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    pixels = keras.Sequential([keras.Input(SHAPE), Dense(7, name="ln"), Dense(3)])
    found = inspection.filters(pixels)
    assert list(found) == ["ln"]
    np.testing.assert_allclose(found["ln"].reshape(7, -1).T, pixels.layers[0].kernel)


def test_where_a_factorised_readout_looks(inspection, keras):
    from neurofit.models.layers import FactorisedReadout

    model = keras.Sequential([keras.Input((3, 5, 2)), FactorisedReadout(2, name="cells")])
    where = np.zeros((3, 5, 2), "float32")
    where[0, 4, 0], where[1, 2, 1] = -2, 1
    model.layers[0].where.assign(where)
    np.testing.assert_array_equal(inspection.where_maps(model)["cells"], np.moveaxis(where, -1, 0))
    np.testing.assert_allclose(inspection.positions(model)["cells"], [[-1, 1], [0, 0]], atol=1e-6)


def test_where_a_rank_one_readout_looks(inspection, keras):
    from neurofit.models.layers import RankOneReadout

    model = keras.Sequential([keras.Input((3, 5, 2)), RankOneReadout(1, name="cells")])
    model.layers[0].where_y.assign([[0.0], [0.0], [2.0]])
    model.layers[0].where_x.assign([[1.0], [0.0], [0.0], [0.0], [0.0]])
    assert np.argwhere(inspection.where_maps(model)["cells"]).tolist() == [[0, 2, 0]]
    assert inspection.positions(model)["cells"].tolist() == [[1, -1]]


def test_where_a_gaussian_readout_looks(inspection, keras):
    from neurofit.models.layers import GaussianReadout

    model = keras.Sequential([keras.Input((3, 5, 2)), GaussianReadout(2, name="cells")])
    model.layers[0].position.assign([[0.5, -1.0], [0.25, 1.0]])  # y, then x
    assert inspection.positions(model)["cells"].tolist() == [[0.5, 0.25], [-1.0, 1.0]]
    assert inspection.where_maps(model) == {}


def test_gabors_and_separable_kernels_are_filters(inspection, keras):
    from neurofit.models.layers import GaborEnergy, SeparableConvolution

    energy = GaborEnergy(7, orientations=2, frequencies=(0.1, 0.2), name="gabor")
    model = keras.Sequential([keras.Input((9, 9, 1)), energy, SeparableConvolution(5, 3, name="mix")])
    found = inspection.filters(model)
    assert {name: maps.shape for name, maps in found.items()} == {
        "gabor/even": (4, 7, 7, 1),
        "gabor/odd": (4, 7, 7, 1),
        "mix": (4, 3, 3, 1),
    }
    np.testing.assert_allclose(found["gabor/odd"], -found["gabor/odd"][:, ::-1, ::-1], atol=1e-6)
