"""A regularisation path: trainings with ever stronger penalties, each from the previous weights.

In addition to the files of the current training (`training_loop.checkpoint`), a checkpoint has `path.json`,
the points that are done, and `path.npz`, the weights of the best of them.
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
from neurofit.models.training_loop.checkpoint import Progress
from neurofit.models.training_loop.loop import Loop

Weights = tuple[tf.Tensor, tuple[tf.Tensor, ...]]  # those that were trained, and the other variables


@dataclass(frozen=True)
class Point:
    """One training of a path: its penalty, the validation loss of its weights, and how it ended."""

    strength: float
    loss: float
    reason: str
    progress: Progress


@dataclass(frozen=True)
class PathState:
    """The points that are done, and the weights of the best one."""

    points: tuple[Point, ...] = ()
    best: Weights | None = None

    @property
    def chosen(self) -> Point:
        """The point with the lowest validation loss; of equals, the one with the weakest penalty."""
        return min(self.points, key=lambda point: point.loss)

    @property
    def best_weights(self) -> Weights:
        """The weights of the chosen point; there must be one."""
        assert self.best is not None, "no point is done"
        return self.best

    @property
    def epochs(self) -> int:
        """Number of epochs of all points together."""
        return sum(point.progress.epoch for point in self.points)

    def after(self, point: Point, weights: Weights) -> PathState:
        """The state after one more point."""
        longer = replace(self, points=(*self.points, point))
        return replace(longer, best=weights) if longer.chosen is point else longer


def train_path(
    loop_of: Callable[[float, Any, int], Loop], task: Any, strengths: tuple[float, ...]
) -> tuple[Loop, PathState]:
    """Train all points, from a checkpoint or from the first point.

    Parameters
    ----------
    loop_of : callable
        (strength, task, epochs before it) → the loop of a new model.
    task : Task
    strengths : tuple of float
        Ascending.

    Returns
    -------
    Loop, PathState
        The loop of the last point, whose model has the best weights; and the state of the path.

    Raises
    ------
    DataError
        If there is no validation set to choose by.
    """
    _silence_retracing_warning()
    loop, path = _resumed_or_first(loop_of, task, strengths)
    _check_validation(loop)
    while True:
        reason, weights = loop.run(), loop.kept_weights()
        strength = strengths[len(path.points)]
        point = Point(strength, _validation_loss(loop, weights), reason, loop.snapshot.progress)
        path = path.after(point, weights)
        if len(path.points) == len(strengths):
            loop.program.install(*path.best_weights)
            return loop, path
        strength = strengths[len(path.points)]
        loop = loop_of(strength, _PointTask(task, path, strength), path.epochs)
        loop.begin(*weights)


def check_same_shapes(argument: str, weakest: Any, strongest: Any) -> None:
    """Raise UsageError unless the weights of one Keras model fit into the other."""
    shapes = [[tuple(one.shape) for one in model.trainable_variables] for model in (weakest, strongest)]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"path={argument!r}: models with its first and last value differ in their weights' shapes, so "
            "that none can start from the other. A path goes along the strength of a penalty; make this an "
            "axis of the grid."
        )


def _resumed_or_first(
    loop_of: Callable[..., Loop], task: Any, strengths: tuple[float, ...]
) -> tuple[Loop, PathState]:
    """The loop to continue with, and the path before it: of the newest intact checkpoint or the start."""
    for folder in task.checkpoints:
        path = _load(folder)
        if path is None or len(path.points) >= len(strengths):
            continue
        strength = strengths[len(path.points)]
        loop = loop_of(strength, _PointTask(task, path, strength, [folder]), path.epochs)
        if checkpoint.load(folder, loop.snapshot.state) is not None:
            return loop, path
    return loop_of(strengths[0], _PointTask(task, PathState(), strengths[0]), 0), PathState()


def _silence_retracing_warning() -> None:
    """Suppress TensorFlow's warning about functions that are compiled repeatedly: each point has its own."""
    logging.getLogger("tensorflow").addFilter(_no_tracing)


def _no_tracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in str(record.msg)


def _check_validation(loop: Loop) -> None:
    if loop.name != "validation":
        raise DataError(
            "A regularisation path needs a validation set, which alone may choose its strength. Give the "
            "split a validation part, or leave path and strengths out."
        )


def _validation_loss(loop: Loop, weights: Weights) -> float:
    assert loop.monitored is not None, "checked by _check_validation"
    predictions, _ = loop.program.predict(*weights, loop.monitored)
    return loop.program.loss_of(predictions, loop.monitored)


class _PointTask:
    """The task as the loop of one point sees it: rows record the strength, checkpoints the path so far."""

    def __init__(self, task: Any, path: PathState, strength: float, checkpoints: list[Path] | None = None):
        self._task, self._path, self._strength = task, path, strength
        self.checkpoints = checkpoints or []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def log(self, step: int, **numbers: float) -> None:
        self._task.log(step, strength=self._strength, **numbers)

    def should_prune(self) -> bool:
        """False: the points of a path cannot be compared with those of another at the same step."""
        return False

    @contextlib.contextmanager
    def save_checkpoint(self, step: int) -> Iterator[Path]:
        with self._task.save_checkpoint(step) as folder:
            _save(folder, self._path)
            yield folder


def _save(folder: Path, path: PathState) -> None:
    (folder / "path.json").write_text(json.dumps([asdict(point) for point in path.points]))
    arrays = {}
    if path.best is not None:
        arrays = {"weights": path.best[0].numpy()}
        arrays |= {f"other_{index:03}": one.numpy() for index, one in enumerate(path.best[1])}
    np.savez(folder / "path.npz", **arrays)


def _load(folder: Path) -> PathState | None:
    try:
        records = json.loads((folder / "path.json").read_text())
        points = tuple(Point(**{**point, "progress": Progress(**point["progress"])}) for point in records)
        with np.load(folder / "path.npz", allow_pickle=False) as arrays:
            other = tuple(tf.constant(arrays[name]) for name in sorted(arrays.files) if name != "weights")
            best = (tf.constant(arrays["weights"]), other) if points else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return PathState(points, best)
