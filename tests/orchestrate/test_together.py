"""Repetitions that are trained together stay together: in plans, jobs, retries, crashes and searches."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given, strategies as st

import neurofit as nf
from neurofit.errors import GridError
from neurofit.experiments.selector import parse
from neurofit.orchestrate import sizing
from neurofit.orchestrate.forecast import forecast
from neurofit.orchestrate.plan import Plan, SubmitOptions, load, make
from neurofit.store.submissions import Planned

Fit, Training = nf.models.Fit, nf.models.Training


class Sizes:
    """A fit whose groups have the size that a run asks for."""

    def __call__(self, task):
        return {"x": 0.0}

    def arguments(self):
        return {"size": 1}

    def together(self, tasks):
        return [{"x": 0.0} for _ in tasks]

    def repetitions_together(self, params):
        return params.get("size", 1)


def plan_of(sizes, tasks) -> Plan:
    experiment = nf.Experiment(Sizes(), grid=nf.grid(size=sizes))
    return Plan(
        None, experiment, SubmitOptions(), experiment.runs(), experiment.runs(), 12, Counter(), None, tasks, 0,
        "", [], None,
    )  # fmt: skip


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4, unique=True),
    chosen=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 11)), min_size=1, max_size=40),
    tasks_per_job=st.one_of(st.none(), st.integers(1, 15)),
)
def test_no_job_splits_a_group(sizes, chosen, tasks_per_job):
    tasks = [Planned(run, repetition, 0) for run, repetition in sorted(chosen) if run < len(sizes)]
    jobs = plan_of(sizes, tasks).jobs(tasks_per_job)
    assert [task for job in jobs for task in job] == tasks and all(jobs)
    of_job = {}
    for number, job in enumerate(jobs):
        groups = {(task.run, task.repetition // sizes[task.run]) for task in job}
        for group in groups:
            assert of_job.setdefault(group, number) == number
        if tasks_per_job is not None:
            assert len(job) <= tasks_per_job or len(groups) == 1
    if tasks_per_job is None:
        assert len(jobs) == len({task.run for task in tasks})


@pytest.mark.parametrize(
    ("repetitions", "tasks", "left"),
    [(6, range(6), 0), (4, range(4), 2), (9, [4], 2), (9, [0, 8], 4), (1, [0], 2)],
)
def test_what_is_trained_and_dropped_is_counted(repetitions, tasks, left):
    assert plan_of([3], [Planned(0, number, 0) for number in tasks]).not_kept == left


def test_ids_change_with_the_number_and_not_by_its_default():
    def ids(**training):
        fit = Fit(nf.models.architectures.hsm, training=Training(**training))
        return [run.id for run in nf.Experiment(fit, grid=nf.grid(filters=[4, 9])).runs()]

    assert ids() == ids(together=1) and not set(ids()) & set(ids(together=10))
    settings = Fit(nf.models.architectures.hsm).settings()
    assert "together" not in json.dumps(settings)
    fit = Fit(nf.models.architectures.hsm)
    axis = nf.Experiment(fit, grid=nf.grid(together=[1, 5]))
    assert [fit.repetitions_together(run.arguments) for run in axis.runs()] == [1, 5]


def test_an_architectures_own_argument_of_this_name_is_not_the_trainings():
    def own(shapes, *, together=7):
        return None

    fit = Fit(own, training=Training(together=2))
    assert fit.repetitions_together({"architecture.together": 5}) == 2
    assert fit.repetitions_together({"training.together": 5}) == 5


def test_a_number_that_is_none_is_refused():
    with pytest.raises(GridError, match="together=0; expected a whole number > 0"):
        Fit(nf.models.architectures.hsm).repetitions_together({"together": 0})


@pytest.mark.parametrize("range_", [[1, 3], [2, 3]])
def test_a_search_cannot_change_how_many_are_trained_together(range_):
    fit = Fit(nf.models.architectures.hsm)
    with pytest.raises(GridError, match="changes how many repetitions of a trial are trained together"):
        nf.Experiment(fit, grid=nf.search(together=range_, trials=4, metric="validation/loss"), repetitions=3)
    fixed = Fit(nf.models.architectures.hsm, training=Training(together=3))
    grid = nf.search(filters=nf.integers(2, 9), trials=4, metric="validation/loss")
    assert nf.Experiment(fixed, grid=grid, repetitions=3).runs()
    product = nf.grid(together=[1, 3]) * grid
    found = nf.Experiment(fit, grid=product, repetitions=3)
    assert {fit.repetitions_together(run.arguments) for run in found.runs()} == {1, 3}


class TrainsAlone(Fit):
    """A fit that trains one task at a time, whatever `together` says."""

    def __call__(self, task):
        return {"x": 1.0}


@pytest.mark.parametrize("numbers", [[1, 5], [5, 1]])
def test_every_value_of_an_axis_is_looked_at_before_tasks_are_queued(numbers):
    fit, run = TrainsAlone(nf.models.architectures.hsm), numbers.index(5)
    for grid in (nf.grid(together=numbers), nf.grid(together=numbers) * nf.grid(learning_rate=[0.1])):
        with pytest.raises(GridError, match=rf"Run {run}: Training: together=5 with TrainsAlone"):
            nf.Experiment(fit, grid=grid)
    search = nf.search(learning_rate=[0.1, 0.2], trials=2, metric="validation/loss")
    with pytest.raises(GridError, match="together=5 with TrainsAlone, which overrides __call__"):
        nf.Experiment(fit, grid=nf.grid(together=numbers) * search)
    assert len(nf.Experiment(fit, grid=nf.grid(together=[1])).runs()) == 1


def test_a_later_value_of_an_axis_that_is_none_is_refused_by_its_run():
    with pytest.raises(GridError, match=r"Run 1: .*together=0; expected a whole number > 0"):
        nf.Experiment(Fit(nf.models.architectures.hsm), grid=nf.grid(together=[1, 0]))


def test_a_subclass_with_its_own_together_is_offered_what_a_job_holds(tmp_path):
    class Own(Fit):
        def together(self, tasks):
            return [{"x": 1.0} for _ in tasks]

    fit = Own(nf.models.architectures.hsm)
    assert nf.Experiment(fit).adapter.repetitions_together({}) is None
    assert nf.Experiment(fit).adapter.repetitions_together({"together": 4}) == 4


# In processes

GROUPS = """
    import os, signal, time
    from pathlib import Path
    class Groups:
        def __call__(self, task):
            return self.together([task])[0]
        def arguments(self):
            return {"size": 3, "what": ""}
        def repetitions_together(self, params):
            return params.get("size", 3)
        def together(self, tasks):
            numbers = [task.repetition for task in tasks]
            print("together", *numbers)
            with open(tasks[0].study / "calls.txt", "a") as file:
                print(tasks[0].params.get("what"), *numbers, file=file)
            what = tasks[0].params.get("what")
            time.sleep(0.3)
            if what == "crash" and 1 in numbers and not (tasks[0].study / "mended").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            mended = (tasks[0].study / "mended").exists()
            return [
                ValueError(f"bad {task.repetition}") if what == "bad" and task.repetition == 1 and not mended
                else {"x": float(task.repetition)} for task in tasks
            ]
    experiment = nf.Experiment(fit=Groups(), grid=nf.grid(what=[%s]), repetitions=%d)
"""


def calls(bench):
    return sorted((bench.root / "calls.txt").read_text().splitlines())


def submit(bench, name, text="backend: local\nworkers: 2\n", **options):
    bench.submit(name, bench.runner(text=text), **options)
    return bench.wait(name)


@pytest.mark.process
@pytest.mark.parametrize("tasks_per_job", ["null", 1, 2, 4, 100])
def test_each_group_is_one_process_whatever_a_job_holds(tasks_per_job, bench):
    bench.script("groups", GROUPS % ("'a', 'b'", 7))
    text = f"backend: local\nworkers: 2\ntasks_per_job: {tasks_per_job}\n"
    assert submit(bench, "groups", text) == {"done": 14}
    expected = [f"{what} {numbers}" for what in "ab" for numbers in ("0 1 2", "3 4 5", "6")]
    assert calls(bench) == expected
    records = bench.outcomes("groups")
    assert len({record["log"] for record in records}) == 6
    for log in {
        record["log"] for record in records
    }:  # shares of what the process took, which was at least .3 s
        shares = [record["wall_seconds"] for record in records if record["log"] == log]
        started, *_, ended = sorted(
            datetime.fromisoformat(record[name]).timestamp()
            for record in records
            for name in ("started", "ended")
            if record["log"] == log
        )
        assert 0.29 < sum(shares) <= ended - started + 0.01


@pytest.mark.process
def test_an_exception_in_place_of_a_dict_fails_that_task_alone_and_a_retry_does_it_alone(bench):
    bench.script("groups", GROUPS % ("'bad'", 3))
    assert submit(bench, "groups") == {"done": 2, "failed": 1}
    (failed,) = [record for record in bench.outcomes("groups") if record["state"] == "failed"]
    assert failed["repetition"] == 1 and "bad 1" in failed["error"]["message"]
    (bench.root / "mended").touch()
    assert submit(bench, "groups", retry=True) == {"done": 3}
    assert calls(bench) == ["bad 0 1 2", "bad 1"]
    assert submit(bench, "groups", rerun=True) == {"done": 3}
    assert Counter(calls(bench))["bad 0 1 2"] == 2


@pytest.mark.process
def test_a_group_that_crashed_has_failed_and_is_not_tried_one_by_one(bench):
    bench.script("groups", GROUPS % ("'crash'", 6))
    assert submit(bench, "groups", keep_going=True) == {"failed": 3, "done": 3}
    assert calls(bench) == ["crash 0 1 2", "crash 3 4 5"]
    for record in bench.outcomes("groups"):
        assert record["attempt"] == 1
        if record["state"] == "failed":
            assert record["error"]["kind"] == "signal" and "SIGKILL" in record["error"]["message"]
    (bench.root / "mended").touch()
    assert submit(bench, "groups", retry=True) == {"done": 6}


@pytest.mark.process
def test_the_plan_says_what_is_trained_and_dropped(bench):
    bench.script("groups", GROUPS % ("'a'", 6))
    bench.runner()
    for words, said in (
        ([], "3 repetitions of a run are trained together."),
        (["--repetitions", "4"], "so 2 repetitions that no task needs will be trained and dropped."),
    ):
        done = bench.command("submit", "groups", "--dry-run", *words)
        assert done.returncode == 0, done.stderr
        assert said in " ".join(done.stdout.split())


@pytest.mark.process
def test_a_task_in_the_foreground_trains_its_group_alone(bench):
    bench.script(
        "groups", GROUPS % ("'a'", 6) + "\n    if __name__ == '__main__':\n        nf.main(experiment)\n"
    )
    done = bench.command("run", "groups:0/4")
    assert done.returncode == 0, done.stderr
    assert calls(bench) == ["a 4"]
    import subprocess
    import sys

    ran = subprocess.run(
        [sys.executable, "jobs/groups.py", "--repetition", "2"],
        cwd=bench.root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert calls(bench) == ["a 2", "a 4"]


@pytest.mark.process
def test_results_and_costs_count_each_repetition_once(bench):
    bench.script("groups", GROUPS % ("'a', 'b'", 6))
    submit(bench, "groups")
    done = bench.command("results", "groups", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["run"], row["repetition"]) for row in rows] == [
        (run, str(n)) for run in "01" for n in range(6)
    ]
    plans = [
        make(bench.study, load(bench.study, "groups"), SubmitOptions(selection=parse(text), rerun=True))
        for text in ("groups", "groups:0/1")
    ]
    assert [(len(plan.tasks), plan.trained(plan.tasks)) for plan in plans] == [(12, 12), (1, 3)]
    seconds = [float(row["wall_seconds"]) for row in rows]
    expected = sum(seconds), sum(seconds[:6]) / 6 * 3  # a task of a group has a share of its time
    found = [forecast(plan, bench.runner()).total_seconds for plan in plans]
    assert found == pytest.approx(expected, rel=0.01)
    asking = bench.runner(text="backend: local\nworkers: 1\nresources: {walltime_minutes: 90}\n")
    assert "a job of 3 tasks asks for 90 min" in sizing.proposal(plans[1], asking).sentence
