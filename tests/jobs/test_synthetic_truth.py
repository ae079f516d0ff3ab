"""The synthetic-noise study takes its truth from a trained model, or says which one is missing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import neurofit as nf

pytestmark = pytest.mark.slow
BASELINE = """
    experiment = nf.Experiment(
        fit=nf.models.thesis.fit(nf.models.architectures.hsm, epochs=2, jit=False), grid=nf.grid(hidden=[0.5])
    )
"""


@pytest.fixture
def workplace(bench, study):
    """A study with the jobs of the group, and a region of eight neurons."""
    shutil.copytree(
        study.jobs / "gen_1", bench.study.jobs / "gen_1", ignore=shutil.ignore_patterns("__pycache__")
    )
    made = nf.datasets.simulate(n_images=52, n_test=12, n_neurons=8, size=12, n_trials=3)
    folder = bench.root / "data" / "antolik_2016" / "region1"
    folder.mkdir(parents=True)
    for half, rows in (("training", slice(0, 40)), ("validation", slice(40, 52))):
        np.save(folder / f"{half}_inputs.npy", made.inputs["image"][rows].reshape(-1, 144) * 1e-6)
        np.save(folder / f"{half}_set.npy", made.responses[rows])
    np.save(folder / "raw_validation_set.npy", made.trials[40:].swapaxes(0, 1))
    return bench


def test_a_study_without_its_truth_explains_how_to_get_it(workplace):
    workplace.script("bl3", BASELINE)
    answer = workplace.command("run", "gen_1/bs3_exp8:0/0", "--json")
    message = json.loads(answer.stdout)["error"]["message"]
    assert message.startswith(
        "The truth of this study is what a trained model predicts, and there is none at 'bl3:0/14'"
    )
    assert "neurofit submit bl3:0/14" in message


def test_a_trained_model_is_the_truth(workplace):
    workplace.script("bl3", BASELINE)
    assert workplace.command("run", "bl3:0/0").returncode == 0
    words = ["--set", "epochs=2", "--set", "jit=false", "--set", "truth=bl3:0/0", "--set", "hidden=0.5"]
    answer = workplace.command("run", "gen_1/bs3_exp8:5/0", *words, "--json")
    outcome = json.loads(answer.stdout)
    assert outcome["state"] == "done", outcome["error"]
    model = nf.load("bl3:0/0", study=workplace.root)
    recorded = nf.datasets.load("antolik_2016/region1", workplace.root / "data")
    generated = nf.models.thesis.generated(model, recorded)
    noised = nf.models.thesis.synthetic(recorded, generated, noise_coef=1, eval_noised=False).responses
    train = recorded.official == "train"
    expected = nf.scores.population(nf.scores.correlation, noised[train], generated[train]).value
    assert outcome["metrics"]["train/noise_correlation"] == pytest.approx(expected, abs=1e-4)
