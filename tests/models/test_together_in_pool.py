"""Groups of repetitions in real pools: killed anywhere, they end as if left alone; searches end them whole."""

from __future__ import annotations

import random

import pytest
from interrupted import assert_same_arrays, submit_and_disturb

pytestmark = pytest.mark.slow

SCRIPT = """
    import time
    from pathlib import Path

    def model(shapes, *, hidden=8):
        import keras
        return keras.Sequential([
            keras.layers.Input(shapes.image), keras.layers.Flatten(), keras.layers.LayerNormalization(),
            keras.layers.Dense(hidden, "softplus"), keras.layers.Dense(shapes.neurons, "softplus"),
        ])
    class Unhurried(nf.models.Fit):
        def together(self, tasks):
            def unhurried(task):
                def log(step, **numbers):
                    type(task).log(task, step, **numbers)
                    if not Path(%r).exists():
                        time.sleep(0.03)  # there must be time to be killed in, however fast the machine is
                return log
            for task in tasks:
                task.log = unhurried(task)
            return super().together(tasks)

    experiment = nf.Experiment(
        fit=Unhurried(model, training=nf.models.Training(
            epochs=60, batch_size=64, patience=4, decays=1, learning_rate=2e-2, checkpoint_minutes=0.002, together=4)),
        grid=nf.grid(hidden=[4, 8]), repetitions=5)
"""


def test_groups_that_were_killed_stopped_and_resumed_equal_undisturbed_ones(bench, tmp_path):
    hurry = tmp_path / "hurry"
    undisturbed = type(bench)(tmp_path / "undisturbed")
    for one in (undisturbed, bench):
        one.script("net", SCRIPT % str(hurry))
    hurry.touch()
    assert undisturbed.run("net") == {"done": 10}
    hurry.unlink()

    blows = ["child", "stop", "worker", "child", "pool"]
    submit_and_disturb(bench, "net", {"done": 10}, blows, random.Random(5), hurry)
    assert bench.counts("net") == {"done": 10} and not blows
    records = bench.outcomes("net")
    assert any("resumed_from" in record["facts"] for record in records)
    assert {record["facts"]["together"]["how"] for record in records} == {"vectorised"}
    assert_same_arrays(bench, undisturbed, "net")
    for task in (bench.study.training_data / "net" / "runs").glob("*/*"):  # each is done once
        states = [path.read_text().count('"state":"done"') for path in task.glob("attempt-*/outcome.json")]
        assert sum(states) == 1


SEARCH = """
    def model(shapes, *, hidden=8):
        import keras
        return keras.Sequential([
            keras.layers.Input(shapes.image), keras.layers.Flatten(),
            keras.layers.Dense(hidden, "softplus"), keras.layers.Dense(shapes.neurons, "softplus"),
        ])
    experiment = nf.Experiment(
        fit=nf.models.Fit(model, training=nf.models.Training(
            epochs=8, batch_size=64, validate_every=2, patience=6, together=3)),
        grid=nf.search(
            learning_rate=nf.log_uniform(1e-6, 1e-1), trials=10, metric="validation/correlation", pruner="median",
            sampler="qmc", at_once=1),
        repetitions=3)
"""


def test_a_trial_that_ends_early_ends_its_whole_group(bench):
    bench.script("searched", SEARCH)
    assert bench.run("searched") == {"done": 30}
    records = bench.outcomes("searched")
    assert len({record["log"] for record in records}) == 10, "a trial is one process"
    pruned = {record["run"] for record in records if "pruned_at" in record["facts"]}
    assert pruned and len(pruned) < 10
    for record in records:
        facts = record["facts"]
        assert ("pruned_at" in facts) == (record["run"] in pruned)
        if record["run"] in pruned:
            (first,) = {one["facts"]["pruned_at"] for one in records if one["run"] == record["run"]}
            assert first % 2 == 0 and facts["stop_reason"] == "pruned"
        else:
            assert facts["together"] == {"repetitions": [0, 2], "how": "vectorised"}
