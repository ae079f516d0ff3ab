"""A training that is interrupted: a model with everything that training changes, what interrupts it, what is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import numpy as np

import neurofit as nf


def noisy(shapes, *, units=4, dropout=0.3, l2=0.01):
    """A model with weights, a penalty, dropout, and batch statistics."""
    import keras

    from neurofit.models.layers import Dense
    from neurofit.models.regularizers import L2

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            Dense(units, activation="softplus", kernel_regularizer=L2(l2), name="core"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(dropout),
            Dense(shapes.neurons, activation="softplus", name="neurons"),
        ]
    )


def weights(desk, fit):
    """Arrays of the model that the desk's last attempt left, all but the seeds."""
    model = nf.models.load_folder(desk.last.folder, fit)
    return [np.asarray(one) for one in model.variables if one.name != "seed_generator_state"]


class Killed(Exception):
    """The process is gone."""


class Dying:
    """A fit that dies when it writes about an epoch."""

    def __init__(self, fit, epoch):
        self.fit, self.epoch = fit, epoch

    def __call__(self, task):
        log = task.log

        def dying(step, **numbers):
            if step == self.epoch:
                raise Killed
            log(step, **numbers)

        task.log = dying
        return self.fit(task)


class StopAt:
    """A request to stop that comes after some looks; of one process, so of all its tasks."""

    def __init__(self, looks: int | None) -> None:
        self.looks, self.is_checked = looks, False

    @property
    def made(self) -> bool:
        if self.looks is None:
            return False
        self.looks -= 1
        return self.looks < 0


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def submit_and_disturb(
    bench, name: str, wanted: dict[str, int], blows: list[str], generator: random.Random, hurry: Path
) -> None:
    """Submit an experiment again and again until its counts are those wanted, and strike its processes meanwhile.

    `blows` loses each one that was struck: "child", "worker" and "pool" are killed, "stop" is SIGTERM for the pool.
    After the last one, `hurry` is there.
    """
    submitted = bench.submit(name)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        counts = bench.counts(name)
        if counts == wanted:
            break
        if not counts["queued"] + counts["running"]:
            submitted = bench.submit(name, retry=True) or submitted
        there = list((bench.study.training_data / name / "runs").glob("*/*/checkpoint/0*"))
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


def assert_same_arrays(bench, undisturbed, name: str) -> None:
    """Every task of an experiment left the same arrays, to the last bit, in both studies."""
    expected, found = undisturbed.saved(name), bench.saved(name)
    assert expected.keys() == found.keys()
    for key in expected:
        assert expected[key].keys() == found[key].keys()
        for array, values in expected[key].items():
            np.testing.assert_array_equal(values, found[key][array], err_msg=f"{key} {array}")
