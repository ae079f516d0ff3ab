"""The networks of the macaque recordings' authors, and how they choose weights."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import UsageError
from neurofit.models.architectures import kindel_cnn, kindel_lnln

pytestmark = pytest.mark.slow

SECOND = SimpleNamespace(image=(33, 33, 1), neurons=37)  # recording 02


def shapes(model):
    return [tuple(one.shape) for one in model.trainable_variables]


def test_the_network_of_recording_02_has_the_published_weights(keras):
    assert shapes(kindel_cnn(SECOND)) == [
        (3, 3, 1, 16),
        (16,),
        (3, 3, 16, 32),
        (32,),
        (1152, 300),
        (300,),
        (300, 37),
        (37,),
    ]


def test_every_flag_changes_the_network(keras):
    flags = {"conv1": 4, "conv2": 5, "conv1size": 7, "conv2size": 5, "nk": 2, "nstride": 1, "hidden1": 9}
    model = kindel_cnn(SECOND, **flags, numconvlayer=3, dropout=0.5)
    assert shapes(model) == [
        (7, 7, 1, 4),
        (4,),
        (5, 5, 4, 5),
        (5,),
        (5, 5, 5, 5),
        (5,),
        (16 * 16 * 5, 9),
        (9,),
        (9, 37),
        (37,),
    ]
    assert model.get_layer("dropout").rate == 0.5
    assert "dropout" not in [layer.name for layer in kindel_cnn(SECOND, dropout=1.0).layers]
    assert shapes(kindel_cnn(SECOND, numconvlayer=1))[2] == (15 * 15 * 16, 300)


def test_weights_start_as_theirs(keras):
    keras.utils.set_random_seed(0)
    model = kindel_cnn(SECOND)
    for name, deviation in (("conv2", 0.1), ("hidden", 0.1 / 1152**0.5), ("neurons", 0.1 / 300**0.5)):
        kernel, bias = (np.asarray(one) for one in model.get_layer(name).weights)
        assert np.abs(kernel).max() <= 2.01 * deviation  # cut at two standard deviations
        assert kernel.std() == pytest.approx(0.88 * deviation, rel=0.05)  # which leaves .88 of it
        assert not bias.any()


def test_predictions_are_rates(keras):
    images = np.random.default_rng(0).integers(0, 256, (3, 33, 33, 1)).astype(np.float32)
    for architecture in (kindel_cnn, kindel_lnln):
        predictions = np.asarray(architecture(SECOND)(images))
        assert predictions.shape == (3, 37)
        assert np.isfinite(predictions).all() and predictions.min() >= 0


def test_lnln_is_its_formula(keras):
    model = kindel_lnln(SimpleNamespace(image=(4, 4, 1), neurons=3), units=5)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=one.shape) for one in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, values):
        variable.assign(value)
    first, b1, s1, o1, second, b2, s2, o2 = values
    images = rng.normal(size=(6, 4, 4, 1))
    hidden = np.maximum(images.reshape(6, 16) @ first + b1, 0) * s1 + o1
    expected = np.maximum(hidden @ second + b2, 0) * s2 + o2
    np.testing.assert_allclose(np.asarray(model(images)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"numconvlayer": 4}, {"dropout": 0.0}])
def test_invalid_flags_are_refused(keras, wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        kindel_cnn(SECOND, **wrong)


def test_the_lowest_early_stopping_loss_chooses_weights_and_stops_nothing(desk):
    training = nf.models.Training(
        epochs=12,
        batch_size=50,
        learning_rate=0.02,
        optimizer="sgd",
        loss="mean_squared",
        validate_every=3,
        patience=12,
    )
    data = nf.datasets.simulate(n_images=120, n_neurons=4, size=33, n_test=20, n_trials=4)
    fit = nf.models.Fit(kindel_cnn, data=_given(data), training=training, standardise="none")
    desk.run(fit, conv1=2, conv2=2, hidden1=5)
    with (desk.last.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["validation/loss"]) for row in rows]
    assert [row["step"] for row in rows] == ["3", "6", "9", "12"]
    assert desk.last.facts["stop_reason"] == "epochs"
    assert desk.last.facts["best_epoch"] == int(rows[int(np.argmin(losses))]["step"])


def test_mean_squared_error_is_the_mean_over_images_and_neurons(ops, slope):
    from neurofit.models.losses import mean_squared

    rng = np.random.default_rng(0)
    responses, predictions = rng.normal(size=(2, 5, 3))
    responses[1, 2] = np.nan
    found = float(mean_squared(ops.convert_to_tensor(responses), ops.convert_to_tensor(predictions)))
    assert found == pytest.approx(np.nansum((responses - predictions) ** 2) / 15)
    gradient = slope(lambda p: mean_squared(ops.convert_to_tensor(responses), p), predictions)
    np.testing.assert_allclose(gradient, np.nan_to_num(2 * (predictions - responses) / 15), atol=1e-6)


def _given(dataset):
    def simulated():
        return dataset

    return simulated
