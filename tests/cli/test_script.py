"""`python jobs/exp3.py`: one task in the foreground."""

from __future__ import annotations

import json
import sys

import pytest

DOTTED = '''"""Dotted names."""
import neurofit as nf

class Fit:
    def arguments(self): return {"learning_rate": 0.1, "training.l2": 0.0, "run": 3, "flag": False}
    def __call__(self, task): return {"m": task.params["learning_rate"] + task.params.get("training.l2", 0)}

experiment = nf.Experiment(Fit(), grid=nf.grid({"training.l2": [0.5]}, learning_rate=[0.1, 0.2]))
if __name__ == "__main__":
    experiment.main()
'''


@pytest.fixture
def python(study):
    def run(*words, code=0, **options):
        return study.run([sys.executable, *words], code=code, **options)

    return run


def test_the_first_run_without_options(quick, python):
    answer = python("jobs/quick.py")
    assert quick.steady(answer.stdout) == (
        "x is 1\nquick:0/0: done after TIME.\n  test/correlation  0.1\n"
        "Files: training_data/quick/runs/000-RUN-ID/rep-00/attempt-01"
    )
    files = {path.name for path in quick.root.glob("training_data/quick/runs/000-*/rep-00/attempt-01/*")}
    assert files == {"claim.json", "stdout.log", "history.csv", "outcome.json"}
    quick("submit", "quick:1/0")
    queued = {path.name for path in quick.root.glob("training_data/quick/runs/001-*/rep-00/attempt-01/*")}
    assert queued == files


def test_what_was_done_by_hand_is_not_queued_again(quick, python):
    python("jobs/quick.py", "--x", "2", "--repetition", "1")
    plan = json.loads(quick("submit", "quick", "--dry-run", "--json").stdout)
    assert (plan["new"], plan["done"]) == (7, 1)


def test_a_point_off_the_grid_is_marked(quick, python):
    answer = python("jobs/quick.py", "--x", "5", "--run", "1")
    assert answer.stderr.startswith("quick:4/0 (off the grid)  x=5 kind=b\n")
    assert "quick:4/0: done after" in answer.stdout and "off the grid." in answer.stdout
    outcome = json.loads(python("jobs/quick.py", "--x", "5", "--json").stdout)
    assert (outcome["on_grid"], outcome["run"], outcome["params"]) == (False, 5, {"x": 5, "kind": "a"})


def test_from_another_folder(quick, python, tmp_path):
    answer = python(str(quick.root / "jobs" / "quick.py"), cwd="/")
    assert "quick:0/0: done" in answer.stdout
    assert (quick.root / "training_data" / "quick").is_dir()


def test_names_with_dots_and_either_kind_of_dash(study, python):
    study.script("group/dotted", DOTTED)
    for words in (["--learning_rate", "0.3"], ["--learning-rate", "0.3"], ["--set", "learning_rate=0.3"]):
        answer = python("jobs/group/dotted.py", *words, "--training.l2", "1e-1")
        assert "m  0.4" in answer.stdout and "group/dotted:2/0" in answer.stdout
    assert "--run" in python("jobs/group/dotted.py", "--help").stdout


def test_help_shows_arguments_defaults_and_grid(study, python):
    study.script("dotted", DOTTED)
    text = python("jobs/dotted.py", "--help").stdout
    assert text.startswith("Usage: dotted.py [OPTIONS]\n\n  Dotted names.\n")
    text = " ".join(text.split())
    assert "--learning-rate VALUE [default: 0.1; grid: 0.1, 0.2]" in text
    assert "--training.l2 VALUE [default: 0.0; grid: 0.5]" in text
    assert "--flag VALUE [default: false]" in text or "--flag VALUE [default: False]" in text


def test_listing(quick, python):
    assert quick.steady(python("jobs/quick.py", "--list").stdout).endswith("3  RUN-ID  2  b")
    assert not (quick.root / "training_data").exists()


def test_a_task_that_fails(mixed, python):
    path = mixed.root / "jobs" / "mixed.py"
    path.write_text(path.read_text() + "\nexperiment.main()\n")
    answer = python("jobs/mixed.py", "--x", "2", code=3)
    assert "mixed:1/0: failed" in answer.stdout and "x=2 is too much" in answer.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--y", "3"], 2, "No such option"),
        (["--set", "y=3"], 1, "the fit has no argument 'y'"),
        (["--set", "y"], 2, "expected NAME=VALUE"),
        (["--x", "many"], 1, "must be a number"),
        (["--run", "9"], 2, "quick has no run 9"),
    ],
)
def test_what_is_refused(quick, python, words, code, said):
    answer = python("jobs/quick.py", *words, code=code)
    assert said in answer.stderr
    assert not list(quick.root.glob("training_data/quick/runs/*"))


def test_a_script_elsewhere(quick, python, tmp_path):
    stray = tmp_path / "stray.py"
    stray.write_text((quick.root / "jobs" / "quick.py").read_text())
    assert "No study here" in python(str(stray), code=1).stderr
    inside = quick.root / "stray.py"
    inside.write_text(stray.read_text())
    assert "is not under" in python(str(inside), code=1).stderr


WITH_FUNCTION = '''"""Ends in nf.main."""
import neurofit as nf

def fit(task, *, x=1):
    return {"m": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]))

if __name__ == "__main__":
    nf.main(experiment)
'''


def test_a_script_may_end_in_nf_main(study, python):
    study.script("ends", WITH_FUNCTION)
    answer = python("jobs/ends.py", "--x", "2")
    assert "ends:1/0: done" in answer.stdout and "m  2" in answer.stdout
    assert json.loads(study("show", "ends", "--json").stdout)["axes"] == {"x": [1, 2]}


def test_nf_main_without_a_guard_is_refused_when_a_command_loads_the_script(study, python):
    study.script("bare", WITH_FUNCTION.replace('if __name__ == "__main__":\n    ', ""))
    error = study("submit", "bare", code=1).stderr
    assert 'Write `if __name__ == "__main__":` above the call' in error
    assert "bare:0/0: done" in python("jobs/bare.py").stdout
