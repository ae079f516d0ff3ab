"""Mistakes that published projects made with maps and scores: here each is impossible, or an error that says so."""

import numpy as np
import pytest

from neurofit import scores
from neurofit.errors import DataError, ShapeError
from neurofit.models.linear_maps import MapRecipe, SavedMap, fit_map, gram_of

IMAGES, TRAIN, VALIDATION = 60, np.arange(45), np.arange(45, 60)
RECIPE = MapRecipe(alphas=(0.1, 1.0, 10.0), fold_rule="random")


@pytest.fixture
def responses():
    return layer("pretrained: layer3")[0] @ np.random.default_rng(5).normal(size=(40, 3))


def layer(name, train=TRAIN):
    """Features and their products, with the same number of units for every name."""
    features = np.random.default_rng(sum(name.encode())).gamma(1.0, size=(IMAGES, 40))
    return features, gram_of(features, train, name=name)


def test_the_arguments_of_explained_variance_are_not_swapped(responses):
    """Explained variance is not symmetric: noise-free predictions that are too small explain little."""
    metrics = pytest.importorskip("sklearn.metrics")
    _, gram = layer("pretrained: layer3")
    found = fit_map(gram, responses[TRAIN], MapRecipe(alphas=(300.0,)))
    predicted = found.predict(gram, VALIDATION)
    truth = metrics.explained_variance_score(responses[VALIDATION], predicted, multioutput="raw_values")
    swapped = metrics.explained_variance_score(predicted, responses[VALIDATION], multioutput="raw_values")
    scored = found.scored(gram, VALIDATION, responses[VALIDATION])
    np.testing.assert_allclose(scored["explained_variance"], truth)
    np.testing.assert_allclose(scores.explained_variance(responses[VALIDATION], predicted), truth)
    assert (truth - swapped > 0.2).all()


def test_one_map_cannot_be_used_for_every_layer(responses):
    _, fitted = layer("pretrained: layer3")
    _, other = layer("pretrained: layer1")
    found = fit_map(fitted, responses[TRAIN], RECIPE)
    with pytest.raises(
        DataError,
        match=r"fitted to other features of the training images \(pretrained: layer3\) than these \(pretr",
    ):
        found.predict(other, VALIDATION)
    with pytest.raises(DataError, match="fit a map for each layer and each network"):
        found.scored(other, VALIDATION, responses[VALIDATION])


def test_a_map_of_pretrained_features_refuses_those_of_random_weights_even_under_the_same_name(responses):
    _, fitted = layer("pretrained: layer3")
    features, _ = layer("random: layer3")
    found = fit_map(fitted, responses[TRAIN], RECIPE)
    renamed = gram_of(features, TRAIN, name="pretrained: layer3")
    with pytest.raises(DataError, match="fitted to other features"):
        found.predict(renamed, VALIDATION)
    with pytest.raises(DataError, match="have other values than those that the map was fitted to"):
        SavedMap.of(found, fitted, features)


def test_a_saved_map_refuses_features_of_another_name(responses):
    features, gram = layer("pretrained: layer3")
    kept = SavedMap.of(fit_map(gram, responses[TRAIN], RECIPE), gram, features)
    with pytest.raises(
        DataError, match=r"fitted to 'pretrained: layer3', and these features are 'random: layer3'"
    ):
        kept.predict(layer("random: layer3")[0], name="random: layer3")
    with pytest.raises(DataError, match="these features are ''"):
        kept.predict(features)


def test_what_a_map_is_scored_on_cannot_be_in_its_fit(responses):
    """Neither the fit nor the choice of alpha sees a response that is not of the training images."""
    _, gram = layer("pretrained: layer3")
    with pytest.raises(ShapeError, match="must be those of the 45 training images alone"):
        fit_map(gram, responses, RECIPE)
    _, everything = layer("pretrained: layer3", np.arange(IMAGES))
    found = fit_map(everything, responses, RECIPE)
    with pytest.raises(DataError, match="15 of 15 images to score are training images of this map"):
        found.scored(everything, VALIDATION, responses[VALIDATION])
    with pytest.raises(DataError, match="these products are centred on 45 others"):
        found.predict(gram, VALIDATION)


def test_features_of_validation_images_change_nothing_in_a_fit(responses):
    features, gram = layer("pretrained: layer3")
    moved = features.copy()
    moved[VALIDATION] *= 50
    one, other = (
        fit_map(products, responses[TRAIN], RECIPE)
        for products in (gram, gram_of(moved, TRAIN, name="pretrained: layer3"))
    )
    np.testing.assert_allclose(one.dual, other.dual, atol=1e-12)
    np.testing.assert_allclose(one.cross_validation, other.cross_validation, atol=1e-12)
