from __future__ import annotations

import json
import math
import runpy
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from neurofit.errors import ProgramError
from neurofit.tables.notes import notes
from neurofit.tables.table import table

JOBS = Path(__file__).parents[2] / "jobs"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def record(run=1, repetition=0, **other) -> dict:
    known = {
        "experiment": "exp3",
        "run": run,
        "id": f"{run:016x}",
        "architecture": "hsm",
        "params": {"filters": 4 * run},
        "derived": {},
        "defaults": {"l2": 0.1},
        "repetition": repetition,
        "repetitions": 2,
        "split_by": None,
        "seeds": {"init": 10 + repetition, "split": 7},
        "attempt": 1,
        "state": "done",
        "on_grid": True,
        "metrics": {"train/correlation": 0.7, "test/correlation": 0.5},
        "facts": {
            "best_epoch": 40,
            "stop_reason": "patience",
            "neurons_scored": 50,
            "neurons_silent": 1,
            "data_hash": "d0",
        },
        "error": None,
        "ended": 100.0,
        "wall_seconds": 2.5,
        "peak_memory_gb": 0.5,
        "code": "c0",
        "commit": "f00",
        "dirty": False,
        "versions": {"python": "3.11.2", "keras": "3.5.0"},
    }
    return {**known, **other}


def without_outcome(run=1, repetition=0, state="new") -> dict:
    known = {**dict.fromkeys(record()), "experiment": "exp3", "params": {"filters": 4}, "state": state}
    return {**known, "run": run, "id": f"{run:016x}", "repetition": repetition}


def test_what_a_person_reads_first_comes_first():
    names = list(table([record()]))
    assert names[:8] == [
        "run",
        "id",
        "filters",
        "repetition",
        "state",
        "attempt",
        "test/correlation",
        "train/correlation",
    ]
    assert (
        names.index("error")
        < names.index("best_epoch")
        < names.index("wall_seconds")
        < names.index("seeds.init")
    )
    assert names[-2:] == ["versions.python", "versions.keras"]


def test_rows_are_in_the_order_of_runs_and_repetitions():
    frame = table([record(10), record(2, 1), record(2, 0), {**record(), "run": None, "id": "ff"}])
    assert frame["repetition"].tolist()[:3] == [0, 1, 0]
    assert frame["run"].tolist()[:3] == [2, 2, 10]
    assert frame["id"].iloc[-1] == "ff"


def test_a_given_argument_goes_before_a_derived_one_and_that_before_a_default():
    row = record(params={"a": 1}, derived={"a": 2, "b": 2}, defaults={"a": 3, "b": 3, "c": 3})
    frame = table([row, record(params={}, derived={}, defaults={"a": 3, "b": 3, "c": 4})])
    assert frame["a"].tolist() == [1, 3]
    assert frame["b"].tolist() == [2, 3]
    assert frame["c"].tolist() == [3, 4]


def test_a_default_that_is_the_same_in_all_rows_has_no_column_unless_it_was_given_in_one():
    assert "l2" not in table([record(1), record(2)])
    frame = table([record(1), record(2, params={"filters": 8, "l2": 0.0})])
    assert frame["l2"].tolist() == [0.1, 0.0]


def test_a_default_unknown_before_the_first_attempt_does_not_count_as_another_value():
    assert "l2" not in table([record(1), without_outcome(2)])


def test_an_argument_named_like_a_column_gets_a_prefix_and_a_dotted_one_stays():
    row = record(params={"run": 5, "state": "x", "test/correlation": 3, "training.l2": 1})
    frame = table([row])
    assert frame["run"].tolist() == [1] and frame["arg.run"].tolist() == [5]
    assert frame["arg.state"].tolist() == ["x"] and frame["arg.test/correlation"].tolist() == [3]
    assert frame["training.l2"].tolist() == [1]


def test_an_argument_and_a_metric_may_share_a_name():
    frame = table([record(params={"loss": "poisson"}, metrics={"loss": 0.25, "attempt": 2.0})])
    assert frame["loss"].tolist() == [0.25] and frame["arg.loss"].tolist() == ["poisson"]
    assert frame["metric.attempt"].tolist() == [2.0]


def test_the_architecture_is_a_column_only_where_there_are_several():
    assert "architecture" not in table([record(1), record(2)])
    assert table([record(1), record(2, architecture="conv")])["architecture"].tolist() == ["hsm", "conv"]


def test_whole_numbers_stay_whole_beside_absent_ones():
    frame = table([record(), without_outcome(2)])
    assert frame["best_epoch"].dtype == "Int64" and frame["best_epoch"].iloc[0] == 40
    assert frame["best_epoch"].isna().tolist() == [False, True]
    assert math.isnan(frame["test/correlation"].iloc[1])


def test_an_error_takes_one_line():
    error = {"kind": "exception", "type": "ValueError", "message": "no\n  such\nfile", "traceback": "…"}
    killed = {"kind": "killed", "type": None, "message": "signal 9", "signal": 9}
    frame = table(
        [record(1, state="failed", error=error), record(2, state="failed", error=killed), record(3)]
    )
    assert frame["error"].tolist() == ["ValueError: no such file", "signal 9", None]


def test_what_a_fit_recorded_of_its_own_accord_is_a_column_when_it_fits_into_a_cell():
    frame = table([record(facts={"simulator": "v2", "recipe": {"a": 1}, "trace": [1, 2]})])
    assert frame["simulator"].tolist() == ["v2"]
    assert not {"recipe", "trace"} & set(frame)


def test_no_records_make_an_empty_table_with_our_columns():
    frame = table([])
    assert len(frame) == 0 and {"run", "repetition", "state", "error"} <= set(frame)
    assert notes([]) == []


@pytest.mark.parametrize("key", sorted(record()))
@pytest.mark.parametrize("damage", [None, "text", 3, [1], {"a": None}, {"b": [{}]}])
def test_a_damaged_record_costs_its_own_cells_only(key, damage):
    records = [record(1), {**record(2), key: damage}, "no record", None, {}]
    frame = table(records)
    assert frame.loc[frame["id"] == record(1)["id"], "test/correlation"].iloc[0] == 0.5
    assert any("could not be read or named no run" in note for note in notes(records))


def test_metrics_that_are_no_finite_numbers_are_absent():
    frame = table(
        [record(metrics={"m": value}) for value in (1, None, "x", float("inf"), 10**400, [1], True)]
    )
    assert frame["m"].tolist()[0] == 1 and frame["m"].isna().tolist()[1:6] == [True] * 5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4))
def test_any_argument_of_any_name_arrives_unchanged(given_arguments):
    records = [
        record(run, params=json.loads(json.dumps(params))) for run, params in enumerate(given_arguments, 1)
    ]
    frame = table(records)
    fixed = set(table([record(params={})]))
    for place, params in enumerate(given_arguments):
        for name, value in params.items():
            cell = frame[f"arg.{name}" if name in fixed else name].iloc[place]
            assert cell == value or (value is None and (cell is None or pd.isna(cell)))


def test_each_further_record_costs_the_same_few_calls():
    def calls(runs):
        made, records = (
            Counter(),
            [record(run, repetition) for run in range(runs) for repetition in range(10)],
        )
        sys.setprofile(lambda frame, event, _: made.update([event]))
        try:
            table(records)
        finally:
            sys.setprofile(None)
        return made["call"] + made["c_call"]

    few, more, many = calls(10), calls(20), calls(40)
    assert many - more <= 2.1 * (more - few) and (many - more) / 200 < 150


def test_missing_tasks_are_counted_by_state():
    states = ["done"] * 37 + ["failed", "failed", "lost"]
    records = [record(1, repetition, state=state) for repetition, state in enumerate(states)]
    assert notes(records) == ["3 of 40 tasks are missing (2 failed, 1 lost)."]
    assert notes([without_outcome()]) == ["1 of 1 task is missing (1 new)."]


def test_tasks_done_with_older_code_are_counted():
    codes = [("old", 1.0), ("new", 3.0), ("old", 2.0)]
    records = [record(run, code=code, ended=ended) for run, (code, ended) in enumerate(codes)]
    assert "2 of 3 tasks were done with code other than the newest." in notes(records)


def test_runs_whose_repetitions_are_unlike_are_named():
    found = notes([record(4, 0), record(4, 1, code="c1", facts={"data_hash": "d1"})])
    assert "1 run averages repetitions that differ (run 4: 2 codes, 2 data sets)." in found


def test_a_new_main_version_makes_repetitions_unlike_and_a_minor_one_does_not():
    older, newer = {"keras": "3.5.0", "tool": "0.1.0"}, {"keras": "3.9.1", "tool": "0.1.7"}
    assert notes([record(1, 0, versions=older), record(1, 1, versions=newer)]) == []
    changed = {"keras": "4.0", "tool": "0.2.0"}
    (note,) = notes([record(1, 0, versions=older), record(1, 1, versions=changed)])
    assert "run 1: keras 3 and 4, tool 0.1 and 0.2" in note


def test_different_neuron_counts_are_reported():
    records = [record(1), record(2, facts={"neurons_scored": 49})]
    assert "Neuron counts differ between tasks: 50 and 49 scored." in notes(records)


@pytest.mark.parametrize(
    "monitored, scores, said",
    [
        ("test", {"test/correlation": 0.5}, True),
        ("validation", {"test/correlation": 0.5, "validation/correlation": 0.4}, False),
        ("validation", {"validation/correlation": 0.4}, True),
        (None, {"test/correlation": 0.5}, False),
    ],
)
def test_a_set_that_is_both_monitored_and_reported_is_flagged(monitored, scores, said):
    found = notes([record(facts={"monitored": monitored}, metrics=scores)])
    assert found == (
        [f"Early stopping monitored the set whose scores are reported: {monitored}."] if said else []
    )


def test_warnings_of_fits_are_counted():
    twins = {"warnings": ["a and b start with equal values."]}
    assert notes([record(1, facts=twins), record(2, facts=twins), record(3, facts={"warnings": 3})]) == [
        "a and b start with equal values. (in 2 tasks)"
    ]


def live_task(seed: int = 5) -> SimpleNamespace:
    return SimpleNamespace(seeds=SimpleNamespace(init=seed, shuffle=seed, noise=seed, split=seed))


def test_the_job_without_a_network_recovers_the_receptive_fields_of_simple_cells_only():
    fit = runpy.run_path(str(JOBS / "no_network.py"))["fit"]
    simple = fit(live_task(), cells="simple", images=500)
    assert simple["field_recovery"] > 0.8 and 0.6 < simple["test/correlation"] < simple["test/ceiling"]
    assert abs(fit(live_task(), cells="complex", images=500)["field_recovery"]) < 0.2
    assert fit(live_task(6), images=500) != simple == fit(live_task(), images=500)


def simulated(folder: Path, **params: object) -> dict[str, float]:
    """The metrics of the simulator in `jobs/`, called as a task calls it."""
    task = live_task()
    task.params, task.folder, task.study, task.code = params, folder, JOBS.parent, JOBS.parent
    task.should_stop, task.log = lambda: False, lambda step: None
    return runpy.run_path(str(JOBS / "shell_program.py"))["experiment"].fit(task)


@pytest.mark.process
@pytest.mark.parametrize(
    "text", ["", 'it\'s "q"\n$(touch pwned) `id` \\n', "-v x=1", "--help", "é ☃", "x" * 100_000]
)
def test_whatever_an_argument_holds_reaches_the_shell_program_as_it_is(text, capfd, tmp_path):
    metrics = simulated(tmp_path, refractory_ms=10.0, note=text)
    # A dead time of 10 ms at 40 spikes per second leaves a coefficient of variation of 1 - 40 * 0.01.
    assert metrics["interval_cv"] == pytest.approx(0.6, abs=0.03) and metrics["rate"] == pytest.approx(
        40, rel=0.05
    )
    assert f"note: {text}\n" in capfd.readouterr().out
    assert not list(tmp_path.iterdir()) and not (JOBS.parent / "pwned").exists()


@pytest.mark.process
def test_a_shell_program_that_fails_is_quoted_in_the_error(tmp_path):
    with pytest.raises(ProgramError, match=r"ended with exit status 2(.|\n)*leaves no time for 5.0 ms"):
        simulated(tmp_path, rate=300.0, refractory_ms=5.0)


def test_an_axis_architecture_is_shown_once():
    rows = [
        record(run, 0, architecture=name, params={"architecture": name})
        for run, name in enumerate(["hsm", "ln"])
    ]
    assert [name for name in table(rows).columns if "architecture" in name] == ["architecture"]


def test_a_ceiling_that_is_the_same_in_every_row_needs_no_column():
    metrics = {
        "test/correlation": 0.5,
        "test/correlation_ceiling": 0.9,
        "test/correlation_ceiling/region1": 0.9,
    }
    found = table([record(run, metrics=metrics) for run in (1, 2)])
    assert "test/correlation" in found.attrs["always"]
    assert not [name for name in found.attrs["always"] if "ceiling" in name]
    assert "test/correlation_ceiling" in found
