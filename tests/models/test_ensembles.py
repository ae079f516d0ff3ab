"""The mean of repetitions' predictions as one model."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit import scores
from neurofit.errors import StoreError, UsageError
from neurofit.models.ensembles import ensemble

RNG = np.random.default_rng(4)
RESPONSES = RNG.poisson(3.0, (12, 5)).astype(float)
PART = np.array(["validation"] * 4 + ["test"] * 8)


def left(folder, seed, *, images=None, omit=(), **changes):
    """A repetition's folder: predictions that are the responses and noise of their own."""
    folder.mkdir()
    noise = np.random.default_rng(seed).normal(size=RESPONSES.shape)
    arrays = {
        "image_id": np.arange(12) if images is None else images,
        "part": PART,
        "responses": RESPONSES,
        "predictions": (RESPONSES + 2 * noise).astype(np.float32),
        "mask": np.ones(RESPONSES.shape, bool),
        "recording": np.full(5, "a"),
        "number": np.arange(5),
        "training_mean": np.full(5, 3.0),
    }
    arrays = {**arrays, **changes}
    np.savez(
        folder / "predictions.npz", **{name: array for name, array in arrays.items() if name not in omit}
    )
    return folder


def test_the_mean_prediction_is_scored_as_one_models_is(tmp_path):
    folders = [left(tmp_path / str(seed), seed) for seed in range(4)]
    found = ensemble(folders)
    members = [np.load(folder / "predictions.npz")["predictions"].astype(float) for folder in folders]
    mean, test = sum(members) / 4, PART == "test"
    assert found.members == 4
    assert np.allclose(found.predictions, mean)
    expected = [np.corrcoef(RESPONSES[test, i], mean[test, i])[0, 1] for i in range(5)]
    assert np.allclose(found.per_neuron["test/correlation"], expected)
    assert found.metrics["test/correlation"] == pytest.approx(np.mean(expected))
    singles = [scores.correlation(RESPONSES[test], one[test]).mean() for one in members]
    assert found.alone["test/correlation"] == pytest.approx(np.mean(singles))
    assert found.metrics["test/correlation"] > max(singles), "averaging noise away must help here"
    unexplained = ((RESPONSES - mean)[test] ** 2).sum(axis=0) / ((RESPONSES - 3.0)[test] ** 2).sum(axis=0)
    assert found.metrics["test/fraction_of_variance_explained"] == pytest.approx((1 - unexplained).mean())
    assert {name.split("/")[0] for name in found.metrics} == {"validation", "test"}


def test_where_there_are_trials_the_mean_is_scored_against_them(tmp_path):
    trials = RESPONSES[:, None] + np.random.default_rng(9).normal(0, 0.5, (12, 6, 5))
    trials[PART == "validation", 1:] = np.nan
    responses = np.nanmean(trials, axis=1)
    found = ensemble(
        [left(tmp_path / str(seed), seed, responses=responses, trials=trials) for seed in range(3)]
    )
    test = PART == "test"
    expected = scores.normalised_correlation(trials[test], found.predictions[test]).mean()
    assert found.metrics["test/normalised_correlation"] == pytest.approx(expected)
    assert {"test/feve", "test/correlation_ceiling"} < set(found.metrics) & set(found.alone)
    assert found.metrics["test/correlation_ceiling"] == found.alone["test/correlation_ceiling"]
    assert not any(name.startswith("validation/normalised") for name in found.metrics)


def test_a_missing_response_and_a_masked_one_count_nowhere(tmp_path):
    holes, mask = RESPONSES.copy(), np.ones(RESPONSES.shape, bool)
    holes[5, 0], mask[6, 1] = np.nan, False
    folders = [left(tmp_path / str(seed), seed, responses=holes, mask=mask) for seed in range(2)]
    found = ensemble(folders)
    rows = [row for row in range(4, 12) if row != 5]
    expected = np.corrcoef(RESPONSES[rows, 0], found.predictions[rows, 0])[0, 1]
    assert found.per_neuron["test/correlation"][0] == pytest.approx(expected)


def test_without_the_training_means_what_needs_them_is_left_out(tmp_path):
    found = ensemble([left(tmp_path / str(seed), seed, omit=("training_mean",)) for seed in range(2)])
    assert {name.split("/")[1] for name in found.metrics} == {"correlation", "explained_variance"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"images": np.arange(12)[::-1]}, "different images"),
        ({"part": np.array(["validation"] * 5 + ["test"] * 7)}, "different parts"),
        ({"number": np.arange(5) + 1}, "different neurons"),
        ({"responses": RESPONSES / 2}, "different responses"),
    ],
)
def test_repetitions_with_other_splits_cannot_be_averaged(changes, what, tmp_path):
    folders = [left(tmp_path / "0", 0), left(tmp_path / "1", 1, **changes)]
    with pytest.raises(UsageError, match=f"{what}: they were split or scaled differently"):
        ensemble(folders)


def test_one_repetition_is_not_an_ensemble_and_a_damaged_file_is_named(tmp_path):
    one = left(tmp_path / "0", 0)
    with pytest.raises(UsageError, match="at least two repetitions, got 1"):
        ensemble([one])
    with pytest.raises(StoreError, match=r"1/predictions\.npz: missing or damaged"):
        ensemble([one, tmp_path / "1"])
    with pytest.raises(StoreError, match="damaged; it lacks mask"):
        ensemble([one, left(tmp_path / "2", 2, omit=("mask",))])


@pytest.mark.slow
def test_repetitions_of_a_fit_make_an_ensemble_and_folds_do_not(small, desks):
    training = nf.models.Training(epochs=3, learning_rate=1e-2)
    fit = nf.models.Fit(
        nf.models.architectures.linear_nonlinear, data=small, split={"validation": 10}, training=training
    )
    found = {}
    for split_by in (None, "repetition"):
        folders, metrics = [], []
        for repetition in range(2):
            desk = desks(f"{split_by}{repetition}")
            metrics.append(desk.run(fit, repetition=repetition, split_by=split_by))
            folders.append(desk.last.folder)
        found[split_by] = folders, metrics
    folders, metrics = found[None]
    several = fit.ensemble(folders)
    for score in (
        "test/correlation",
        "test/fraction_of_variance_explained",
        "validation/poisson_log_likelihood",
    ):
        assert several.alone[score] == pytest.approx(np.mean([one[score] for one in metrics]), abs=1e-6)
    with pytest.raises(UsageError, match="different images"):
        fit.ensemble(found["repetition"][0])
