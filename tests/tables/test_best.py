"""exp3:best: the run with the best mean over repetitions, by a validation metric unless the user names another."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.tables.best import best_of


def row(run, repetition, state="done", on_grid=True, **metrics):
    return {
        "experiment": "exp3",
        "run": run,
        "id": f"{run:08x}",
        "repetition": repetition,
        "state": state,
        "on_grid": on_grid,
        "metrics": {name.replace("__", "/"): value for name, value in metrics.items()},
    }


def test_the_best_mean_over_repetitions_wins_not_the_best_task():
    rows = [row(0, 0, validation__loss=0.1), row(0, 1, validation__loss=0.9)]
    rows += [row(1, 0, validation__loss=0.4), row(1, 1, validation__loss=0.4)]
    best = best_of(rows, "exp3")
    assert (best.run, best.metric, best.lower_is_better) == (1, "validation/loss", True)
    assert best.sentence == "exp3:best is exp3:1: mean validation/loss 0.4, the lowest of 2 runs."


def test_of_equal_runs_the_first_is_best():
    assert best_of([row(n, 0, validation__r=0.5) for n in (4, 2, 7)], "exp3").run == 2


def test_a_test_metric_decides_only_if_it_is_named():
    rows = [row(0, 0, validation__correlation=0.2, test__correlation=0.9)]
    rows += [row(1, 0, validation__correlation=0.3, test__correlation=0.1)]
    assert best_of(rows, "exp3").run == 1
    assert best_of(rows, "exp3", "test/correlation").run == 0
    with pytest.raises(
        UsageError, match="no metric of a validation set decides, and test metrics are not used"
    ):
        best_of([row(0, 0, test__correlation=0.9, train__correlation=1, loss_test=1)], "exp3")


def test_the_only_metric_of_no_set_decides_and_of_several_none():
    assert best_of([row(0, 0, loss=0.9), row(1, 0, loss=0.1)], "exp3").run == 1
    with pytest.raises(UsageError, match=r"2 metrics that could decide \(loss, mse\). Add --by METRIC"):
        best_of([row(0, 0, loss=0.9, mse=1)], "exp3")


def test_a_direction_that_the_name_does_not_tell_has_to_be_given():
    rows = [row(0, 0, surprise=0.9), row(1, 0, surprise=0.1)]
    with pytest.raises(UsageError, match="Add --by min:surprise or --by max:surprise"):
        best_of(rows, "exp3")
    assert best_of(rows, "exp3", "min:surprise").run == 1
    assert best_of(rows, "exp3", "max:surprise").run == 0


@pytest.mark.parametrize(
    ("rows", "by", "message"),
    [
        ([], None, "no task is done yet"),
        ([row(0, 0, "failed")], None, "no task is done yet"),
        ([row(0, 0, on_grid=False, loss=1)], None, r"no task on the grid \(1 off the grid\) is done yet"),
        ([row(0, 0, validation__loss=1)], "validation/los", "Did you mean 'validation/loss'"),
        ([row(0, 0, validation__loss=1)], "min:nothing", "no task has a metric 'nothing'"),
        ([row(0, 0, loss="text")], None, "no task that is done has a number for 'loss'"),
        ([row(0, 0, loss=math.nan)], "loss", "no task that is done has a number for 'loss'"),
        ([row(0, 0)], None, "Metrics: none"),
    ],
)
def test_what_has_no_best_run_is_an_error_in_words(rows, by, message):
    with pytest.raises(UsageError, match=f"exp3:best: .*{message}"):
        best_of(rows, "exp3", by)


def test_runs_off_the_grid_and_tasks_that_failed_do_not_count():
    rows = [row(0, 0, loss=0.5), row(1, 0, on_grid=False, loss=0.1), row(2, 0, "failed", loss=0.0)]
    assert best_of(rows, "exp3").run == 0


def test_the_repetitions_that_are_missing_are_told():
    rows = [row(0, 0, loss=0.5), row(0, 1, "failed")]
    assert (
        "mean loss 0.5 over 1 of 2 repetitions, the only run that has one." in best_of(rows, "exp3").sentence
    )


@given(st.dictionaries(st.integers(0, 9), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3), min_size=1))
def test_no_run_has_a_better_mean_than_the_best(scores):
    rows = [row(run, i, validation__r=score) for run, of in scores.items() for i, score in enumerate(of)]
    best = best_of(rows, "exp3")
    means = {run: sum(of) / len(of) for run, of in scores.items()}
    assert means[best.run] == pytest.approx(max(means.values()))
