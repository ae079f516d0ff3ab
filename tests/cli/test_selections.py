"""Selections of runs and repetitions that an experiment does not have: what each command says."""

from __future__ import annotations

import importlib.util
import json
import re
import sys

import click
import pytest

import neurofit as nf
from neurofit.cli.application import COMMANDS, group
from neurofit.errors import NameUnknown, UsageError

FOLDS = """
import neurofit as nf

def fit(task, *, x=1):
    return {"m": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]), repetitions=3, split_by="fold")

if __name__ == "__main__":
    experiment.main()
"""
OF_PARTS = {  # commands that take several runs or repetitions, and options that each needs
    "cancel": [],
    "export": ["--to", "tensorboard-hparams", "-o", "store", "--replace"],
    "failures": [],
    "logs": [],
    "pack": ["--dry-run"],
    "plot": [],
    "report": [],
    "results": [],
    "show": [],
    "status": [],
    "submit": ["--dry-run"],
    "unpack": ["--dry-run"],
}
OF_ONE = {"choose": [], "predict": ["--data", "no.npy", "-o", "out.csv"]}  # one of the tasks that are there
OF_A_NUMBER = {"debug", "run"}  # they refuse several runs
NEEDED = {"plot": "matplotlib", "report": "jinja2", "export": "tensorboard"}
OF_QUICK = "it has 4 run(s), numbered 0 to 3, with 2 repetition(s) each"


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.process
def test_a_repetition_beyond_those_of_the_experiment_is_run_and_said(quick):
    one_more = (
        "The runs of quick have repetitions 0 to 1: repetition 7 is one more, which results include. "
        "`neurofit submit quick --repetitions 8` queues all up to it."
    )
    for dry_run in (["--dry-run"], []):
        answer = quick("run", "quick:0/7", *dry_run)
        assert one_more in words(answer.stderr)
    assert "one more" not in quick("run", "quick:0/7").stderr  # it is there now
    assert "one more" not in quick("run", "quick:0/1").stderr
    by_script = quick.run([sys.executable, "jobs/quick.py", "--repetition", "5", "--dry-run"])
    assert "repetition 5 is one more" in words(by_script.stderr)


@pytest.mark.process
def test_there_is_no_fold_beyond_the_last_one(study):
    study.script("folds", FOLDS)
    said = "folds has no repetition 3: each is a fold of the data (split_by='fold'), 0 to 2."
    assert said in words(study("run", "folds:0/3", code=2).stderr)
    assert not (study.root / "training_data" / "folds").exists()
    assert "folds:0/2: done" in study("run", "folds:0/2").stdout


@pytest.mark.process
@pytest.mark.parametrize("number", ["1", "5"])
def test_another_number_of_folds_makes_other_runs(study, number):
    """Their id has the number of folds, so a run would mix results of several."""
    study.script("folds", FOLDS)
    answer = study("submit", "folds", "--repetitions", number, code=2)
    assert f"--repetitions {number}: each repetition of folds is one of 3 folds of the data" in words(
        answer.stderr
    )
    assert "such as folds:all/0" in answer.stderr
    assert not (study.root / "training_data" / "folds").exists()
    assert "6 tasks" in study("submit", "folds", "--repetitions", "3", "--dry-run").stdout


@pytest.mark.process
def test_the_last_run_is_one_task_that_is_not_looked_up(quick):
    for command in ("run", "debug"):
        said = words(quick(command, "quick:last/0", code=2).stderr)
        assert "'quick:last/0': 'last' is not looked up here; name the run by its number" in said
        assert "selects several tasks" in quick(command, "quick:0-last", code=2).stderr


@pytest.mark.process
def test_show_proposes_no_submit_that_would_fail(quick):
    assert "quick:0/1 --dry-run" in quick("show", "quick:0/1").stderr
    for selector in ("quick:0/2", "quick:9", "quick:9/0"):
        assert OF_QUICK in words(quick("show", selector, code=2).stderr)
        assert OF_QUICK in words(quick("submit", selector, code=2).stderr)


@pytest.mark.process
def test_a_condition_that_no_run_meets_is_named(quick):
    for command in (["show"], ["submit", "--dry-run"]):
        answer = quick(*command, "quick:0-2", "--where", "x > 5", code=2)
        assert "No run of quick matches --where 'x > 5'. `neurofit show quick` lists" in words(answer.stderr)
        assert OF_QUICK in words(quick(*command, "quick:9", "--where", "x > 5", code=2).stderr)


@pytest.mark.process
def test_parts_of_a_selection_that_mean_nothing_are_named(quick):
    for command in (
        ["show"],
        ["submit", "--dry-run"],
        ["submit"],
        ["results"],
        ["pack", "--dry-run"],
    ):
        said = quick(*command, "quick:0,9,12-14", code=0).stderr
        assert said.count("quick has no runs 9, 12-14.") == 1, command
    assert "quick has no run 9.\n" in quick("logs", "quick:0,9").stderr
    for command in ("logs", "results"):
        assert "quick has no repetition 5.\n" in quick(command, "quick:0/0,5").stderr
    assert "has no" not in quick("results", "quick:0-9,last").stderr
    nothing = quick("results", "quick:8,9", code=2).stderr
    assert OF_QUICK in words(nothing) and "has no run" not in nothing


def test_every_command_that_takes_a_selection_is_known_here():
    context = click.Context(group)
    taking = {
        name
        for name in COMMANDS
        for parameter in group.get_command(context, name).params
        if isinstance(parameter, click.Argument) and parameter.name in ("selector", "selectors")
    }
    assert taking == {*OF_PARTS, *OF_ONE, *OF_A_NUMBER}


@pytest.mark.process
def test_every_command_names_the_parts_of_a_selection_that_mean_nothing(quick):
    quick("submit", "quick")
    for command, options in OF_PARTS.items():
        if command in NEEDED and importlib.util.find_spec(NEEDED[command]) is None:
            continue
        absent, there = (
            quick(command, selector, *options, code=0).stderr for selector in ("quick:0,9,12-14", "quick:0,1")
        )
        assert absent.splitlines().count("quick has no runs 9, 12-14.") == 1, command
        assert "has no" not in there, command
    for command, options in OF_ONE.items():
        absent, there = (
            quick(command, selector, *options, code=None).stderr for selector in ("quick:0,9/0", "quick:0/0")
        )
        assert absent.splitlines().count("quick has no run 9.") == 1, command
        assert "has no run" not in there, command


@pytest.mark.process
def test_status_names_what_is_not_there_once_whatever_is_asked(quick):
    quick("submit", "quick")
    said = "quick has no run 9.\n"
    for more in (["--json"], ["--wait", "1"], ["--watch"], ["--where", "x < 5"], ["quick:1,9"]):
        assert quick("status", "quick:0,9", *more).stderr.count(said) == 1, more
    best = quick("status", "quick:best/0,5", "--by", "test/correlation").stderr
    assert best.count("quick has no repetition 5.\n") == 1 and best.count("quick:best is quick:") == 1
    json_of = [quick("status", selector, "--json").stdout for selector in ("quick:0,9", "quick:0")]
    assert json_of[0] == json_of[1]
    assert OF_QUICK in words(quick("status", "quick:8,9", code=2).stderr)


@pytest.mark.process
def test_a_picture_and_a_report_name_what_is_not_there(quick):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    quick("submit", "quick")
    said = "quick has no run 9."
    assert said in json.loads(quick("plot", "quick:0,9", "--json").stdout)["notes"]
    assert quick("plot", "quick:0,9", "quick:1,9").stderr.count(said) == 1
    answer = quick("report", "quick:0,9", "quick:1,9", "--json")
    assert answer.stderr.count(said) == 1 and len(json.loads(answer.stdout)["experiments"]) == 2
    assert "quick has no repetition 5.\n" in quick("report", "quick:0/0,5").stderr


@pytest.mark.process
def test_loading_what_is_not_there_names_a_command_that_works(quick):
    quick("submit", "quick:0")
    with pytest.raises(NameUnknown, match=re.escape("there is no such task. `neurofit status quick` shows")):
        nf.load("quick:9/0", study=quick.root)
    with pytest.raises(
        UsageError, match=re.escape("there are no such tasks; an ensemble needs at least two")
    ):
        nf.ensemble("quick:9", study=quick.root)
    with pytest.raises(UsageError, match=re.escape("select a single one, such as quick:0/1")):
        nf.load("quick:all/1", study=quick.root)
