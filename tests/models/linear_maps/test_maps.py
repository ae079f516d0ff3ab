"""How a map is chosen, what it says about its choice, and what changes nothing in it."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neurofit.errors import DataError, GridError, ShapeError
from neurofit.models.linear_maps import MapRecipe, fit_map, folds_of, gram_of

TRAIN, REST = np.arange(0, 60), np.arange(60, 80)
OBJECTS = np.arange(60) % 6
RECIPES = {
    "ridge": MapRecipe(alphas=(0.1, 10.0, 1000.0)),
    "one for each": MapRecipe(alphas=(0.1, 10.0, 1000.0), per_neuron=True),
    "ols": MapRecipe(kind="ols"),
    "pca_ridge": MapRecipe(kind="pca_ridge", components=(3, 9), alphas=(0.1, 10.0)),
    "pls": MapRecipe(kind="pls", components=(1, 2, 4)),
    "banded": MapRecipe(kind="banded", alphas=(0.01, 1.0), band_samples=3),
}


def drawn(seed=0, units=90):
    random = np.random.default_rng(seed)
    features = random.normal(size=(80, units))
    return features, features @ random.normal(size=(units, 4)) / 9 + random.normal(size=(80, 4)) * (
        0.1,
        1,
        2,
        4,
    )


def predicted(features, responses, recipe, train=TRAIN, rest=REST):
    gram = gram_of(features, train)
    found = fit_map(gram, responses[train], recipe, labels=OBJECTS)
    return found, found.predict(gram, rest)


@pytest.mark.parametrize("kind", RECIPES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_rotation_and_constants_of_units_change_no_prediction(kind, seed):
    features, responses = drawn()
    random = np.random.default_rng(seed)
    _, expected = predicted(features, responses, RECIPES[kind])
    rotation = np.linalg.qr(random.normal(size=(90, 90)))[0]
    offsets = random.normal(size=90) * 10
    constant = np.full((80, 5), random.normal())
    for moved in (features[:, random.permutation(90)], features @ rotation, features + offsets):
        _, found = predicted(np.concatenate([moved, constant], axis=1), responses, RECIPES[kind])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", RECIPES)
def test_the_mean_of_the_training_responses_is_all_that_is_predicted_without_features(kind):
    features, responses = drawn()
    found, constant = predicted(np.ones_like(features), responses, RECIPES[kind])
    np.testing.assert_allclose(constant, np.tile(responses[TRAIN].mean(axis=0), (20, 1)))
    assert np.isfinite(found.dual).all()


def test_one_alpha_serves_the_mean_and_one_for_each_serves_every_neuron():
    features, responses = drawn()
    together, _ = predicted(features, responses, RECIPES["ridge"])
    each, _ = predicted(features, responses, RECIPES["one for each"])
    assert len(set(together.alpha)) == 1 and len(set(each.alpha)) > 1
    np.testing.assert_array_equal(each.cross_validation, together.cross_validation)
    assert together.alpha[0] == (0.1, 10.0, 1000.0)[each.cross_validation.mean(axis=1).argmax()]
    assert (each.alpha == np.array((0.1, 10.0, 1000.0))[each.cross_validation.argmax(axis=0)]).all()


def test_a_neuron_that_never_responds_is_predicted_to_do_so_and_decides_nothing():
    features, responses = drawn()
    expected, _ = predicted(features, responses, RECIPES["ridge"])
    responses = np.concatenate([responses, np.full((80, 1), 3.0)], axis=1)
    for kind in ("ridge", "one for each"):
        found, values = predicted(features, responses, RECIPES[kind])
        np.testing.assert_allclose(values[:, 4], 3.0)
        assert found.alpha[4] == expected.alpha[0]


@pytest.mark.parametrize("criterion", ["r_squared", "squared_error", "correlation"])
def test_every_criterion_prefers_the_penalty_that_predicts(criterion):
    features, _ = drawn(units=30)
    random = np.random.default_rng(3)
    responses = features @ random.normal(size=(30, 4)) + 5 * random.normal(size=(80, 4))
    recipe = MapRecipe(alphas=(1e-9, 30.0, 1e9), criterion=criterion)
    found, _ = predicted(features, responses, recipe)
    assert set(found.alpha) == {30.0}
    assert found.warnings == () and found.at_edge == {"lowest": 0, "highest": 0}


def test_an_alpha_at_the_edge_of_its_grid_is_reported():
    features, responses = drawn(units=30)
    high, _ = predicted(features, responses, MapRecipe(alphas=(1e-9, 1e-3)))
    assert high.warnings == (
        "alpha is the highest of its grid (0.001) for some neurons: extend the grid of alphas.",
    )
    assert high.facts()["at_edge"] == {"lowest": 0, "highest": 4}
    low, _ = predicted(features, responses, MapRecipe(alphas=(1e6, 1e12), per_neuron=True))
    assert low.warnings[0].startswith("alpha is the lowest of its grid (1e+06)")
    fixed, _ = predicted(features, responses, MapRecipe(alphas=(5.0,)))
    assert fixed.warnings == () and fixed.cross_validation is None
    latent, _ = predicted(features, features[:, :4], MapRecipe(kind="pls", components=(1, 2)))
    assert latent.warnings == (
        "components is the highest of its grid (2) for some neurons: extend the grid.",
    )


def test_the_band_that_matters_gets_the_weight():
    features, _ = drawn()
    noise, _ = drawn(seed=1)
    responses = features @ np.random.default_rng(2).normal(size=(90, 4))
    recipe = MapRecipe(kind="banded", alphas=(0.001, 0.01), band_samples=5)
    found, _ = predicted([noise, features], responses, recipe)
    assert (found.band_weights[:, 0] == 0).all() and (found.band_weights[:, 1] > 0).all()


def test_folds_can_be_given_in_place_of_the_recipes():
    features, responses = drawn()
    gram = gram_of(features, TRAIN)
    folds = folds_of(60, 5, rule="stratified", labels=OBJECTS)
    given_, own = (
        fit_map(gram, responses[TRAIN], RECIPES["ridge"], **how)
        for how in ({"folds": folds}, {"labels": OBJECTS})
    )
    np.testing.assert_array_equal(given_.cross_validation, own.cross_validation)


def test_grouped_folds_ask_for_objects_that_were_not_seen():
    """Responses to objects alone: folds by image find them, folds by object cannot."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 8)
    features = np.eye(10)[labels] + 0.01 * random.normal(size=(80, 10))
    responses = random.normal(size=(10, 4))[labels]
    gram = gram_of(features)
    by = {
        rule: fit_map(gram, responses, MapRecipe(alphas=(0.1, 1.0), fold_rule=rule), labels=labels)
        for rule in ("stratified", "grouped")
    }
    assert by["stratified"].cross_validation.max(axis=0).min() > 0.9
    assert by["grouped"].cross_validation.max(axis=0).max() < 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"responses": drawn()[1]},
            ShapeError,
            r"responses \(80, 4\) must be those of the 60 training images alone",
        ),
        ({"responses": np.full((60, 4), np.nan)}, DataError, "4 of 4 neurons have missing responses"),
        ({"labels": None}, DataError, "stratified need the labels of the images"),
        ({"folds": np.zeros(60, int)}, DataError, "all training images are in one fold"),
        ({"folds": np.zeros(61, int)}, ShapeError, "one number per training image"),
        (
            {"recipe": MapRecipe(kind="pls", components=(1, 48))},
            DataError,
            "48 components: 48 training images",
        ),
        ({"recipe": MapRecipe(kind="pca_ridge")}, DataError, "1,000 components.*have 47 at most"),
        ({"recipe": MapRecipe(kind="banded", band_weights=((1, 1),))}, GridError, "2 weights per candidate"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, error, message):
    features, responses = drawn()
    how = {"responses": responses[TRAIN], "recipe": RECIPES["ridge"], "labels": OBJECTS, **change}
    with pytest.raises(error, match=message):
        fit_map(gram_of(features, TRAIN), **how)


def test_several_bands_need_a_banded_map():
    features, responses = drawn()
    with pytest.raises(GridError, match=r"takes one band, and there are 2: use 'banded'"):
        predicted([features, features], responses, RECIPES["ridge"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "rigde"}, "kind='rigde'; expected one of ridge.*Did you mean 'ridge'"),
        ({"alphas": ()}, r"alphas=\(\); expected some numbers > 0"),
        ({"alphas": (0, 1)}, "expected some numbers > 0"),
        ({"components": 5}, "is for the kinds pca_ridge and pls, not ridge"),
        ({"kind": "pls", "components": (0,)}, "expected whole numbers > 0"),
        ({"folds": 1}, "folds=1; expected a whole number of at least 2"),
        ({"fold_rule": "object"}, "fold_rule='object'"),
        ({"criterion": "ev"}, "criterion='ev'"),
        ({"kind": "banded", "band_weights": ((0, 0),)}, "not all of them 0"),
        ({"kind": "banded", "band_weights": ((1, 2), (1,))}, "one number ≥ 0 per band"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(values, message):
    with pytest.raises(GridError, match=message):
        MapRecipe(**values)


def test_a_grid_from_json_is_the_same_recipe():
    assert MapRecipe(alphas=[10, 1, 1]) == MapRecipe(alphas=(1.0, 10.0))
    assert MapRecipe(kind="pls", components=4) == MapRecipe(kind="pls", components=[4])
    assert MapRecipe(kind="banded", band_weights=[[1, 0]]).band_weights == ((1, 0),)
