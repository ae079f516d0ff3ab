"""Rows sorted and cut, and columns chosen."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.tables.arrangement import arranged
from neurofit.tables.comparison import by_run
from neurofit.tables.formats import render
from neurofit.tables.table import table

VALUES = st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=3))


def rows():
    """Three runs with two repetitions: run 0 has r .1 and .2, run 1 .5 and .6; run 2 has failed."""
    made = []
    for run, (r, lr) in enumerate([(0.1, 1e-2), (0.5, 1e-3), (None, "auto")]):
        for repetition in range(2):
            state = "failed" if r is None else "done"
            metrics = {} if r is None else {"test/r": r + repetition / 10, "test/mse": 1 - r}
            params = {"lr": lr, "kind": "a"}
            row = {"experiment": "exp3", "run": run, "id": f"{run:08x}", "repetition": repetition}
            made.append({**row, "state": state, "params": params, "metrics": metrics})
    return made


def runs(frame) -> list[int]:
    return frame["run"].tolist()


def test_metrics_come_best_first_and_rows_without_one_last():
    frame = table(rows())
    assert arranged(frame, sort="test/r")["test/r"].tolist()[:4] == [0.6, 0.5, 0.2, 0.1]
    assert runs(arranged(frame, sort="test/r"))[4:] == [2, 2]
    assert runs(arranged(frame, sort="test/mse")) == [1, 1, 0, 0, 2, 2]
    assert runs(arranged(frame, sort="test/r", lower_is_better=True)) == [0, 0, 1, 1, 2, 2]
    assert runs(arranged(frame, sort="test/r", reverse=True)) == [0, 0, 1, 1, 2, 2]


def test_other_columns_ascend_numbers_before_texts():
    frame = table(rows())
    assert arranged(frame, sort="lr")["lr"].tolist() == [1e-3, 1e-3, 1e-2, 1e-2, "auto", "auto"]
    assert arranged(frame, sort="lr", reverse=True)["lr"].tolist()[:2] == ["auto", "auto"]


def test_a_table_by_run_is_sorted_by_means_and_cut():
    frame = arranged(by_run(rows()), sort="test/r", top=2, columns=["run", "test/r"])
    assert list(frame) == [
        "run",
        *(f"test/r {part}" for part in ("mean", "low", "high", "median", "p10", "p90")),
    ]
    assert runs(frame) == [1, 0]
    assert render(frame).splitlines()[0].split() == [
        "run",
        "test/r",
        "test/r",
        "median",
        "test/r",
        "p10",
        "to",
        "p90",
    ]


def test_chosen_columns_are_shown_though_they_are_the_same_in_every_row():
    frame = arranged(table(rows()), columns=["kind", "run", "test/*"])
    assert list(frame) == ["kind", "run", "test/r", "test/mse"]
    assert render(frame).splitlines()[0].split() == ["kind", "run", "test/r", "test/mse"]
    assert render(frame, "csv").splitlines()[:2] == ["kind,run,test/r,test/mse", "a,0,0.1,0.9"]


@given(st.lists(VALUES, max_size=12), st.booleans(), st.integers(1, 20))
def test_any_values_are_sorted_stably_with_missing_ones_last(values, reverse, top):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "at": range(len(values))})
    found = arranged(frame, sort="x", reverse=reverse)
    assert sorted(found["at"]) == list(range(len(values)))
    missing = [one is None or (isinstance(one, float) and math.isnan(one)) for one in found["x"].tolist()]
    assert missing == sorted(missing)
    numbers = [x for x in found["x"].tolist() if isinstance(x, int | float) and not math.isnan(x)]
    assert numbers == sorted(numbers, reverse=reverse)
    for first, second in zip(found.itertuples(), found.iloc[1:].itertuples()):
        if type(first.x) is type(second.x) and first.x == second.x:
            assert first.at < second.at
    assert len(arranged(frame, sort="x", top=top)) == min(top, len(values))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sort": "test/rr"}, "--sort: there is no column 'test/rr'. Did you mean 'test/r'?"),
        ({"columns": ["nothing*"]}, "--columns: there is no column 'nothing*'"),
    ],
)
def test_a_column_that_does_not_exist_is_named_with_the_nearest(options, message):
    for frame in (table(rows()), by_run(rows())):
        with pytest.raises(UsageError) as error:
            arranged(frame, **options)
        assert message in str(error.value)


def test_on_the_command_line(bench):
    bench.script(
        "exp3",
        """
        def fit(task, *, x=1):
            return {"test/r": 0.1 * x}
        experiment = nf.Experiment(fit, nf.grid(x=[1, 3, 2]))
        """,
    )
    assert bench.run("exp3") == {"done": 3}
    words = ["results", "exp3", "--sort", "test/r", "--top", "2", "--columns", "x, test/r", "--format", "csv"]
    said = bench.command(*words)
    assert [line.partition(",")[0] for line in said.stdout.split()] == ["x", "3", "2"], said.stderr
    for words, message in [
        (["--reverse"], "--reverse works only with --sort"),
        (["--lower-is-better"], "works only with --compare AXIS or --sort"),
        (["--off-grid"], "--off-grid works only with --compare AXIS"),
        (["--top", "0"], "x>=1"),
        (["--sort", "y"], "there is no column 'y'"),
    ]:
        said = bench.command("results", "exp3", *words)
        assert said.returncode == 2 and message in said.stderr, said.stderr
