"""The network of Klindt et al. against plain NumPy, its penalties, and its start."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import correlate2d

import neurofit as nf
from neurofit.errors import UsageError

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(2)
SHAPES = SimpleNamespace(image=(9, 8, 1), neurons=4)
SETTINGS = {"filters": 3, "size": 5, "layers": 2, "smooth": 0.3, "sparse": 0.2, "readout": 0.1}


@pytest.fixture
def model(keras):
    """Small, with weights of a size at which every part shows."""
    keras.utils.set_random_seed(0)
    model = nf.models.architectures.klindt(SHAPES, **SETTINGS)
    for one in model.trainable_variables:
        one.assign(RNG.normal(0, 0.5, one.shape))
    return model


def weights(model):
    return {"/".join(one.path.split("/")[-2:]): np.asarray(one.value, np.float64) for one in model.variables}


def convolved(maps, kernel, mode):
    """(image, height, width, filter): cross-correlation, summed over channels."""
    return np.stack(
        [
            np.stack(
                [
                    sum(correlate2d(image[..., c], kernel[..., c, f], mode) for c in range(kernel.shape[2]))
                    for f in range(kernel.shape[3])
                ],
                axis=-1,
            )
            for image in maps
        ]
    )


def test_the_network_is_its_formula(model, close):
    images, now = RNG.normal(size=(3, 9, 8, 1)), weights(model)
    maps = convolved(images, now["features_1/kernel"], "valid") / np.sqrt(1 + 1e-3) + now["norm_1/beta"]
    maps = (
        convolved(np.log1p(np.exp(maps)), now["features_2/kernel"], "same") / np.sqrt(1 + 1e-3)
        + now["norm_2/beta"]
    )
    assert maps.shape == (3, 5, 4, 3)
    drive = np.einsum("nhwc,cu,hwu->nu", maps, abs(now["neurons/what"]), abs(now["neurons/where"]))
    close(model(images.astype(np.float32)), np.log1p(np.exp(drive + now["neurons/bias"])))


def test_its_penalties_are_one_for_each_layer(model):
    now = weights(model)
    padded = np.pad(now["features_1/kernel"], [(1, 1), (1, 1), (0, 0), (0, 0)])
    lap = np.array([[0.25, 0.5, 0.25], [0.5, -3, 0.5], [0.25, 0.5, 0.25]])
    rough = sum(lap[i, j] * padded[i : i + 5, j : j + 5] for i in range(3) for j in range(3))
    squares = (now["features_1/kernel"] ** 2).sum(axis=(0, 1))
    groups = np.sqrt((now["features_2/kernel"] ** 2).sum(axis=(0, 1)))
    product = np.einsum("cu,hwu->u", abs(now["neurons/what"]), abs(now["neurons/where"]))
    expected = [0.3 * ((rough**2).sum(axis=(0, 1)) / squares).sum(), 0.2 * groups.sum(), 0.1 * product.sum()]
    assert float(sum(model.losses)) == pytest.approx(sum(expected), rel=1e-5)
    assert sorted(nf.models.penalties(model).values()) == pytest.approx(sorted(expected), rel=1e-5)


def test_outputs_start_at_the_mean_rates(keras, small):
    data = small()
    model = nf.models.architectures.klindt(SimpleNamespace(image=(12, 12, 1), neurons=6), **SETTINGS)
    model.get_layer("neurons").what.assign(np.zeros((3, 6)))
    nf.models.architectures.klindt.initialise(model, data)
    found = np.asarray(model(data.inputs["image"][:5]))
    assert found == pytest.approx(np.tile(data.responses.mean(axis=0), (5, 1)), rel=1e-4)


def test_a_silent_neuron_starts_at_a_small_rate_and_not_at_minus_infinity(keras):
    responses = np.array([[0.0, 2.0], [np.nan, 4.0]])
    train = SimpleNamespace(responses=responses, valid=np.isfinite(responses))
    model = nf.models.architectures.klindt(SimpleNamespace(image=(9, 8, 1), neurons=2), **SETTINGS)
    nf.models.architectures.klindt.initialise(model, train)
    assert np.log1p(np.exp(np.asarray(model.get_layer("neurons").bias))) == pytest.approx(
        [1e-3, 3.0], rel=1e-3
    )


def test_a_factor_by_its_magnitude_moves_on_both_sides_of_zero(tf):
    layer = nf.models.layers.FactorisedReadout(1, normalised="none", magnitude="where", use_bias=False)
    maps = np.ones((1, 1, 2, 1), np.float32)
    layer.build(maps.shape)
    layer.what.assign([[1.0]])
    layer.where.assign([[[-2.0], [3.0]]])
    with tf.GradientTape() as tape:
        out = layer(maps)
    assert float(out[0, 0]) == 5.0
    assert np.asarray(tape.gradient(out, layer.where.value)).ravel().tolist() == [-1.0, 1.0]
    with pytest.raises(UsageError, match="Give each factor one of the two"):
        nf.models.layers.FactorisedReadout(1, positive="where", magnitude="both")


def test_it_trains_by_its_recipe(small, desk):
    training = nf.models.Training.klindt(epochs=24, batch_size=30)
    fit = nf.models.Fit(
        nf.models.architectures.klindt,
        data=small,
        split={"validation": 10},
        training=training,
        standardise="pixel",
    )
    metrics = desk.run(fit, **{**SETTINGS, "smooth": 0.01, "sparse": 0.01, "readout": 0.01})
    losses = [float(row["train/penalised_loss"]) for row in desk.history()]
    assert losses[-1] < losses[0] and np.isfinite(metrics["test/correlation"])
    assert [row["step"] for row in desk.history()] == ["8", "16", "24"]
