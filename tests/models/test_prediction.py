"""A finished task's model predicts the responses to other images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import neurofit as nf
from neurofit.datasets import Dataset
from neurofit.errors import DataError, NameUnknown, ShapeError, StoreError
from neurofit.models import prediction
from neurofit.models.baselines import LinearFit, pixels


def toy() -> Dataset:
    """60 images of 5 × 5 pixels; neurons of two recordings that are linear in the pixels, with noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(20, 5, size=(60, 5, 5, 1))
    responses = images.reshape(60, 25) @ rng.normal(size=(25, 4)) + rng.normal(size=(60, 4)) + 9
    neurons = pd.DataFrame({"recording": ["a", "a", "b", "b"], "number": [0, 1, 0, 7]})
    return Dataset("toy", {"image": images}, responses, neurons=neurons)


def saved(desk) -> tuple[Dataset, np.ndarray]:
    """The images of the test set of the last task, and what the task predicted for them."""
    test = desk.array("part") == "test"
    return toy().take(desk.array("image_id")[test]), desk.array("predictions")[test]


@pytest.fixture
def regression(desk):
    fit = LinearFit(pixels, data=toy)
    desk.run(fit)
    return fit


def test_a_regression_predicts_its_test_images_as_the_task_did(desk, regression):
    test, expected = saved(desk)
    found = regression.predict(desk.last.folder, test, desk.root)
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
    assert found.image_id.tolist() == test.image_ids.tolist()
    assert found.neurons == ("a/0", "a/1", "b/0", "b/7")


def test_images_may_be_an_array_a_mapping_or_a_file(desk, regression):
    test, expected = saved(desk)
    images = test.inputs["image"]
    np.save(desk.root / "mine.npy", images)
    np.savez(desk.root / "mine.npz", image=images)
    for data in (images, {"image": images}, "mine.npy", "mine.npz", str(desk.root / "mine.npy")):
        found = regression.predict(desk.last.folder, data, desk.root)
        np.testing.assert_allclose(found.values, expected, atol=1e-4)
        assert found.image_id.tolist() == list(range(len(images)))


def test_blocks_of_images_make_no_difference(desk, regression, monkeypatch):
    test, expected = saved(desk)
    monkeypatch.setattr(prediction, "IMAGES_AT_A_TIME", 4)
    np.testing.assert_allclose(
        regression.predict(desk.last.folder, test, desk.root).values, expected, atol=1e-4
    )


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            np.zeros((3, 6, 6, 1)),
            ShapeError,
            r"'image' of the data set is \(3, 6, 6, 1\), but .* \(image, 5, 5, 1\)",
        ),
        (np.zeros((3, 25)), ShapeError, r"'image' of the data set is \(3, 25\)"),
        (np.full((2, 5, 5, 1), np.nan), DataError, "'image' of the data set has values that are not finite"),
        (np.full((2, 5, 5, 1), "a"), DataError, "'image' of the data set has values that are not finite"),
        (np.zeros((0, 5, 5, 1)), DataError, "The data set has no images"),
        (
            {"pupil": np.zeros((3, 1))},
            ShapeError,
            "takes the inputs image; the data set has no image, only pupil",
        ),
        (
            {"image": np.zeros((3, 5, 5, 1)), "pupil": np.zeros((2, 1))},
            DataError,
            "the same number of images",
        ),
        ({}, DataError, "the same number of images: there are none"),
        (np.float64(3), ShapeError, r"'image' of the data set is \(\)"),
        ("nowhere", NameUnknown, "No data set 'nowhere'"),
        ("nowhere/test", NameUnknown, "No data set 'nowhere"),
        ("missing.npy", DataError, r"missing\.npy: cannot be read as images"),
    ],
)
def test_bad_images_are_named(desk, regression, data, error, message):
    with pytest.raises(error, match=message):
        regression.predict(desk.last.folder, data, desk.root)


def test_a_file_with_pickled_objects_is_refused(desk, regression):
    np.save(desk.root / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"objects\.npy: cannot be read as images"):
        regression.predict(desk.last.folder, "objects.npy", desk.root)


def test_a_damaged_attempt_is_named(desk, regression):
    (desk.last.folder / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(StoreError, match=r"predictions\.npz: missing or damaged"):
        regression.predict(desk.last.folder, toy(), desk.root)


def test_a_recipe_of_version_0_1_has_no_shapes(desk, regression):
    path = desk.last.folder / "recipe.json"
    before = path.read_text()
    path.write_text(before.replace('"shapes"', '"other"'))
    test, expected = saved(desk)
    np.testing.assert_allclose(
        regression.predict(desk.last.folder, test, desk.root).values, expected, atol=1e-4
    )


def test_a_part_of_an_official_split_is_named_after_the_data_set(tmp_path):
    whole, part = (prediction.images_of(name, tmp_path).image_id for name in ("simulated", "simulated/test"))
    assert 0 < len(part) < len(whole) and set(part.tolist()) < set(whole.tolist())


def test_a_stimulus_set_is_read_in_blocks(desk, regression, monkeypatch):
    test, expected = saved(desk)
    images = test.inputs["image"].astype(np.float32)
    stimuli = nf.datasets.StimulusSet.from_array(
        "mine",
        images,
        nf.datasets.PixelFormat(low=0, high=255, order="grey"),
        ids=[f"image {number}" for number in range(len(images))],
    )
    read = []
    monkeypatch.setattr(prediction, "IMAGES_AT_A_TIME", 5)
    monkeypatch.setattr(
        nf.datasets.StimulusSet, "read", lambda _, rows: read.append(rows) or images[rows], raising=True
    )
    found = regression.predict(desk.last.folder, stimuli, desk.root)
    np.testing.assert_allclose(found.values, expected, atol=1e-3)
    assert len(read) == -(-len(images) // 5) and found.image_id[1] == "image 1"


def test_the_test_images_of_majaj_are_the_hidden_ones(tmp_path):
    pytest.importorskip("h5py")
    options = nf.datasets.ExampleOptions(images=64, neurons=3)
    nf.datasets.make_example("majaj_2015", tmp_path / "data" / "majaj_2015", options)
    hidden = prediction.images_of("majaj_2015/test", tmp_path)
    known = prediction.images_of("majaj_2015", tmp_path)
    assert not set(hidden.image_id.tolist()) & set(known.image_id.tolist())
    assert hidden.read(slice(0, 2))["image"].shape == (2, *known.shapes["image"][1:])


def small():
    return nf.datasets.simulate(n_images=90, n_neurons=6, size=12, n_test=20, n_trials=4)


def dense(shapes):
    import keras

    return keras.Sequential(
        [keras.Input(shapes.image), keras.layers.Flatten(), keras.layers.Dense(shapes.neurons, "softplus")]
    )


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["global", "pixel", "none"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])  # lbfgs computes in float64
def test_a_network_predicts_its_test_images_as_the_task_did(desk, inputs, optimizer):
    training = nf.models.Training(epochs=200, optimizer=optimizer, validate_every=100, loss="gaussian")
    fit = nf.models.Fit(dense, data=small, training=training, standardise=inputs)
    desk.run(fit)
    test = desk.array("part") == "test"
    images = small().take(desk.array("image_id")[test])
    found = fit.predict(desk.last.folder, images, desk.root)
    np.testing.assert_allclose(found.values, desk.array("predictions")[test], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_predictions_of_scaled_responses_are_in_the_units_of_the_recordings(desk):
    scaling = {"inputs": "global", "responses": "std"}
    training = nf.models.Training(epochs=50, loss="gaussian")
    fit = nf.models.Fit(dense, data=small, training=training, standardise=scaling)
    desk.run(fit)
    test = desk.array("part") == "test"
    images = small().take(desk.array("image_id")[test])
    found = fit.predict(desk.last.folder, images, desk.root).values
    unit = images.responses.std() / desk.array("responses")[test].std()
    np.testing.assert_allclose(found, desk.array("predictions")[test] * unit, rtol=1e-3)
    assert not np.allclose(unit, 1)


def test_a_fit_that_lost_its_function_of_features_is_named(desk, regression):
    def other(images):
        return pixels(images)

    with pytest.raises(StoreError, match=r"attempt-01: made with features 'pixels'; this fit has other\."):
        LinearFit(other, data=toy).predict(desk.last.folder, toy(), desk.root)
