"""A finished task's model comes back, built by the code as it was submitted."""

from __future__ import annotations

import pytest

import neurofit
from neurofit.errors import NameUnknown, UsageError
from neurofit.tables import loading

SCRIPT = """
    class Memory:
        def __call__(self, task):
            (task.folder / "model.txt").write_text(str(task.params["a"] * 10 + task.repetition))
            return {"x": 1}
        def arguments(self):
            return {"a": 1}
        def load(self, folder):
            return "%s " + (folder / "model.txt").read_text()
    experiment = nf.Experiment(fit=Memory(), grid=nf.grid(a=[1, 2]), repetitions=2)
"""


def test_the_code_as_it_was_submitted_loads_what_the_task_left(bench):
    bench.script("memory", SCRIPT % "then")
    bench.run("memory")
    bench.script("memory", SCRIPT % "now")
    assert neurofit.load("memory:1/1", study=bench.root) == "then 21"


def test_one_task_is_loaded_at_a_time_and_only_when_it_is_done(bench):
    bench.script("memory", SCRIPT % "then")
    bench.run("memory")
    with pytest.raises(UsageError, match="'memory:1' means 2 tasks; select a single one, such as memory:1/0"):
        neurofit.load("memory:1", study=bench.root)
    with pytest.raises(NameUnknown, match="'memory:7/0' cannot be loaded: there is no such task"):
        neurofit.load("memory:7/0", study=bench.root)


def test_a_fit_that_loads_nothing_says_where_its_files_are(bench):
    bench.script("plain", "def fit(task):\n    return {'x': 1}\nexperiment = nf.Experiment(fit=fit)\n")
    bench.run("plain")
    with pytest.raises(
        UsageError, match=r"The fit of plain has no method load\(folder\)\. Its files are in .*attempt-01"
    ):
        neurofit.load("plain:0/0", study=bench.root)


MEAN = """
    class Mean:
        def __call__(self, task):
            if task.repetition == 2:
                raise ValueError
            (task.folder / "guess.txt").write_text(str(task.params["a"] * 10 + task.repetition))
            return {"x": 1}
        def arguments(self):
            return {"a": 1}
        def ensemble(self, folders):
            return [(folder / "guess.txt").read_text() for folder in folders]
    experiment = nf.Experiment(fit=Mean(), grid=nf.grid(a=[1, 2]), repetitions=3)
"""


def test_an_ensemble_is_of_the_repetitions_of_one_run_that_are_done(bench):
    bench.script("mean", MEAN)
    bench.run("mean")
    numbers = sorted(bench.status("mean").registry.runs)
    assert neurofit.ensemble(f"mean:{numbers[1]}", study=bench.root) == ["20", "21"]
    with pytest.raises(
        UsageError, match=f"'mean' means 2 runs; an ensemble needs a single run, such as mean:{numbers[0]}"
    ):
        neurofit.ensemble("mean", study=bench.root)
    with pytest.raises(UsageError, match="1 repetitions are done; an ensemble needs at least two"):
        neurofit.ensemble(f"mean:{numbers[0]}/0", study=bench.root)


def test_a_fit_that_averages_nothing_says_so(bench):
    bench.script(
        "plain", "def fit(task):\n    return {'x': 1}\nexperiment = nf.Experiment(fit=fit, repetitions=2)\n"
    )
    bench.run("plain")
    with pytest.raises(UsageError, match=r"The fit of plain has no method ensemble\(folders\)"):
        neurofit.ensemble("plain:0", study=bench.root)


def test_the_folder_of_a_task_and_a_view_that_its_fit_lacks(bench):
    bench.script("plain", "def fit(task):\n    return {'x': 1}\nexperiment = nf.Experiment(fit=fit)\n")
    bench.run("plain")
    assert (neurofit.folder("plain", study=bench.root) / "outcome.json").exists()
    with pytest.raises(UsageError, match=r"has no view 'filters'\. It has no views of its models"):
        loading.view("plain", "filters", study=bench.root)


AVERAGE = """
    class Average:
        def __call__(self, task):
            return {"x": 1}
        def arguments(self):
            return {"a": 1, "b": %d}
        def ensemble(self, folders):
            return len(folders)
    experiment = nf.Experiment(fit=Average(), grid=nf.grid(a=[1]), repetitions=%d)
"""


def test_an_ensemble_of_repetitions_with_different_defaults_is_an_error_that_names_those_of_one_kind(bench):
    bench.script("average", AVERAGE % (2, 2))
    bench.run("average")
    bench.script("average", AVERAGE % (5, 3))
    bench.run("average")
    with pytest.raises(
        UsageError, match=r'repetitions 0, 1: \{"b":2\}.*; repetitions 2: .*such as average:0/0,1\.'
    ):
        neurofit.ensemble("average:0", study=bench.root)
    assert neurofit.ensemble("average:0/0,1", study=bench.root) == 2


def test_an_ensemble_of_repetitions_with_other_code_says_so(bench):
    bench.script("average", AVERAGE % (2, 2))
    bench.run("average")
    bench.script(
        "average", AVERAGE.replace("def ensemble", "kind = 'changed'\n        def ensemble") % (2, 3)
    )
    bench.run("average")
    with pytest.warns(UserWarning, match="differ: 2 codes"):
        assert neurofit.ensemble("average:0", study=bench.root) == 3
