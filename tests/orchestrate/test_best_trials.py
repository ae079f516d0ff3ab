"""`submit --best`: the best trials of a search again, with seeds that it has not used."""

from __future__ import annotations

import pytest

import neurofit as nf
from neurofit.errors import UsageError
from neurofit.experiments.seeds import Seeds
from neurofit.experiments.selector import parse
from neurofit.orchestrate.best_trials import best_trials, searches
from neurofit.orchestrate.plan import SubmitOptions, condition, load, make

SEARCH = """
    def fit(task, *, x, kind="a", twice=0):
        if x > 0.9:
            raise ValueError("x is too large")
        if x > 0.7:
            task.record(pruned_at=1)
        return {"validation/loss": (x - 0.4) ** 2 + task.repetition / 100, "test/loss": x + twice}

    experiment = nf.Experiment(
        fit,
        GRID.derive(twice=lambda x: 2 * x),
        repetitions=REPETITIONS,
    )
"""
ONE = """nf.search(x=nf.uniform(0, 1), trials=8, metric="validation/loss", direction="minimize", sampler="qmc")"""


def script(bench, grid: str = ONE, repetitions: int = 1) -> None:
    bench.script("exp3", SEARCH.replace("GRID", grid).replace("REPETITIONS", str(repetitions)))


@pytest.fixture
def searched(bench):
    script(bench)
    bench.run("exp3")
    return bench


def plan(bench, **options):
    return make(bench.study, load(bench.study, "exp3"), SubmitOptions(**options))


def ranked(bench, top: int = 3):
    return best_trials(load(bench.study, "exp3"), bench.status("exp3"), top)


def finished(bench) -> list[tuple[float, int]]:
    """(value, run) of the trials that are done and not pruned, the best first; read from the rows of results."""
    rows = [row for row in bench.outcomes("exp3") if row["state"] == "done" and row["on_grid"]]
    rows = [row for row in rows if "pruned_at" not in row["facts"]]
    runs = sorted({row["run"] for row in rows})
    means = {}
    for run in runs:
        values = [row["metrics"]["validation/loss"] for row in rows if row["run"] == run]
        means[run] = sum(values) / len(values)
    return sorted((value, run) for run, value in means.items())


def test_the_best_trials_are_those_with_the_best_values_without_pruned_and_failed_ones(searched):
    expected = finished(searched)
    assert 3 < len(expected) < 8, "some trials are pruned or failed"
    (found,) = ranked(searched, top=100)
    assert [(one.value, one.trial.run) for one in found.best] == expected
    assert [one.rank for one in found.best] == list(range(1, len(expected) + 1))
    assert all(one.confirmed is None for one in found.best)
    assert all(one.trial.arguments["twice"] == 2 * one.trial.arguments["x"] for one in found.best)


def test_they_are_repeated_off_the_grid_with_other_seeds(searched):
    best = [run for _, run in finished(searched)[:2]]
    found = plan(searched, best=2, repetitions=3)
    assert [(run.registered_number, run.trial) for run in found.runs] == [(8, None), (9, None)]
    assert found.keys() == [(run, repetition) for run in (8, 9) for repetition in (1, 2, 3)]
    assert found.summary(2)["best"] == 2 and found.summary(2)["first_repetition"] == 1
    searched.run("exp3", best=2, repetitions=3)
    status = searched.status("exp3")
    trials = {status.arguments(run)["x"] for run in best}
    assert {status.arguments(run)["x"] for run in (8, 9)} == trials
    assert not status.registry.runs[8].on_grid and status.registry.runs[8].derived
    rows = [row for row in searched.outcomes("exp3") if row["run"] in (8, 9)]
    assert {row["seeds"]["init"] for row in rows} == {Seeds(one).init for one in (1, 2, 3)}
    assert status.repetitions == 1, "the search keeps its own number"
    assert not plan(searched, best=2, repetitions=3).tasks
    assert [task.key for task in plan(searched, best=2, repetitions=4).tasks] == [(8, 4), (9, 4)]
    assert not plan(searched).tasks


def test_the_confirmed_mean_is_of_the_new_seeds_alone_with_its_interval(searched):
    searched.run("exp3", best=1, repetitions=3)
    (found,) = ranked(searched)
    first, second, _ = found.best
    confirmed = first.confirmed
    assert confirmed is not None and second.confirmed is None
    assert (confirmed.run, confirmed.done) == (8, 3)
    assert confirmed.mean == pytest.approx(first.value + 0.02)
    assert confirmed.half_width == pytest.approx(
        4.302653 * 0.01 / 3**0.5
    )  # Student's t, 2 degrees of freedom
    best = nf.results("exp3:best", best_by="min:validation/loss", study=searched.root)
    assert set(best["run"]) == {first.trial.run}, "what is off the grid is not the best run"


def test_10_repetitions_are_usual_and_the_same_trials_are_chosen_while_none_is_better(searched):
    found = plan(searched, best=2)
    assert len(found.tasks) == 20
    searched.submit("exp3", best=2, repetitions=2)
    searched.wait("exp3")
    assert [run.registered_number for run in plan(searched, best=3).runs] == [8, 9, 10]
    script(searched, ONE.replace("trials=8", "trials=24"))
    searched.run("exp3")
    x = [searched.status("exp3").arguments(run)["x"] for _, run in finished(searched)[:2]]
    again = plan(searched, best=2)
    assert sorted(run.arguments["x"] for run in again.runs) == sorted(x)
    numbers = [run.registered_number for run in again.runs]
    assert all(number in (8, 9) or number > 25 for number in numbers), (
        "a better trial has a number of its own"
    )
    (shown,) = ranked(searched, top=24)
    assert {one.confirmed.run for one in shown.best if one.confirmed} == {8, 9}, "what is confirmed stays"


def test_repetitions_of_the_search_are_not_used_again(bench):
    script(bench, repetitions=2)
    bench.run("exp3")
    (found,) = ranked(bench, top=1)
    assert found.best[0].repetitions == 2
    assert found.best[0].value == pytest.approx(finished(bench)[0][0])
    bench.run("exp3", repetitions=3)  # of the search
    assert plan(bench, best=1, repetitions=2).keys() == [(8, 3), (8, 4)]


def test_each_point_of_a_grid_has_its_best_trials_and_a_condition_chooses_among_them(bench):
    script(bench, f'(nf.grid(kind=["a", "b"]) * {ONE})')
    bench.run("exp3")
    first, second = ranked(bench, top=2)
    assert (first.point.label, second.point.label) == ("kind=a", "kind=b")
    assert {one.trial.run for one in first.best} < set(range(8))
    assert {one.trial.run for one in second.best} < set(range(8, 16))
    assert len(plan(bench, best=2, repetitions=1).runs) == 4
    where = condition(load(bench.study, "exp3"), "kind == 'b'")
    assert [run.params["kind"] for run in plan(bench, best=1, where=where).runs] == ["b"]
    assert [
        len(one.best) for one in best_trials(load(bench.study, "exp3"), bench.status("exp3"), 2, where)
    ] == [2]
    (listed,) = searches(bench.study)
    assert listed == {
        "experiment": "exp3",
        "searches": 2,
        "trials": 16,
        "ended": 16,
        "metric": "validation/loss",
        "direction": "minimize",
    }


def test_trials_with_the_same_arguments_are_repeated_once(bench):
    grid = ONE.replace("nf.uniform(0, 1)", "[0.1, 0.2]")
    script(bench, grid)
    bench.run("exp3")
    assert sorted(run.params["x"] for run in plan(bench, best=2).runs) == [0.1, 0.2]
    with pytest.raises(
        UsageError, match=r"only 2 trials with different arguments of exp3 are finished\. Write --best 2"
    ):
        plan(bench, best=3)


def test_what_cannot_be_repeated_is_said(bench):
    script(bench)
    with pytest.raises(UsageError, match="no trial of exp3 is finished"):
        plan(bench, best=1)
    bench.run("exp3")
    many = len(finished(bench))
    with pytest.raises(
        UsageError, match=f"--best 8: only {many} trials of exp3 are finished. Write --best {many}"
    ):
        plan(bench, best=8)
    for options, word in (
        ({"changes": {"x": 0.5}}, "--set"),
        ({"trials": 20}, "--trials"),
        ({"selection": parse("exp3:1")}, "a selection of tasks"),
        ({"selection": parse("exp3:all/0")}, "a selection of tasks"),
    ):
        with pytest.raises(UsageError, match=f"does not go with {word}"):
            plan(bench, best=1, **options)
    where = condition(load(bench.study, "exp3"), "x > 5")
    with pytest.raises(UsageError, match=r"No trial of exp3 .* meets --where"):
        plan(bench, best=1, where=where)
    bench.script("exp3", "experiment = nf.Experiment(lambda task: {'m': 1})")
    with pytest.raises(UsageError, match="exp3 has no search"):
        plan(bench, best=1)


def test_folds_leave_no_repetition_to_confirm_with(bench):
    script(bench, repetitions='2, split_by="fold"')
    with pytest.raises(UsageError, match="is a fold of the data"):
        plan(bench, best=1)
