import numpy as np
import pytest

from neurofit.scores import gini, lifetime_sparseness


def test_gini_is_half_the_relative_mean_difference():
    y = np.random.default_rng(0).gamma(1.0, 1.0, (30, 4))
    differences = abs(y[:, None] - y[None]).sum(axis=(0, 1))
    np.testing.assert_allclose(gini(y), differences / (2 * 30**2 * y.mean(axis=0)))


def test_lifetime_sparseness_of_vinje_and_gallant():
    y = np.random.default_rng(0).gamma(1.0, 1.0, (30, 4))
    expected = (1 - y.mean(axis=0) ** 2 / (y**2).mean(axis=0)) / (1 - 1 / 30)
    np.testing.assert_allclose(lifetime_sparseness(y), expected)


def test_a_response_to_one_image_is_maximally_sparse_and_equal_responses_are_not_sparse():
    y = np.stack([np.eye(10)[3], np.full(10, 2.0)], axis=1)
    np.testing.assert_allclose(gini(y), [0.9, 0], atol=1e-12)
    np.testing.assert_allclose(lifetime_sparseness(y), [1, 0], atol=1e-12)


@pytest.mark.parametrize("score", [gini, lifetime_sparseness])
def test_missing_responses_do_not_count(score):
    y = np.random.default_rng(0).gamma(1.0, 1.0, (30, 2))
    gappy = y.copy()
    gappy[5:9] = np.nan
    np.testing.assert_allclose(score(gappy), score(np.delete(y, range(5, 9), axis=0)))
    np.testing.assert_allclose(score(y, np.isfinite(gappy)), score(gappy))


@pytest.mark.parametrize("score", [gini, lifetime_sparseness])
def test_silent_neurons_and_negative_responses_have_none(score):
    y = np.array([[0.0, 1.0, 1.0], [0.0, -1.0, 2.0]])
    assert np.isnan(score(y)).tolist() == [True, True, False]
