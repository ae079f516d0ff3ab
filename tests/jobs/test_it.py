"""The IT scripts: what they run, without TensorFlow and without recordings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from neurofit.experiments import scripts
from neurofit.study import Study

STUDY = Study(Path(__file__).resolve().parents[2])
RUNS = {
    "it/ridge_pixels": 4,
    "it/features": 4,
    "it/layers": 48,
    "it/best": 2,
    "it/cnn": 8,
    "it/layer3_cnn": 4,
    "it/fine_tuned": 4,
    "it/cotrain": 3,
}
NETWORKS = ("it/cnn", "it/layer3_cnn", "it/fine_tuned", "it/cotrain")
LAYERS = ["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool"]


def experiment(name):
    entry = scripts.find(STUDY, name)
    return scripts.load(STUDY, entry.path, entry.name)


@pytest.mark.parametrize("name", RUNS)
def test_a_script_has_its_runs_and_says_what_it_asks(name):
    found = experiment(name)
    assert len(found.runs()) == RUNS[name]
    assert len({str(run.params) for run in found.runs()}) == RUNS[name]
    assert scripts.head(scripts.find(STUDY, name).path).endswith((".", "?"))


def test_the_search_is_over_the_learning_rate_and_the_optimiser_with_a_median_pruner():
    found = experiment("it/cnn_search")
    search = found.search
    assert {"learning_rate", "optimizer"} <= set(search.names)
    assert (search.sampler, search.pruner) == ("tpe", "median")
    assert search.metric == "validation/correlation", "which the history has of every epoch, for the pruner"
    assert len(found.runs()) == search.trials and {run.params == {} for run in found.runs()} == {True}
    given = found.arguments()
    assert (given["loss"], given["split"]["validation"]) == ("mean_squared", 0.1)
    assert scripts.head(scripts.find(STUDY, "it/cnn_search").path).endswith("?")


def test_every_layer_has_every_weights_and_every_map():
    runs = [run.params for run in experiment("it/layers").runs()]
    assert Counter(run["layer"] for run in runs) == dict.fromkeys(LAYERS, 8)
    assert Counter(run["weights"] for run in runs) == {"imagenet": 12, "random": 36}
    assert {(run["weights"], run.get("weights_seed")) for run in runs} == {
        (run.params["weights"], run.params.get("weights_seed")) for run in experiment("it/features").runs()
    }


def test_the_best_layer_is_one_of_those_of_the_sweep_and_validation_chooses_it():
    given = experiment("it/best").fit.features.arguments()
    assert (given["layer"], given["choose"]) == (LAYERS, "validation")
    assert experiment("it/features").arguments()["layers"] == LAYERS


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_fit_responses_that_can_be_negative_and_validation_chooses_their_weights(name):
    found = experiment(name)
    given = found.arguments()
    assert (given["loss"], found.repetitions) == ("mean_squared", 3)
    assert given["patience"] and given["split"]["validation"] == 0.1


def test_published_schedules_are_among_the_runs():
    runs = [run.params for run in experiment("it/cnn").runs()]
    assert {(run.get("decay_every"), run.get("decay")) for run in runs} == {(5, 0.1), (10, 0.6), (None, None)}
