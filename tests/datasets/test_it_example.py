"""Example files of IT recordings: what was planted can be found again."""

import h5py
import numpy as np
import pytest

from neurofit import datasets
from neurofit.datasets import ExampleOptions
from neurofit.datasets.object_images import object_images
from neurofit.datasets.random_network import LAYERS, RandomNetwork
from neurofit.errors import DataError, NameUnknown


def written(path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else None)
    return found


def test_the_file_has_the_keys_and_types_of_the_published_one(tmp_path):
    path = datasets.make_example("majaj_2015", tmp_path, ExampleOptions(images=90, size=40, neurons=4))
    arrays = written(path)
    for part, count in (("train", 90), ("val", 10), ("test", 10)):
        assert arrays[f"stimulus_{part}"].shape == (count, 3, 40, 40)
        assert arrays[f"stimulus_{part}"].dtype == np.float32
        assert arrays[f"object_{part}"].dtype.kind == "S"
        assert arrays[f"truth/rates_{part}"].shape == (count, 4)
    assert arrays["spikes_train"].shape == (90, 4)
    assert "spikes_test" not in arrays


def test_the_options_alone_decide_the_content(tmp_path):
    small = ExampleOptions(images=64, size=39, neurons=3)
    paths = [
        datasets.make_example("majaj_2015", tmp_path / name, ExampleOptions(64, 39, 3, seed=seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, again, other = (written(path) for path in paths)
    assert small == ExampleOptions(64, 39, 3, seed=0)
    for key, values in first.items():
        np.testing.assert_array_equal(values, again[key])
        if key[0] != "o":
            assert not np.array_equal(values, other[key])


def test_the_ceiling_is_the_share_of_the_variance_that_is_signal(tmp_path):
    options = ExampleOptions(images=640, size=39, neurons=40, ceiling=0.6)
    arrays = written(datasets.make_example("majaj_2015", tmp_path, options))
    rates, spikes = arrays["truth/rates_train"], arrays["spikes_train"]
    assert rates.var(axis=0).mean() == pytest.approx(0.6, abs=1e-3)
    assert spikes.var(axis=0).mean() == pytest.approx(1, abs=0.03)
    explained = 1 - (spikes - rates).var(axis=0) / spikes.var(axis=0)
    assert explained.mean() == pytest.approx(0.6, abs=0.02)


def test_objects_of_one_category_look_more_like_one_another():
    rng = np.random.default_rng(0)
    same = object_images(np.full(6, 20), 8, 48, rng)
    assert same.shape == (6, 48, 48, 3)
    assert same.dtype == np.uint8
    assert len({image.tobytes() for image in same}) == 6


def explained(features: np.ndarray, cells: datasets.Dataset) -> float:
    """Mean explained variance of a ridge on the features, for the official test images, at its best penalty."""
    train = cells.official == "train"
    values = features - features[train].mean(axis=0)
    gram, test = values[train] @ values[train].T, values[~train] @ values[train].T
    shares = []
    for strength in 10.0 ** np.arange(-3, 2):
        penalty = strength * np.trace(gram) / len(gram) * np.eye(len(gram))
        predicted = test @ np.linalg.solve(gram + penalty, cells.responses[train])
        residual = cells.responses[~train] - predicted
        shares.append(np.mean(1 - residual.var(axis=0) / cells.responses[~train].var(axis=0)))
    return max(shares)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["layer1", "layer2", "layer3"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_planted_layer_predicts_best_and_other_weights_lose(tmp_path, layer, seed):
    folder = tmp_path / "majaj_2015"
    datasets.make_example("majaj_2015", folder, ExampleOptions(layer=layer, seed=seed))
    cells = datasets.load("majaj_2015", tmp_path)
    raw = datasets.conversion(datasets.pixels.IMAGENET, "raw").apply(cells.inputs["image"])
    scores = {}
    for weights in (seed, seed + 100):
        network = RandomNetwork(weights)
        for name in LAYERS:
            parts = [network.features(raw[at : at + 64], name) for at in range(0, len(raw), 64)]
            scores[name, weights] = explained(np.concatenate(parts), cells)
    scores["pixels", seed] = explained(raw.reshape(len(raw), -1), cells)
    assert max(scores, key=scores.get) == (layer, seed)
    assert scores[layer, seed] > scores[layer, seed + 100] + 0.02


def test_responses_can_be_planted_in_any_features(tmp_path):
    def brightness(images):
        assert images.dtype == np.uint8
        return images.reshape(len(images), -1, 3).mean(axis=1)

    options = ExampleOptions(images=64, size=39, neurons=6, ceiling=1, layer="brightness")
    arrays = written(datasets.make_example("majaj_2015", tmp_path, options, features=brightness))
    raw = arrays["stimulus_train"].mean(axis=(2, 3))
    design = np.column_stack([raw, np.ones(64)])
    residual = (
        arrays["spikes_train"] - design @ np.linalg.lstsq(design, arrays["spikes_train"], rcond=None)[0]
    )
    assert np.abs(residual).max() < 1e-3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": 3}, "images=3: expected at least 64"),
        ({"size": 20}, "size=20: expected at least 39"),
        ({"ceiling": 0}, "ceiling=0: expected a share of the variance"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(DataError, match=message):
        ExampleOptions(**fields)


def test_an_unknown_kind_or_layer_is_named(tmp_path):
    with pytest.raises(NameUnknown, match=r"No example of 'majaj'\. Known: majaj_2015\. Did you mean"):
        datasets.make_example("majaj", tmp_path)
    with pytest.raises(NameUnknown, match=r"No layer 'layer5'.*Known: layer1, layer2, layer3, layer4"):
        datasets.make_example("majaj_2015", tmp_path, ExampleOptions(layer="layer5"))


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "IT_data.h5").write_text("the real one")
    with pytest.raises(DataError, match=r"IT_data\.h5 already exists\. Move it away first"):
        datasets.make_example("majaj_2015", tmp_path)
    assert (tmp_path / "IT_data.h5").read_text() == "the real one"
