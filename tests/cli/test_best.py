"""`exp3:best` in the commands, and `nf.load`, `nf.runs` and `nf.compare` of it."""

from __future__ import annotations

import json

import pytest

import neurofit as nf
from neurofit.cli import application
from neurofit.cli.application import group
from neurofit.errors import UsageError

SCRIPT = """
import neurofit as nf

class Fit:
    def __call__(self, task):
        lr, width = task.params["lr"], task.params["width"]
        (task.folder / "model.txt").write_text(f"{lr} {width} {task.repetition}")
        print("lr is", lr)
        return {"validation/loss": lr + task.repetition / 100, "test/correlation": width / 10}

    def arguments(self):
        return {"lr": 0.1, "width": 4}

    def load(self, folder):
        return (folder / "model.txt").read_text()

experiment = nf.Experiment(Fit(), nf.grid(lr=[0.5, 0.1, 0.1001], width=[4, 8]), repetitions=2)
"""


@pytest.fixture(scope="module")
def chosen(tmp_path_factory, make_study):
    """An experiment whose run 2 has the best validation loss (and run 3 the same), and run 1 the best test score."""
    study = make_study(tmp_path_factory.mktemp("best") / "study")
    study.script("exp3", SCRIPT)
    study("submit", "exp3")
    return study


@pytest.fixture
def said(chosen, monkeypatch, capfd):
    """Runs a command in this process, and returns its exit code and all that it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(chosen.root)
        capfd.readouterr()
        code = application.run(group, "neurofit", list(words))
        streams = capfd.readouterr()
        assert "Traceback" not in streams.err
        return code, streams.out + streams.err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("results", "exp3:best"),
        ("logs", "exp3:best"),
        ("logs", "exp3:best/1"),
        ("show", "exp3:best"),
        ("status", "exp3:best"),
        ("failures", "exp3:best"),
        ("cancel", "exp3:best"),
        ("choose", "exp3:best/0"),
        ("submit", "exp3:best", "--dry-run"),
        ("run", "exp3:best", "--dry-run"),
    ],
)
def test_every_command_takes_the_best_run_and_says_which_it_is(said, words):
    code, text = said(*words)
    assert code == 0
    assert "exp3:best is exp3:2: mean validation/loss 0.105, the lowest of 6 runs." in text


def test_results_are_those_of_the_best_run(said):
    rows = json.loads(said("results", "exp3:best", "--json")[1].partition("\nexp3:best")[0])
    assert {row["run"] for row in rows} == {2}


def test_another_metric_decides_if_it_is_named(said):
    assert (
        "exp3:best is exp3:1: mean test/correlation 0.8"
        in said("logs", "exp3:best", "--by", "test/correlation")[1]
    )
    assert "exp3:best is exp3:1:" in said("results", "exp3:best", "--best-by", "test/correlation")[1]
    assert "exp3:best is exp3:0:" in said("show", "exp3:best", "--by", "max:validation/loss")[1]


def test_with_a_condition_the_best_run_of_those_that_meet_it_is_meant(said):
    assert (
        "exp3:best is exp3:0: mean validation/loss 0.505, the lowest of 2 runs."
        in (said("results", "exp3:best", "--where", "lr > 0.3")[1])
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("results", "exp3:best", "--best-by", "test/corelation"), "Did you mean 'test/correlation'?"),
        (("logs", "exp3:2", "--by", "validation/loss"), "write exp3:best"),
        (("logs", "exp3:best/9"), "Nothing in exp3 matches"),
        (("results", "exp3:best,1"), "'best' is a single run"),
        (("status", "exp3:2", "--by", "validation/loss"), "write exp3:best"),
    ],
)
def test_what_means_no_run_is_an_error_in_words(said, words, message):
    code, text = said(*words)
    assert code != 0
    assert message in text


def test_python_takes_the_best_run_too(chosen):
    assert nf.load("exp3:best/1", study=chosen.root) == "0.1 4 1"
    assert nf.load("exp3:best/0", best_by="test/correlation", study=chosen.root) == "0.5 8 0"
    assert set(nf.results("exp3:best", study=chosen.root)["run"]) == {2}
    with pytest.raises(UsageError, match="'exp3:best' means 2 tasks"):
        nf.load("exp3:best", study=chosen.root)


def test_runs_and_comparisons_are_data_frames(chosen):
    runs = nf.runs("exp3", study=chosen.root)
    assert runs["validation/loss mean"].tolist()[:3] == pytest.approx([0.505, 0.505, 0.105])
    assert "on_grid" not in runs
    pairs = nf.compare("exp3", "width", "test/correlation", study=chosen.root)
    assert pairs["difference mean"].tolist() == pytest.approx([0.4])
    with pytest.raises(UsageError, match="No run has an argument 'widht'"):
        nf.compare("exp3", "widht", study=chosen.root)


def test_files_of_other_programs_have_no_best_run(said, chosen):
    code, text = said("plot", "--events", str(chosen.root), "--best-by", "validation/loss")
    assert code != 0
    assert "--best-by goes with --what curves" in text
