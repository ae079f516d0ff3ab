"""A training that is a trial of a search ends early by itself, keeps nothing, and goes on as it would have."""

from __future__ import annotations

import pytest
from interrupted import noisy

import neurofit as nf
from neurofit.errors import StoreError
from neurofit.suggestions.trial import KnownTrial
from neurofit.worker.pruning import Feed, Pruning

pytestmark = pytest.mark.slow
METRIC = "validation/correlation"


@pytest.fixture
def fit(small):
    training = nf.models.Training(epochs=6, batch_size=16, learning_rate=1e-2, validate_every=2)
    return nf.models.Fit(noisy, data=small, split={"validation": 10}, training=training)


def pruning(others: float) -> Pruning:
    """Beside five trials whose correlation was this at every epoch."""
    search = nf.search(units=[4], trials=6, metric=METRIC, pruner="median").search
    assert search is not None
    steps = dict.fromkeys(range(1, 7), others)
    known = [KnownTrial(number, "done", {"units": 4}, others, steps) for number in range(5)]
    return Pruning(search, "group", 5, known, Feed(known))


def run(fit, desk, others: float | None):
    task = desk.task()
    task.pruning = None if others is None else pruning(others)
    metrics = fit(task)
    task.close()
    return metrics


def test_a_poor_training_ends_at_its_first_validation_and_keeps_no_model(fit, desk):
    metrics = run(fit, desk, others=1.0)
    assert {name.split("/")[0] for name in metrics} == {"validation"} and METRIC in metrics
    assert desk.facts["pruned_at"] == 2 and desk.facts["stop_reason"] == "pruned"
    assert [row["step"] for row in desk.history()] == ["2"]
    assert float(desk.history()[0][METRIC]) == pytest.approx(metrics[METRIC])
    with pytest.raises(StoreError, match="ended early"):
        nf.models.load_folder(desk.last.folder, fit)


def test_a_good_training_is_that_without_a_pruner_to_the_last_bit(fit, desks):
    plain, searched = desks("plain"), desks("searched")
    assert run(fit, searched, others=-1.0) == run(fit, plain, others=None)
    assert "pruned_at" not in searched.facts and searched.facts["stop_reason"] == "epochs"
    assert searched.history() == plain.history()


def test_the_last_validation_ends_nothing_early(fit, desk):
    search = pruning(1.0)
    task = desk.task()
    task.pruning = search
    search.should_prune = lambda: max(search._steps) >= 6  # type: ignore[method-assign]
    metrics = fit(task)
    task.close()
    assert desk.facts["stop_reason"] == "epochs" and "test/correlation" in metrics
