"""The thesis' experiments against the literal list of its runs: every number, every argument.

`thesis_grid.csv` has a row per point that the thesis' own scripts queued: experiment, number, arguments as
they were passed on.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from neurofit.experiments import scripts
from neurofit.experiments.grid.params import canonical, parse
from neurofit.orchestrate import overview, plan

LIST = Path(__file__).with_name("thesis_grid.csv")
BASELINES = ("bl1", "bl2", "bl3", "bl4")
RENAMED = {
    "bs": "batch_size",
    "input_scale": "standardise",
}  # the thesis' word → the argument that it is here
SCALES = {
    "normalize_mean_std": {"inputs": "global", "statistics": "own"},
    "times_mil": "times_mil",
    "identity": "none",
}
REPETITIONS = {  # where there are not ten
    "bl1": 50,
    "bl2": 25,
    "bl3": 25,
    "bl4": 25,
    "experiments_1/bs1": 25,
    "experiments_1/bs1_exp31": 20,
    "experiments_1/bs2_exp33": 20,
    "experiments_2/bs2": 25,
    "experiments_3/bs4": 25,
    "exp_repro/baseline_exp_rep1": 2,
    "exp_repro/baseline_exp_rep2": 2,
}


def literal() -> dict[str, dict[int, dict]]:
    """experiment → number → arguments, as neurofit calls them."""
    found: dict[str, dict[int, dict]] = defaultdict(dict)
    with LIST.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            words = dict(word.split("=", 1) for word in row["parameters"].split())
            arguments = {
                name: SCALES[text] if name == "input_scale" else parse(text) for name, text in words.items()
            }
            found[row["experiment"]][int(row["run"])] = {
                RENAMED.get(k, k): value for k, value in arguments.items()
            }
    return dict(found)


LITERAL = literal()


def test_the_list_is_whole():
    assert sum(map(len, LITERAL.values())) == 671


@pytest.mark.parametrize("name", LITERAL)
def test_a_grid_has_the_numbers_and_the_arguments_that_it_had(study, name):
    experiment = plan.load(study, name)
    shown = overview.of_grid(experiment, experiment.runs())  # what `neurofit show --json` prints
    runs = {run["run"]: run["params"] for run in shown["runs"]}
    axes = {axis for arguments in LITERAL[name].values() for axis in arguments}
    varied = {number: {axis: params[axis] for axis in axes} for number, params in runs.items()}
    assert list(map(canonical, varied.values())) == list(map(canonical, LITERAL[name].values()))
    assert list(varied) == list(LITERAL[name])
    fixed = {axis: values for axis, values in shown["axes"].items() if axis not in axes}
    assert all(len(values) == 1 for values in fixed.values()), "what the scripts had hard-coded has one value"


@pytest.mark.process
def test_show_prints_the_grid(study):
    words = [sys.executable, "-m", "neurofit", "show", "experiments_3/bs4_exp8", "--json"]
    answer = subprocess.run(words, cwd=study.root, capture_output=True, text=True, check=True)
    runs = {run["run"]: run for run in json.loads(answer.stdout)["runs"]}
    assert len(runs) == 90
    assert (runs[1]["id"], runs[1]["params"]) == (
        runs[113]["id"],
        runs[113]["params"],
    )  # one point, two numbers


def test_repetitions_are_those_of_the_thesis(experiment):
    assert experiment.repetitions == REPETITIONS.get(experiment.name, 10)


def test_epochs_that_keep_the_number_of_updates(study):
    runs = plan.load(study, "bs3_exp2").runs()
    epochs = [run.derived["epochs"] for run in runs]
    assert epochs == [5_000, 5_000, 5_000, 10_000, 20_000, 40_000, 160_000, 320_000, 562_500]


def test_the_baselines_are_the_runs_that_they_were(study):
    ids = [plan.load(study, name).runs()[0].id for name in (*BASELINES, "bs4_exp3")]
    assert ids == [
        "ad821d75e0ec3c57",
        "d33d510e56e5c13e",
        "d714fe9a65a8c57b",
        "bff1b6050e7d53ad",
        "a054fb2a79240c72",
    ]


def test_a_script_loads_nothing_slow_and_states_its_question(experiment):
    assert experiment.hint is None
    assert scripts.head(experiment.path)


def test_the_guide_names_every_experiment(study, experiment):
    guide = (study.root / "docs" / "thesis.md").read_text(encoding="utf-8")
    group, _, last = experiment.name.rpartition("/")
    assert f"{last}`" in guide or f"`{group}/*`" in guide or f"rest of `{group}`" in guide


def test_the_short_name_of_a_baseline_is_its_own(study):
    assert [scripts.find(study, name).name for name in BASELINES] == list(BASELINES)


def test_baseline_4_together_is_baseline_4_under_another_id(study):
    alone, together = (plan.load(study, name) for name in ("bl4", "bl4_together"))
    assert [run.arguments for run in together.runs()] == [run.arguments for run in alone.runs()]
    assert together.repetitions == alone.repetitions == 25
    assert {**alone.adapter.settings()["training"], "together": 5} == together.adapter.settings()["training"]
    assert not {run.id for run in together.runs()} & {run.id for run in alone.runs()}
