"""A model that was killed and went on equals, bit for bit, one that was left alone."""

from __future__ import annotations

import random

import pytest
from interrupted import assert_same_arrays, submit_and_disturb

pytestmark = pytest.mark.slow

SCRIPT = """
    import time
    from pathlib import Path

    def model(shapes, *, hidden=8, rate=0.2):
        import keras
        return keras.Sequential([
            keras.layers.Input(shapes.image), keras.layers.Flatten(),
            keras.layers.Dense(hidden, "softplus"), keras.layers.Dropout(rate),
            keras.layers.Dense(shapes.neurons, "softplus"),
        ])
    class Unhurried(nf.models.Fit):
        def __call__(self, task):
            def log(step, **numbers):
                type(task).log(task, step, **numbers)
                if not Path(%r).exists():
                    time.sleep(0.1)  # there must be time to be killed in, however fast the machine is
            task.log = log
            return super().__call__(task)

    experiment = nf.Experiment(
        fit=Unhurried(model, training=nf.models.Training(
            epochs=%d, batch_size=64, patience=15, decays=1, checkpoint_minutes=0.002)),
        grid=nf.grid(hidden=[4, 8]), repetitions=2)
"""


def test_killed_stopped_and_resumed_weights_equal_undisturbed_ones(bench, tmp_path):
    hurry = tmp_path / "hurry"
    undisturbed = type(bench)(tmp_path / "undisturbed")
    for one in (undisturbed, bench):
        one.script("net", SCRIPT % (str(hurry), 60))
    hurry.touch()
    assert undisturbed.run("net") == {"done": 4}
    hurry.unlink()

    blows = ["child", "stop", "worker", "pool"]
    submit_and_disturb(bench, "net", {"done": 4}, blows, random.Random(3), hurry)
    assert bench.counts("net") == {"done": 4} and not blows
    assert any("resumed_from" in record["facts"] for record in bench.outcomes("net"))
    assert_same_arrays(bench, undisturbed, "net")
