"""What XLA has compiled is handed on to the next tasks of the job, which need the same program.

TensorFlow can keep compiled programs in a folder. Here that folder is in the memory of the task's process, so that
TensorFlow reads nothing that another program has written, and no full disk fails a task. From there they go to the
job's cache (`neurofit.job_cache`), and from the cache to the folder of a later task that trains with the same graph.
TensorFlow compares the whole program that it is about to compile with the one that it finds. The first task that uses
one says so in the cache before and after: were it to crash the process, no other task would try.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
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
_BEGUN, _WORKED = b"begun", b"worked"
_is_kept = False  # whether TensorFlow was told of the folder


@contextlib.contextmanager
def kept(training: Training) -> Iterator[None]:
    """Have TensorFlow use its folder, if this process has not used TensorFlow before.

    TensorFlow reads the variable once, when it first looks for devices. It is unset afterwards: it is not the user's. A
    script that has set it keeps its own value, and then nothing is handed on.
    """
    global _is_kept
    if training.jit is False or not job_cache.is_open() or VARIABLE in os.environ or not _can_clear():
        yield
        return
    os.environ[VARIABLE], _is_kept = FLAGS, True
    try:
        yield
    finally:
        _is_kept = False
        if os.environ.get(VARIABLE) == FLAGS:
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
    if not _is_kept or tf.config.list_physical_devices("GPU"):
        yield False
        return
    key = _key(function.get_concrete_function(*arguments).graph)
    found, trial = job_cache.get(key), hashlib.sha256(key + b"trial").digest()
    known = job_cache.get(trial) if found else None
    programs = _unpacked(found) if found and known != _BEGUN else {}
    if programs and known is None:
        job_cache.put(trial, _BEGUN)
    _clear()
    for name, program in programs.items():
        with tf.io.gfile.GFile(f"{FOLDER}/{name}", "wb") as file:
            file.write(program)
    try:
        yield bool(programs)
        if programs and known is None:
            job_cache.put(trial, _WORKED)
        if found is None and (made := _programs()):
            job_cache.put(key, _packed(made))
    except tf.errors.OpError:
        if programs:  # TensorFlow could not load them: no other task shall try
            job_cache.put(key, b"")
        raise
    finally:
        _clear()


def _key(graph: tf.Graph) -> bytes:
    """What compiled programs depend on: their graph, and settings that TensorFlow does not compare."""
    variables = [(name, value) for name, value in os.environ.items() if name.startswith(_READ_WHEN_COMPILING)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    settings = repr((tf.__version__, sorted(variables), cores, threads))
    text = graph.as_graph_def().SerializeToString(deterministic=True)
    return hashlib.sha256(hashlib.sha256(text).digest() + settings.encode()).digest()


def _packed(programs: dict[str, bytes]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(programs), 1)


def _unpacked(data: bytes) -> dict[str, bytes]:
    return msgspec.msgpack.decode(zlib.decompress(data), type=dict[str, bytes])


def _programs() -> dict[str, bytes]:
    """The contents of TensorFlow's folder, by name."""
    found = {}
    for name in tf.io.gfile.listdir(FOLDER):
        with tf.io.gfile.GFile(f"{FOLDER}/{name}", "rb") as file:
            found[name] = file.read()
    return found


def _can_clear() -> bool:
    """Whether this TensorFlow has a file system in memory; afterwards, the folder is empty."""
    try:
        _clear()
    except tf.errors.OpError:
        return False
    return True


def _clear() -> None:
    """Make the folder empty, so that it has what the next call compiles and nothing else."""
    if tf.io.gfile.isdir(FOLDER):
        tf.io.gfile.rmtree(FOLDER)
    tf.io.gfile.makedirs(FOLDER)
