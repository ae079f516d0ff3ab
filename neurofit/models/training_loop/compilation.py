"""What XLA has compiled is handed on to the next tasks of the job, which need the same program.

TensorFlow can keep compiled programs in a folder. Here that folder is in the memory of the task's process, so that
TensorFlow reads nothing that another program has written, and no full disk fails a task. From there they go to the
job's cache (`neurofit.job_cache`), and from the cache to the folder of a later task that trains with the same graph.
TensorFlow compares the whole program that it is about to compile with the one that it finds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import msgspec
import tensorflow as tf

from neurofit import job_cache
from neurofit.models.training import Training

FOLDER = "ram://neurofit-xla"  # in TensorFlow's file system in memory
VARIABLE = "TF_XLA_FLAGS"
FLAGS = (
    f"--tf_xla_persistent_cache_directory={FOLDER} "
    "--tf_xla_persistent_cache_device_types=CPU"  # on GPUs it was not tried
)
_READ_WHEN_COMPILING = ("TF_", "XLA_")  # variables


@contextlib.contextmanager
def kept(training: Training) -> Iterator[None]:
    """Have TensorFlow use its folder, if it has not been used before: it reads the variable once, when it first looks
    for devices. The variable is gone afterwards. If the script has set it, that counts.
    """
    is_set = training.jit is not False and job_cache.is_open() and VARIABLE not in os.environ
    if is_set:
        os.environ[VARIABLE] = FLAGS
    try:
        yield
    finally:
        if is_set and os.environ.get(VARIABLE) == FLAGS:
            del os.environ[VARIABLE]


@contextlib.contextmanager
def handed_on(function: Any, arguments: tuple[Any, ...]) -> Iterator[bool]:
    """Hand on what is compiled inside, in the first call of a function.

    Parameters
    ----------
    function : tf.function
    arguments : tuple
        Of the call.

    Yields
    ------
    bool
        Whether an earlier task has handed on something, which TensorFlow then uses.
    """
    if not job_cache.is_open() or tf.config.list_physical_devices("GPU"):
        yield False
        return
    key = _key(function.get_concrete_function(*arguments).graph)
    found = job_cache.get(key)
    programs: dict[str, bytes] = msgspec.msgpack.decode(found, type=dict[str, bytes]) if found else {}
    _clear()
    for name, program in programs.items():
        with tf.io.gfile.GFile(f"{FOLDER}/{name}", "wb") as file:
            file.write(program)
    try:
        yield bool(programs)
        if found is None and (made := _programs()):
            job_cache.put(key, msgspec.msgpack.encode(made))
    except tf.errors.OpError:
        if programs:  # TensorFlow could not load them: no other task shall try
            job_cache.put(key, b"")
        raise
    finally:
        _clear()


def _key(graph: tf.Graph) -> bytes:
    """What compiled programs depend on: the graph that they are parts of, and settings that TensorFlow does not compare."""
    variables = [(name, value) for name, value in os.environ.items() if name.startswith(_READ_WHEN_COMPILING)]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    settings = repr((tf.__version__, sorted(variables), cores, threads))
    text = graph.as_graph_def().SerializeToString(deterministic=True)
    return hashlib.sha256(hashlib.sha256(text).digest() + settings.encode()).digest()


def _programs() -> dict[str, bytes]:
    """The contents of TensorFlow's folder, by name."""
    found = {}
    for name in tf.io.gfile.listdir(FOLDER):
        with tf.io.gfile.GFile(f"{FOLDER}/{name}", "rb") as file:
            found[name] = file.read()
    return found


def _clear() -> None:
    """Make the folder empty, so that it has what the next call compiles and nothing else."""
    if tf.io.gfile.isdir(FOLDER):
        tf.io.gfile.rmtree(FOLDER)
    tf.io.gfile.makedirs(FOLDER)
