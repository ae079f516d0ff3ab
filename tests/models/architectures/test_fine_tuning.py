"""A pretrained network that is trained further: its pixels, its frozen stages, its statistics."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit import datasets
from neurofit.datasets.pixels import IMAGENET
from neurofit.errors import DataError, GridError

pytestmark = pytest.mark.slow
Fit, Training = nf.models.Fit, nf.models.Training
HOW = {"network": "small.keras", "weights": "saved", "needs": "tf", "layer": "out"}


def normalised(count=40) -> np.ndarray:
    """Coloured images as `majaj_2015` has them."""
    raw = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    return datasets.conversion(datasets.PixelFormat(0, 255), "torch").apply(raw)


def cells() -> datasets.Dataset:
    images = normalised()
    return datasets.Dataset("cells", {"image": images}, images[:, ::16, ::16].reshape(len(images), -1)[:, :5])


@pytest.fixture
def study(desk, monkeypatch):
    """Where tasks run: in the study's folder."""
    for name in ("jobs", "runners"):
        (desk.root / name).mkdir()
    monkeypatch.chdir(desk.root)
    small().save(desk.root / "small.keras")
    return desk.root


def small():
    """Two convolutions with batch normalisation, and one more that is not used."""
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for name in ("conv1", "conv2"):
        model.add(keras.layers.Conv2D(4, 3, 4, name=name))
        model.add(keras.layers.BatchNormalization(name=f"{name}_bn"))
    model.add(keras.layers.ReLU(name="out"))
    model.add(keras.layers.Dense(3, name="top"))
    return model


@pytest.fixture
def fit():
    return Fit(
        nf.models.architectures.fine_tuned,
        data=cells,
        split={"validation": 8},
        standardise="none",
        scores=("correlation",),
        training=Training(epochs=2, batch_size=16, learning_rate=1e-3, loss="mean_squared"),
    )


def weights(model) -> dict[str, np.ndarray]:
    from neurofit.models.weight_names import named_weights

    return {name: np.asarray(one.value) for name, one in named_weights(model)}


def test_neurons_see_the_layer_as_features_have_it(study):
    """Images are converted from what they hold to what the network needs."""
    from neurofit.models.architectures import fine_tuned
    from neurofit.models.building import Shapes

    how = {"network": "MobileNet", "weights": "random", "weights_seed": 3, "layer": "conv_pw_1_relu"}
    model = fine_tuned(Shapes({"image": (32, 32, 3)}, {"it": 4}), **how)
    loaded = nf.features.Network("MobileNet", seed=3).load(32, 32, study / "data")
    images = normalised(8)
    (expected,) = loaded.forward(["conv_pw_1_relu"], 8)(datasets.conversion(IMAGENET, "tf").apply(images))
    dense = model.get_layer("neurons")
    np.testing.assert_allclose(
        model(images), expected.mean(axis=(1, 2)) @ np.asarray(dense.kernel), rtol=1e-3, atol=1e-5
    )


def test_frozen_stages_keep_weights_and_statistics_and_hidden_images_are_predicted_alike(study, desk, fit):
    how = {"freeze": ["network/conv1*"], "rate_factors": {"network/*": 0.1}, **HOW}
    desk.run(fit, **how)
    model = fit.load(desk.last.folder)
    before = {f"network/{name}": one for name, one in weights(small()).items()}
    after = {name: one for name, one in weights(model).items() if name.startswith("network/")}
    changed = {name for name, one in after.items() if not np.array_equal(one, before[name])}
    assert changed == {name for name in after if not name.startswith("network/conv1")}
    assert "network/conv2_bn/moving_mean" in changed and "network/conv1_bn/moving_mean" in after

    rows = desk.array("part") == "test"
    test = cells().take(desk.array("image_id")[rows])
    found = fit.predict(desk.last.folder, test, study)
    np.testing.assert_allclose(found.values, desk.array("predictions")[rows], atol=1e-4)


def test_images_that_are_not_what_was_declared_are_refused(study, desk, fit):
    with pytest.raises(DataError, match="cells: images"):
        desk.run(fit, **HOW, pixels="raw")
    wrong = Fit(nf.models.architectures.fine_tuned, data=cells)
    with pytest.raises(GridError, match=r"needs Fit\(standardise='none'\), not 'global'"):
        nf.Experiment(wrong, grid=nf.grid(**{name: [value] for name, value in HOW.items()}))
