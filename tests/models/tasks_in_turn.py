"""Tasks that train one after the other, each in a process forked from this one, as those of a job.

python tasks_in_turn.py FOLDER TASKS [HARM]: TASKS is a list as JSON, of dicts of settings; HARM is a key of `HARMS`.
Each task leaves a file NUMBER.npz in FOLDER: its weights and its predictions, `found` (per compilation: whether an
earlier task had compiled it), and what it says of its environment.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import neurofit as nf
from neurofit import environment, job_cache
from neurofit.models import Fit, Training
from neurofit.models.training_loop import compilation
from neurofit.store.layout import TaskFiles
from neurofit.worker.task_context import TaskContext


def spoiled(how):
    """What is found, spoiled after its digest was found right: TensorFlow has to cope with it."""

    def harm():
        unpacked = compilation._unpacked
        compilation._unpacked = lambda data: {name: how(one) for name, one in unpacked(data).items()}

    return harm


def one_key():
    """Every program gets what any other has compiled: TensorFlow has to tell them apart."""
    compilation._key = lambda graph: b"k" * 32
    put = job_cache.put

    def put_all(key, value):
        if key != b"k" * 32:
            return put(key, value)
        known = job_cache.get(key)
        both = {**(compilation._unpacked(known) if known else {}), **compilation._unpacked(value)}
        return put(key, compilation._packed(both))

    handed = job_cache.get
    compilation.job_cache = type("Cache", (), {"get": handed, "put": put_all, "is_open": job_cache.is_open})


def other_version():
    """The program of every other task was compiled by another TensorFlow."""
    import tensorflow as tf

    if int(os.environ["TASK"]) % 2:
        tf.__version__ += "1"


def flipped():
    """Some bytes in the cache have changed."""
    size = os.fstat(job_cache._opened[0]).st_size
    for place in range(200, size, 1000):
        byte = os.pread(job_cache._opened[0], 1, place)
        os.pwrite(job_cache._opened[0], bytes([byte[0] ^ 1]), place)


def crash():
    """Every process that loads a program, and does not compile it, dies."""
    make = compilation.tf.io.gfile.GFile

    def opened(name, mode):
        if mode == "wb":
            os.kill(os.getpid(), signal.SIGKILL)
        return make(name, mode)

    compilation.tf.io.gfile.GFile = opened


HARMS = {
    "crash": crash,
    "none": lambda: None,
    "emptied": spoiled(lambda one: b""),
    "halved": spoiled(lambda one: one[: len(one) // 2]),
    "nonsense": spoiled(lambda one: b"\xff" * len(one)),
    "one key": one_key,
    "other version": other_version,
    "flipped": flipped,
    "no memory": lambda: os.closerange(job_cache._opened[0], job_cache._opened[0] + 1),
}


def data(holes=False):
    found = nf.datasets.simulate(n_images=90, n_neurons=6, size=12, n_test=20, n_trials=4)
    if not holes:
        return found
    mask = np.ones(found.responses.shape, bool)
    mask[:30, 2] = False
    return nf.datasets.Dataset("holes", found.inputs, found.responses, mask=mask, official=found.official)


def model(shapes, *, hidden=4, l2=0.01, layers=1, dropout=0.0, function="softplus"):
    import keras

    from neurofit.models.layers import Dense
    from neurofit.models.regularizers import L2

    hiddens = [
        Dense(hidden, activation=function, kernel_regularizer=L2(l2), name=f"core{place}")
        for place in range(layers)
    ]
    return keras.Sequential(
        [
            keras.Input(shapes.image),
            *hiddens,
            *([keras.layers.Dropout(dropout)] if dropout else []),
            Dense(shapes.neurons, activation="softplus", name="neurons"),
        ]
    )


def train(root: Path, number: int, settings: dict) -> None:
    settings = dict(settings)
    holes, repetition = settings.pop("holes", False), settings.pop("repetition", 0)
    arguments = {name: settings.pop(name) for name in list(settings) if name in model.__kwdefaults__}
    training = Training(epochs=3, batch_size=16, learning_rate=1e-2, jit=True)
    training = replace(training, **settings)
    fit = Fit(model, data=lambda: data(holes), split={"validation": 10}, training=training)
    tasks = []
    for one in range(repetition, repetition + training.together):
        files = TaskFiles(root / f"{number}" / f"rep-{one}")
        attempt = files.attempt(1)
        attempt.folder.mkdir(parents=True)
        tasks.append(TaskContext(arguments, one, 30, None, root, files, attempt))
    found: list[bool] = []
    handed_on = compilation.handed_on

    class noting:
        def __init__(self, *given):
            self.manager = handed_on(*given)

        def __enter__(self):
            found.append(self.manager.__enter__())
            return found[-1]

        def __exit__(self, *error):
            return self.manager.__exit__(*error)

    for name in ("program", "vectorised"):
        module = sys.modules[f"neurofit.models.training_loop.{name}"]
        if hasattr(module, "handed_on"):
            module.handed_on = noting
    metrics = fit.together(tasks) if training.together > 1 else [fit(tasks[0])]
    assert all(isinstance(one, dict) for one in metrics), metrics
    arrays = {
        "found": np.array(found),
        "environment": np.array(json.dumps(environment.record(), sort_keys=True)),
    }
    for place, task in enumerate(tasks):
        trained = nf.models.load_folder(task.folder, fit)
        for index, one in enumerate(trained.variables):
            if one.name != "seed_generator_state":
                arrays[f"{place}/{index}"] = np.asarray(one)
        arrays[f"{place}/predictions"] = np.load(task.folder / "predictions.npz")["predictions"]
    np.savez(root / f"{number}.npz", **arrays)


def main(root: Path, tasks: list[dict], harm: str | None) -> None:
    if harm is not None:
        job_cache.begin()
    import neurofit.models.fitting.together  # noqa: F401 -- before any fork

    for number, settings in enumerate(tasks):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.environ["TASK"] = str(number)
                if harm is not None:
                    HARMS[harm]()
                del os.environ["TASK"]
                train(root, number, settings)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        if status and not (harm == "crash" and os.WIFSIGNALED(status)):
            sys.exit(f"task {number} ended with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
