"""A regularisation path: one training after another with a stronger penalty, each from where the last one
ended.

A checkpoint has, beside the files of the training at hand (`descent.memory`), `path.json`: the points done so
far and the number of the one at hand, and `path.npz`: the weights of the best of them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from neurofit.errors import DataError, UsageError
from neurofit.models.training_loop import checkpoint
from neurofit.models.training_loop.early_stopping import Progress
from neurofit.models.training_loop.loop import Loop

Weights = tuple[tf.Tensor, tuple[tf.Tensor, ...]]  # those that were trained, and the other variables


@dataclass(frozen=True)
class Point:
    """One training of a path: its penalty, how it ended, and the validation loss of its weights."""

    strength: float
    loss: float
    reason: str
    progress: Progress


@dataclass(frozen=True)
class Way:
    """How far a path is: the points done, and the weights of the best one."""

    points: tuple[Point, ...] = ()
    best: Weights | None = None

    @property
    def chosen(self) -> Point:
        """The lowest validation loss; of equals, the weakest penalty."""
        return min(self.points, key=lambda point: point.loss)

    @property
    def epochs(self) -> int:
        return sum(point.progress.epoch for point in self.points)

    def after(self, point: Point, weights: Weights) -> Way:
        longer = replace(self, points=(*self.points, point))
        return replace(longer, best=weights) if longer.chosen is point else longer


def walk(
    loop_of: Callable[[float, Any, int], Loop], task: Any, strengths: tuple[float, ...]
) -> tuple[Loop, Way]:
    """Train all points, from a checkpoint or from the first; return the last loop, with the best weights.

    Parameters
    ----------
    loop_of : callable
        (strength, task, epochs before it) -> the loop of a fresh model.
    task : TaskContext
        The task at work.
    strengths : tuple of float
        The path.

    Raises
    ------
    DataError
        There is no validation set to choose by.
    """
    _expect_tracing()
    loop, way = _begun(loop_of, task, strengths)
    _needs_validation(loop)
    while True:
        reason, weights = loop.run(), loop.kept()
        strength = strengths[len(way.points)]
        point = Point(strength, _validation_loss(loop, weights), reason, loop.snapshot.progress)
        way = way.after(point, weights)
        if len(way.points) == len(strengths):
            loop.program.install(*way.best)
            return loop, way
        strength = strengths[len(way.points)]
        loop = loop_of(strength, _Leg(task, way, strength), way.epochs)
        loop.begin(*weights)


def must_fit(argument: str, weakest: Any, strongest: Any) -> None:
    """Raises UsageError unless the weights of one Keras model fit into the other."""
    shapes = [[tuple(one.shape) for one in model.trainable_variables] for model in (weakest, strongest)]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"path={argument!r}: models with its first and last value differ in their weights' shapes, so "
            "that none "
            "can start from the other. A path goes along the strength of a penalty; make this an axis of "
            "the grid."
        )


def _begun(loop_of: Callable[..., Loop], task: Any, strengths: tuple[float, ...]) -> tuple[Loop, Way]:
    """The loop to continue with, and the path up to it, from the newest whole checkpoint or the first point."""
    for folder in task.checkpoints:
        way = _load(folder)
        if way is None or len(way.points) >= len(strengths):
            continue
        strength = strengths[len(way.points)]
        loop = loop_of(strength, _Leg(task, way, strength, [folder]), way.epochs)
        if checkpoint.load(folder, loop.snapshot.state) is not None:
            return loop, way
    return loop_of(strengths[0], _Leg(task, Way(), strengths[0]), 0), Way()


def _expect_tracing() -> None:
    """TensorFlow warns where a function is compiled again and again; here each point has one of its own."""
    logging.getLogger("tensorflow").addFilter(_no_tracing)


def _no_tracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in str(record.msg)


def _needs_validation(loop: Loop) -> None:
    if loop.name != "validation":
        raise DataError(
            "A regularisation path needs a validation set, which alone may choose its strength. Give the "
            "split a "
            "validation part, or leave path and strengths out."
        )


def _validation_loss(loop: Loop, weights: Weights) -> float:
    predictions, _ = loop.program.predict(*weights, loop.monitored)
    return loop.program.loss_of(predictions, loop.monitored)


class _Leg:
    """The task as one point's loop sees it: rows tell the strength, checkpoints the way so far."""

    def __init__(self, task: Any, way: Way, strength: float, checkpoints: list[Path] | None = None):
        self._task, self._way, self._strength = task, way, strength
        self.checkpoints = checkpoints or []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def log(self, step: int, **numbers: float) -> None:
        self._task.log(step, strength=self._strength, **numbers)

    @contextlib.contextmanager
    def save_checkpoint(self, step: int) -> Iterator[Path]:
        with self._task.save_checkpoint(step) as folder:
            _save(folder, self._way)
            yield folder


def _save(folder: Path, way: Way) -> None:
    (folder / "path.json").write_text(json.dumps([asdict(point) for point in way.points]))
    arrays = {}
    if way.best is not None:
        arrays = {"weights": way.best[0].numpy()}
        arrays |= {f"other_{index:03}": one.numpy() for index, one in enumerate(way.best[1])}
    np.savez(folder / "path.npz", **arrays)


def _load(folder: Path) -> Way | None:
    try:
        told = json.loads((folder / "path.json").read_text())
        points = tuple(Point(**{**point, "progress": Progress(**point["progress"])}) for point in told)
        with np.load(folder / "path.npz", allow_pickle=False) as arrays:
            other = tuple(tf.constant(arrays[name]) for name in sorted(arrays.files) if name != "weights")
            best = (tf.constant(arrays["weights"]), other) if points else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return Way(points, best)
