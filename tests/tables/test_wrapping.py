"""A table never hides an argument that tells its rows apart: it goes on below if it is too wide."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st

from neurofit.tables.arrangement import arranged
from neurofit.tables.comparison import by_run
from neurofit.tables.formats import render
from neurofit.tables.table import table

AXES = {
    "learning_rate": [1e-3, 1e-4],
    "smoothness": [0.1, 0.2],
    "activation": ["softplus", "exponential"],
    "regularisation": ["l1", "group lasso"],
    "readout_sparsity": [0.25, 0.5],
    "hidden_units": [32, 64],
}


def rows(axes=AXES, repetitions=2, **common):
    made = []
    for run in range(2):
        params = {name: values[run] for name, values in axes.items()} | common
        for repetition in range(repetitions):
            metrics = {
                "test/correlation": 0.41 + run / 10 + repetition / 70,
                "validation/correlation": 0.4 + run / 10 + repetition / 70,
            }
            row = {"experiment": "exp3", "run": run, "id": f"{run:016x}", "repetition": repetition}
            made.append({**row, "state": "done", "params": params, "metrics": metrics})
    return made


def headers(text: str) -> list[str]:
    """The words of all header lines: those above a line of dashes."""
    lines = text.splitlines()
    return " ".join(line for line, below in pairwise(lines) if below.startswith("-")).split()


def test_a_table_by_run_of_80_columns_shows_every_axis_in_blocks_that_begin_with_the_run():
    text = render(by_run(rows()), width=80)
    assert set(AXES) <= set(headers(text))
    assert headers(text).count("run") == 2
    assert "test/correlation" in headers(text)
    assert max(map(len, text.splitlines())) <= 80
    first, second = text.split("\n\n")[:2]
    assert first.splitlines()[2].split()[:3] == ["0", "0.001", "0.1"]
    assert second.splitlines()[2].split()[0] == "0"
    assert "Too wide to show: id, " in text.replace("\n", " ")


def test_a_table_of_tasks_repeats_run_and_repetition():
    text = render(table(rows()), width=80)
    assert set(AXES) <= set(headers(text))
    assert headers(text).count("repetition") == headers(text).count("run") > 1


def test_a_table_that_fits_is_one_block():
    wide, fitting = render(by_run(rows()), width=200), render(by_run(rows({"lr": [1, 2]})), width=80)
    assert headers(wide).count("run") == headers(fitting).count("run") == 1


def test_axes_come_before_numbers_that_are_less_important():
    axes = {"learning_rate": [1e-3, 1e-4], "activation": ["softplus", "exponential"]}
    shown = headers(render(by_run(rows(axes)), width=80))
    assert shown == ["run", *axes, "repetitions", "missing", "test/correlation"]


def test_runs_off_the_grid_are_marked_whatever_the_width():
    trial = [{**row, "on_grid": row["run"] == 0} for row in rows()]
    for made in (by_run(trial), table(trial)):
        text = render(made, width=60)
        assert "on_grid" in headers(text)
        assert "False" in text


def test_columns_that_were_asked_for_are_all_shown():
    wanted = ["run", "test/*", "validation/*"]
    text = render(arranged(by_run(rows()), columns=wanted), width=60)
    assert "validation/correlation" in headers(text)
    assert "Too wide" not in text


@given(
    st.dictionaries(
        st.text("abcdefgh_", min_size=1, max_size=20), st.integers(0, 10**9), min_size=1, max_size=12
    ),
    st.integers(60, 140),
)
def test_whatever_the_axes_and_the_width_every_axis_is_shown_and_no_line_is_too_long(axes, width):
    text = render(by_run(rows({name: [value, value + 1] for name, value in axes.items()})), width=width)
    assert set(axes) <= set(headers(text))
    assert max(map(len, text.splitlines())) <= width


def test_limits_that_are_the_same_in_every_row_stay_in_the_cells_of_their_mean():
    made = rows({"lr": [1, 2]})
    for row in made:
        row["metrics"] = {"test/correlation": 0.4 + row["repetition"] / 70}
    text = render(by_run(made), width=200)
    assert "test/correlation low" not in text
    assert text.count(" to 0.4129") == 2, "of p10 and p90, too"
