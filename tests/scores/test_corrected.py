import warnings

import numpy as np
import pytest

from neurofit.errors import ShapeError
from neurofit.scores import (
    correlation,
    correlation_ceiling,
    fev,
    feve,
    normalised_correlation,
    r2_er,
    signal_power,
    signal_power_explained,
    single_trial_correlation,
)

SCORES = (feve, normalised_correlation, r2_er, signal_power_explained, single_trial_correlation)


def poisson(n_images=40, n_trials=6, n_neurons=5, seed=0):
    """Counts (image, trial, neuron), and their rates (image, neuron)."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 1.0, (n_images, n_neurons))
    return rng.poisson(rates[:, None, :], (n_images, n_trials, n_neurons)).astype(float), rates


def gaussian(r2, *, noise=1.5, n_images=60, n_trials=4, n_neurons=4000):
    """Trials of constant noise around a truth whose squared correlation with the predictions is r2, to the
    digit.
    """
    rng = np.random.default_rng(1)
    truth, other = rng.normal(0, 1, (2, n_images, n_neurons))
    truth, other = truth - truth.mean(axis=0), other - other.mean(axis=0)
    truth /= np.sqrt((truth**2).sum(axis=0))
    other -= truth * (truth * other).sum(axis=0)
    other /= np.sqrt((other**2).sum(axis=0))
    predictions = np.sqrt(r2) * truth + np.sqrt(1 - r2) * other
    truth = truth * np.sqrt(n_images)
    return truth[:, None, :] + rng.normal(0, noise, (n_images, n_trials, n_neurons)), predictions


def test_single_trial_correlation_repeats_the_prediction_for_every_trial():
    trials, rates = poisson()
    trials[3, 2:] = np.nan
    for neuron in range(5):
        pairs = [(y, rates[i, neuron]) for i in range(40) for y in trials[i, :, neuron] if np.isfinite(y)]
        assert single_trial_correlation(trials, rates)[neuron] == pytest.approx(
            np.corrcoef(*zip(*pairs))[0, 1]
        )


def test_single_trials_are_enough_for_the_single_trial_correlation():
    trials, rates = poisson(n_trials=1)
    np.testing.assert_allclose(single_trial_correlation(trials, rates), correlation(trials[:, 0], rates))


def test_feve_by_its_formula():
    trials, rates = poisson()
    predictions = rates + 0.3
    noise, total = trials.var(axis=1, ddof=1).mean(axis=0), trials.reshape(-1, 5).var(axis=0, ddof=1)
    error = ((trials - predictions[:, None]) ** 2).mean(axis=(0, 1))
    np.testing.assert_allclose(feve(trials, predictions), 1 - (error - noise) / (total - noise))


def test_normalised_correlation_and_power_explained_by_their_formulas():
    trials, rates = poisson()
    predictions = rates**2
    means = trials.mean(axis=1)
    covariance = [np.cov(means[:, n], predictions[:, n])[0, 1] for n in range(5)]
    power = signal_power(trials)
    expected = covariance / np.sqrt(predictions.var(axis=0, ddof=1) * power)
    np.testing.assert_allclose(normalised_correlation(trials, predictions), expected)
    np.testing.assert_allclose(expected, correlation(means, predictions) / correlation_ceiling(trials))
    explained = (means.var(axis=0, ddof=1) - (means - predictions).var(axis=0, ddof=1)) / power
    np.testing.assert_allclose(signal_power_explained(trials, predictions), explained)


def test_a_perfect_model_reaches_one_whatever_the_noise():
    trials, rates = poisson(n_images=500, n_trials=8, n_neurons=100)
    assert correlation(trials.mean(axis=1), rates).mean() < 0.98
    for score in (normalised_correlation, feve, signal_power_explained):
        assert score(trials, rates).mean() == pytest.approx(1, abs=0.005)
    assert r2_er(np.sqrt(trials), np.sqrt(rates)).mean() == pytest.approx(1, abs=0.02)


def test_the_mean_of_the_other_half_of_the_trials_is_a_model_like_any_other():
    # Its own noise makes it imperfect: CC_norm falls short of 1 by the ceiling of its half, and no further.
    trials, _ = poisson(n_images=500, n_trials=16, n_neurons=100)
    model = trials[:, 8:].mean(axis=1)
    reached = normalised_correlation(trials[:, :8], model).mean()
    assert reached == pytest.approx(correlation_ceiling(trials[:, 8:]).mean(), abs=0.01)


@pytest.mark.parametrize("r2", [0.0, 0.3, 0.8, 1.0])
def test_r2_er_is_unbiased_where_r2_is_not(r2):
    trials, predictions = gaussian(r2)
    assert r2_er(trials, predictions).mean() == pytest.approx(r2, abs=0.001 if r2 == 0 else 0.02)
    plain = (correlation(trials.mean(axis=1), predictions) ** 2).mean()
    assert abs(plain - r2) > (0.005 if r2 == 0 else 0.05)


def test_r2_er_with_missing_trials_stays_unbiased():
    trials, predictions = gaussian(0.5, n_images=400, n_neurons=1000)
    trials[::2, 2:] = np.nan
    assert r2_er(trials, predictions).mean() == pytest.approx(0.5, abs=0.01)


def test_r2_er_is_as_in_the_figure_of_its_paper():
    # Figure 2A of doi:10.1371/journal.pcbi.1009212: 362 images, 4 trials, σ² = .25, SNR .5, true r² = 1.
    rng = np.random.default_rng(0)
    predictions = np.repeat(rng.normal(0, 1, (362, 1)), 2000, axis=1)
    truth = predictions * np.sqrt(0.5 * 0.25) / predictions.std()
    trials = truth[:, None, :] + rng.normal(0, 0.5, (362, 4, 2000))
    found = r2_er(trials, predictions)
    assert (correlation(trials.mean(axis=1), predictions) ** 2).mean() == pytest.approx(0.67, abs=0.005)
    assert found.mean() == pytest.approx(1.00, abs=0.005)
    np.testing.assert_allclose(np.quantile(found, [0.05, 0.95]), [0.93, 1.07], atol=0.01)


def test_r2_er_by_hand():
    # Means 0, 2, 4 and predictions 0, 1, 2; noise variance 2 in each image, of a mean of two trials 1.
    trials = np.array([[-1.0, 1.0], [1.0, 3.0], [3.0, 5.0]])[:, :, None]
    np.testing.assert_allclose(
        r2_er(trials, np.array([[0.0], [1.0], [2.0]])), (16 - 1 * 2) / (2 * (8 - 2 * 1))
    )


def test_without_signal_the_corrected_scores_are_undefined():
    trials = np.tile(np.array([0.0, 1.0, 0.0, 1.0]), (10, 1))[:, :, None]
    trials[5] = 1 - trials[5]
    assert signal_power(trials) <= 0
    assert fev(trials) < 0
    for score in (feve, normalised_correlation, signal_power_explained, r2_er):
        assert np.isnan(score(trials, np.arange(10.0)[:, None])).all()


def test_constant_predictions_have_no_correlation_but_explain_nothing():
    trials, rates = poisson()
    constant = np.full(rates.shape, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(normalised_correlation(trials, constant)).all()
        assert np.isnan(r2_er(trials, constant)).all()
        np.testing.assert_allclose(signal_power_explained(trials, constant), 0)
        assert np.isfinite(feve(trials, constant)).all()


@pytest.mark.parametrize("score", SCORES)
def test_a_prediction_that_is_not_a_number_affects_its_own_neuron_only(score):
    trials, rates = poisson()
    rates[7, 1] = np.nan
    rates[7, 2] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(score(trials, rates)).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("score", SCORES)
def test_what_is_masked_or_missing_does_not_count(score):
    trials, rates = poisson()
    keep = np.arange(40) % 3 > 0
    expected = score(trials[keep], rates[keep])
    np.testing.assert_allclose(score(trials, rates, np.broadcast_to(keep[:, None], rates.shape)), expected)
    trials[~keep] = np.nan
    rates[~keep] = np.nan
    np.testing.assert_allclose(score(trials, rates), expected)


@pytest.mark.parametrize("score", SCORES)
def test_predictions_that_do_not_fit_are_named(score):
    with pytest.raises(
        ShapeError, match=r"trials \(5, 2, 3\) must be \(image, trial, neuron\), predictions \(5, 2\)"
    ):
        score(np.ones((5, 2, 3)), np.ones((5, 2)))
