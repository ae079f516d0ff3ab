"""Maps against scikit-learn and himalaya, with more units than images and with fewer."""

import numpy as np
import pytest

from neurofit.models.linear_maps import MapRecipe, fit_map, gram_of

SHAPES = [(40, 300), (60, 12)]  # (training image, unit)
FOLDS = np.arange(60) % 4


class Data:
    def __init__(self, images, units, neurons=7):
        random = np.random.default_rng(units)
        self.features = random.normal(size=(images + 15, units)) * random.gamma(2, 1, units) + 3
        mixing = random.normal(size=(units, neurons)) / np.sqrt(units)
        self.responses = self.features @ mixing + random.normal(size=(images + 15, neurons)) * np.arange(
            1, neurons + 1
        )
        order = random.permutation(images + 15)
        self.train, self.rest = order[:images], order[images:]
        self.folds = FOLDS[:images]
        self.x, self.y = self.features[self.train], self.responses[self.train]

    @property
    def splits(self):
        """As scikit-learn takes folds."""
        return [(np.flatnonzero(self.folds != k), np.flatnonzero(self.folds == k)) for k in range(4)]

    def predicted(self, *, cv=True, **recipe):
        gram = gram_of(self.features, self.train)
        self.map = fit_map(gram, self.y, MapRecipe(**recipe), folds=self.folds if cv else None)
        return self.map.predict(gram, self.rest)


@pytest.fixture(params=SHAPES, ids=["wide", "tall"])
def data(request):
    return Data(*request.param)


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn")


def close(found, expected):
    """To 1e-5 of the largest."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("alpha", [0.01, 10.0, 1e5])
def test_ridge_is_that_of_scikit_learn(data, sklearn, alpha):
    from sklearn.linear_model import Ridge

    expected = Ridge(alpha=alpha, solver="svd").fit(data.x, data.y).predict(data.features[data.rest])
    close(data.predicted(alphas=(alpha,)), expected)


def test_ridge_is_kernel_ridge_of_centred_features(data, sklearn):
    from sklearn.kernel_ridge import KernelRidge

    mean, offset = data.x.mean(axis=0), data.y.mean(axis=0)
    theirs = KernelRidge(alpha=3.0).fit(data.x - mean, data.y - offset)
    close(data.predicted(alphas=(3.0,)), theirs.predict(data.features[data.rest] - mean) + offset)


def test_one_alpha_is_the_one_that_scikit_learn_chooses(data, sklearn):
    from sklearn.linear_model import RidgeCV

    alphas = tuple(10.0 ** np.arange(-2, 7))
    theirs = RidgeCV(alphas=alphas, cv=data.splits, scoring="r2").fit(data.x, data.y)
    found = data.predicted(alphas=alphas)
    assert set(data.map.alpha) == {theirs.alpha_}
    close(found, theirs.predict(data.features[data.rest]))


@pytest.mark.parametrize("local", [True, False])
def test_alphas_are_those_that_himalaya_chooses(data, local):
    himalaya = pytest.importorskip("himalaya.ridge")
    alphas = tuple(10.0 ** np.arange(-2, 7))
    theirs = himalaya.RidgeCV(
        alphas=alphas, cv=data.splits, fit_intercept=True, solver_params={"local_alpha": local}
    ).fit(data.x, data.y)
    found = data.predicted(alphas=alphas, per_neuron=local, criterion="squared_error")
    np.testing.assert_allclose(data.map.alpha, theirs.best_alphas_)
    assert len(set(data.map.alpha)) > 1 or not local
    close(found, theirs.predict(data.features[data.rest]))


def test_least_squares_are_those_of_scikit_learn_and_the_shortest_if_there_are_many(data, sklearn):
    from sklearn.linear_model import LinearRegression

    close(
        data.predicted(kind="ols"), LinearRegression().fit(data.x, data.y).predict(data.features[data.rest])
    )


@pytest.mark.parametrize("components", [1, 5, 11])
def test_principal_components_and_ridge_are_the_pipeline_of_scikit_learn(data, sklearn, components):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    theirs = make_pipeline(PCA(components, svd_solver="full"), Ridge(alpha=20.0)).fit(data.x, data.y)
    found = data.predicted(kind="pca_ridge", components=components, alphas=(20.0,))
    close(found, theirs.predict(data.features[data.rest]))


def test_components_and_alpha_are_those_of_a_grid_search_over_the_pipeline(data, sklearn):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    alphas, counts = (0.1, 10.0, 1000.0), (2, 5, 9)
    pipeline = Pipeline([("pca", PCA(svd_solver="full")), ("ridge", Ridge())])
    grid = {"pca__n_components": counts, "ridge__alpha": alphas}
    theirs = GridSearchCV(pipeline, grid, cv=data.splits, scoring="r2").fit(data.x, data.y)
    found = data.predicted(kind="pca_ridge", components=counts, alphas=alphas)
    chosen = {"pca__n_components": data.map.components[0], "ridge__alpha": data.map.alpha[0]}
    assert chosen == theirs.best_params_
    close(found, theirs.predict(data.features[data.rest]))
    np.testing.assert_allclose(
        data.map.cross_validation.mean(axis=1), theirs.cv_results_["mean_test_score"], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("components", [1, 3, 10])
def test_partial_least_squares_are_those_of_scikit_learn(data, sklearn, components):
    from sklearn.cross_decomposition import PLSRegression

    theirs = PLSRegression(components, scale=False, tol=1e-14, max_iter=100_000).fit(data.x, data.y)
    close(data.predicted(kind="pls", components=components), theirs.predict(data.features[data.rest]))


def test_the_number_of_latent_components_is_chosen_in_folds(data, sklearn):
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.model_selection import GridSearchCV

    theirs = GridSearchCV(
        PLSRegression(scale=False, tol=1e-14, max_iter=100_000),
        {"n_components": (1, 2, 4, 8)},
        cv=data.splits,
        scoring="r2",
    ).fit(data.x, data.y)
    found = data.predicted(kind="pls", components=(1, 2, 4, 8))
    assert set(data.map.components) == {theirs.best_params_["n_components"]}
    close(found, theirs.predict(data.features[data.rest]))


def in_bands(data):
    third = data.features.shape[1] // 3
    return [data.features[:, :third], data.features[:, third:]]


@pytest.mark.parametrize("weights", [(0.3, 0.7), (2.0, 0.0), (1e-3, 5.0)])
def test_fixed_bands_are_the_weighted_kernels_of_himalaya(data, weights):
    himalaya = pytest.importorskip("himalaya.kernel_ridge")
    mean, offset = data.x.mean(axis=0), data.y.mean(axis=0)
    bands = [band - band[data.train].mean(axis=0) for band in in_bands(data)]
    kernels = np.stack([band[data.train] @ band[data.train].T for band in bands])
    across = np.stack([band[data.rest] @ band[data.train].T for band in bands])
    deltas = np.log(np.maximum(np.array(weights), 1e-300))[:, None].repeat(7, axis=1)
    theirs = himalaya.WeightedKernelRidge(
        alpha=4.0, deltas=deltas, kernels="precomputed", solver_params={"tol": 1e-12, "max_iter": 5000}
    ).fit(kernels, data.y - offset)
    gram = gram_of(in_bands(data), data.train)
    recipe = MapRecipe(kind="banded", alphas=(4.0,), band_weights=(weights,), scale_bands=False)
    found = fit_map(gram, data.y, recipe).predict(gram, data.rest)
    close(found, np.asarray(theirs.predict(across)) + offset)
    assert mean.shape == (data.features.shape[1],)


def test_bands_are_ridge_on_bands_multiplied_by_the_roots_of_their_weights(data, sklearn):
    from sklearn.linear_model import Ridge

    one, other = (band - band[data.train].mean(axis=0) for band in in_bands(data))
    lengths = [(band[data.train] ** 2).sum(axis=1).mean() for band in (one, other)]
    scaled = np.concatenate([one * np.sqrt(0.2 / lengths[0]), other * np.sqrt(0.8 / lengths[1])], axis=1)
    expected = Ridge(alpha=0.5, solver="svd").fit(scaled[data.train], data.y).predict(scaled[data.rest])
    gram = gram_of(in_bands(data), data.train)
    recipe = MapRecipe(kind="banded", alphas=(0.5,), band_weights=((0.2, 0.8),))
    close(fit_map(gram, data.y, recipe).predict(gram, data.rest), expected)


def test_every_neuron_can_have_weights_of_its_own(data):
    gram = gram_of(in_bands(data), data.train)
    weights = ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0))
    recipe = MapRecipe(kind="banded", alphas=(0.1, 1.0), band_weights=weights, per_neuron=True)
    found = fit_map(gram, data.y, recipe, folds=data.folds)
    assert len(np.unique(found.band_weights, axis=0)) > 1
    predicted = found.predict(gram, data.rest)
    for neuron in range(7):
        candidate = int(found.cross_validation[:, neuron].argmax()) // 2
        alone = MapRecipe(kind="banded", alphas=(found.alpha[neuron],), band_weights=(weights[candidate],))
        expected = fit_map(gram, data.y[:, neuron : neuron + 1], alone).predict(gram, data.rest)
        np.testing.assert_allclose(predicted[:, neuron], expected[:, 0], rtol=1e-9)
