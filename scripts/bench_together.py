"""Repetitions of one model trained together: trains when asked, one line of JSON for each answer.

bench_together.py MODEL NUMBER THREADS JIT, started by `scripts/bench training`. It reads the file of the data, and then
numbers of epochs, from its input, and writes seconds on the clock and of CPU time, and the peak memory of a GPU.
"""

from __future__ import annotations

import json
import os
import sys
import time
from types import SimpleNamespace

import numpy as np

BATCH, RATE = 16, 1e-3


class Together:
    """Repetitions of one model, trained as a group of a run is.

    Parameters
    ----------
    name : str
        Of the architecture.
    number : int
        Repetitions.
    images : ndarray, shape (image, height, width, 1)
    responses : ndarray, shape (image, neuron)
    jit : bool
    """

    def __init__(self, name: str, number: int, images: np.ndarray, responses: np.ndarray, *, jit: bool):
        from neurofit.models import Training, architectures
        from neurofit.models.building import Shapes, build
        from neurofit.models.data import Arrays
        from neurofit.models.training_loop import group
        from neurofit.models.training_loop.program import Program
        from neurofit.models.training_loop.vectorised import VectorisedProgram, stacked

        shapes = Shapes({"image": images.shape[1:]}, {"neurons": responses.shape[1]})
        models = [
            build(getattr(architectures, name), shapes, {}, SimpleNamespace(init=seed, noise=seed + number))
            for seed in range(number)
        ]
        training = Training(batch_size=BATCH, learning_rate=RATE, jit=jit)
        single = Program(models[0], training, Arrays({"image": images}, responses, None))
        self._program, starts = VectorisedProgram(single), [single.start(model) for model in models]
        weights = int(starts[0].weights.shape[0])
        self._batches = [
            stacked([starts[place] for place in batch])
            for batch in group.batches(range(number), group.at_once(weights))
        ]
        self._draw, self._images = np.random.default_rng(0), len(images)

    def train(self, epochs: int) -> None:
        """Train every repetition for so many epochs, in orders of its own."""
        for place, state in enumerate(self._batches):
            number = len(state.weights)
            orders = np.empty((epochs, number, self._images), np.int32)
            orders[:] = np.arange(self._images, dtype=np.int32)
            orders = self._draw.permuted(orders, axis=-1)
            self._batches[place], *_ = self._program.epochs(state, orders, np.full(number, RATE))


def main() -> None:
    name, number, threads, jit = sys.argv[1:]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    with np.load(sys.stdin.readline().strip()) as data:
        images, responses = data["images"], data["responses"]
    together = Together(name, int(number), images, responses, jit=jit == "jit")
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    for line in sys.stdin:
        if on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        wall, cpu = time.perf_counter(), time.process_time()
        together.train(int(line))
        took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if on_gpu:
            took["memory"] = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
