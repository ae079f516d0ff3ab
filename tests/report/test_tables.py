"""Tables of a report, from rows of results."""

from __future__ import annotations

import math

import pytest

from neurofit.errors import UsageError
from neurofit.report import tables
from neurofit.report.tables import comparisons, decisive_metric, run_table


def record(run, repetition=0, state="done", params=None, metrics=None, **other) -> dict:
    scores = {"test/correlation": run / 10 + repetition / 100} if metrics is None else metrics
    return {
        "experiment": "exp3",
        "run": run,
        "id": f"{run:016x}",
        "architecture": "hsm",
        "params": {"filters": run} if params is None else params,
        "derived": {},
        "defaults": {},
        "repetition": repetition,
        "state": state,
        "on_grid": True,
        "seeds": {"init": repetition, "split": 7},
        "metrics": scores if state == "done" else {},
        "facts": {},
        **other,
    }


def cells(table, name: str) -> list[str]:
    place = [column.name for column in table.columns].index(name)
    return [row[place] for row in table.rows]


@pytest.mark.parametrize(
    ("metrics", "name", "better"),
    [
        (["train/loss", "test/mse"], "test/mse", "lower is better"),
        (["test/a", "test/correlation", "test/correlation_ceiling"], "test/correlation", "higher is better"),
        (["b", "a"], "b", "higher is better, which its name does not tell"),
        (["test/correlation_ceiling"], "test/correlation_ceiling", "higher is better"),
    ],
)
def test_the_metric_that_decides(metrics, name, better):
    metric = decisive_metric([record(1, metrics=dict.fromkeys(metrics, 1.0))], None)
    assert (metric.name, metric.better) == (name, better)


def test_without_a_task_that_is_done_no_metric_decides():
    assert decisive_metric([record(1, state="failed")], "test/mse") is None
    with pytest.raises(UsageError, match="Did you mean 'test/correlation'"):
        decisive_metric([record(1)], "test/corelation")


def test_a_table_of_nothing_done_has_its_runs():
    rows = [record(run, state=state) for run, state in ((1, "failed"), (2, "new"))]
    table = run_table(rows, None)
    assert cells(table, "run") == ["1", "2"] and table.scored == [] and table.best_runs(3) == []
    assert all(math.isnan(one.mean) for one in table.scores)
    assert comparisons("exp3", rows, None) == ([], [])


def test_labels_of_runs_leave_out_what_does_not_vary_and_what_they_lack():
    given = [{"rate": 1 / 3, "kind": "a", "same": 1}, {"rate": 0.5, "same": 1, "own": 2}]
    rows = [record(run, params=params) for run, params in enumerate(given)]
    table = run_table(rows, decisive_metric(rows, None))
    assert table.varied == ["rate"]
    assert [one.label for one in table.scores] == ["1: rate=0.5", "0: rate=0.3333"]


def test_seeds_that_are_missing_are_named_but_not_all_of_many():
    states = [
        ("failed" if run == 1 and repetition > 0 else "done") for run in (1, 2) for repetition in range(9)
    ]
    rows = [record(1 + place // 9, place % 9, state) for place, state in enumerate(states)]
    table = run_table(rows, decisive_metric(rows, None))
    assert cells(table, "missing seeds") == ["", "1, 2, 3, 4, 5, 6 and 2 more"]


def test_what_only_tells_runs_off_the_grid_apart_is_no_argument():
    rows = [record(1), record(2), record(3, on_grid=False)]
    table = run_table(rows, decisive_metric(rows, None))
    assert table.varied == ["filters"] and "on_grid" in [column.name for column in table.columns]


def test_arguments_may_have_the_names_of_the_tables_own_columns():
    given = [{"missing seeds": 1, "run": 2, "x mean": 3}, {"missing seeds": 2, "run": 3, "x mean": 4}]
    rows = [record(run, params=params) for run, params in enumerate(given)]
    rows.append(record(0, 1, "failed", params=given[0]))
    table = run_table(rows, decisive_metric(rows, None))
    assert [one.label for one in table.scores] == ["1: arg.run=3, x mean=4", "0: arg.run=2, x mean=3"]


def test_large_tables_leave_out_rows_and_columns_and_say_so(monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    monkeypatch.setattr(tables, "MOST_CELLS", 20)
    metrics = [f"test/m{place}" for place in range(9)]
    rows = [
        record(run, repetition, metrics=dict.fromkeys(metrics, run + repetition))
        for run in range(5)
        for repetition in range(2)
    ]
    table = run_table(rows, decisive_metric(rows, "test/m5"))
    assert (len(table.rows), table.total, len(table.scored)) == (3, 5, 5)
    names = [column.name for column in table.columns]
    assert names == ["run", "filters", "repetitions", "test/m5", "test/m0", "test/m1"]
    assert table.columns_left_out > 9 and table.csv.count("\n") == 5


def test_few_values_are_compared_in_all_pairs_and_many_with_the_best():
    rows = [
        record(
            run, repetition, params={"few": run % 3, "many": run // 6, "none": None if run % 6 < 3 else "x"}
        )
        for run in range(48)
        for repetition in range(2)
    ]
    found, left_out = comparisons("exp3", rows, decisive_metric(rows, None))
    assert left_out == []
    by_axis = {one.axis: one for one in found}
    assert len(by_axis["few"].rows) == 3 and by_axis["few"].only_with == ""
    assert len(by_axis["many"].rows) == 7 and by_axis["many"].only_with == "7"
    assert all("7" in row.cells[:2] for row in by_axis["many"].rows)
    assert set(by_axis["none"].rows[0].cells[:2]) == {"x", "None"}


def test_an_axis_with_very_many_values_is_named_with_the_command_that_compares_it():
    rows = [record(run) for run in range(50)]
    found, left_out = comparisons("exp3", rows, decisive_metric(rows, None))
    assert found == [] and left_out == [
        "filters has 50 values, too many for a table of pairs: `neurofit results exp3 --compare filters --metric "
        "test/correlation` prints it."
    ]
