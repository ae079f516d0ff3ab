import warnings

import numpy as np
import pytest

from neurofit.datasets.dataset import reliability
from neurofit.scores import (
    anscombe,
    correlation,
    correlation_ceiling,
    fev,
    noise_variance,
    oracle_conservative,
    oracle_jackknife,
    oracle_jackknife_by_trial,
    signal_power,
    signal_share,
    signal_to_noise,
    signal_variance,
    split_half,
    split_half_ceiling,
    split_half_consistency,
)

CEILINGS = (
    correlation_ceiling,
    fev,
    oracle_conservative,
    oracle_jackknife,
    oracle_jackknife_by_trial,
    signal_power,
    signal_share,
    signal_to_noise,
    split_half,
    split_half_ceiling,
    split_half_consistency,
)


def poisson(n_images=40, n_trials=6, n_neurons=5, seed=0):
    """Rates (image, neuron) and counts (image, trial, neuron)."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 1.0, (n_images, n_neurons))
    return rates, rng.poisson(rates[:, None, :], (n_images, n_trials, n_neurons)).astype(float)


@pytest.fixture
def trials():
    return poisson()[1]


def test_signal_power_is_the_difference_of_two_variances(trials):
    n = trials.shape[1]
    expected = (trials.sum(axis=1).var(axis=0, ddof=1) - trials.var(axis=0, ddof=1).sum(axis=0)) / (
        n * (n - 1)
    )
    np.testing.assert_allclose(signal_power(trials), expected)


def test_signal_power_with_missing_trials_is_unbiased():
    rates, trials = poisson(n_neurons=4000)
    trials[::3, 2:] = np.nan
    trials[1, :] = np.nan
    expected = np.delete(rates, 1, axis=0).var(axis=0, ddof=1)
    assert signal_power(trials).mean() == pytest.approx(expected.mean(), rel=0.01)


def test_signal_power_ignores_a_drift_that_all_images_share(trials):
    drifting = trials + np.arange(6)[None, :, None]
    np.testing.assert_allclose(signal_power(drifting), signal_power(trials))
    np.testing.assert_allclose(oracle_jackknife_by_trial(drifting), oracle_jackknife_by_trial(trials))
    assert (oracle_jackknife(drifting) < oracle_jackknife(trials)).all()
    assert (signal_variance(drifting) < signal_variance(trials)).all()


def test_the_correlation_ceiling_is_the_root_of_the_signals_share_of_the_mean(trials):
    variance = trials.mean(axis=1).var(axis=0, ddof=1)
    np.testing.assert_allclose(correlation_ceiling(trials), np.sqrt(signal_power(trials) / variance))
    other = correlation_ceiling(trials, signal=signal_variance(trials))
    np.testing.assert_allclose(other, np.sqrt(signal_variance(trials) / variance))


def test_the_true_rates_correlate_as_the_ceiling_says():
    rates, trials = poisson(n_images=400, n_neurons=50)
    reached = correlation(trials.mean(axis=1), rates)
    np.testing.assert_allclose(correlation_ceiling(trials).mean(), reached.mean(), atol=0.01)
    np.testing.assert_allclose(split_half_ceiling(trials).mean(), reached.mean(), atol=0.01)


def test_noise_alone_has_a_ceiling_of_zero_or_little():
    noise = np.random.default_rng(0).normal(0, 1, (50, 8, 200))
    below = signal_power(noise) <= 0
    assert 0.3 < below.mean() < 0.7
    assert (correlation_ceiling(noise)[below] == 0).all()
    assert abs(fev(noise).mean()) < 0.02


def test_the_signal_share_of_poisson_counts():
    rates, trials = poisson(n_images=500, n_neurons=40)
    expected = rates.var(axis=0) / (rates.var(axis=0) + rates.mean(axis=0))
    np.testing.assert_allclose(signal_share(trials).mean(), expected.mean(), atol=0.01)


def test_fev_is_what_the_data_sets_table_calls_reliability(trials):
    np.testing.assert_allclose(np.clip(fev(trials), 0, 1), reliability(trials))


def test_signal_to_noise_and_the_conservative_oracle_by_their_formulas(trials):
    means = trials.mean(axis=1)
    expected = means.var(axis=0) / trials.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(signal_to_noise(trials), expected)
    np.testing.assert_allclose(signal_to_noise(trials, counts=True), signal_to_noise(anscombe(trials)))
    signal, noise = means.var(axis=0), trials.var(axis=1).mean(axis=0)
    np.testing.assert_allclose(oracle_conservative(trials), signal / np.sqrt(signal * (signal + noise)))


def test_oracles_correlate_each_trial_with_the_mean_of_the_others(trials):
    others = np.stack([np.delete(trials, k, axis=1).mean(axis=1) for k in range(6)], axis=1)
    pooled = [np.corrcoef(trials[:, :, n].ravel(), others[:, :, n].ravel())[0, 1] for n in range(5)]
    np.testing.assert_allclose(oracle_jackknife(trials), pooled)
    each = [[np.corrcoef(trials[:, k, n], others[:, k, n])[0, 1] for n in range(5)] for k in range(6)]
    np.testing.assert_allclose(oracle_jackknife_by_trial(trials), np.mean(each, axis=0))


def test_two_trials_have_one_way_to_be_halved():
    trials = poisson(n_trials=2)[1]
    r = correlation(trials[:, 0], trials[:, 1])
    np.testing.assert_allclose(split_half(trials), r)
    np.testing.assert_allclose(split_half_consistency(trials), 2 * r / (1 + r))
    np.testing.assert_allclose(split_half_ceiling(trials), np.sqrt(np.maximum(2 * r / (1 + r), 0)))


def test_halves_are_decided_by_the_seed(trials):
    np.testing.assert_array_equal(split_half(trials, splits=5), split_half(trials, splits=5, seed=0))
    assert (split_half(trials, splits=5) != split_half(trials, splits=5, seed=1)).any()


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_images_without_two_trials_change_nothing(trials, ceiling):
    more = np.full((10, 6, 5), np.nan)
    more[:5, 0] = 7.0
    np.testing.assert_allclose(ceiling(np.concatenate([trials, more])), ceiling(trials))


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_a_masked_image_is_a_missing_one(trials, ceiling):
    keep = np.arange(40) % 4 > 0
    mask = np.broadcast_to(keep[:, None], (40, 5))
    np.testing.assert_allclose(ceiling(trials, mask), ceiling(trials[keep]))


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_silent_neurons_single_images_and_single_trials_give_no_warning(trials, ceiling):
    silent = trials.copy()
    silent[:, :, 1] = 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = ceiling(silent)
        assert np.isfinite(np.delete(values, 1)).all()
        if ceiling is not signal_power:
            assert np.isnan(values[1])
        assert np.isnan(ceiling(trials[:1])).all()
        assert np.isnan(ceiling(trials[:, :1])).all()
        assert np.isnan(ceiling(np.full((3, 2, 2), np.nan))).all()


def test_a_silent_neuron_has_no_signal_power_and_no_noise():
    silent = np.full((5, 3, 1), 0.1)
    assert signal_power(silent) == 0
    assert noise_variance(silent) == 0


@pytest.mark.parametrize("number", [2, 3, 5, 7, 10])
def test_identical_trials_have_no_noise_whatever_their_number(number):
    rates = np.random.default_rng(3).gamma(2.0, 1.0, (30, 4)) / 3
    trials = np.repeat(rates[:, None, :], number, axis=1)
    trials[0, 0, 1] = np.nan  # the first that counts is another one
    assert (noise_variance(trials) == 0).all()
    assert np.isnan(signal_to_noise(trials)).all()
    np.testing.assert_allclose(fev(trials), 1)


def test_opposite_halves_have_no_consistency():
    trials = np.array([[1.0, 2.0], [2.0, 1.0]])[:, :, None]
    assert np.isnan(split_half_consistency(trials)).all()
    three = np.array([[0.1, 0.2], [0.2, 0.1], [0.15, 0.15]])[:, :, None] / 3
    assert np.isnan(split_half_consistency(three)).all()
