"""Separable convolution, Gabor energy, rank-one and Gaussian readouts, output nonlinearity: against plain
NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(5, 7, 8, 3)).astype(np.float32)  # (image, height, width, channel)


def correlated(maps, kernel, dilation=1):
    """(image, height', width', filter), only where the whole kernel (size, size, channel, filter) lies on the
    map.
    """
    size = (kernel.shape[0] - 1) * dilation + 1
    height, width = maps.shape[1] - size + 1, maps.shape[2] - size + 1
    out = np.zeros((len(maps), height, width, kernel.shape[-1]))
    for row in range(height):
        for column in range(width):
            patch = maps[:, row : row + size : dilation, column : column + size : dilation]
            out[:, row, column] = np.einsum("nhwc,hwcf->nf", patch, kernel)
    return out


def test_a_convolution_without_padding_stays_on_the_map(close):
    layer = nf.models.layers.Convolution(4, 3, padding="valid")
    layer.build(MAPS.shape)
    close(layer(MAPS), correlated(MAPS, np.asarray(layer.kernel)))
    strided = nf.models.layers.Convolution(4, 3, padding="valid", stride=2)
    strided.build(MAPS.shape)
    close(strided(MAPS), correlated(MAPS, np.asarray(strided.kernel))[:, ::2, ::2])
    assert strided.compute_output_shape((None, 7, 8, 3)) == (None, 3, 3, 4)


def test_a_dilated_kernel_reads_every_second_pixel(close):
    layer = nf.models.layers.Convolution(4, 3, dilation=2)
    layer.build(MAPS.shape)
    padded = np.pad(MAPS, ((0, 0), (2, 2), (2, 2), (0, 0)))
    close(layer(MAPS), correlated(padded, np.asarray(layer.kernel), 2))


def test_a_dilated_difference_of_gaussians_is_its_kernel_spread_out(close):
    layer = nf.models.layers.ConvolutionalDifferenceOfGaussians(2, 5, dilation=2)
    layer.build(MAPS.shape)
    padded = np.pad(MAPS.sum(axis=-1, keepdims=True), ((0, 0), (4, 4), (4, 4), (0, 0)))
    close(layer(MAPS), correlated(padded, np.asarray(layer.kernel())[:, :, None], 2))


def test_a_separable_convolution_is_a_kernel_per_channel_and_a_mix(close):
    layer = nf.models.layers.SeparableConvolution(
        4, 3, padding="valid", activation="elu", bias_initializer="normal"
    )
    layer.build(MAPS.shape)
    depthwise, pointwise, bias = map(np.asarray, layer.get_weights())
    kernel = np.einsum("hwoc,cf->hwcf", depthwise, pointwise)
    drive = correlated(MAPS, kernel) + bias
    close(layer(MAPS), np.where(drive > 0, drive, np.exp(np.minimum(drive, 0)) - 1))


def test_penalties_of_a_separable_convolution_see_a_unit_per_channel(keras):
    penalties = nf.models.regularizers
    layer = nf.models.layers.SeparableConvolution(
        4, 3, depthwise_regularizer=penalties.Norm2(0.5), pointwise_regularizer=penalties.L2(0.1), name="mix"
    )
    image = keras.Input((7, 8, 3))
    worth = nf.models.penalties(keras.Model(image, layer(image)))
    squares = (np.asarray(layer.depthwise) ** 2).sum()
    assert worth["mix/depthwise"] == pytest.approx(0.5 * (squares - 3) ** 2, rel=1e-5)
    assert worth["mix/pointwise"] == pytest.approx(0.05 * (np.asarray(layer.pointwise) ** 2).sum(), rel=1e-5)


def gabor_pair(orientation, frequency, spread, aspect, size):
    middle = (size - 1) / 2
    rows, columns = np.mgrid[:size, :size] - middle
    u = columns * np.cos(orientation) + rows * np.sin(orientation)
    v = rows * np.cos(orientation) - columns * np.sin(orientation)
    envelope = np.exp(-(u**2 + (aspect * v) ** 2) / (2 * spread**2))
    even = envelope * np.cos(2 * np.pi * frequency * u)
    even = even - envelope * even.sum() / envelope.sum()
    odd = envelope * np.sin(2 * np.pi * frequency * u)
    return even / np.linalg.norm(even), odd / np.linalg.norm(odd)


def test_gabor_energy_is_its_formula(close):
    layer = nf.models.layers.GaborEnergy(5, orientations=3, frequencies=(0.1, 0.3), padding="valid")
    layer.build(MAPS.shape)
    pairs = []
    for frequency in (0.1, 0.3):
        for step in range(3):
            spread = np.sqrt(np.log(2) / 2) / np.pi * 3 / frequency
            pairs.append(gabor_pair(step * np.pi / 3, frequency, min(spread, 5), 1.0, 5))
    even, odd = (np.stack(side, axis=-1)[:, :, None] for side in zip(*pairs))
    flat = MAPS.sum(axis=-1, keepdims=True)
    close(layer(MAPS), np.sqrt(correlated(flat, even) ** 2 + correlated(flat, odd) ** 2 + 1e-6))
    assert not layer.trainable_variables


def test_gabor_energy_does_not_see_light_nor_the_phase_of_a_grating():
    layer = nf.models.layers.GaborEnergy(15, orientations=4, frequencies=(0.15,), padding="valid")
    light = np.full((1, 15, 15, 1), 3.0, np.float32)
    assert np.asarray(layer(light)).max() < 2e-3
    columns = np.arange(15)[None, None, :, None]
    phases = np.linspace(0, 2 * np.pi, 8, endpoint=False)[:, None, None, None]
    gratings = np.broadcast_to(np.cos(2 * np.pi * 0.15 * columns + phases), (8, 15, 15, 1)).astype(np.float32)
    found = np.asarray(layer(gratings))[:, 0, 0]
    assert (found.argmax(axis=1) == 0).all()  # upright stripes drive the filter of orientation 0
    assert np.ptp(found[:, 0]) < 0.05 * found[:, 0].mean()


def test_learned_gabors_have_the_gradient_of_their_slope(tf, ops, slope, close):
    layer = nf.models.layers.GaborEnergy(5, orientations=2, frequencies=(0.2,), learned=True, dtype="float64")
    maps = ops.convert_to_tensor(MAPS[:2], "float64")
    layer.build(maps.shape)
    start = np.asarray(layer.gabors) + [[0.3], [0.02], [0.1], [0.2]]

    def value(gabors):
        outputs, _ = layer.stateless_call([gabors], [], maps)
        return ops.sum(outputs**2)

    point = ops.convert_to_tensor(start, "float64")
    with tf.GradientTape() as tape:
        tape.watch(point)
        total = value(point)
    close(tape.gradient(total, point), slope(value, start, 1e-5), 1e-6)


def test_an_output_nonlinearity_starts_as_a_shifted_elu_and_is_a_line_between_its_knots(close):
    drive = np.linspace(-5, 8, 60, dtype=np.float32).reshape(30, 2)
    layer = nf.models.layers.OutputNonlinearity(bins=9)
    layer.build(drive.shape)
    elu = np.where(drive > 1, drive, np.exp(np.minimum(drive, 1) - 1.0))
    close(layer(drive), elu)
    log_gain = RNG.normal(size=(10, 2))
    layer.log_gain.assign(log_gain)
    knots = np.linspace(-3, 6, 10)
    gains = np.stack([np.interp(drive[:, one], knots, np.exp(log_gain[:, one])) for one in range(2)], axis=1)
    close(layer(drive), elu * gains)


def test_the_gradient_of_an_output_nonlinearity_is_its_slope(tf, ops, slope, close):
    drive = ops.convert_to_tensor(RNG.uniform(-4, 7, (6, 2)), "float64")
    layer = nf.models.layers.OutputNonlinearity(bins=5, dtype="float64")
    layer.build(drive.shape)
    start = RNG.normal(size=(6, 2))

    def value(log_gain):
        return ops.sum(layer.stateless_call([log_gain], [], drive)[0] ** 2)

    point = ops.convert_to_tensor(start)
    with tf.GradientTape() as tape:
        tape.watch(point)
        total = value(point)
    close(tape.gradient(total, point), slope(value, start, 1e-5), 1e-6)


def test_the_penalty_of_an_output_nonlinearity_is_on_its_differences(ops, close):
    curve = RNG.normal(size=(7, 2))
    first, second = np.diff(curve, axis=0), np.diff(curve, n=2, axis=0)
    expected = 0.3 * ((first**2).mean(axis=0) + (second**2).mean(axis=0)).sum()
    close(nf.models.regularizers.Differences(0.3)(ops.convert_to_tensor(curve)), expected)
