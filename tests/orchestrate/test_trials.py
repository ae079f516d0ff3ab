"""`submit --set`: a trial of every run with some arguments replaced, off the grid."""

from __future__ import annotations

import pytest

import neurofit as nf
from neurofit.cli.foreground import parsed
from neurofit.errors import GridError, UsageError
from neurofit.experiments.selector import parse
from neurofit.orchestrate.forecast import forecast
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.store.state import State

SCRIPT = """
    def fit(task, *, lr=0.1, width=4, epochs=20, name="a"):
        return {"validation/loss": lr + 1 / epochs}

    experiment = nf.Experiment(fit, nf.grid(lr=[0.1, 0.2, 0.3]), repetitions=2)
"""


@pytest.fixture
def trial(bench):
    bench.script("exp3", SCRIPT)
    return bench


def plan(bench, **options):
    return make(bench.study, load(bench.study, "exp3"), SubmitOptions(**options))


def numbers(runs) -> list[int]:
    return [run.registered_number for run in runs]


def test_a_trial_is_every_run_of_the_grid_with_an_argument_replaced(trial):
    found = plan(trial, changes={"epochs": 5})
    assert [run.params for run in found.runs] == [{"lr": lr, "epochs": 5} for lr in (0.1, 0.2, 0.3)]
    assert numbers(found.runs) == [3, 4, 5]  # after those of the grid
    assert len(found.tasks) == 6
    assert found.removed == 0


def test_selectors_and_conditions_choose_the_runs_of_the_grid_that_are_tried(trial):
    chosen = plan(trial, changes={"epochs": 5}, selection=parse("exp3:1-2/0"))
    assert [(run.params["lr"]) for run in chosen.runs] == [0.2, 0.3]
    assert chosen.keys() == [(3, 0), (4, 0)]
    some = plan(trial, changes={"epochs": 5}, where=lambda arguments: arguments["lr"] > 0.25)
    assert [run.params["lr"] for run in some.runs] == [0.3]


def test_a_trial_leaves_the_grid_as_it_is(trial):
    trial.submit("exp3", changes={"epochs": 5})
    assert trial.wait("exp3") == {"done": 6, "new": 6}
    status = trial.status("exp3")
    assert {number: run.on_grid for number, run in status.registry.runs.items()} == {
        **dict.fromkeys(range(3), True),
        **dict.fromkeys(range(3, 6), False),
    }
    whole = plan(trial)
    assert numbers(whole.runs) == [0, 1, 2]
    assert whole.counts[State.NEW] == len(whole.tasks) == 6
    assert (
        forecast(whole, trial.runner()).task_seconds is None
    )  # tasks of a trial say nothing about the grid's
    again = plan(trial, changes={"epochs": 5})
    assert numbers(again.runs) == [3, 4, 5]
    assert not again.tasks
    assert numbers(plan(trial, changes={"epochs": 6}).runs) == [6, 7, 8]
    assert nf.runs("exp3", study=trial.root)["on_grid"].tolist() == [True] * 3 + [False] * 3
    trial.run("exp3")
    best = nf.results("exp3:best", best_by="max:validation/loss", study=trial.root)
    assert best["run"].tolist() == [2, 2], "run 5 of the trial has a higher loss, but is off the grid"
    assert sorted(trial.status("exp3").registry.runs) == list(range(6))


def test_a_change_that_leads_to_a_point_of_the_grid_means_that_point(trial):
    found = plan(trial, changes={"lr": 0.2})
    assert numbers(found.runs) == [1]  # the three runs of the grid become one
    assert found.keys() == [(1, 0), (1, 1)]


def test_an_unknown_argument_or_a_value_of_another_type_is_an_error(trial):
    with pytest.raises(GridError, match=r"the fit has no argument 'epoch'\. Did you mean 'epochs'"):
        plan(trial, changes={"epoch": 5})
    experiment = load(trial.study, "exp3")
    assert parsed(experiment, {"epochs": "5", "name": "5"}) == {"epochs": 5, "name": "5"}
    with pytest.raises(GridError, match="'epochs' must be a number like its default"):
        parsed(experiment, {"epochs": "many"})


def test_runs_of_an_earlier_trial_are_queued_again_by_their_numbers(trial):
    trial.script("exp3", SCRIPT.replace("1 / epochs", "1 // (epochs - 5)"))
    trial.submit("exp3", changes={"epochs": 5}, keep_going=True)
    trial.wait("exp3")
    again = plan(trial, selection=parse("exp3:4-5"), retry=True)
    assert again.keys() == [task.key for task in again.tasks] == [(4, 0), (4, 1), (5, 0), (5, 1)]
    assert [run.on_grid for run in again.registered()] == [True] * 3 + [False] * 2
    assert plan(trial, selection=parse("exp3:0-9"), retry=True).keys()[-1] == (2, 1), "a range of the grid"
    trial.script("exp3", SCRIPT.replace("lr=[", "epochs=[7], lr=["))
    with pytest.raises(UsageError, match=r"Nothing in exp3 matches"):
        plan(trial, selection=parse("exp3:40"))
