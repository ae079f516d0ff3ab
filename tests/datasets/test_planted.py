import numpy as np
import pytest

from neurofit.datasets import planted_hsm
from neurofit.errors import DataError


@pytest.fixture(scope="module", params=[0.7, 0.24])
def small(request):
    return planted_hsm(
        signal_share=request.param, n_neurons=20, n_train=300, n_test=150, size=16
    ), request.param


def test_every_neuron_has_the_signal_share_that_was_asked_for(small):
    data, share = small
    rates = data.truth["rates"][data.official == "train"]
    np.testing.assert_allclose(rates.var(axis=0) / (rates.var(axis=0) + rates.mean(axis=0)), share, atol=1e-3)
    np.testing.assert_allclose(data.truth["parameters"]["signal_share"], share, atol=1e-3)


def test_the_trials_show_the_share(small):
    data, _ = small
    rates = data.truth["rates"][data.official == "test"]
    expected = rates.var(axis=0, ddof=1) / (rates.var(axis=0, ddof=1) + rates.mean(axis=0))
    assert data.neurons["reliability"].mean() == pytest.approx(expected.mean(), abs=0.02)


def test_training_images_have_one_trial_and_test_images_all(small):
    data, _ = small
    repeats = np.isfinite(data.trials).sum(axis=1)
    assert (repeats[data.official == "train"] == 1).all()
    assert (repeats[data.official == "test"] == 10).all()
    np.testing.assert_allclose(data.responses, np.nanmean(data.trials, axis=1))


def test_counts_are_poisson_around_the_rates(small):
    data, _ = small
    test = data.official == "test"
    misses = data.trials[test] - data.truth["rates"][test][:, None, :]
    assert (misses**2).mean() == pytest.approx(data.truth["rates"][test].mean(), rel=0.05)


def test_the_seed_decides_all_and_the_share_not_the_stimuli():
    told = {"n_neurons": 10, "n_train": 60, "n_test": 10, "size": 12}
    first, again, other = (planted_hsm(seed=seed, **told) for seed in (3, 3, 4))
    assert first.hash() == again.hash() != other.hash()
    fainter = planted_hsm(seed=3, signal_share=0.2, **told)
    np.testing.assert_array_equal(first.inputs["image"], fainter.inputs["image"])
    assert (
        abs(np.corrcoef(first.truth["rates"][:, 0], fainter.truth["rates"][:, 0])[0, 1]) > 0.7
    )  # the same drive


def test_no_more_directions_than_filters():
    # With as many hidden units as there may be, everything passes through the filters: two of them, so two
    # dimensions.
    data = planted_hsm(n_neurons=30, n_train=400, n_test=10, size=12, filters=2)
    images = data.inputs["image"].reshape(410, -1).astype(np.float64)
    linear = np.linalg.lstsq(
        images - images.mean(axis=0), data.truth["rates"] - data.truth["rates"].mean(axis=0)
    )[0]
    predicted = (images - images.mean(axis=0)) @ linear
    variance = np.linalg.svd(predicted - predicted.mean(axis=0), compute_uv=False) ** 2
    assert variance[:2].sum() / variance.sum() > 0.8


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_that_no_poisson_neuron_can_have_is_an_error(share):
    with pytest.raises(DataError, match="expected a number above 0 and below 1"):
        planted_hsm(signal_share=share)


def test_a_share_that_cannot_be_reached_is_an_error():
    with pytest.raises(DataError, match="no gain gives every neuron a signal share of 1"):
        planted_hsm(signal_share=0.9999999, n_neurons=10, n_train=60, n_test=10, size=12)
