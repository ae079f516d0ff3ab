"""The macaque scripts: what they run, without TensorFlow."""

import importlib.util
from pathlib import Path

import pytest

JOBS = Path(__file__).resolve().parents[2] / "jobs"


def experiment(name):
    spec = importlib.util.spec_from_file_location(name, JOBS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.experiment


def test_every_flag_of_the_authors_program_is_an_argument():
    flags = {
        "conv1",
        "conv2",
        "conv1size",
        "conv2size",
        "nk",
        "nstride",
        "hidden1",
        "numconvlayer",
        "dropout",
    }
    found = experiment("kindel").arguments()
    assert flags | {"learning_rate", "batch_size", "epochs", "data"} <= set(found)
    assert {
        name: found[name]
        for name in (
            "conv1",
            "conv2",
            "conv1size",
            "conv2size",
            "nk",
            "nstride",
            "hidden1",
            "dropout",
            "learning_rate",
            "batch_size",
        )
    } == {
        "conv1": 16,
        "conv2": 32,
        "conv1size": 3,
        "conv2size": 3,
        "nk": 3,
        "nstride": 2,
        "hidden1": 300,
        "dropout": 0.65,
        "learning_rate": 1e-4,
        "batch_size": 50,
    }


def test_sixty_thousand_steps_with_a_look_every_two_hundred():
    for name in ("kindel", "kindel_lnln"):
        found = experiment(name).arguments()
        steps = -(-180 // found["batch_size"])  # an epoch's last, smaller batch is a step
        assert found["epochs"] * steps == 60_000
        assert found["validate_every"] * steps == 200
        assert found["patience"] >= found["epochs"]  # chooses, and never stops


@pytest.mark.parametrize("name", ["kindel", "macaque_regression", "macaque_cnn"])
def test_grouped_splits_come_first_and_random_ones_beside_them(name):
    splits = [run.params["split"] for run in experiment(name).runs()]
    half = len(splits) // 2
    assert splits[:half] == [{"train": 180, "validation": 38, "test": 52}] * half
    assert splits[half:] == [{"train": 180, "validation": 38, "test": 52, "ignore_groups": True}] * half
    assert (experiment(name).repetitions, experiment(name).split_by) == (10, "repetition")


def test_the_sweeps_are_the_authors():
    swept, chosen = experiment("kindel_lnln").runs()[:5], experiment("kindel_lnln").runs()[5:]
    assert [run.params["units"] for run in swept] == [150, 250, 350, 500, 900]
    assert [run.params["data"][-2:] for run in chosen] == ["01", "03", "04", "05", "06"]
    assert {(run.params["units"], run.params["epochs"]) for run in chosen} == {(250, 8_750)}
    assert len(experiment("kindel_gabor").runs()) == 25
    assert {experiment(name).repetitions for name in ("kindel_lnln", "kindel_gabor")} == {7}


def test_the_search_varies_the_readout_and_the_validation_set_decides():
    found = experiment("macaque_search")
    search = found.search
    assert set(search.names) <= set(found.arguments()) and {"smoothness", "where_l1"} <= set(search.names)
    assert (search.metric, search.direction, search.pruner) == (
        "validation/correlation",
        "maximize",
        "median",
    )
    assert len(found.runs()) == search.trials == 60
