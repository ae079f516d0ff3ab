"""The IT recordings train models as other data sets do."""

import pytest

import neurofit as nf
from neurofit.models.baselines import LinearFit, pixels

SMALL = nf.datasets.ExampleOptions(images=96, size=39, neurons=4, layer="layer1")


@pytest.fixture
def study(desk):
    nf.datasets.make_example("majaj_2015", desk.root / "data" / "majaj_2015", SMALL)
    return desk


def test_a_regression_is_fitted_to_them_by_name(study):
    metrics = study.run(LinearFit(pixels, data="majaj_2015", split={"validation": 0.2, "rule": "exact"}))
    assert metrics["test/correlation"] > 0
    assert study.facts["images"] == {"train": 77, "validation": 19, "test": 11}
    assert study.facts["inputs"].keys() == {"data/majaj_2015/IT_data.h5"}


@pytest.mark.slow
def test_a_network_is_trained_on_them_by_name(study, keras):
    def small(shapes, *, filters=2):
        inputs = keras.Input(shapes.image, name="image")
        values = keras.layers.Conv2D(filters, 5, strides=4, activation="relu")(inputs)
        return keras.Model(inputs, keras.layers.Dense(shapes.neurons)(keras.layers.Flatten()(values)))

    training = nf.models.Training(epochs=2, loss="gaussian")
    fit = nf.models.Fit(
        small, data="majaj_2015", training=training, scores=("correlation", "truth_correlation")
    )
    metrics = study.run(fit)
    assert {"test/correlation", "test/truth_correlation"} <= metrics.keys()


@pytest.mark.slow
def test_responses_can_be_planted_in_a_layer_of_keras_applications(desk, keras):
    keras.utils.set_random_seed(3)
    network = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    layer = keras.Model(network.input, network.get_layer("conv3_block4_out").output)
    way = nf.datasets.conversion(nf.datasets.PixelFormat(), "caffe")
    options = nf.datasets.ExampleOptions(images=64, neurons=3, layer="ResNet50 conv3_block4_out")
    folder = desk.root / "data" / "majaj_2015"
    nf.datasets.make_example(
        "majaj_2015", folder, options, features=lambda images: layer(way.apply(images, check=False)).numpy()
    )
    cells = nf.datasets.load("majaj_2015", desk.root / "data")
    assert cells.truth["rates"].var(axis=0).mean() == pytest.approx(0.6, abs=0.2)
