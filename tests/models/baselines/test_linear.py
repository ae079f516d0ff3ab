"""A regression as the fit of an experiment. No TensorFlow."""

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import neurofit as nf
from neurofit import scores
from neurofit.datasets import Dataset
from neurofit.errors import DataError, GridError
from neurofit.models.baselines import LinearFit, Regression, gabor_energy, pixels
from neurofit.models.baselines.authors import pooled_fve


def toy():
    """60 images in 20 groups; neurons of two recordings that are linear in the pixels, with noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(60, 5, 5, 1))
    responses = images.reshape(60, 25) @ rng.normal(size=(25, 4)) + rng.normal(size=(60, 4)) + 9
    neurons = {"recording": ["a", "a", "b", "b"], "number": [0, 1, 0, 1]}
    return Dataset(
        "toy", {"image": images}, responses, groups=np.arange(60) // 3, neurons=pd.DataFrame(neurons)
    )


def named(shapes):
    """An architecture that is not built here."""


FIT = LinearFit({"pixels": pixels, "gabor_energy": gabor_energy}, data=toy)


def test_a_task_leaves_predictions_scores_and_a_model_that_predicts_them(desk):
    metrics = desk.run(FIT, architecture="pixels")
    with np.load(desk.last.folder / "predictions.npz") as kept:
        test = kept["part"] == "test"
        predictions, responses, images = (
            kept["predictions"][test],
            kept["responses"][test],
            kept["image_id"][test],
        )
    assert metrics["test/correlation"] == pytest.approx(scores.correlation(responses, predictions).mean())
    assert metrics["test/correlation"] > 0.7
    with (desk.last.folder / "neurons.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["recording"], row["number"]) for row in rows] == [
        ("a", "0"),
        ("a", "1"),
        ("b", "0"),
        ("b", "1"),
    ]
    model = FIT.load(desk.last.folder)
    again = model.predict(pixels(toy().take(images).inputs["image"]))[0]
    np.testing.assert_allclose(again, predictions, atol=1e-4)
    recipe = json.loads((desk.last.folder / "recipe.json").read_text())
    assert (recipe["features"], recipe["regression"]["kernel"]) == (25, "linear")


def test_alpha_is_one_per_recording_or_one_per_neuron_and_from_the_validation_set(desk):
    desk.run(FIT, architecture="pixels")
    alphas = np.load(desk.last.folder / "ridge.npz")["alpha"]
    assert alphas[0] == alphas[1] and alphas[2] == alphas[3]
    desk.run(FIT, architecture="pixels", shared_by="neuron")
    with np.load(desk.last.folder / "predictions.npz") as kept:
        chosen = kept["part"] == "validation"
        best = ((kept["predictions"] - kept["responses"])[chosen] ** 2).mean(axis=0)
    for alpha in (0.001, 1.0, 1000.0):
        desk.run(FIT, architecture="pixels", alphas=[alpha])
        with np.load(desk.last.folder / "predictions.npz") as kept:
            other = ((kept["predictions"] - kept["responses"])[chosen] ** 2).mean(axis=0)
        assert (best <= other + 1e-12).all()


def test_refitting_takes_the_validation_images_in(desk):
    desk.run(FIT, architecture="pixels", alphas=[0.1], refit=True)
    assert len(np.load(desk.last.folder / "ridge.npz")["seen"]) == 60 - 12


def test_a_split_that_ignores_groups_is_the_authors_and_says_that_it_leaks(desk):
    split = {"train": 40, "validation": 8, "test": 12, "ignore_groups": True}
    desk.run(FIT, architecture="pixels", split=split, repetition=3, split_by="repetition")
    with np.load(desk.last.folder / "predictions.npz") as kept:
        found = kept["image_id"][kept["part"] == "test"]
    assert found.tolist() == sorted(np.random.default_rng(3).permutation(60)[48:].tolist())
    assert "copies" in desk.last.facts["warnings"][0]
    desk.run(FIT, architecture="pixels")
    assert "warnings" not in desk.last.facts


def uneven():
    """As `toy`, in two groups of 20 images and 20 images of their own."""
    return dataclasses.replace(toy(), groups=np.repeat(range(22), [20, 20] + [1] * 20))


@pytest.mark.parametrize("rule", ["greedy", "exact"])
def test_a_split_that_overshoots_says_so_and_names_the_rule_that_does_not(desk, rule):
    fit = LinearFit(pixels, data=uneven, split={"validation": 8, "test": 13, "rule": rule})
    said = []
    for repetition in range(6):
        desk.run(fit, repetition=repetition, split_by="repetition")
        said += desk.last.facts.get("warnings", [])
    assert any("test set" in text and "rule='exact'" in text for text in said) is (rule == "greedy")


def test_arguments_are_those_of_features_regression_and_data():
    known = FIT.arguments()
    assert {"architecture", "wavelengths", "luminance", "alphas", "kernel", "split"} <= set(known)
    with pytest.raises(GridError, match="wavelengths"):
        FIT.check({"architecture": "pixels", "wavelengths": [4]})
    with pytest.raises(GridError, match="kernel='cubic'"):
        FIT.check({"architecture": "pixels", "kernel": "cubic"})


def test_an_unknown_score_is_refused_at_once():
    with pytest.raises(GridError, match="Did you mean 'correlation'"):
        LinearFit(pixels, scores=("corelation",))


def test_responses_that_do_not_count_are_refused_and_not_fitted(desk):
    def masked():
        mask = np.ones((60, 4), bool)
        mask[::7, 1] = False
        return toy().derived(mask=mask)

    with pytest.raises(DataError, match="missing"):
        desk.run(LinearFit(pixels, data=masked))


def test_settings_contain_what_differs_from_the_defaults():
    assert LinearFit(pixels, data="simulated").settings() == {
        "fit": "neurofit.models.baselines.LinearFit",
        "regression": {},
        "data": "simulated",
        "architecture": "pixels",
    }
    told = LinearFit(pixels, regression=Regression(refit=True), split={"test": 5}).settings()
    assert (told["regression"], told["split"]) == ({"refit": True}, {"test": 5})


def test_without_a_validation_set_nothing_can_choose(desk):
    with pytest.raises(DataError, match="validation"):
        desk.run(FIT, architecture="pixels", split={"validation": 0, "test": 0.2})


def test_an_existing_split_keeps_its_settings():
    split = nf.datasets.Split(test=0.3)
    assert "ignore_groups" not in nf.models.Fit(named, split=split).settings()["split"]
    assert "rule" not in nf.models.Fit(named, split=split).settings()["split"]
    assert nf.models.Fit(named, split={"rule": "exact"}).settings()["split"] == {"rule": "exact"}
    split = nf.datasets.Split(ignore_groups=True)
    assert nf.models.Fit(named, split=split).settings()["split"]["ignore_groups"] is True


@pytest.mark.process
def test_a_regression_needs_no_tensorflow():
    code = (
        "import sys; from neurofit.models.baselines import *; "
        "from neurofit.models import data; from neurofit.models.fitting import scoring;"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_authors_fraction_of_variance_is_pooled_over_neurons(desk):
    desk.run(FIT, architecture="pixels")
    with np.load(desk.last.folder / "predictions.npz") as kept:
        test = kept["part"] == "test"
        predictions, responses = kept["predictions"][test], kept["responses"][test]
        seen = np.isin(np.arange(60), kept["image_id"])
    baseline = toy().responses[~seen].mean(axis=0)  # of the training images
    expected = 1 - ((predictions - responses) ** 2).sum() / ((responses - baseline) ** 2).sum()
    assert pooled_fve(desk.last.folder) == pytest.approx(expected)
