"""Losses and scores against numbers that NDN3 itself returned, with and without masks."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
LOSSES = [
    "C_gaussian",
    "C_gaussian_filters",
    "C_poisson_none",
    "C_poisson_none_filters",
    "C_poisson_unit",
    "C_poisson_unit_filters",
    "C_poisson_unit_silent_neuron",
]
DTYPES = ("float32", "float64")


class Recorded:
    """One case's responses, predictions and mask, and our losses of them."""

    def __init__(self, case, dtype):
        self.y, self.p = case.in_Y.astype(dtype), case.in_predictions.astype(dtype)
        self.mask = case.arrays.get("in_F", np.ones_like(case.in_Y)).astype(dtype)
        self.seen = self.y * self.mask  # ỹ
        self.gaussian = case.meta["noise_dist"] == "gaussian"
        self.rates = case.arrays.get(
            "f64_out_poisson_unit_norm" if dtype == "float64" else "out_poisson_unit_norm"
        )

    def cost(self, rows):
        given = self.y[rows], self.p[rows], self.mask[rows]
        losses = nf.models.losses
        return losses.gaussian(*given) if self.gaussian else losses.poisson(*given, rates=self.rates)

    def per_neuron(self, rows):
        """(neuron,) sums over images: a loss of each neuron by itself, on a leading axis."""
        given = [one[rows].T[:, :, None] for one in (self.y, self.p, self.mask)]
        loss = nf.models.losses.gaussian if self.gaussian else nf.models.losses.poisson
        return np.asarray(loss(*given), np.float64) * len(self.y[rows])

    def evaluated(self, rows, smallest=1.0):
        """NDN3's eval: per spike (poisson), or per image that counts (gaussian)."""
        counts = self.mask[rows] if self.gaussian else self.seen[rows]
        return self.per_neuron(rows) / np.maximum(counts.sum(axis=0), smallest)


@pytest.fixture(params=LOSSES)
def name(request):
    return request.param


@pytest.fixture(params=DTYPES)
def recorded(name, request, reference):
    case = reference(name)
    return case, request.param, Recorded(case, request.param)


def test_losses_are_ndn3s(recorded, agrees):
    case, dtype, ours = recorded
    for rows, name in (
        (slice(None), "out_cost_all_rows"),
        (case.in_batch_idx, "out_cost_batch"),
        (slice(None), "out_get_LL_all"),
    ):
        agrees(ours.cost(rows), case, name, dtype)
    batches = [np.asarray(ours.cost(slice(start, start + 16))) for start in (0, 16, 32)]
    agrees(np.mean(batches), case, "out_get_LL_batch16", dtype)


def test_losses_of_each_neuron_are_ndn3s(recorded, agrees):
    case, dtype, ours = recorded
    agrees(ours.per_neuron(case.in_batch_idx), case, "out_unit_cost_batch", dtype)
    agrees(ours.evaluated(slice(None)), case, "out_eval_models_all", dtype)
    agrees(ours.evaluated(case.in_eval_idx), case, "out_eval_models_batch16_sub", dtype)


def test_losses_of_predictions_are_ndn3s(recorded, agrees):
    case, dtype, ours = recorded
    everything = slice(None)
    found = ours.per_neuron(everything) / 40 if ours.gaussian else ours.evaluated(everything, 1e-8)
    agrees(found, case, "out_eval_preds", dtype)


@pytest.mark.parametrize("name", [name for name in LOSSES if "poisson" in name], indirect=True)
def test_a_log_likelihood_over_the_null_model_is_ndn3s(recorded, close):
    """NDN3's is in nats per spike, ours in bits; of a silent neuron NDN3 has a number (÷ 1 or ÷ 1e-8), and we
    nan.
    """
    case, dtype, ours = recorded
    heard = ours.seen.sum(axis=0) > 1
    tolerance = 1e-10 if dtype == "float64" else 5e-6
    key = "f64_out" if dtype == "float64" else "out"
    for rows, names in (
        (slice(None), ("eval_models_all_nulladj", "eval_preds_nulladj")),
        (case.in_eval_idx, ("eval_models_batch16_sub_nulladj",)),
    ):
        score = nf.scores.poisson_log_likelihood(ours.y[rows], ours.p[rows], mask=ours.mask[rows] > 0)
        counted = heard & (ours.seen[rows].sum(axis=0) > 1)
        for name in names:
            close(score[counted] * np.log(2), case.arrays[f"{key}_{name}"][counted], tolerance)
    assert np.isnan(nf.scores.poisson_log_likelihood(ours.y, ours.p, mask=ours.mask > 0)[~heard]).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if "gaussian" in name], indirect=True)
def test_a_gaussian_null_model_is_ndn3s(recorded, agrees, close):
    case, dtype, ours = recorded
    for rows, name in ((slice(None), "eval_models_all"), (case.in_eval_idx, "eval_models_batch16_sub")):
        # NDN3 sums the null model's error over all neurons, and counts masked images: the loss without a
        # mask.
        means = ours.seen[rows].sum(axis=0) / np.maximum(ours.mask[rows].sum(axis=0), 1)
        null = nf.models.losses.gaussian(ours.seen[rows], np.broadcast_to(means, ours.seen[rows].shape))
        null = np.asarray(null, np.float64) * len(ours.y[rows]) / np.maximum(ours.mask[rows].sum(axis=0), 1)
        agrees(-ours.evaluated(rows) - null, case, f"out_{name}_nulladj", dtype)
    if "in_F" not in case.arrays:  # without a mask, also as a share of each neuron's variance
        explained = nf.scores.fraction_of_variance_explained(ours.y, ours.p, ours.y.mean(axis=0))
        expected = 1 - case.out_eval_preds / np.where(case.out_null_ll > 0, case.out_null_ll, np.nan)
        heard = np.isfinite(expected)
        close(explained[heard], expected[heard], 2e-5)


@pytest.mark.parametrize("name", ["C_gaussian"], indirect=True)
def test_our_gaussian_gain_is_labelled_as_another_one(recorded, close):
    """Not NDN3's: of the first neuron it is −.443, and −2.335 there."""
    case, _, ours = recorded
    found = nf.scores.null_adjusted_log_likelihood(ours.y, ours.p, noise="gaussian")
    close(found, ours.y.var(axis=0) - ((ours.y - ours.p) ** 2).mean(axis=0), 1e-6)
    assert (round(found[0], 3), round(float(case.out_eval_preds_nulladj[0]), 3)) == (-0.443, -2.335)
    np.testing.assert_allclose(
        case.out_eval_preds_nulladj, -case.out_eval_preds - case.out_null_ll, rtol=1e-5
    )
    assert "*not* NDN3's" in nf.scores.null_adjusted_log_likelihood.__doc__


def test_correlations_are_ndn3s_in_each_of_its_modes(recorded, agrees):
    case, dtype, ours = recorded
    found = nf.scores.correlation(ours.y, ours.p, ours.mask > 0)
    agrees(np.nan_to_num(found), case, "out_correlation_zero-NaNs", dtype)
    agrees(found[~np.isnan(found)], case, "out_correlation_filter-NaNs", dtype)
    lively = ours.seen.std(axis=0) > 1e-5
    agrees(found[~np.isnan(found) & lively], case, "out_correlation_filter-low-std-gold", dtype)


@pytest.mark.parametrize("name", [name for name in LOSSES if "unit" in name], indirect=True)
def test_mean_rates_are_ndn3s_but_of_a_silent_neuron(name, reference, close):
    """NDN3 divides a neuron that never responds by 1e-8, so that it drowns the others; here it gets their
    mean.
    """
    case = reference(name)
    valid = case.arrays.get("in_F", np.ones_like(case.in_Y)) > 0
    found, expected = nf.models.losses.mean_rates([case.in_Y], [valid]), case.out_poisson_unit_norm
    heard = expected > 1e-7
    close(found[heard], expected[heard])
    assert heard.all() == (not case.meta["silent_neuron_4"])
    assert np.allclose(found[~heard], expected[heard].mean())
