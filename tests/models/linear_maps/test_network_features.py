"""Linear maps of layers that come from the feature store. The network is of NumPy; one test uses Keras."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

import neurofit as nf
from neurofit import datasets
from neurofit.datasets.pixels import PixelFormat
from neurofit.errors import DataError, GridError, NameUnknown, ShapeError
from neurofit.features import Network
from neurofit.features.keys import weights_digest
from neurofit.models.linear_maps import MapFit, MapRecipe, NetworkFeatures

SIZE, SEED = 39, 3
SIGNED = PixelFormat(-1, 1, "rgb")
LAYERS = ["small", "filters", "mixed"]
SCORES = ("explained_variance", "correlation")
RECIPE = MapRecipe(alphas=tuple(10.0**k for k in range(-2, 7)), per_neuron=True)


@dataclass(frozen=True)
class Toy:
    """A network of NumPy: means of 3 × 3 pixels, random filters of these, and random mixtures of the filters."""

    seed: int = 0
    weights: str = "random"
    label: str = "toy"

    def load(self, height, width, data):
        rng = np.random.default_rng(self.seed)
        return LoadedToy(
            rng.normal(size=(height // 3 * (width // 3) * 3, 90)) / 10,
            rng.normal(size=(90, 70)) / 5,
            f"{self.weights}, seed {self.seed}",
            height // 3,
        )


@dataclass(frozen=True)
class LoadedToy:
    first: np.ndarray
    second: np.ndarray
    weights: str
    side: int
    name: str = "toy"
    pixels: PixelFormat = SIGNED
    layers: tuple[str, ...] = tuple(LAYERS)
    architecture_digest: str = "toy"

    @property
    def weights_digest(self):
        return weights_digest([self.first, self.second])

    def unit_shape(self, layer):
        return {"small": (self.side, self.side, 3), "filters": (90,), "mixed": (70,)}[layer]

    def forward(self, layers, batch):
        def run(images):
            small = images.reshape(len(images), self.side, 3, self.side, 3, 3).mean((2, 4))
            filters = np.abs(small.reshape(len(images), -1) @ self.first) ** 2
            every = {"small": small, "filters": filters, "mixed": np.cos(3 * filters @ self.second)}
            return [every[layer] for layer in layers]

        return run


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The folder data/ of a study, with responses planted in the layer "filters" of the toy with SEED."""
    data = tmp_path_factory.mktemp("planted") / "data"
    network = Toy(SEED).load(SIZE, SIZE, data)
    way = datasets.conversion(PixelFormat(), network.pixels)
    datasets.make_example(
        "majaj_2015",
        data / "majaj_2015",
        datasets.ExampleOptions(images=200, size=SIZE, neurons=12, layer="toy filters"),
        features=lambda images: network.forward(["filters"], 0)(way.apply(images, check=False))[0],
    )
    return data


@pytest.fixture
def study(desk, planted):
    desk.root.joinpath("data").symlink_to(planted)
    return desk


def fit(layer=None, network=None, **options):
    own = {name: options.pop(name) for name in ("choose", "resize", "weights") if name in options}
    features = NetworkFeatures("toy", layer=layer, networks={"toy": network or Toy()}, **own)
    return MapFit(
        features,
        data="majaj_2015",
        split={"validation": 0.2},
        scores=SCORES,
        labels="object",
        mapping=RECIPE,
        **options,
    )


RIGHT = {"weights": "random", "weights_seed": SEED}


def test_the_planted_layer_wins_and_another_seeds_weights_lose(study):
    def explained(layer, seed):
        return study.run(fit(), layer=layer, weights="random", weights_seed=seed)["test/explained_variance"]

    own = {layer: explained(layer, SEED) for layer in LAYERS}
    assert max(own, key=own.get) == "filters" and len(set(own.values())) == 3
    assert explained("filters", SEED + 1) < own["filters"]


def test_the_recipe_says_what_the_features_are_and_the_images_stay_on_disk(study):
    study.run(fit(), layer="filters", **RIGHT)
    recipe = json.loads((study.last.folder / "recipe.json").read_text())
    network = recipe["network"]
    assert (network["network"], network["layers"]) == ("toy", ["filters"])
    assert network["weights_digest"] == Toy(SEED).load(SIZE, SIZE, None).weights_digest
    assert network["preprocessing"]["steps"] and network["images"]["shape"] == [222, SIZE, SIZE, 3]
    assert recipe["shapes"]["inputs"]["image"] == [SIZE, SIZE, 3] and recipe["stimuli"]["resize"] is None
    stored = [one.parent.name for one in (study.root / "training_data/.features").glob("*/features.json")]
    assert stored == network["keys"]
    whole = datasets.load("majaj_2015", study.root / "data")
    rows = datasets.load_responses("majaj_2015", study.root / "data")
    assert list(rows.inputs) == ["row"] and rows.inputs["row"].tolist() == list(range(222))
    np.testing.assert_array_equal(rows.groups, whole.groups)
    np.testing.assert_array_equal(rows.responses, whole.responses)


def test_hidden_images_are_predicted_with_the_same_network_and_other_weights_are_refused(study):
    study.run(fit(), layer="filters", **RIGHT)
    folder = study.last.folder
    again = fit().predict(folder, "majaj_2015/val", study.root)
    with np.load(folder / "predictions.npz") as kept:
        test = kept["part"] == "test"
        order = np.argsort(kept["image_id"][test])
        np.testing.assert_allclose(again.values, kept["predictions"][test][order], rtol=1e-4, atol=1e-5)
    hidden = fit().predict(folder, "majaj_2015/test", study.root)
    assert hidden.values.shape == (22, 12) and hidden.image_id[0] == "test/0000"
    changed = fit(network=Changed())
    with pytest.raises(
        DataError, match=r"toy \(random, seed 4\) has other weights .* than when the map was fitted"
    ):
        changed.predict(folder, "majaj_2015/test", study.root)
    with pytest.raises(DataError, match="what the values of a ndarray mean is not declared"):
        fit().predict(folder, np.zeros((3, SIZE + 1, SIZE, 3)), study.root)
    images = datasets.load_stimuli("majaj_2015/test", study.root / "data").read(slice(None))
    loaded = fit().loaded(folder, study.root)
    np.testing.assert_allclose(loaded.predict(images), hidden.values)  # as the training images were declared
    with pytest.raises(DataError, match=r"the images given: images .*, declared as rgb"):
        loaded.predict(images * 2.0 - 300)
    small = datasets.StimulusSet.from_array("small", np.zeros((3, 30, 30, 3), np.uint8), PixelFormat())
    with pytest.raises((DataError, ShapeError)):
        fit().predict(folder, small, study.root)


@dataclass(frozen=True)
class Changed(Toy):
    """Its file of weights was replaced."""

    def load(self, height, width, data):
        return Toy(SEED + 1).load(height, width, data)


def test_several_layers_are_bands_and_the_best_one_is_chosen_by_the_validation_set(study):
    banded = fit(["small", "filters"])
    assert study.run(banded, kind="banded", band_samples=2, per_neuron=False, **RIGHT)
    assert banded.predict(study.last.folder, "majaj_2015/test", study.root).values.shape == (22, 12)

    best = fit(LAYERS, choose="validation")
    metrics = study.run(best, **RIGHT)
    facts = study.facts
    assert facts["chosen_layer"] == "filters" and list(facts["layers_on_validation"]) == LAYERS
    assert facts["monitored"] == "folds of train, and validation for the layer"
    folder = study.last.folder
    assert best.predict(folder, "majaj_2015/test", study.root).values.shape == (22, 12)
    assert study.run(fit(), layer="filters", **RIGHT) == metrics
    by_neuron = study.facts["medians"]["validation/explained_variance"]
    assert by_neuron == pytest.approx(facts["layers_on_validation"]["filters"])
    with pytest.raises(DataError, match="choose='validation' needs a validation set"):
        study.run(best, split={"validation": 0}, **RIGHT)


def test_images_are_resized_only_if_asked_to(study):
    metrics = study.run(fit("small"), resize=24, **RIGHT)
    assert set(metrics) >= {"test/explained_variance", "test/correlation"}
    recipe = json.loads((study.last.folder / "recipe.json").read_text())
    assert recipe["stimuli"]["resize"]["to"] == [24, 24]
    assert fit("small").predict(study.last.folder, "majaj_2015/test", study.root).values.shape == (22, 12)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"network": "ResNet5"}, "No network 'ResNet5'.*Did you mean 'ResNet50'"),
        ({"weights": "imagnet"}, "weights='imagnet'.*Did you mean 'imagenet'"),
        ({"weights": "imagenet", "weights_seed": 2}, "weights_seed=2 changes nothing for weights='imagenet'"),
        ({"layer": ["a", "b"]}, "has 2 layers: use kind='banded'"),
        ({"layer": []}, "expected the name of a layer"),
        ({"resize": "large"}, "resize='large': expected a number of pixels"),
        ({"choose": "test"}, "choose='test': expected 'validation' or None"),
    ],
)
def test_wrong_axes_are_refused_before_anything_is_submitted(given, message):
    with pytest.raises(GridError, match=message):
        fit().check({"layer": "small", **given})
    with pytest.raises(GridError):
        nf.Experiment(fit(), grid=nf.grid(weights=["random"])).runs()  # which layer?


def test_axes_of_the_network_are_axes_of_the_grid_and_defaults_are_part_of_ids():
    axes = nf.grid(layer=["small", "mixed"]) * (
        nf.grid(weights=["imagenet"]) + nf.grid(weights=["random"], weights_seed=[0, 1])
    )
    assert len(nf.Experiment(fit(), grid=axes).runs()) == 6
    settings = fit("small", weights="random").settings()["features"]["NetworkFeatures"]
    assert settings == {
        "network": "toy",
        "layer": "small",
        "weights": "random",
        "networks": {"toy": ["toy", "random", 0]},
    }
    assert "features" not in MapFit(NetworkFeatures(), data="majaj_2015").settings()


def test_a_layer_that_does_not_exist_is_an_error_with_the_nearest_name(study):
    with pytest.raises(NameUnknown, match=r"toy has no layer 'filter'\. Did you mean 'filters'"):
        study.run(fit(), layer="filter", **RIGHT)


def test_data_without_a_stimulus_set_is_refused(study):
    made = MapFit(
        NetworkFeatures("toy", layer="small", networks={"toy": Toy()}),
        data=lambda: nf.datasets.load("simulated"),
    )
    with pytest.raises(DataError, match="Features of a network are those of a stimulus set"):
        study.run(made)
    with pytest.raises(NameUnknown, match="No data set 'simulated' whose images are a stimulus set"):
        study.run(MapFit(made.features))


def tiny():
    """Three convolutions in Keras."""
    import keras

    def convolution(filters, name):
        return keras.layers.Conv2D(filters, 3, strides=2, activation="relu", name=name)

    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            convolution(8, "first"),
            convolution(16, "second"),
            convolution(16, "third"),
        ]
    )


@pytest.mark.slow
def test_a_file_of_weights_wins_against_random_ones_and_a_changed_file_is_refused(desk, tf):
    data = desk.root / "data"
    network = Network(tiny, seed=7, pixels="torch").load(SIZE, SIZE, data)
    run, way = network.forward(["second"], 1), datasets.conversion(PixelFormat(), network.pixels)
    datasets.make_example(
        "majaj_2015",
        data / "majaj_2015",
        datasets.ExampleOptions(images=200, size=SIZE, neurons=12),
        features=lambda images: np.concatenate([run(one[None])[0] for one in way.apply(images, check=False)]),
    )
    weights = data / "own.weights.h5"
    network.model.save_weights(weights)
    best = fit(["first", "second", "third"], Network(tiny, pixels="torch"), choose="validation")
    own = desk.run(best, weights="data/own.weights.h5")
    folder = desk.last.folder
    assert desk.facts["chosen_layer"] == "second" and "data/own.weights.h5" in desk.facts["inputs"]
    random = desk.run(best, weights="random", weights_seed=8)
    assert random["test/explained_variance"] < own["test/explained_variance"]
    assert best.predict(folder, "majaj_2015/test", desk.root).values.shape == (22, 12)
    Network(tiny, seed=8, pixels="torch").load(SIZE, SIZE, data).model.save_weights(weights)
    with pytest.raises(DataError, match="has other weights"):
        best.predict(folder, "majaj_2015/test", desk.root)
