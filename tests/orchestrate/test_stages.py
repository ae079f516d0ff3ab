"""Stages: an experiment that needs others starts when these are done, and says so when they will not be."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from neurofit.errors import GridError, NameUnknown, UsageError
from neurofit.experiments.experiment import Experiment
from neurofit.experiments.grid.grid import grid
from neurofit.files import read_json
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.stages import order, stages
from neurofit.status.needs import need_stops, waits
from neurofit.store.submissions import read_queue

FEATURES = """
    import os, time
    def fit(task, *, a=1):
        while not os.path.exists(str(task.study / "go")):
            time.sleep(0.02)
        if os.path.exists(str(task.study / "broken")):
            raise ValueError("no such layer")
        return {"x": a}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2]))
"""
LAYERS = """
    def fit(task, *, b=1):
        done = [path for path in task.study.glob("training_data/it/features/**/outcome.json")]
        return {"seen": len(done)}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(b=[1, 2, 3]), needs="it/features")
"""


@pytest.fixture
def staged(bench):
    bench.script("it/features", FEATURES)
    bench.script("it/layers", LAYERS)
    bench.runner()
    return bench


def planned(bench, name, **options):
    plan = make(bench.study, load(bench.study, name), SubmitOptions(**options))
    return plan, stages(plan, bench.runner(), {})


def submit_all(bench, name, **options):
    _plan, before = planned(bench, name, **options)
    for stage in before:
        if stage.plan.tasks:
            bench.submit(stage.plan.experiment.name, **options)
    return bench.submit(name, **options)


def pool_of(submitted):
    return read_queue(submitted.files).calls[-1].process["pid"]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_needed_is_no_part_of_the_ids():
    def fit(task, *, a=1):
        return {"x": a}

    plain = Experiment(fit, grid(a=[1, 2]))
    assert [run.id for run in Experiment(fit, grid(a=[1, 2]), needs="other").runs()] == [
        run.id for run in plain.runs()
    ]


@pytest.mark.parametrize("needs", [3, [3], "", None])
def test_names_that_are_none_are_refused(needs):
    with pytest.raises(GridError, match="needs"):
        Experiment(lambda task: {"x": 1}, needs=needs)


def test_a_needed_name_that_the_study_lacks_is_refused_with_the_nearest(staged):
    staged.script("it/layers", LAYERS.replace("it/features", "it/featurs"))
    with pytest.raises(NameUnknown, match=r"needs='it/featurs'.*Did you mean 'it/features'"):
        planned(staged, "it/layers")


def test_a_circle_of_needs_is_refused(staged):
    staged.script("it/features", FEATURES.replace("a=[1, 2])", 'a=[1, 2]), needs=["it/layers"]'))
    with pytest.raises(UsageError, match="it/layers → it/features → it/layers"):
        order(staged.study, load(staged.study, "it/layers"))


def test_a_stage_waits_for_all_tasks_of_what_it_needs(staged):
    submitted = submit_all(staged, "it/layers")
    assert staged.counts("it/layers") == {"queued": 3}
    assert waits(staged.status("it/layers")) == ["it/layers waits for it/features (0 of 2 done)"]
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert {row["metrics"]["seen"] for row in staged.outcomes("it/layers")} == {2}
    assert read_json(submitted.files.record)["needs"] == [
        {"experiment": "it/features", "runs": [[0, 1]], "repetitions": 1}
    ]
    assert waits(staged.status("it/layers")) == []


def test_what_is_done_is_not_queued_and_what_somebody_queued_is_waited_for(staged):
    staged.submit("it/features")
    _, [stage] = planned(staged, "it/layers")
    assert not stage.plan.tasks
    staged.submit("it/layers")
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert len(staged.status("it/features").submissions) == 1
    plan, before = planned(staged, "it/layers")
    assert not plan.tasks
    assert before == []


def test_a_stage_that_failed_leaves_its_dependants_new_with_the_reason(staged):
    (staged.root / "broken").touch()
    submit_all(staged, "it/layers")
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"new": 3}
    [note] = need_stops(staged.status("it/layers"))
    assert "it/features (0 of 2 done) ended with 2 failed" in note
    shown = staged.command("status", "it/layers")
    assert "ended with 2 failed" in " ".join((shown.stdout + shown.stderr).split())
    with pytest.raises(UsageError, match="Add --retry"):
        planned(staged, "it/layers")
    (staged.root / "broken").unlink()
    submit_all(staged, "it/layers", retry=True)
    assert staged.wait("it/layers") == {"done": 3}
    assert need_stops(staged.status("it/layers")) == []


def test_a_needed_pool_that_is_killed_ends_the_waiting_and_the_next_submit_loses_nothing(staged):
    staged.submit("it/features")
    staged.submit("it/layers")
    [features] = staged.status("it/features").submissions
    os.kill(read_queue(features.files).calls[-1].process["pid"], signal.SIGKILL)
    assert staged.wait("it/layers") == {"new": 3}
    assert "it/features (0 of 2 done) ended with" in need_stops(staged.status("it/layers"))[0]
    (staged.root / "go").touch()
    submit_all(staged, "it/layers")
    assert staged.wait("it/layers") == {"done": 3}
    assert len(staged.outcomes("it/layers")) == 3


def test_a_waiting_pool_that_is_killed_can_be_submitted_again(staged):
    submitted = submit_all(staged, "it/layers")
    os.kill(pool_of(submitted), signal.SIGKILL)
    assert staged.wait("it/layers") == {"new": 3}
    again = submit_all(staged, "it/layers")
    assert again is not None
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert len(staged.status("it/features").submissions) == 1
    assert [row["attempt"] for row in staged.outcomes("it/layers")] == [1, 1, 1]


def test_tasks_that_wait_can_be_cancelled(staged):
    submit_all(staged, "it/layers")
    assert staged.command("cancel", "it/layers", "--yes").returncode == 0
    assert staged.wait("it/layers") == {"cancelled": 3}
    (staged.root / "go").touch()
    assert staged.wait("it/features") == {"done": 2}


def test_a_queue_that_cannot_wait_refuses_a_stage_that_is_not_done(staged):
    plan = make(staged.study, load(staged.study, "it/layers"), SubmitOptions())
    slurm = staged.runner("cluster", "backend: slurm\n")
    with pytest.raises(UsageError, match=r"it/features \(0 of 2 done\) is needed first.*submit it/features"):
        stages(plan, slurm, {})
    assert [stage.runner.name for stage in stages(plan, staged.runner(), {"it/features": slurm})] == [
        "cluster"
    ]
    with pytest.raises(UsageError, match="no stage"):
        stages(plan, slurm, {"other": slurm})


def test_submit_shows_and_queues_the_stages(staged):
    dry = staged.command("submit", "it/layers", "--dry-run", "--json")
    [stage] = json.loads(dry.stdout)["stages"]
    assert (stage["experiment"], stage["to_queue"], stage["runner"]) == ("it/features", 2, "local")
    (staged.root / "go").touch()
    shown = staged.command("submit", "it/layers", "--backend", "it/features=local")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.index("it/features: 2 runs") < shown.stdout.index("it/layers: 3 runs")
    assert staged.counts("it/layers") == {"done": 3}
    assert json.loads(staged.command("show", "it/layers", "--json").stdout)["needs"] == ["it/features"]


def test_ctrl_c_while_waiting_stops_the_stages_too(staged):
    import subprocess
    import sys

    watching = subprocess.Popen(
        [sys.executable, "-m", "neurofit", "submit", "it/layers"],
        cwd=staged.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(lambda: staged.counts("it/layers")["queued"] == 3 and staged.counts("it/features")["running"])
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=120)
    assert watching.returncode == 130
    assert not staged.wait("it/layers")["done"]
