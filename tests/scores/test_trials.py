import numpy as np
import pytest

from neurofit.errors import ShapeError
from neurofit.scores import (
    anscombe,
    mean_variance,
    noise_variance,
    signal_variance,
    total_variance,
    trial_mean,
)
from neurofit.scores.trials import repeated


@pytest.fixture
def trials():
    """(image, trial, neuron) = (30, 6, 4), of neurons with different signals."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (30, 6, 4)) + rng.normal(0, 1, (30, 1, 4)) * np.array([0.0, 0.5, 1.0, 2.0])


def with_gaps(trials):
    """Some trials missing; image 0 without any, images 1 and 2 with one."""
    gappy = np.where(np.random.default_rng(1).random(trials.shape) < 0.2, np.nan, trials)
    gappy[0] = np.nan
    gappy[1:3, 1:] = np.nan
    gappy[1:3, 0] = trials[1:3, 0]
    return gappy


def test_variances_are_numpys(trials):
    np.testing.assert_allclose(noise_variance(trials), trials.var(axis=1, ddof=1).mean(axis=0))
    np.testing.assert_allclose(total_variance(trials), trials.reshape(-1, 4).var(axis=0, ddof=1))
    np.testing.assert_allclose(mean_variance(trials), trials.mean(axis=1).var(axis=0, ddof=1))
    expected = trials.mean(axis=1).var(axis=0, ddof=1) - trials.var(axis=1, ddof=1).mean(axis=0) / 6
    np.testing.assert_allclose(signal_variance(trials), expected)


def test_missing_trials_are_left_out_neuron_by_neuron(trials):
    gappy = with_gaps(trials)
    for neuron in range(4):
        rows = [row[np.isfinite(row)] for row in gappy[:, :, neuron]]
        rows = [row for row in rows if len(row) > 1]
        noise = np.mean([row.var(ddof=1) for row in rows])
        of_means = np.var([row.mean() for row in rows], ddof=1)
        assert noise_variance(gappy)[neuron] == pytest.approx(noise)
        assert total_variance(gappy)[neuron] == pytest.approx(np.concatenate(rows).var(ddof=1))
        assert mean_variance(gappy)[neuron] == pytest.approx(of_means)
        expected = of_means - noise * np.mean([1 / len(row) for row in rows])
        assert signal_variance(gappy)[neuron] == pytest.approx(expected)


def test_the_trial_mean_keeps_images_of_one_trial_and_is_nan_without_any(trials):
    gappy = with_gaps(trials)
    means = trial_mean(gappy)
    assert np.isnan(means[0]).all()
    np.testing.assert_allclose(means[1], trials[1, 0])
    np.testing.assert_allclose(means[3:], np.nanmean(gappy[3:], axis=1))


@pytest.mark.parametrize("of", ["trial", "image"])
def test_a_mask_does_what_nan_does(trials, of):
    mask = np.random.default_rng(2).random(trials.shape if of == "trial" else trials.shape[::2]) < 0.7
    gone = np.where(mask if of == "trial" else mask[:, None, :], trials, np.nan)
    for measure in (noise_variance, total_variance, mean_variance, signal_variance, trial_mean):
        np.testing.assert_allclose(measure(trials, mask), measure(gone))


def test_the_signal_variance_is_unbiased_with_unequal_trials():
    rng = np.random.default_rng(3)
    trials = rng.normal(0, 1, (60, 1, 4000)) * 0.7 + rng.normal(0, 1.5, (60, 5, 4000))
    trials[::2, 2:] = np.nan
    assert signal_variance(trials).mean() == pytest.approx(0.49, abs=0.01)


def test_a_silent_neuron_varies_by_exactly_nothing():
    y, valid = repeated(np.full((5, 3, 1), 0.1))
    assert (y == 0).all()
    assert valid.all()
    assert noise_variance(np.full((5, 3, 1), 0.1)) == 0
    assert mean_variance(np.full((5, 3, 1), 0.1)) == 0


def test_without_repeats_there_is_not_a_variance():
    single = np.random.default_rng(0).normal(0, 1, (10, 1, 2))
    for measure in (noise_variance, total_variance, mean_variance, signal_variance):
        assert np.isnan(measure(single)).all()


def test_anscombes_transform_makes_poisson_variances_one():
    counts = np.random.default_rng(0).poisson([5, 20, 80], (20_000, 3))
    np.testing.assert_allclose(anscombe(counts).var(axis=0), 1, atol=0.04)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"trials \(4, 3\) must be \(image, trial, neuron\)"):
        noise_variance(np.ones((4, 3)))
    with pytest.raises(
        ShapeError, match=r"mask \(4, 2\) must have the shape of trials \(4, 2, 3\), or \(image, neu"
    ):
        noise_variance(np.ones((4, 2, 3)), np.ones((4, 2), bool))
