"""Layers against plain NumPy written from their formulas."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 9, 12, 1)).astype(np.float32)  # (image, height, width, channel)
#                      α₁  σ₁   x    y   α₂  σ₂
INSIDE = np.array([[3.0, 2.0, 5.5, 4.0, 1.0, 6.0], [1.0, 9.0, 2.5, 6.5, 4.0, 3.0]], np.float32).T
OUTSIDE = np.array([[-1.0, 2.0, 5.5, 4.0, 1.0, 6.0], [1.0, 0.2, 40.0, -3.0, 4.0, 90.0]], np.float32).T


def gaussian(amplitude, variance, x, y, height=9, width=12):
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    return (
        amplitude * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * variance)) / (2 * np.pi * variance)
    )


def dog_layer(gaussians, **settings):
    layer = nf.models.layers.DifferenceOfGaussians(gaussians.shape[1], **settings)
    layer.build((None, 9, 12, 1))
    layer.gaussians.assign(gaussians)
    return layer


def test_a_difference_of_gaussians_is_its_formula(close):
    layer, expected = dog_layer(INSIDE), []
    for amplitude, variance, x, y, amplitude_2, added in INSIDE.T.astype(np.float64):
        kernel = gaussian(amplitude, variance, x, y) - gaussian(amplitude_2, variance + added, x, y)
        expected.append((IMAGES[..., 0] * kernel).sum(axis=(1, 2)))
    close(layer(IMAGES), np.stack(expected, axis=1))


def test_a_difference_of_gaussians_clips_its_weights_before_it_sums_variances(close):
    found = dog_layer(OUTSIDE)(IMAGES)
    clipped = [[2.2e-16, 2, 5.5, 4, 1, 6], [1, 1, 10, 2, 4, 25]]
    kernels = [gaussian(a, v, x, y) - gaussian(b, v + w, x, y) for a, v, x, y, b, w in clipped]
    close(found, np.einsum("nhw,fhw->nf", IMAGES[..., 0], kernels))


def test_a_weight_outside_its_bounds_has_gradient_0(tf):
    layer = dog_layer(OUTSIDE)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(IMAGES) ** 2)
    gradient = tape.gradient(total, layer.gaussians).numpy()
    assert gradient[0, 0] == 0 and not gradient[[1, 2, 3, 5], 1].any()
    assert gradient[1:, 0].all() and gradient[[0, 4], 1].all()


def test_the_gradient_of_a_difference_of_gaussians_is_its_slope(tf, ops, slope, close):
    layer = nf.models.layers.DifferenceOfGaussians(2, dtype="float64")
    layer.build((None, 9, 12, 1))
    images = ops.convert_to_tensor(IMAGES, "float64")

    def value(gaussians):
        outputs, _ = layer.stateless_call([gaussians, layer.bias.value], [], images)
        return ops.sum(outputs**2)

    point = ops.convert_to_tensor(INSIDE, "float64")
    with tf.GradientTape() as tape:
        tape.watch(point)
        total = value(point)
    close(tape.gradient(total, point), slope(value, INSIDE, 1e-4), 1e-6)


def test_the_kernel_shows_what_the_layer_computes(close):
    layer = dog_layer(INSIDE)
    close(np.einsum("nhw,hwf->nf", IMAGES[..., 0], layer.kernel()), np.asarray(layer(IMAGES)))


def test_channels_have_equal_weights(close):
    layer = dog_layer(INSIDE)
    both = np.concatenate([IMAGES, 2 * IMAGES], axis=-1)
    close(layer(both), 3 * np.asarray(layer(IMAGES)))


def test_gaussians_start_within_their_bounds():
    layer = nf.models.layers.DifferenceOfGaussians(2000)
    layer.build((None, 31, 31, 1))
    values = np.asarray(layer.gaussians)
    for row, low, high in ((0, 0, 10), (1, 1, 25), (2, 2, 29), (3, 2, 29), (4, 0, 10), (5, 1, 25)):
        assert low <= values[row].min() < low + 0.5 and high - 0.5 < values[row].max() <= high
    lower = nf.models.layers.DifferenceOfGaussians(2000, start_below=2)
    lower.build((None, 31, 31, 1))
    starts = np.asarray(lower.gaussians)[3]
    assert starts.min() >= 4 and 30 < starts.max() <= 31


def test_two_contractions_need_no_exponential_for_every_pixel(tf):
    images = tf.random.normal((16, 31, 31, 1))
    layer = nf.models.layers.DifferenceOfGaussians(9)
    layer.build(images.shape)

    def gradient(call):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(call() ** 2)
        return tape.gradient(total, layer.gaussians)

    ways = {
        "separable": tf.function(lambda: gradient(lambda: layer(images))),
        "dense": tf.function(lambda: gradient(lambda: dense_gaussians(tf, layer, images))),
    }
    assert np.allclose(*(way().numpy() for way in ways.values()), atol=1e-4)
    operations = {name: way.get_concrete_function().graph.get_operations() for name, way in ways.items()}
    exponentials = {
        name: sum(operation.outputs[0].shape.num_elements() for operation in made if operation.type == "Exp")
        for name, made in operations.items()
    }
    assert exponentials == {"separable": 2 * 9 * (31 + 31), "dense": 2 * 9 * 31 * 31}


def dense_gaussians(tf, layer, images):
    """The same with one exponential per pixel, filter and Gaussian."""
    amplitude, variance, x, y, amplitude_2, variance_2 = layer.clipped()
    rows, columns = (tf.cast(axis, tf.float32)[..., None] for axis in np.mgrid[:31, :31])
    squares = (columns - x) ** 2 + (rows - y) ** 2
    centre = amplitude * tf.exp(-squares / (2 * variance)) / (2 * np.pi * variance)
    surround = amplitude_2 * tf.exp(-squares / (2 * variance_2)) / (2 * np.pi * variance_2)
    return tf.matmul(tf.reshape(images, (-1, 961)), tf.reshape(centre - surround, (961, -1)))


def test_a_factorised_readout_is_its_formula(close):
    features = RNG.normal(size=(5, 3, 4, 2)).astype(np.float32)
    layer = nf.models.layers.FactorisedReadout(6, normalised="what", positive="where")
    layer.build(features.shape)
    what, where, bias = RNG.normal(size=(2, 6)), RNG.normal(size=(3, 4, 6)), RNG.normal(size=6)
    layer.set_weights([what, where, bias])
    what = what / np.sqrt((what**2).sum(axis=0))
    close(layer(features), np.einsum("nhwc,cu,hwu->nu", features, what, np.maximum(where, 0)) + bias)


def test_a_convolution_is_a_cross_correlation_with_zeros_beyond_the_edges(close):
    layer = nf.models.layers.Convolution(4, 3, stride=2)
    layer.build((None, 9, 12, 1))
    kernel = np.asarray(layer.kernel)
    padded = np.pad(IMAGES[..., 0], ((0, 0), (1, 1), (0, 1)))  # TensorFlow's SAME: the smaller half first
    expected = np.zeros((5, 5, 6, 4))
    for row in range(5):
        for column in range(6):
            patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected[:, row, column] = np.einsum("nhw,hwf->nf", patch, kernel[:, :, 0])
    close(layer(IMAGES), expected)
    assert layer.compute_output_shape(IMAGES.shape) == (5, 5, 6, 4)


def test_inhibitory_units_change_sign_after_the_activation():
    layer = nf.models.layers.Dense(3, activation="softplus", inhibitory=1)
    signs = np.sign(np.asarray(layer(RNG.normal(size=(4, 2)))))
    assert (signs == [1, 1, -1]).all()


def test_each_layer_draws_its_own_weights(keras):
    keras.utils.set_random_seed(0)
    one, other = (nf.models.layers.Dense(3, bias_initializer="normal") for _ in range(2))
    for layer in (one, other):
        layer.build((None, 4))
    assert not np.array_equal(one.kernel, other.kernel)
    assert not np.array_equal(one.bias, other.bias)


def test_absolute_normal_weights_are_never_negative():
    from neurofit.models.layers.weights import AbsoluteNormal

    values = np.asarray(AbsoluteNormal(seed=1)((200, 200)))
    assert values.min() >= 0
    assert abs(values.mean() - 0.1 * np.sqrt(2 / np.pi)) < 1e-3
