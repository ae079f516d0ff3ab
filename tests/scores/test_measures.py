import warnings

import numpy as np
import pytest
from scipy import stats

from neurofit.errors import ShapeError, UsageError
from neurofit.scores import (
    correlation,
    deviance_explained,
    explained_variance,
    fraction_of_variance_explained,
    null_adjusted_log_likelihood,
    poisson_deviance,
    poisson_log_likelihood,
    r_squared,
)

BASELINE = np.array([2.0, 2.0, 2.0])


@pytest.fixture
def pair():
    """Responses and predictions, (image, neuron) = (40, 3)."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 1.0, (40, 3))
    return rng.poisson(rates).astype(float), rates + 0.1


def every_score(responses, predictions, mask=None):
    baseline = BASELINE[: np.shape(responses)[1]]
    return {
        "correlation": correlation(responses, predictions, mask),
        "explained_variance": explained_variance(responses, predictions, mask),
        "fraction": fraction_of_variance_explained(responses, predictions, baseline, mask),
        "likelihood": poisson_log_likelihood(responses, predictions, baseline, mask),
        "null_adjusted": null_adjusted_log_likelihood(responses, predictions, baseline, mask),
        "r_squared": r_squared(responses, predictions, mask),
        "deviance": poisson_deviance(responses, predictions, mask),
        "deviance_explained": deviance_explained(responses, predictions, baseline, mask),
    }


def test_correlation_is_scipys_pearsonr(pair):
    expected = [stats.pearsonr(y, p).statistic for y, p in zip(pair[0].T, pair[1].T)]
    np.testing.assert_allclose(correlation(*pair), expected, rtol=1e-12)


def test_explained_variance_forgives_an_offset_and_not_a_scale():
    y = np.array([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(explained_variance(y, y + 5), [1.0])
    np.testing.assert_allclose(explained_variance(y, 2 * y), [0.0])  # the error varies as much as y
    np.testing.assert_allclose(explained_variance(y, -y), [-3.0])


def test_explained_variance_is_that_of_scikit_learns_documentation():
    # explained_variance_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) = 0.957...
    y, p = np.array([[3.0], [-0.5], [2.0], [7.0]]), np.array([[2.5], [0.0], [2.0], [8.0]])
    np.testing.assert_allclose(explained_variance(y, p), [0.9571734475374732])


def test_explained_variance_is_not_the_same_with_its_arguments_swapped():
    y, p = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [1.5], [2.0]])
    assert explained_variance(y, p)[0] != pytest.approx(explained_variance(p, y)[0])


def test_fraction_of_variance_explained_with_the_own_mean_is_scikit_learns_r2():
    # r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) = 0.948...
    y, p = np.array([[3.0], [-0.5], [2.0], [7.0]]), np.array([[2.5], [0.0], [2.0], [8.0]])
    np.testing.assert_allclose(fraction_of_variance_explained(y, p, y.mean(axis=0)), [0.9486081370449679])


def test_predicting_the_baseline_explains_nothing():
    y = np.array([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(fraction_of_variance_explained(y, np.full((3, 1), 2.0), [2.0]), [0.0])
    np.testing.assert_allclose(poisson_log_likelihood(y, np.full((3, 1), 2.0), [2.0]), [0.0])


def test_poisson_likelihood_of_a_hand_worked_case():
    # rates 1 and 3 where the mean is 2, counts 1 and 3: (3 log 3 - 4) - (4 log 2 - 4) nats over 4 spikes
    y = np.array([[1.0], [3.0]])
    expected = (3 * np.log(3) - 4 * np.log(2)) / 4 / np.log(2)
    np.testing.assert_allclose(poisson_log_likelihood(y, y), [expected], rtol=1e-5)


def test_poisson_likelihood_is_the_difference_of_scipys_log_pmfs(pair):
    y, p = pair
    gain = stats.poisson.logpmf(y, p).sum(axis=0) - stats.poisson.logpmf(y, BASELINE).sum(axis=0)
    np.testing.assert_allclose(
        poisson_log_likelihood(y, p, BASELINE), gain / np.log(2) / y.sum(axis=0), rtol=1e-5
    )


def test_no_constant_beats_the_mean_of_the_responses_themselves(pair):
    y, _ = pair
    scores = [poisson_log_likelihood(y, np.full(y.shape, rate)) for rate in (0.5, 1.0, 2.0, 4.0)]
    assert (np.array(scores) < 0).all()


def test_a_prediction_of_zero_where_there_was_a_spike_is_finite_and_bad():
    assert -30 < poisson_log_likelihood(np.array([[1.0], [1.0]]), np.array([[0.0], [1.0]]))[0] < -5


def test_a_negative_rate_has_no_likelihood():
    assert np.isnan(poisson_log_likelihood(np.array([[1.0], [2.0]]), np.array([[-0.5], [2.0]]), [1.5])[0])


@pytest.mark.parametrize("name", every_score(np.ones((2, 1)), np.ones((2, 1))))
def test_what_is_masked_or_missing_does_not_count(pair, name):
    responses, predictions = (array.copy() for array in pair)
    keep = np.arange(40) % 3 > 0
    expected = every_score(responses[keep], predictions[keep])[name]
    mask = np.broadcast_to(keep[:, None], responses.shape)
    np.testing.assert_allclose(every_score(responses, predictions, mask)[name], expected)
    responses[~keep] = np.nan
    predictions[~keep] = np.nan
    np.testing.assert_allclose(every_score(responses, predictions)[name], expected)


@pytest.mark.parametrize("name", every_score(np.ones((2, 1)), np.ones((2, 1))))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_not_a_number_affects_its_own_neuron_only(pair, name, bad):
    responses, predictions = (array.copy() for array in pair)
    predictions[7, 1] = bad
    scores = every_score(responses, predictions)[name]
    assert np.isnan(scores).tolist() == [False, True, False]


def test_constant_responses_or_predictions_have_no_correlation():
    varied, constant = np.array([[1.0], [2.0], [3.0]]), np.full((3, 1), 0.1)
    assert np.isnan(correlation(constant, varied)[0])
    assert np.isnan(correlation(varied, constant)[0])


def test_a_silent_neuron_has_no_score_but_a_baseline_it_can_miss():
    silent, predictions = np.zeros((3, 1)), np.array([[1.0], [2.0], [3.0]])
    scores = every_score(silent, predictions)
    assert np.isnan(
        [scores["correlation"][0], scores["explained_variance"][0], scores["likelihood"][0]]
    ).all()
    np.testing.assert_allclose(scores["fraction"], 1 - 14 / 12)


def test_one_image_or_none_gives_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(correlation(np.ones((1, 2)), np.ones((1, 2)))).all()
        assert np.isnan(correlation(np.ones((0, 2)), np.ones((0, 2)))).all()
        every_score(np.ones((0, 2)), np.ones((0, 2)))
        every_score(np.full((3, 2), np.nan), np.ones((3, 2)))


@pytest.mark.parametrize("factor", [1e-170, 1e-9, 1e9, 1e170])
def test_correlation_does_not_depend_on_units(pair, factor):
    y, p = pair
    np.testing.assert_allclose(correlation(y, p * factor), correlation(y, p), rtol=1e-9)


def test_a_large_offset_does_not_make_a_constant_prediction_vary():
    varied = np.arange(1000.0)[:, None]
    assert np.isnan(correlation(varied, np.full((1000, 1), np.float32(0.1)))[0])


def test_correlation_never_leaves_its_range(pair):
    y, _ = pair
    assert (correlation(y, 3 * y + 1) <= 1).all()
    assert (correlation(y, -y / 7) >= -1).all()


@pytest.mark.parametrize("score", [correlation, explained_variance, poisson_log_likelihood])
def test_shapes_that_differ_are_both_named(score):
    with pytest.raises(
        ShapeError, match=r"responses \(5, 3\) and predictions \(5, 2\) must both be \(image, neuron\)"
    ):
        score(np.ones((5, 3)), np.ones((5, 2)))


def test_nothing_is_broadcast():
    with pytest.raises(ShapeError, match=r"responses \(5, 1\) and predictions \(5, 3\)"):
        correlation(np.ones((5, 1)), np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"responses \(5,\) and predictions \(5,\)"):
        correlation(np.ones(5), np.ones(5))
    with pytest.raises(ShapeError, match=r"mask \(5,\) and responses \(5, 3\)"):
        correlation(np.ones((5, 3)), np.ones((5, 3)), np.ones(5, bool))
    with pytest.raises(
        ShapeError,
        match=r"baseline_mean \(2,\) must be \(neuron,\), one value per neuron of responses \(5, 3\)",
    ):
        fraction_of_variance_explained(np.ones((5, 3)), np.ones((5, 3)), np.ones(2))


def test_r_squared_is_scikit_learns_and_forgives_no_offset():
    # r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) = 0.948...
    y, p = np.array([[3.0], [-0.5], [2.0], [7.0]]), np.array([[2.5], [0.0], [2.0], [8.0]])
    np.testing.assert_allclose(r_squared(y, p), [0.9486081370449679])
    assert r_squared(y, y + 5) < 0


def test_poisson_deviance_is_that_of_scikit_learns_documentation():
    # mean_poisson_deviance([2, 0, 1, 4], [0.5, 0.5, 2., 2.]) = 1.4260...
    y, p = np.array([[2.0], [0.0], [1.0], [4.0]]), np.array([[0.5], [0.5], [2.0], [2.0]])
    np.testing.assert_allclose(poisson_deviance(y, p), [1.4260151319598084])


def test_poisson_deviance_is_twice_what_the_best_likelihood_has_more(pair):
    y, p = pair
    best = stats.poisson.logpmf(y, np.maximum(y, 1e-300)).sum(axis=0)
    expected = 2 * (best - stats.poisson.logpmf(y, p).sum(axis=0)) / len(y)
    np.testing.assert_allclose(poisson_deviance(y, p), expected)


def test_deviances_at_the_edges():
    y = np.array([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 2.0]])
    p = np.array([[0.0, 0.0, -1.0, 1.0], [1.0, 0.0, 1.0, 2.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(poisson_deviance(y, p), [np.inf, 0, np.nan, 0])
        np.testing.assert_array_equal(deviance_explained(y, p), [np.nan, np.nan, np.nan, 1])


def test_deviance_explained_is_one_less_the_ratio(pair):
    y, p = pair
    expected = 1 - poisson_deviance(y, p) / poisson_deviance(y, np.broadcast_to(BASELINE, y.shape))
    np.testing.assert_allclose(deviance_explained(y, p, BASELINE), expected)
    np.testing.assert_allclose(deviance_explained(y, np.broadcast_to(y.mean(axis=0), y.shape)), 0, atol=1e-12)


def test_the_null_adjusted_likelihood_is_ndns(pair):
    """−cost − null: the cost of a neuron divided by its mean rate, and log(rate + 1e-6) − 1."""
    y, p = pair
    rates = y.mean(axis=0)
    cost = -(y * np.log(p + 1e-6) - p).sum(axis=0) / (len(y) * rates)
    np.testing.assert_allclose(
        null_adjusted_log_likelihood(y, p), -cost - (np.log(rates + 1e-6) - 1), rtol=1e-5
    )


def test_the_null_adjusted_likelihood_of_gaussian_noise_is_variance_less_error(pair):
    y, p = pair
    np.testing.assert_allclose(
        null_adjusted_log_likelihood(y, p, noise="gaussian"), y.var(axis=0) - ((y - p) ** 2).mean(axis=0)
    )
    with pytest.raises(UsageError, match="Did you mean 'gaussian'"):
        null_adjusted_log_likelihood(y, p, noise="gausian")


def test_the_gaussian_gain_of_each_neuron_by_hand():
    """Neuron 0: variance 2/3 less error 1/3; neuron 1, of which the last image does not count: 4 less 1."""
    y = np.array([[1.0, 0.0], [2.0, 4.0], [3.0, 9.0]])
    p = np.array([[1.0, 1.0], [2.0, 3.0], [2.0, 0.0]])
    mask = np.array([[True, True], [True, True], [True, False]])
    found = null_adjusted_log_likelihood(y, p, mask=mask, noise="gaussian")
    np.testing.assert_allclose(found, [1 / 3, 3])
    told = null_adjusted_log_likelihood(y, p, np.array([1.0, 1.0]), mask, noise="gaussian")
    np.testing.assert_allclose(told, [5 / 3 - 1 / 3, 5 - 1])


def test_a_likelihood_of_counts_has_no_negative_responses(pair):
    y, p = pair
    found = poisson_log_likelihood(y - [0, 3, 0], p, np.ones(3))
    np.testing.assert_array_equal(np.isnan(found), [False, True, False])
