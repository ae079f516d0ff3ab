"""What holds for every layer: it can be described and made again, and says what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import ShapeError, UsageError

pytestmark = pytest.mark.slow
# (image, height, width, channel)
IMAGES = np.random.default_rng(0).normal(size=(5, 9, 12, 1)).astype(np.float32)
RECORDED = (  # names under which models saved so far have layers, penalties, initializers and functions
    *("AbsoluteNormal", "Between", "Center", "Convolution", "ConvolutionalDifferenceOfGaussians", "Dense"),
    *("DifferenceOfGaussians", "Differences", "FactorisedReadout", "GaborEnergy", "GaussianReadout"),
    *("Glocal", "GroupSparsity", "L1", "L2", "Laplacian", "Local", "Max", "MaxFilters", "MaxSpace", "Norm2"),
    *("NormalisedLaplacian", "Orthogonal", "OutputNonlinearity", "RankOneReadout", "Scale"),
    *("SeparableConvolution", "Sum", "UnitScale", "_one_over_channels", "leaky_relu", "quadratic"),
    *("rectified_quadratic", "softplus"),
)


def all_layers():
    layers, penalties = nf.models.layers, nf.models.regularizers
    return [
        layers.DifferenceOfGaussians(3, variance_bounds=(1, 9), activation="softplus", start_below=1),
        layers.ConvolutionalDifferenceOfGaussians(3, 5, stride=2, bias_initializer="normal"),
        layers.Convolution(3, 5, stride=2, normalised="unit", kernel_regularizer=penalties.Laplacian(0.1)),
        layers.Dense(3, positive=True, inhibitory=1, kernel_regularizer=penalties.L2(0.1), use_bias=False),
        layers.FactorisedReadout(3, normalised="both", where_regularizer=penalties.L1(0.3)),
        layers.Scale(activation="softplus"),
        layers.ConvolutionalDifferenceOfGaussians(3, 5, dilation=2),
        layers.Convolution(
            3,
            3,
            dilation=2,
            padding="valid",
            kernel_regularizer=penalties.added(penalties.L1(0.1), penalties.Laplacian(0.2)),
        ),
        layers.SeparableConvolution(
            4,
            5,
            stride=2,
            padding="valid",
            activation="elu",
            depthwise_regularizer=penalties.NormalisedLaplacian(0.1),
            pointwise_regularizer=penalties.L1(0.1),
        ),
        layers.FactorisedReadout(
            3, normalised="none", product_l1=0.2, where_regularizer=penalties.Norm2(0.1)
        ),
        layers.RankOneReadout(
            3, activation="softplus", where_y_regularizer=penalties.Laplacian(0.1, axes=(0,))
        ),
        layers.GaussianReadout(3, start_within=0.9, what_regularizer=penalties.L1(0.1)),
        layers.GaussianReadout(3, sampled=False, learned_positions=False, use_bias=False),
        layers.GaborEnergy(5, orientations=3, frequencies=(0.1, 0.25), learned=True, stride=2),
        layers.GaborEnergy(5, output="energy", padding="valid", octaves=1.5),
    ]


@pytest.mark.parametrize("index", range(15))
def test_a_layer_made_from_its_config_is_the_same(index, keras, close):
    layer = all_layers()[index]
    model = keras.Sequential([keras.Input((9, 12, 1)), layer])
    copy = keras.Sequential.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    close(copy(IMAGES), model(IMAGES))
    assert len(copy.losses) == len(model.losses)
    assert float(sum(copy.losses)) == float(sum(model.losses))
    assert tuple(model(IMAGES).shape) == layer.compute_output_shape(IMAGES.shape)


def test_an_output_nonlinearity_made_from_its_config_is_the_same(keras, close):
    smooth = nf.models.regularizers.Differences(0.1)
    layer = nf.models.layers.OutputNonlinearity(bins=7, low=-1, high=2, gain_regularizer=smooth)
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.log_gain.assign(np.random.default_rng(1).normal(size=(8, 3)))
    copy = keras.Sequential.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    drive = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)
    close(copy(drive), model(drive))
    assert float(sum(copy.losses)) == float(sum(model.losses)) > 0


def test_layers_that_need_a_picture_say_so():
    with pytest.raises(ShapeError, match=r"needs \(image, height, width, channel\)"):
        nf.models.layers.DifferenceOfGaussians(3).build((None, 100))
    with pytest.raises(ShapeError, match=r"needs \(image, neuron\)"):
        nf.models.layers.OutputNonlinearity().build((None, 9, 12, 1))
    with pytest.raises(ShapeError, match="a kernel 13 pixels wide does not fit in a map of 9 × 12"):
        nf.models.layers.Convolution(3, 7, dilation=2, padding="valid").build((None, 9, 12, 1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda layers: layers.FactorisedReadout(3, normalised="were"), "Did you mean 'where'"),
        (lambda layers: layers.Convolution(3, 5, stride=2, dilation=2), "Set the other to 1"),
        (lambda layers: layers.Convolution(3, 5, padding="vald"), "Did you mean 'valid'"),
        (lambda layers: layers.SeparableConvolution(3, 0), "size=0"),
        (lambda layers: layers.GaussianReadout(3, start_within=2), "start_within=2"),
        (lambda layers: layers.GaborEnergy(7, frequencies=(0.7,)), "cycles per pixel"),
        (lambda layers: layers.OutputNonlinearity(low=1, high=0), "low < high"),
        (lambda layers: layers.GaborEnergy(7, frequencies=()), "one or more"),
        (
            lambda layers: layers.Dense(3, activation="quadratik"),
            "No activation 'quadratik'. Did you mean 'quadratic'",
        ),
        (lambda layers: layers.GaborEnergy(7, frequencies=0.5), "from 0.01 to 0.49"),
        (lambda layers: layers.GaborEnergy(7, orientations=2.5), "orientations=2.5"),
        (lambda layers: layers.Dense(0), r"units=0\): expected a whole number ≥ 1"),
        (lambda layers: layers.Dense(3, inhibitory=4), "inhibitory=4.* from 0 to 3"),
        (lambda layers: layers.Convolution(0, 3), "filters=0"),
        (lambda layers: layers.FactorisedReadout(2.0), "neurons=2.0"),
        (lambda layers: layers.DifferenceOfGaussians(0), "filters=0"),
        (lambda layers: layers.DifferenceOfGaussians(3, variance_bounds=(25, 1)), "0 < low ≤ high"),
        (lambda layers: layers.DifferenceOfGaussians(3, variance_bounds=None), "expected two numbers"),
        (lambda layers: layers.ConvolutionalDifferenceOfGaussians(3, 0), "size=0"),
    ],
)
def test_invalid_settings_are_errors(make, told):
    with pytest.raises(UsageError, match=told):
        make(nf.models.layers)


def test_a_penalty_that_a_layer_cannot_honour_is_an_error():
    with pytest.raises(ValueError, match="kernel_regularizer"):
        nf.models.layers.DifferenceOfGaussians(3, kernel_regularizer="l2")
    penalties = nf.models.regularizers
    smooth = nf.models.layers.Dense(3, kernel_regularizer=penalties.Laplacian(1.0))
    with pytest.raises(ShapeError, match="set grid="):
        smooth.build((None, 12))
    one_winner = nf.models.layers.Convolution(3, 5, kernel_regularizer=penalties.MaxFilters(1.0))
    with pytest.raises(ShapeError, match="needs several channels"):
        one_winner.build((None, 9, 12, 1))
    readout = nf.models.layers.FactorisedReadout(3, what_regularizer=penalties.MaxSpace(1.0))
    with pytest.raises(ShapeError, match="needs several places"):
        readout.build((None, 9, 12, 2))


def test_a_penalty_on_a_dense_layer_of_images_knows_their_places(keras):
    penalties, found = nf.models.regularizers, []
    for grid in (None, (9, 12, 1)):
        layer = nf.models.layers.Dense(3, kernel_regularizer=penalties.Laplacian(1.0, grid=grid))
        model = keras.Sequential([keras.Input((9, 12, 1)), layer])
        layer.kernel.assign(np.arange(9 * 12 * 3).reshape(108, 3) / 100)
        found.append(float(sum(model.losses)))
    assert found[0] == found[1] > 0


def test_activations_and_initialisers_have_names(ops):
    layer = nf.models.layers.Dense(3, activation="rectified_quadratic", kernel_initializer="absolute_normal")
    layer.build((None, 2))
    assert np.asarray(layer.kernel).min() >= 0
    assert layer.activation(ops.convert_to_tensor([-2.0, 3.0])).numpy().tolist() == [0, 9]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_forms_of_softplus_have_the_same_values_and_derivatives(dtype):
    import tensorflow as tf

    from neurofit.models.layers.activations import for_xla, softplus

    drive = np.array([-800, -90, -20, -14, -1, -1e-6, 0, 1e-6, 0.5, 14, 20, 90, 800], dtype)
    found = []
    for form in (softplus, tf.function(for_xla(softplus), jit_compile=True)):
        x = tf.constant(drive)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = form(x)
        found.append((y.numpy(), tape.gradient(y, x).numpy()))
    (plain, slope), (xla, xla_slope) = found
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(xla, plain, tolerance, atol=np.finfo(dtype).tiny)
    np.testing.assert_allclose(xla_slope, slope, tolerance, atol=np.finfo(dtype).tiny)
    assert xla_slope[drive == 0] == 0.5


def test_models_saved_with_the_softplus_of_keras_still_load():
    saved = nf.models.layers.Dense(3, activation="softplus").get_config() | {"activation": "softplus"}
    layer = nf.models.layers.Dense.from_config(saved)
    assert layer.activation is nf.models.layers.Dense(3, activation="softplus").activation


@pytest.mark.parametrize("name", RECORDED)
def test_names_that_saved_models_record_stay_registered(name):
    import keras

    assert nf.models.layers and nf.models.regularizers  # loading them registers the names
    assert keras.saving.get_registered_object(f"neurofit>{name}") is not None
