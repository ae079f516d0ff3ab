"""What a Fit promises an experiment, without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import neurofit as nf
from neurofit.errors import GridError

Fit, Training = nf.models.Fit, nf.models.Training


def dog(shapes, *, filters=9, loss="none"):
    """Not built here."""


def linear(shapes, *, smoothness=0.1):
    """Not built here."""


def regions(*, region="region1", study=None):
    return f"antolik_2016/{region}"


@pytest.mark.process
def test_fit_and_training_load_nothing_slow():
    code = (
        "import sys, neurofit as nf; nf.models.Fit; nf.models.Training; nf.models.architectures.hsm;"
        "print([m for m in ('numpy', 'tensorflow', 'keras', 'pandas', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_arguments_are_those_of_architecture_training_and_data():
    known = Fit(linear, data="simulated", training=Training(epochs=7)).arguments()
    assert known["smoothness"] == 0.1
    assert known["epochs"] == 7
    assert known["data"] == "simulated"


def test_an_axis_goes_where_its_name_is_declared():
    routed = Fit(linear, data=regions).router.route(
        {"smoothness": 1, "learning_rate": 0.1, "region": "region2"}
    )
    assert routed.build == {"smoothness": 1}
    assert routed.training.learning_rate == 0.1
    assert routed.data == {"region": "region2"}


def test_a_name_that_two_places_declare_must_say_which():
    fit = Fit(dog)
    assert {"architecture.loss", "training.loss"} <= set(fit.arguments())
    with pytest.raises(GridError, match=r"'architecture\.loss' or 'training\.loss'"):
        fit.check({"loss": "gaussian"})
    routed = fit.router.route({"training.loss": "gaussian", "architecture.loss": "own"})
    assert (routed.training.loss, routed.build) == ("gaussian", {"loss": "own"})


def test_an_argument_that_nothing_declares_offers_the_nearest():
    with pytest.raises(GridError, match=r"'smoothnes'.*Did you mean 'smoothness'\?"):
        Fit(linear).check({"smoothnes": 1})


def test_an_argument_given_twice_is_refused():
    with pytest.raises(GridError, match="given twice"):
        Fit(linear).check({"epochs": 2, "training.epochs": 3})


def test_an_argument_is_checked_against_the_chosen_architecture():
    fit = Fit({"dog": dog, "linear": linear})
    fit.check({"architecture": "dog", "filters": 4})
    with pytest.raises(GridError, match="'filters'"):
        fit.check({"architecture": "linear", "filters": 4})
    with pytest.raises(GridError, match=r"No architecture 'linea'.*Did you mean 'linear'"):
        fit.check({"architecture": "linea"})
    with pytest.raises(GridError, match="Which architecture"):
        fit.check({"filters": 4})


def test_settings_are_json_and_contain_what_differs_from_the_defaults():
    fit = Fit(
        dog,
        data=regions,
        training=Training(epochs=3, checkpoint_minutes=9),
        split=nf.datasets.Split(train=50),
    )
    told = json.loads(json.dumps(fit.settings()))
    assert told["training"] == {"epochs": 3}
    assert (told["architecture"], told["data"], told["split"]["train"]) == ("dog", "regions", 50)
    assert "architecture" not in Fit({"dog": dog}).settings()


def test_defaults_are_what_the_arguments_leave_out():
    left = Fit(dog).defaults({"filters": 4, "epochs": 5})
    assert "filters" not in left and "epochs" not in left
    assert left["learning_rate"] == 1e-3
    assert left["architecture.loss"] == "none"


def test_an_experiment_takes_a_fit_and_names_its_runs():
    experiment = nf.Experiment(
        fit=Fit({"dog": dog, "linear": linear}),
        grid=nf.grid(architecture=["dog"], filters=[4, 9])
        + nf.grid(architecture=["linear"], smoothness=[1.0]),
    )
    assert [run.architecture for run in experiment.runs()] == ["dog", "dog", "linear"]


def test_a_score_that_does_not_exist_is_refused_before_anything_runs():
    with pytest.raises(GridError, match=r"no score 'corelation'\. Did you mean 'correlation'"):
        Fit(dog, scores=("corelation",))


def test_an_architecture_that_hides_its_arguments_is_refused():
    def hidden(shapes, **anything):
        """Not built here."""

    with pytest.raises(GridError, match="write out its arguments"):
        Fit(hidden)


def test_jit_is_part_of_an_id_only_where_it_is_asked_for():
    """Its default was False: a script that says so keeps the ids of its runs."""
    found = [Fit(dog, training=Training(jit=jit)).settings()["training"] for jit in (None, False, True)]
    assert found == [{}, {}, {"jit": True}]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "whole number > 0"),
        ({"epochs": 2.5}, "whole number > 0"),
        ({"learning_rate": float("nan")}, "number > 0"),
        ({"optimizer": "adm"}, "Did you mean 'adam'"),
        ({"momentum": 0.9}, "has no effect without optimizer 'sgd'"),
        ({"decays": 2}, "has no effect without a patience"),
        ({"min_delta": 0.1}, "has no effect without a patience"),
        ({"decay": 1.5}, "expected a number ≤ 1"),
        ({"jit": "no"}, "expected True or False"),
        ({"loss": "gaussian", "unit_rates": "train"}, "has no effect without loss 'poisson'"),
    ],
)
def test_an_invalid_training_is_refused(settings, message):
    with pytest.raises(GridError, match=message):
        Training(**settings)
    with pytest.raises(GridError, match=message):
        Fit(linear).check(settings)
