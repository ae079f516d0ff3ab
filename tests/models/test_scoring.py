"""Scores of a fit: ceilings where the test set has trials, the truth where it is known, all of it kept."""

from __future__ import annotations

import csv
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neurofit as nf
from neurofit import scores
from neurofit.errors import DataError
from neurofit.models.ready_made import PLAIN_SCORES

pytestmark = pytest.mark.slow
JOBS = Path(__file__).resolve().parents[2] / "jobs"


def linear(shapes):
    import keras

    from neurofit.models.layers import Dense

    return keras.Sequential([keras.Input(shapes.image), Dense(shapes.neurons, activation="softplus")])


def fit_of(data, **other):
    training = nf.models.Training(epochs=3, batch_size=16, learning_rate=1e-3)
    return nf.models.Fit(linear, data=data, split={"validation": 10}, training=training, **other)


def without_trials():
    data = nf.datasets.simulate(n_images=90, n_neurons=6, size=12, n_test=20, n_trials=4)
    return replace(data, trials=None, neurons=None, truth=None)


def half_with_trials():
    """Joined recordings, of which only one has its trials, are like this."""
    data = nf.datasets.simulate(n_images=90, n_neurons=6, size=12, n_test=20, n_trials=4)
    trials = data.trials.copy()
    trials[:, 1:, 3:] = np.nan
    return replace(data, responses=np.nanmean(trials, axis=1), trials=trials, neurons=None)


def test_ceilings_are_of_the_test_set_and_can_be_computed_again_from_what_is_kept(small, desk):
    metrics = desk.run(fit_of(small))
    test = desk.array("part") == "test"
    trials, predictions = desk.array("trials")[test], desk.array("predictions")[test]
    assert trials.shape == (20, 4, 6) and np.isfinite(trials).all()
    assert np.isfinite(desk.array("trials")[~test]).sum() == 10 * 6  # a validation image has one trial
    np.testing.assert_allclose(trials.mean(axis=1), desk.array("responses")[test])
    assert metrics["test/correlation_ceiling"] == pytest.approx(scores.correlation_ceiling(trials).mean())
    reliable = scores.fev(trials) > 0.15
    assert desk.facts["neurons_reliable"] == reliable.sum() > 0
    for name in ("normalised_correlation", "feve"):
        values = getattr(scores, name)(trials, predictions)[reliable]
        assert metrics[f"test/{name}"] == pytest.approx(np.nan_to_num(values).mean(), abs=1e-6)


def test_every_neuron_has_its_own_ceiling_and_none_of_unreliable_ones_counts(small, desk):
    desk.run(fit_of(small))
    with (desk.last.folder / "neurons.csv").open() as file:
        rows = list(csv.DictReader(file))
    test = desk.array("part") == "test"
    ceilings = [float(row["test/correlation_ceiling"]) for row in rows]
    np.testing.assert_allclose(ceilings, scores.correlation_ceiling(desk.array("trials")[test]))
    unreliable = scores.fev(desk.array("trials")[test]) <= 0.15
    assert [np.isnan(float(row["test/feve"])) for row in rows] == unreliable.tolist()


def test_neurons_without_repeated_trials_have_no_ceiling_and_do_not_lower_that_of_the_others(desk):
    metrics = desk.run(fit_of(half_with_trials))
    trials = desk.array("trials")[desk.array("part") == "test"]
    assert metrics["test/correlation_ceiling"] == pytest.approx(
        scores.correlation_ceiling(trials[:, :, :3]).mean()
    )
    with (desk.last.folder / "neurons.csv").open() as file:
        told = [np.isnan(float(row["test/correlation_ceiling"])) for row in csv.DictReader(file)]
    assert told == [False] * 3 + [True] * 3


def test_a_data_set_without_trials_has_the_plain_scores_alone(desk):
    metrics = desk.run(fit_of(without_trials))
    assert set(metrics) == {
        f"{part}/{score}" for part in ("train", "validation", "test") for score in PLAIN_SCORES
    }
    assert "neurons_reliable" not in desk.facts
    with np.load(desk.last.folder / "predictions.npz") as kept:
        assert "trials" not in kept


def test_which_scores_there_are_changes_no_runs_id(small):
    assert fit_of(small).settings() == fit_of(small, scores=("correlation",)).settings()


def test_the_truth_is_a_score_where_it_is_known(small, desk):
    metrics = desk.run(fit_of(small, scores=("correlation", "truth_correlation")))
    data, test = small(), desk.array("part") == "test"
    rows = [list(data.image_ids).index(one) for one in desk.array("image_id")[test]]
    found = scores.correlation(data.truth["rates"][rows], desk.array("predictions")[test])
    assert metrics["test/truth_correlation"] == pytest.approx(found.mean(), abs=1e-6)
    assert "validation/truth_correlation" not in metrics


def test_a_recording_has_no_truth(desk):
    with pytest.raises(DataError, match="has no truth for the score truth_correlation"):
        desk.run(fit_of(without_trials, scores=("truth_correlation",)))


def test_a_small_planted_hsm_is_found_again(desk):
    fit = runpy.run_path(str(JOBS / "planted_hsm.py"))["experiment"].fit
    size = {"neurons": 20, "images": 500, "test_images": 60, "hidden": 0.5, "epochs": 60, "jit": False}
    metrics = desk.run(fit, signal_share=0.7, data_seed=1, filters=16, **size)
    assert metrics["test/truth_correlation"] > 0.75
    assert metrics["test/correlation"] < metrics["test/truth_correlation"]
    assert 0.9 < metrics["test/correlation_ceiling"] < 1
