"""Repetitions trained together: each as it is alone, whatever else its job has, and wherever it is interrupted."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from grouped import MOST, Table, distance, must_equal
from interrupted import noisy

import neurofit as nf
from neurofit.errors import DataError, Diverged, GridError, StoreError

pytestmark = pytest.mark.slow
Fit, Training, architectures = nf.models.Fit, nf.models.Training, nf.models.architectures
JOBS = Path(__file__).resolve().parents[2] / "jobs"
CONV = "TensorFlow cannot vectorise its operation Conv2D"


def fit_of(architecture, data, *, together=3, split=None, label=None, **settings):
    training = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, **settings}
    scores = ("correlation",) if label else nf.models.Fit.scores
    return Fit(
        architecture,
        data=data,
        split=split or {"validation": 10},
        training=Training(**training, together=together),
        label=label,
        scores=scores,
    )


def alone(fit):
    return replace(fit, training=replace(fit.training, together=1))


@pytest.fixture
def tables(tmp_path):
    """tables("a"): a table of that name."""
    return lambda name: Table(tmp_path / name)


def both(fit, tables, repetitions=range(3), **how):
    """The repetitions together, and each alone."""
    group, single = tables("together"), tables("alone")
    for found in (group.run(fit, repetitions, **how), single.run_alone(alone(fit), repetitions, **how)):
        for one in found.values():
            if isinstance(one, Exception):
                raise one
    return group, single


def must_agree(group, single, repetitions=range(3)):
    """Weights within the tolerance, bit for bit if trained in turn; ends, rows and events as alone."""
    for number in repetitions:
        if group.facts(number)["together"]["how"] == "in turn":
            must_equal(group, single, number)
        else:
            assert distance(group, single, number) < MOST
        for name in ("stop_reason", "epochs", "best_epoch"):
            assert group.facts(number)[name] == single.facts(number)[name]
        rows, expected = group.history(number), single.history(number)
        assert [row["step"] for row in rows] == [row["step"] for row in expected]
        assert rows[0].keys() == expected[0].keys()
        for row, other in zip(rows, expected):
            np.testing.assert_allclose(
                [float(row[name] or "nan") for name in row],
                [float(other[name] or "nan") for name in row],
                rtol=1e-4,
                atol=1e-5,
            )
        seen, wanted = group.events(number), single.events(number)
        assert [one[:2] for one in seen] == [one[:2] for one in wanted]


# Every architecture in jobs/

SMALL = {  # architecture → arguments that make it small, and whether it vectorises
    "hsm": ({"filters": 3, "hidden": 0.5, "l2": 0.1}, True),
    "what_where": ({"filters": 4, "size": 5, "layers": 2}, False),
    "ln": ({"reg_l": 0.1}, True),
    "lnln": ({"hidden": 0.5, "reg_h": 0.1, "reg_l": 0.1}, True),
    "dog_hidden": (
        {"dog_layers": 3, "hidden": 0.5, "hidden_layers": 2, "lin_scale": True, "reg_h": 0.1},
        True,
    ),
    "dog_penalised": ({"dog_layers": 3, "hidden": 0.5, "reg_type": "l1", "reg_lambda": 0.1}, True),
    "dog_l2": ({"dog_layers": 3, "hidden": 0.5, "l2": 0.1}, True),
    "dog_dropout": ({"hidden": 1.0, "dropout_h": 0.5}, None),
    "conv_hidden": ({"hidden": 0.5, "c_filters": 3, "conv_layers": 2, "c_size": 3}, False),
    "conv_penalised": ({"hidden": 0.5, "c_filters": 3, "c_size": 5}, False),
    "conv_dog": ({"hidden": 0.5, "c_filters": 3, "hidden_lt": "sep"}, False),
    "conv_factorised": ({"c_filters": 4}, False),
    "conv_factorised_max": ({"c_filters": 4}, False),
    "conv_factorised_norm2": ({"c_filters": 4}, False),
    "kindel_cnn": ({"conv1": 3, "conv2": 3, "hidden1": 8}, False),
    "kindel_lnln": ({"units": 8}, True),
    "shallow_cnn": ({"filters": [3], "hidden": 8, "dropout": 0.3, "batch_norm": True, "flip": True}, False),
    "pooled_cnn": ({"filters": [3], "sizes": [3], "hidden": 8, "dropout": 0.3}, False),
}
ELSEWHERE = {"co_trained_cnn", "fine_tuned"}  # tests of their own below
OTHER_TRAINING = {
    "kindel_cnn": {"optimizer": "sgd", "loss": "mean_squared", "learning_rate": 1e-4, "patience": 4},
    "kindel_lnln": {"optimizer": "sgd", "loss": "mean_squared", "learning_rate": 1e-4, "patience": 4},
    "shallow_cnn": {"loss": "mean_squared"},
    "pooled_cnn": {"loss": "mean_squared"},
}


def wide():
    return nf.datasets.simulate(n_images=90, n_neurons=6, size=32, n_test=20, n_trials=4)


def test_every_architecture_in_jobs_is_tested():
    used = set()
    for path in JOBS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("models.architectures"):
                used.add(node.attr)
    assert used <= SMALL.keys() | ELSEWHERE and len(used) >= 18


@pytest.mark.parametrize("name", SMALL)
def test_every_repetition_has_the_weights_it_has_alone(name, small, tables):
    arguments, vectorises = SMALL[name]
    fit = fit_of(
        getattr(architectures, name), wide if name == "kindel_cnn" else small, **OTHER_TRAINING.get(name, {})
    )
    group, single = both(fit, tables, **arguments)
    must_agree(group, single)
    how = group.facts(0)["together"]
    assert how["repetitions"] == [0, 2]
    if vectorises is not None:
        assert how["how"] == ("vectorised" if vectorises else "in turn"), how
    assert not np.array_equal(group.arrays(0)["predictions"], group.arrays(1)["predictions"])


def test_the_form_is_printed_with_its_reason(small, tables, capfd):
    for architecture, said in (
        (architectures.hsm, "vectorised."),
        (architectures.what_where, f"in turn: {CONV}."),
    ):
        tables(said).run(fit_of(architecture, small, epochs=1), filters=2)
        assert f"Repetitions 0 to 2 were trained together, {said}" in (captured := capfd.readouterr()).out
        assert "pfor" not in captured.err and "ERROR" not in captured.err
