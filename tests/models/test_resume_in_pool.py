"""A model that was killed and went on equals, bit for bit, one that was left alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

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


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_killed_stopped_and_resumed_weights_equal_undisturbed_ones(bench, tmp_path):
    hurry = tmp_path / "hurry"
    undisturbed = type(bench)(tmp_path / "undisturbed")
    for one in (undisturbed, bench):
        one.script("net", SCRIPT % (str(hurry), 60))
    hurry.touch()
    assert undisturbed.run("net") == {"done": 4}
    hurry.unlink()

    generator, blows = random.Random(3), ["child", "stop", "worker", "pool"]
    submitted = bench.submit("net")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        counts = bench.counts("net")
        if counts == {"done": 4}:
            break
        if not counts["queued"] + counts["running"]:
            submitted = bench.submit("net", retry=True) or submitted
        there = list((bench.study.training_data / "net" / "runs").glob("*/*/checkpoint/0*"))
        pool = int(submitted.ids[0])
        workers = [worker for server in children(pool) for worker in children(server)]
        victims = {
            "child": [pid for worker in workers for pid in children(worker)],
            "worker": workers,
            "pool": [pool] if workers else [],
        }
        targets = victims.get(blows[0], victims["pool"]) if blows else []
        if there and targets:
            number = signal.SIGTERM if blows.pop(0) == "stop" else signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                os.kill(generator.choice(targets), number)
        if not blows:
            hurry.touch()
        time.sleep(generator.uniform(0.3, 0.8))
    assert bench.counts("net") == {"done": 4} and not blows
    assert any("resumed_from" in record["facts"] for record in bench.outcomes("net"))
    expected, found = undisturbed.saved("net"), bench.saved("net")
    assert expected.keys() == found.keys()
    for key in expected:
        assert expected[key].keys() == found[key].keys()
        for name, values in expected[key].items():
            np.testing.assert_array_equal(values, found[key][name], err_msg=f"{key} {name}")
