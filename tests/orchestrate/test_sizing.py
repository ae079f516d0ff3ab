"""What `submit` proposes to ask for, from what earlier tasks used."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.orchestrate.forecast import forecast
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.sizing import Used, proposal, proposed, used

FIT = """
    def fit(task, *, x=0, size=1):
        return {"m": x}
    experiment = nf.Experiment(fit, nf.grid(x=[1, 2, 3]), repetitions=2)
"""
LARGE = "backend: local\nworkers: 2\nresources: {memory_gb: 16, walltime_minutes: 240}\n"


@pytest.mark.parametrize(
    ("peak", "seconds", "memory", "minutes", "tasks", "options"),
    [
        (0.4, 60, 16, 240, 1, ["--memory", "0.6", "--minutes", "5"]),
        (0.4, 60, 0.7, 8, 1, None),  # fits
        (4.0, 600, 8, 60, 3, None),  # 5.2 GB; 45 min
        (4.0, 600, 3, 20, 3, ["--memory", "5.2", "--minutes", "45"]),  # less than was used
        (20.0, 6000, 100, None, 1, ["--memory", "26"]),
        (20.0, 6000, None, 1000, 1, ["--minutes", "150"]),
        (0.1, 1, None, None, 1, None),
    ],
)
def test_memory_is_the_peak_times_1_3_and_time_the_95th_percentile_times_1_5(
    peak, seconds, memory, minutes, tasks, options
):
    found = proposed(Used(20, peak, seconds), memory, minutes, tasks)
    assert (found and found.options) == options


@given(st.floats(0.01, 500), st.floats(0.1, 1e6), st.integers(1, 50))
def test_a_proposal_is_enough_for_what_was_used_and_is_not_proposed_again(peak, seconds, tasks):
    known = Used(10, peak, seconds)
    found = proposed(known, 1e6, 1e9, tasks)
    assert found.memory_gb >= peak and found.minutes * 60 >= seconds * tasks
    assert proposed(known, found.memory_gb, found.minutes, tasks) is None


def test_too_little_is_said_to_be_too_little():
    found = proposed(Used(10, 4.0, 600), 3, 600, 1)
    assert "used at most 4 GB, and a job asks for 3 GB, which is too little" in found.sentence


def plan(bench, **options):
    return make(bench.study, load(bench.study, "sized"), SubmitOptions(**options))


@pytest.mark.process
def test_submit_proposes_and_changes_nothing(bench):
    bench.script("sized", FIT)
    profile = bench.runner("large", LARGE)
    assert used(plan(bench)) is None and proposal(plan(bench), profile) is None
    bench.run("sized")
    assert proposal(plan(bench), profile) is None  # nothing will be queued
    found = used(plan(bench, rerun=True))
    assert found.tasks == 6 and 0 < found.peak_gb < 4
    said = bench.command("submit", "sized", "--backend", "large", "--rerun", "--dry-run").stdout
    assert "6 earlier tasks used at most" in said and "Enough would be --memory 0.5 --minutes 5." in said
    fits = bench.command(
        "submit", "sized", "--backend", "large", "--rerun", "--dry-run", "--memory", "0.5", "--minutes", "5"
    )
    assert "earlier tasks" not in fits.stdout


@pytest.mark.process
def test_a_trial_learns_only_from_its_own_runs(bench):
    bench.script("sized", FIT)
    bench.run("sized")
    assert used(plan(bench, changes={"size": 2})) is None


@pytest.mark.process
def test_journals_of_other_runs_are_not_read(bench):
    bench.script("sized", FIT)
    bench.run("sized")
    trial, runner = plan(bench, changes={"size": 2}), bench.runner("large", LARGE)
    journals = list(bench.study.training_data.glob("sized/submissions/*/journal/*"))
    assert journals
    for journal in journals:  # reading one of them would be an error
        journal.unlink()
        journal.mkdir()
    assert used(trial) is None and forecast(trial, runner).task_seconds is None
