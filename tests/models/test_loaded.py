"""What `nf.load` returns: a model that takes raw images and answers in the units of the recordings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import neurofit as nf
from neurofit.datasets import Dataset
from neurofit.datasets.normalisation import check_units
from neurofit.errors import DataError, ShapeError
from neurofit.models.baselines import LinearFit, pixels
from neurofit.models.linear_maps import MapFit


def toy() -> Dataset:
    """60 grey images of 5 × 4 pixels, 0 … 255; two neurons that are linear in the pixels, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(60, 5, 4, 1)).astype(np.float32)
    weights = rng.normal(size=(20, 2))
    responses = images.reshape(60, 20) @ weights / 20 + rng.normal(size=(60, 2)) + 9
    neurons = pd.DataFrame({"recording": ["a", "b"], "number": [3, 0]})
    return Dataset("toy", {"image": images}, responses, neurons=neurons)


LINEAR = LinearFit(pixels, data=toy)


def of_test(desk) -> Dataset:
    return toy().take(desk.array("image_id")[desk.array("part") == "test"])


def recorded(desk) -> np.ndarray:
    return desk.array("predictions")[desk.array("part") == "test"]


@pytest.mark.parametrize("fit", [LINEAR, MapFit(pixels, data=toy)], ids=["regression", "map"])
def test_a_loaded_regression_predicts_raw_images_and_stays_what_it_was(desk, fit):
    metrics = desk.run(fit)
    folder = desk.last.folder
    loaded, test = fit.loaded(folder, desk.root), of_test(desk)
    found = loaded.predict(test.inputs["image"])
    np.testing.assert_allclose(found, recorded(desk), atol=1e-3)
    np.testing.assert_array_equal(found, fit.predict(folder, test.inputs["image"], desk.root).values)
    correlations = nf.scores.correlation(test.responses, found)
    assert metrics["test/correlation"] == pytest.approx(correlations.mean(), abs=1e-5)
    np.testing.assert_array_equal(loaded.predict(test), found)
    np.testing.assert_array_equal(loaded.predict(test.inputs["image"][..., 0]), found)  # without a channel
    assert loaded.neurons == ("a/3", "b/0") and loaded.folder == folder
    assert type(loaded.model) is type(fit.load(folder))
    np.testing.assert_array_equal(loaded.intercept, fit.load(folder).intercept)
    assert "2 neurons" in repr(loaded) and "pixels" in repr(loaded) and "intercept" in dir(loaded)


def test_features_may_still_be_given_to_what_was_a_regression_or_a_map(desk):
    desk.run(LINEAR)
    images = of_test(desk).inputs["image"]
    loaded = LINEAR.loaded(desk.last.folder, desk.root)
    of_features = loaded.predict(pixels(images))
    assert of_features.shape == (1, len(images), 2)
    np.testing.assert_allclose(of_features[0], loaded.predict(images))
    maps = MapFit(pixels, data=toy)
    desk.run(maps)
    loaded = maps.loaded(desk.last.folder, desk.root)
    found = loaded.predict(images.reshape(len(images), -1), name=loaded.features)
    np.testing.assert_allclose(found, loaded.predict(images), rtol=1e-6)
    assert loaded.recipe["kind"] == maps.mapping.kind  # that of a map stays its own


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.zeros((3, 6, 6, 1)), ShapeError, r"\(3, 6, 6, 1\), but the model takes \(image, 5, 4, 1\)"),
        (np.zeros((3, 5, 4, 3)), ShapeError, r"\(3, 5, 4, 3\), but the model takes \(image, 5, 4, 1\)"),
        (np.zeros((5, 4)), ShapeError, r"\(5, 4\), but the model takes \(image, 5, 4, 1\)"),
        (np.zeros((0, 5, 4, 1)), DataError, "no images"),
        ([], ShapeError, r"\(0,\), but the model takes"),
        (None, ShapeError, r"\(\), but the model takes"),
        ([[1], [1, 2]], DataError, "'image' cannot be read as an array"),
        (np.full((2, 5, 4, 1), "a"), DataError, r"not finite numbers: they are <U1; the model takes"),
        (np.full((2, 5, 4, 1), 1j), DataError, r"not finite numbers: they are complex128; the model takes"),
        (np.full((2, 5, 4, 1), object), DataError, r"not finite numbers: they are object"),
        (
            np.where(np.arange(4)[:, None, None, None] == 2, np.nan, np.ones((4, 5, 4, 1))),
            DataError,
            r"not finite numbers: NaN or infinite in 1 image, the first of them is 2; the model takes",
        ),
        ("nowhere.npy", DataError, r"nowhere\.npy: cannot be read"),
    ],
)
def test_bad_images_are_errors_that_name_both_sides(desk, data, error, message):
    desk.run(LINEAR)
    with pytest.raises(error, match=message):
        LINEAR.loaded(desk.last.folder, desk.root).predict(data)


def test_a_data_set_of_other_neurons_is_refused_and_its_images_alone_are_not(desk):
    desk.run(LINEAR)
    loaded = LINEAR.loaded(desk.last.folder, desk.root)
    other = toy().derived(neurons=toy().neurons.assign(recording=["a", "c"]))
    with pytest.raises(
        DataError, match=r"of 'toy' are a/3, c/0, but the model predicts a/3, b/0\..*inputs\['image'\]"
    ):
        loaded.predict(other)
    with pytest.raises(DataError, match=r"of 'toy' are a/3, but the model predicts a/3, b/0"):
        loaded.predict(toy().select_neurons([0]))
    assert loaded.predict(other.inputs["image"]).shape == (60, 2)


def test_arguments_are_those_of_the_task(desk):
    desk.run(LINEAR)
    folder = desk.last.folder
    assert LINEAR.loaded(folder, desk.root).arguments == {}
    outcome = {"state": "done", "params": {"kernel": "linear"}, "defaults": {"length": 2.0}}
    (folder / "outcome.json").write_text(json.dumps(outcome))
    loaded = LINEAR.loaded(folder, desk.root)
    assert loaded.arguments == {"kernel": "linear", "length": 2.0}
    assert loaded.recipe["architecture"] == "pixels"
    with pytest.raises(AttributeError, match="nothing"):
        loaded.nothing  # noqa: B018


SCRIPT = """
    import numpy as np
    from neurofit.models.baselines import LinearFit, pixels
    class Squares(LinearFit):
        def predict(self, folder, data, study):
            found = super().predict(folder, data, study)
            return type(found)(found.values**2, found.image_id, found.neurons)
    def data():
        return nf.datasets.simulate(n_images=60, n_neurons=3, size=9, n_test=20)
    class Other(LinearFit):
        def load(self, folder):
            return super().load(folder).intercept
        def predict(self, folder, data, study, *, model=None):
            assert model is None or len(model) == 3
            return super().predict(folder, data, study, model=super().load(folder))
    experiment = nf.Experiment(fit=NAME(pixels, data=data))
"""


@pytest.mark.parametrize("name", ["LinearFit", "Squares", "Other"])
def test_load_and_predict_of_a_selector_agree_also_where_a_fit_predicts_in_its_own_way(bench, name):
    bench.script("lin", SCRIPT.replace("NAME", name))
    bench.run("lin")
    images = nf.datasets.simulate(n_images=60, n_neurons=3, size=9, n_test=20).inputs["image"]
    loaded = nf.load("lin:0/0", study=bench.root)
    np.testing.assert_array_equal(
        loaded.predict(images), nf.predict("lin:0/0", images, study=bench.root).values
    )
    np.save(bench.root / "mine.npy", images)
    np.testing.assert_array_equal(loaded.predict("mine.npy"), loaded.predict(images))
    assert loaded.arguments["kernel"] == "linear" and loaded.folder.name == "attempt-01"


def small():
    return nf.datasets.simulate(n_images=90, n_neurons=6, size=12, n_test=20, n_trials=4)


def in_bytes():
    """The same as images of 0 … 255."""
    data = small()
    images = data.inputs["image"]
    low, high = images.min(), images.max()
    return data.derived(inputs={"image": ((images - low) / (high - low) * 255).astype(np.float32)})


UNIT = {"mean": 0.5, "std": 0.25}  # of images of 0 … 1


def dense(shapes, *, units=3):
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.Dense(units, "softplus", name="core"),
            keras.layers.Dense(shapes.neurons, "softplus", name="neurons"),
        ],
        name="small",
    )


@pytest.mark.slow
@pytest.mark.parametrize("responses", ["none", "std"])
def test_a_loaded_network_takes_raw_images_and_gives_the_scores_of_its_task(desk, responses):
    training = nf.models.Training(epochs=20, loss="gaussian", learning_rate=0.01)
    scaling = {"inputs": "pixel", "responses": responses}
    fit = nf.models.Fit(dense, data=in_bytes, training=training, standardise=scaling)
    metrics = desk.run(fit)
    folder, test = desk.last.folder, in_bytes().take(desk.array("image_id")[desk.array("part") == "test"])
    loaded = fit.loaded(folder, desk.root)
    found = loaded.predict(test.inputs["image"])
    np.testing.assert_array_equal(found, fit.predict(folder, test, desk.root).values)
    correlations = nf.scores.correlation(test.responses, found)
    assert metrics["test/correlation"] == pytest.approx(correlations.mean(), abs=1e-4)
    assert np.abs(found.mean() / test.responses.mean() - 1) < 0.5  # in the units of the recordings


@pytest.mark.slow
def test_programs_that_took_the_keras_model_take_the_loaded_one(desk):
    import keras

    from neurofit.models import inspection

    fit = nf.models.Fit(dense, data=in_bytes, training=nf.models.Training(epochs=1))
    desk.run(fit)
    loaded = fit.loaded(desk.last.folder, desk.root)
    model = loaded.model
    assert isinstance(model, keras.Model)
    scaled = np.random.default_rng(0).normal(size=(2, 12, 12, 1)).astype(np.float32)
    np.testing.assert_array_equal(loaded(scaled), model(scaled))
    assert loaded.layers == model.layers and loaded.get_layer("core") is model.get_layer("core")
    assert loaded.weights == model.weights and loaded.name == "small" and loaded.inputs == model.inputs
    loaded.trainable = False
    assert not model.trainable_variables
    assert keras.Model(loaded.inputs, loaded.get_layer("core").output)(scaled).shape == (2, 3)
    for one in (
        inspection.receptive_fields(loaded),
        inspection.respond(loaded, scaled),
        inspection.most_exciting_images(loaded, neurons=[0], norm=2, steps=2).images,
        inspection.tuning(loaded, neurons=[0]).by_orientation,
        *inspection.filters(loaded).values(),
    ):
        assert np.isfinite(one).all()
    record = nf.models.saved.normalisation(desk.last.folder)
    assert inspection.view(loaded, record, "receptive-fields", neurons=[0])
    loaded.trainable = True
    again = nf.models.Fit(lambda shapes: loaded, data=in_bytes, training=nf.models.Training(epochs=1))
    assert desk.run(again)["test/correlation"] is not None  # an architecture may return it
    network = nf.features.Network(lambda: loaded, pixels=nf.datasets.PixelFormat(order="grey"), name="mine")
    assert network.load(12, 12, desk.root).model.get_layer("core") is not None
    core = model.get_layer("core")
    before = loaded.predict(in_bytes().inputs["image"])
    core.set_weights([2 * one for one in core.get_weights()])
    assert not np.allclose(
        loaded.predict(in_bytes().inputs["image"]), before
    )  # it is this model that predicts
    with pytest.raises(TypeError, match=r"raw images.*\.model\.predict"):
        loaded.predict(scaled, verbose=0)


@pytest.mark.slow
def test_images_that_were_scaled_already_or_have_another_range_are_refused(desk):
    fit = nf.models.Fit(dense, data=in_bytes, training=nf.models.Training(epochs=1))
    desk.run(fit)
    folder, raw = desk.last.folder, in_bytes().inputs["image"]
    loaded, record = fit.loaded(folder, desk.root), nf.models.saved.normalisation(folder)
    scaled = nf.datasets.standardise_like(record, {"image": raw})["image"]
    both = r"'image' of the data set has mean .* and std .*the images that the model was trained on had mean"
    with pytest.raises(DataError, match=f"{both}.*look scaled already"):
        loaded.predict(scaled)
    with pytest.raises(DataError, match=both):
        loaded.predict(raw / 255)
    with pytest.raises(DataError, match=both):
        loaded.predict(raw * 255)
    of_unit = {**record, "parts": {"train": {**record["parts"]["train"], "seen": {"image": UNIT}}}}
    with pytest.raises(DataError, match=both):
        check_units(of_unit, {"image": scaled})
    check_units(of_unit, {"image": scaled[:3]})  # too few to say
    spot = np.full_like(raw[:3], 255)
    spot[:, 5, 5] = 0
    for one in (
        spot,
        raw[:1],
        raw * 0.5 + 60,
        np.zeros_like(raw[:3]),
        np.full_like(raw[:3], 255),
        raw.astype(np.uint8),
    ):
        assert loaded.predict(one).shape == (len(one), 6)
    older = json.loads((folder / "normalisation.json").read_text())
    del older["parts"]["train"]["seen"]  # as versions before it was recorded
    (folder / "normalisation.json").write_text(json.dumps(older))
    assert fit.loaded(folder, desk.root).predict(scaled).shape == (90, 6)
