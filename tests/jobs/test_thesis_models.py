"""Every model of the thesis' experiments builds, and every experiment trains, on small simulated data."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import neurofit as nf
from neurofit.experiments.seeds import Seeds
from neurofit.store.layout import TaskFiles
from neurofit.worker.task_context import TaskContext

pytestmark = pytest.mark.slow
NEURONS, SIZE = 24, 14  # enough of both for .05 hidden units per neuron, and three convolutions of stride 2


def small(number=0):
    made = nf.datasets.simulate(n_images=50, n_test=18, n_neurons=NEURONS, size=SIZE, n_trials=3, seed=number)
    name = f"small{number}"
    images = {"image": made.inputs["image"] * 1e-6}  # as the recordings have them
    return made.derived(name=name, inputs=images, neurons=made.neurons.assign(recording=name))


def one_small():
    return small()


def small_regions(*, regions):
    return nf.datasets.stack([small(number) for number in regions])


def small_region(*, region):
    return small(region)


def small_truth(*, noise_coef, eval_noised):
    dataset = small()
    rates = dataset.truth["rates"]
    return nf.models.thesis.synthetic(dataset, rates, noise_coef=noise_coef, eval_noised=eval_noised)


SMALL = {"several_regions": small_regions, "one_region": small_region, "responses": small_truth}


def on_small_data(fit):
    data = one_small if isinstance(fit.data, str) else SMALL[fit.data.__name__]
    return replace(fit, data=data, training=replace(fit.training, epochs=2, validate_every=2, jit=False))


def kinds(experiment) -> dict[tuple, dict]:
    """The architecture's arguments of one run for each model that differs in more than how strong a penalty
    is.
    """
    found = {}
    for run in experiment.runs():
        build = experiment.fit.router.route(run.arguments).build
        key = tuple(
            (name, value > 0 if isinstance(value, float) else value) for name, value in sorted(build.items())
        )
        found.setdefault(key, build)
    return found


def test_every_model_builds(experiment):
    from neurofit.models.building import Shapes, build

    (architecture,) = experiment.fit.built.values()
    shapes = Shapes({"image": (SIZE, SIZE, 1)}, {"small": NEURONS})
    for arguments in kinds(experiment).values():
        model = build(architecture, shapes, arguments, Seeds(0))
        assert model.output_shape == (None, NEURONS)
        assert all(np.isfinite(value) for value in nf.models.penalties(model).values())


def run_one(fit, arguments, root):
    files = TaskFiles(root / "task")
    attempt = files.attempt(1)
    attempt.folder.mkdir(parents=True)
    attempt.claim.write_text("{}")
    task = TaskContext(arguments, 0, 1, None, root, files, attempt, stop_request=SimpleNamespace(made=False))
    try:
        return fit(task)
    finally:
        task.close()


def test_every_experiment_trains(experiment, tmp_path):
    run = experiment.runs()[-1]
    arguments = {name: value for name, value in run.arguments.items() if name != "epochs"}
    metrics = run_one(on_small_data(experiment.fit), arguments, tmp_path)
    assert -1 <= metrics["test/correlation"] <= 1
    assert np.isfinite(list(metrics.values())).all()
