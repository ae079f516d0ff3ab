"""`neurofit plot`: which tasks are in a picture, which curve they are of, and what is said of those that are
not.
"""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("matplotlib")

POPULATIONS = '''
"""Regions one by one, two of them together, and all of it with more filters."""
import neurofit as nf

def fit(task, *, regions=(1,), filters=4):
    for step in (10, 20, 30):
        task.log(step, value=step / 100 + max(regions) + filters / 1000)
    rows = [f"r{region},{number},{number / 10}" for region in regions for number in range(3 if region == 1 else 1)]
    (task.folder / "neurons.csv").write_text("\\n".join(["recording,number,test/correlation", *rows]) + "\\n")
    task.record(neurons_scored=len(rows))
    return {"value": 1.0}

experiment = nf.Experiment(
    fit, grid=nf.grid(regions=[[1], [2]], filters=[4, 8]) + nf.grid(regions=[[1, 2]], filters=[4]), repetitions=2
)
if __name__ == "__main__":
    experiment.main()
'''
ODD = '''
"""One run of each kind that a task may turn out to be."""
import numpy as np
import neurofit as nf

def fit(task, *, kind="plain"):
    if kind in ("plain", "fails"):
        for step in range(1, 5):
            task.log(step, **{"validation/correlation": step / 10})
    if kind == "short":
        task.log(7, **{"validation/correlation": 0.5, "late": 1.0, "loss": 2.0})
    if kind == "empty":
        (task.folder / "history.csv").write_text("")
    if kind == "fails":
        raise ValueError("no")
    (task.folder / "neurons.csv").write_text("number,test/correlation\\n0,0.5\\n1,0.25\\n")
    np.savez(task.folder / "predictions.npz", part=["test"] * 2, mask=np.ones((2, 2), bool), responses=np.ones((2, 2)),
             predictions=np.ones((2, 2)))
    return {"test/correlation": 0.5}

experiment = nf.Experiment(fit, grid=nf.grid(kind=["plain", "silent", "empty", "fails", "short"]))
'''


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_study):
    made = make_study(tmp_path_factory.mktemp("choices") / "study")
    made.script("populations", POPULATIONS)
    made("submit", "populations")
    made.run([sys.executable, "jobs/populations.py", "--filters", "16"])
    made.script("odd", ODD)
    made("submit", "odd", code=None)
    return made


def curves(study, *words) -> dict[str, int]:
    """Label → repetitions."""
    record = json.loads(study("plot", *words, "--json").stdout)
    return {one["label"]: one["repetitions"] for one in record["curves"]}


def test_a_task_that_two_selectors_name_counts_once(study):
    assert curves(study, "populations:0", "populations:0") == {"populations": 2}
    assert curves(study, "populations:0/0", "populations:0/0-1") == {"populations": 2}


def test_a_curve_per_selector_has_all_that_it_selects(study):
    words = "populations:0/0", "populations:0/0-1", "populations:0/0", "--by", "selector"
    assert curves(study, *words) == {"populations:0/0": 1, "populations:0/0-1": 2}


def test_populations_that_share_neurons_are_not_joined(study):
    """The shared model is what the ensemble is compared with."""
    record = json.loads(study("plot", "populations:0-4", "--ensemble", "regions", "--json").stdout)
    last = {one["label"]: one["last"] for one in record["curves"]}
    assert list(last) == [
        "filters=4, ensemble of regions",
        "filters=4, regions=[1, 2]",
        "filters=8, ensemble of regions",
    ]
    expected = (3 * 1.304 + 1 * 2.304) / 4
    assert last["filters=4, ensemble of regions"] == pytest.approx([expected, expected])
    assert last["filters=4, regions=[1, 2]"] == pytest.approx([2.304, 2.304])


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("filters", "runs that differ in filters predict the same neurons"),
        ("regions", "all selected runs have the same"),
    ],
)
def test_an_ensemble_of_the_same_neurons_is_refused(study, axis, said):
    selector = "populations:0-3" if axis == "filters" else "populations:0"
    assert said in study("plot", selector, "--ensemble", axis, code=2).stderr


def test_runs_off_the_grid_say_so_and_are_not_pooled(study):
    assert "filters=16 (off the grid)" in [label.split(", ")[-1] for label in curves(study, "populations")]
    assert curves(study, "populations", "--by", "regions") == {
        "regions=[1]": 4,
        "regions=[2]": 4,
        "regions=[1, 2]": 2,
        "regions=[1] (off the grid)": 1,
    }
    assert "1 task is off the grid." in study("plot", "populations").stderr


def test_without_a_history_there_are_still_scores(study):
    answer = study("plot", "odd", "--what", "neurons")
    named = [line.split()[0] for line in answer.stdout.splitlines()[1:-1]]
    assert named == ["odd:0/0", "odd:1/0", "odd:2/0", "odd:4/0"]
    assert "mean of medians" in answer.stdout
    assert "best" in study("plot", "odd:1/0", "--what", "predictions").stdout
    assert "with --what neurons" in study("plot", "odd:1-2", code=2).stderr


def test_what_is_missing_or_left_out_is_reported_as_results_does(study):
    answer = study("plot", "odd", "--metric", "late")
    for said in (
        "1 of 5 tasks is missing (1 failed).",
        "2 tasks have no history and are left out.",
        "Left out (no task logged late): kind=plain.",
        "kind=short has a single value. For a curve, fit with a smaller --validate-every.",
    ):
        assert said in answer.stderr
    assert "neurofit plot odd:4 --what progress" in answer.stderr  # which is in the picture
    assert "--what progress" not in study("plot", "odd:0").stderr  # which logged no loss


def test_the_metric_is_that_of_most_tasks(study):
    answer = study("plot", "populations:0/0", "odd")
    assert "The metric shown is validation/correlation. Choose another with --metric." in answer.stderr
    assert "Left out (no task logged validation/correlation): populations." in answer.stderr


def test_curves_can_be_named(study):
    assert curves(study, "odd:0,4", "--label", "first", "--label", "second") == {"first": 1, "second": 1}
    assert "1 for 2 curves. In this order, they are: kind=plain; kind=short." in (
        study("plot", "odd:0,4", "--label", "first", code=2).stderr
    )


def test_labels_have_what_tells_the_curves_apart(study):
    assert list(curves(study, "populations:0-1", "odd:0", "--metric", "value")) == [
        "populations, filters=4",
        "populations, filters=8",
    ]


def test_labels_are_cut_before_numbers_are(study):
    answer = study("plot", "populations", "--ensemble", "regions", env={"COLUMNS": "60"})
    lines = answer.stdout.splitlines()[:-1]
    assert all(len(line) <= 60 for line in lines) and lines[0].endswith("p10")
    assert "…" in lines[1] and lines[1].endswith("1.554")


def test_files_are_named_by_run_and_repetition(study):
    assert "Saved odd-0-0-curves.png." in study("plot", "odd:0/0").stdout
    assert "Saved odd-0to1-and-populations-curves.png." in study("plot", "odd:0-1", "populations").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch", "--what", "tunign"], "There is no picture 'tunign'. Did you mean 'tuning'?"),
        (
            ["odd:0/0", "--what", "filters", "--metric", "late"],
            "--metric goes with --what curves, --what over-axis, --what neurons, --what histogram, --what scatter and",
        ),
        (
            ["odd:0/0", "--what", "predictions", "--metric", "late"],
            "not with --what predictions. Remove it.",
        ),
        (["odd:0", "--what", "progress", "--bands"], "--bands goes with --what curves and --events"),
        (["odd:0", "--what", "neurons", "--upper-quartile"], "--upper-quartile goes with --what curves"),
        (
            ["odd:0/0", "--what", "filters", "--state", "done"],
            "--state goes with --what curves, --what progress,",
        ),
        (["--events", ".", "--where", "a > 1"], "not with --events. Remove it."),
        (
            ["odd:3"],
            "No task of odd:3 is done (1 failed). Draw what was logged so far with `--state failed`.",
        ),
        (
            ["odd:0", "--limit", "5", "2"],
            "--limit 5 2: the first step must come before the last: --limit 2 5.",
        ),
        (["odd:0", "-o", "/proc/x.png"], "/proc/x.png cannot be written"),
    ],
)
def test_options_that_make_no_sense_are_errors(study, words, said):
    answer = study("plot", *words, code=2)
    assert said in answer.stderr and answer.stdout == ""


def test_steps_are_epochs_where_the_fit_says_so(study):
    study("plot", "odd:0", "-o", "steps.svg")
    assert ">step<" in (study.root / "steps.svg").read_text()


def test_a_failed_task_shows_what_it_logged(study):
    assert curves(study, "odd", "--state", "failed") == {"odd": 1}


def test_a_damaged_history_is_named(tmp_path, make_study):
    study = make_study(tmp_path / "study")
    study.script("odd", ODD)
    study("submit", "odd:0")
    (path,) = (study.root / "training_data/odd").rglob("history.csv")
    path.write_text(path.read_text().replace("0.2", "o.2"))
    answer = study("plot", "odd", code=1)
    assert "history.csv: damaged row 2,o.2" in answer.stderr


def test_repetitions_with_another_default_are_another_curve_and_another_row(tmp_path, make_study):
    made = make_study(tmp_path / "study")
    text = """
import neurofit as nf

def fit(task, *, a=1, b=2):
    for step in (1, 2):
        task.log(step, value=b)
    (task.folder / "neurons.csv").write_text("number,test/correlation\\n0,0.5\\n")
    return {"value": float(b)}

experiment = nf.Experiment(fit, grid=nf.grid(a=[1]), repetitions=4)
"""
    made.script("changing", text)
    made("submit", "changing:0/0-2")
    made.script("changing", text.replace("b=2", "b=5"))
    made("submit", "changing")
    assert curves(made, "changing") == {"b=2": 3, "b=5": 1}
    panels = json.loads(made("plot", "changing", "--what", "neurons", "--json").stdout)
    assert len(panels["runs"]) == 2
    said = made("results", "changing", "--by", "run", "--format", "csv")
    header, *rows = [line.split(",") for line in said.stdout.splitlines()]
    assert [(row[header.index("b")], row[header.index("repetitions")]) for row in rows] == [
        ("2", "3"),
        ("5", "1"),
    ]
    assert "1 run has repetitions with different defaults of b." in said.stderr
