"""Repetitions that are trained together or alone, in temporary folders, and what they leave."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
from interrupted import StopAt

from neurofit.store.layout import TaskFiles
from neurofit.worker.task_context import Stopped, TaskContext

MOST = 1e-5  # how far weights of a group may be from those alone, of the largest one: see docs/training.md


class Table:
    """The repetitions of one run: attempts at them, each with a TaskContext as a worker makes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.last: dict[int, TaskContext] = {}

    def files(self, repetition: int) -> TaskFiles:
        return TaskFiles(self.root / f"{repetition:03d}")

    def task(self, repetition, *, of=3, split_by=None, stop=None, **params) -> TaskContext:
        files = self.files(repetition)
        attempt = files.attempt(len(files.attempts()) + 1)
        attempt.folder.mkdir(parents=True)
        attempt.claim.write_text("{}")
        self.last[repetition] = TaskContext(
            params, repetition, of, split_by, self.root, files, attempt, stop_request=stop or StopAt(None)
        )
        return self.last[repetition]

    def run(self, fit, repetitions=range(3), *, stop_after=None, **how):
        """repetition → its metrics or error; None where they were stopped. One process trains all of them."""
        stop = StopAt(stop_after)
        tasks = [self.task(number, stop=stop, **how) for number in repetitions]
        try:
            found = fit.together(tasks) if len(tasks) > 1 else [fit(tasks[0])]
            return dict(zip(repetitions, found))
        except Stopped:
            return None
        finally:
            for task in tasks:
                task.close()

    def run_alone(self, fit, repetitions=range(3), **how):
        """repetition → its metrics or error; one training for each."""
        found = {}
        for number in repetitions:
            try:
                found |= self.run(fit, [number], **how)
            except Exception as error:  # what the worker would record
                found[number] = error
        return found

    def facts(self, repetition):
        return self.last[repetition].facts

    def history(self, repetition):
        with (self.last[repetition].folder / "history.csv").open() as file:
            return list(csv.DictReader(file))

    def text(self, repetition):
        return (self.last[repetition].folder / "history.csv").read_text()

    def arrays(self, repetition):
        """Weights and predictions by name; not the states of random numbers."""
        folder, found = self.last[repetition].folder, {}

        def keep(name, item):
            if hasattr(item, "shape") and "seed_generator" not in name:
                found[name] = item[()]

        with h5py.File(folder / "weights.weights.h5") as file:
            file.visititems(keep)
        with np.load(folder / "predictions.npz") as file:
            found["predictions"] = file["predictions"]
        return found

    def events(self, repetition):
        """(epoch, name, value) of every number in the files of events."""
        import tensorflow as tf

        found = []
        for path in sorted(self.last[repetition].folder.glob("events.out*")):
            for record in tf.compat.v1.io.tf_record_iterator(str(path)):
                event = tf.compat.v1.Event.FromString(record)
                found += [(event.step, one.tag, one.simple_value) for one in event.summary.value]
        return found


def distance(one: Table, other: Table, repetition: int) -> float:
    """The largest difference of their weights and predictions, in units of each array's largest value."""
    found, expected = one.arrays(repetition), other.arrays(repetition)
    assert found.keys() == expected.keys()
    return max(
        float(np.abs(found[name] - values).max(initial=0) / max(np.abs(values).max(initial=0), 1e-6))
        for name, values in expected.items()
    )


def must_equal(one: Table, other: Table, repetition: int) -> None:
    """Weights, predictions and history are the same, bit for bit."""
    found, expected = one.arrays(repetition), other.arrays(repetition)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=f"{repetition}: {name}")
    assert one.text(repetition) == other.text(repetition)
