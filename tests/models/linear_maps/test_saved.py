"""Maps as weights of units, and their files."""

import numpy as np
import pytest

from neurofit.errors import DataError, ShapeError, UsageError
from neurofit.models.linear_maps import MapRecipe, SavedMap, StackedMatrix, fit_map, gram_of, wide
from neurofit.process import memory_used


def images(seed, count=40, units=70):
    return np.random.default_rng(seed).normal(size=(count, units)).astype(np.float32) + 2


@pytest.fixture(params=["one layer", "two bands"])
def case(request):
    """Features, products of all of them, the map of rows 0 … 29, and its weights."""
    features = images(0) if request.param == "one layer" else [images(0), images(1, units=9)]
    kind = {"one layer": "ridge", "two bands": "banded"}[request.param]
    gram = gram_of(features, np.arange(30), name="toy")
    responses = images(2, 30, 5) * (1, 2, 3, 4, 5)
    recipe = MapRecipe(kind=kind, alphas=(0.1, 1.0), fold_rule="random", per_neuron=True, band_samples=2)
    found = fit_map(gram, responses, recipe)
    return features, gram, found, SavedMap.of(found, gram, features)


def test_weights_predict_what_the_products_do(case):
    features, gram, found, kept = case
    expected = found.predict(gram, np.arange(40))
    np.testing.assert_allclose(kept.predict(features, name="toy"), expected, rtol=1e-5, atol=1e-5)


def test_images_that_no_fit_has_seen_are_predicted_from_a_file(case, tmp_path):
    features, _, found, kept = case
    kept.save(tmp_path / "map.npz")
    again = SavedMap.load(tmp_path / "map.npz")
    assert (again.features, again.units, again.recipe) == (kept.features, kept.units, kept.recipe)
    assert again.recipe["kind"] == found.recipe.kind
    several = isinstance(features, list)
    hidden = [images(7), images(8, units=9)] if several else images(7)
    bands = zip(features, hidden) if several else [(features, hidden)]
    stacked = [StackedMatrix((wide(one), wide(other))) for one, other in bands]
    expected = found.predict(gram_of(stacked, np.arange(30), name="toy"), np.arange(40, 80))
    np.testing.assert_allclose(again.predict(hidden, name="toy"), expected, rtol=1e-5, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["map.npz"]


def test_other_shapes_are_refused(case):
    _, gram, found, kept = case
    with pytest.raises(ShapeError, match="and the map is for"):
        kept.predict(images(0, units=69), name="toy")
    with pytest.raises(ShapeError, match="not those of the map"):
        SavedMap.of(found, gram, images(0, units=69))


def test_weights_that_do_not_fit_are_refused_with_both_numbers(case):
    features, gram, found, _ = case
    with pytest.raises(
        UsageError, match=r"weights of \d+ units for 5 neurons needs \d\.\d\d GB of memory, and 0\.00"
    ):
        SavedMap.of(found, gram, features, memory_gb=memory_used() / 2**30 / 2)


def test_damaged_and_other_files_are_refused_and_pickles_are_never_read(case, tmp_path):
    *_, kept = case
    path = tmp_path / "map.npz"
    with pytest.raises(DataError, match="cannot be read as a saved map"):
        SavedMap.load(path)
    kept.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read as a saved map"):
        SavedMap.load(path)
    np.savez(path, mean=np.ones(3))
    with pytest.raises(DataError, match=r"is not a saved map: weights, intercept, .* is missing"):
        SavedMap.load(path)
    np.savez(
        path,
        **{
            name: np.array([object()])
            for name in ("mean", "weights", "intercept", "alpha", "components", "units", "features", "recipe")
        },
    )
    with pytest.raises(DataError, match="cannot be read as a saved map: Object arrays"):
        SavedMap.load(path)
