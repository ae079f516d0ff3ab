"""The loop around compiled epochs: validate, keep the best weights, save checkpoints, and stop when asked to.

The order of the images in an epoch depends only on the seed and the epoch, so a resumed training has the same
batches.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from neurofit import scores
from neurofit.errors import DataError, Diverged
from neurofit.models.data import Arrays
from neurofit.models.training_loop import checkpoint
from neurofit.models.training_loop.checkpoint import Progress, Snapshot, Verdict
from neurofit.models.training_loop.program import Program, State

EVENTS = "events.out.tfevents*"  # files for TensorBoard
PRUNED = "pruned"  # why a training ended early that is a trial of a search
SECONDS_PER_CALL = 1.0  # of compiled epochs: how long a request to stop may wait
ABOVE_ZERO = dict.fromkeys(
    ("poisson", "gamma"),
    ", and whether the last layer keeps predictions above 0, of which this loss takes the logarithm: "
    "softplus does, linear does not",
)

log = logging.getLogger(__name__)


@dataclass
class Loop:
    """One training of one task.

    Parameters
    ----------
    program : Program
    task : Task
    monitored : Arrays, optional
        The part that is validated on; None if there is none.
    name : str, default ""
        Name of that part in the history.
    recordings : ndarray of int, shape (image,), optional
        The recording of each training image, if recordings take turns.
    first : int, default 0
        Epochs before this training: rows, events and checkpoints count from there.
    clock : callable
        Returns seconds.

    Raises
    ------
    DataError
        If there is a patience but no validation set.
    """

    program: Program
    task: Any
    monitored: Arrays | None = None
    name: str = ""
    recordings: np.ndarray | None = None
    first: int = 0
    clock: Any = time.monotonic
    silent: bool = False  # of a repetition that is trained with others and not kept: no events
    # Seconds per epoch in the last call, if nothing was compiled in it
    pace: float | None = field(default=None, init=False)
    # predictions for the monitored part, penalties and loss, if they were computed for several repetitions at once
    seen: tuple[np.ndarray, float, float] | None = field(default=None, init=False)
    _traced: bool = field(default=False, init=False)
    _last_seen: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.training = self.program.training
        if self.training.patience is not None and self.name != "validation":
            reason = "the test set would choose the weights" if self.name else "there is none"
            raise DataError(
                f"patience={self.training.patience} needs a validation set, and {reason}. "
                "Give the split a validation part, or leave patience out."
            )
        if self.monitored is not None:
            self.program.hold(self.monitored)
        self.snapshot = Snapshot(self.program.start(), Progress.start(self.training))

    def begin(self, weights: tf.Tensor, other: tuple[tf.Tensor, ...]) -> None:
        """Start from these weights and other variables instead of the model's own."""
        self.snapshot = replace(self.snapshot, state=self.program.fresh(weights, other))

    def run(self) -> str:
        """Train to the end and put the weights to keep into the model.

        Returns
        -------
        {"epochs", "patience", "converged", "pruned"}
            Why training ended.
        """
        self.task.keep(EVENTS)
        self._resume()
        self.open()
        self._saved = self.clock()
        reason = self._until_done()
        self.scalars.close()
        self.program.install(*self.kept_weights())
        return reason

    def open(self) -> None:
        """Open the file of events, which continues those of earlier attempts."""
        self.scalars: Scalars | NoScalars = NoScalars() if self.silent else Scalars(self.task.folder)

    def kept_weights(self) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """The weights to keep, and the other variables: the best if there is a patience, else the last."""
        state, best = self.snapshot.state, self.snapshot.best
        return best if best is not None else (state.weights, state.other)

    def _until_done(self) -> str:
        while self.snapshot.progress.epoch < self.training.epochs:
            reason = self.judged(*self.train(self.how_many()))
            if reason is not None:
                return reason
            self._checkpoint()
        return "epochs"

    def judged(self, cost: float, penalised: float) -> str | None:
        """Validate if that is due, after the epochs whose last losses are given; why training ends, if it does."""
        epoch = self.snapshot.progress.epoch
        due = self.is_due(epoch) or self.program.converged
        if due and self._validate(cost, penalised) is Verdict.STOP:
            return "patience"
        if self.program.converged:
            return "converged"
        if due and epoch < self.training.epochs and self.task.should_prune():
            return PRUNED
        return None

    def is_due(self, epoch: int) -> bool:
        """Whether the model is validated after this epoch."""
        return epoch % self.training.validate_every == 0 or epoch == self.training.epochs

    def train(self, count: int) -> tuple[float, float]:
        """Train `count` epochs in one call; returns the losses of the last one."""
        orders, rate = self.next_epochs(count)
        started = self.clock()
        state, cost, penalised = self.program.epochs(self.snapshot.state, orders, rate)
        self.pace = (self.clock() - started) / len(cost) if self._traced else None
        self._traced = True
        return self.took(state, cost, penalised)

    def next_epochs(self, count: int) -> tuple[np.ndarray, float]:
        """The orders of the images in the next epochs, (epoch, image), and their learning rate."""
        progress = self.snapshot.progress.scheduled(self.training)
        self.snapshot = replace(self.snapshot, progress=progress)
        return self._orders(self.task.seeds.shuffle, progress.epoch, count), progress.learning_rate

    def took(self, state: State, cost: np.ndarray, penalised: np.ndarray) -> tuple[float, float]:
        """Go on from this state, after epochs with these losses, (epoch,); returns those of the last one.

        Raises
        ------
        Diverged
            A loss is not a number.
        """
        progress = self.snapshot.progress
        if not np.isfinite(penalised).all():
            self._diverged(progress.epoch + 1 + int(np.argmin(np.isfinite(penalised))), "training")
        self.snapshot = replace(
            self.snapshot, state=state, progress=replace(progress, epoch=progress.epoch + len(cost))
        )
        return float(cost[-1]), float(penalised[-1])

    def _orders(self, seed: int, first: int, count: int) -> np.ndarray:
        if self.recordings is None:
            return orders(seed, first, count, self.program.n_images)
        return orders_in_turn(seed, first, count, self.recordings, self.training.batch_size)

    def how_many(self, share: float = 1.0) -> int:
        """Epochs that take about this part of a second; never beyond the next validation or decay.

        Results do not depend on this number.
        """
        epoch, every = self.snapshot.progress.epoch, self.training.validate_every
        left = min(every - epoch % every, self.training.epochs - epoch)
        if self.training.decay_every is not None:
            left = min(left, self.training.decay_every - epoch % self.training.decay_every)
        if self.program.whole_rounds:
            return left
        return min(left, max(1, int(SECONDS_PER_CALL * share / self.pace))) if self.pace else 1

    def last_seen(self) -> dict[str, float]:
        """What the last validation found on the monitored part, as in the history."""
        return {name: value for name, value in self._last_seen.items() if name.startswith(f"{self.name}/")}

    def _validate(self, cost: float, penalised: float) -> Verdict:
        """Record the losses, and decide what to do."""
        progress = self.snapshot.progress
        numbers = {"train/loss": cost, "train/penalised_loss": penalised}
        numbers |= {f"train/{key}": value for key, value in self.program.label_in_training().items()}
        verdict = Verdict.WAIT
        if self.monitored is not None:
            seen = self._monitor(self.monitored)
            numbers |= {f"{self.name}/{key}": value for key, value in seen.items()}
            verdict = self._decide(seen["loss"])
        numbers["learning_rate"] = progress.learning_rate
        self._last_seen = numbers
        self.task.log(self.first + progress.epoch, **numbers)
        self.scalars.write(self.first + progress.epoch, numbers)
        return verdict

    def _monitor(self, part: Arrays) -> dict[str, float]:
        state = self.snapshot.state
        seen_already, self.seen = self.seen, None
        if seen_already is None:
            predictions, logits, penalty = self.program.predict_both(state.weights, state.other, part)
            loss = self.program.loss_of(predictions, part)
        else:
            logits, predictions, penalty, loss = None, *seen_already
        if not np.isfinite(loss):
            self._diverged(self.snapshot.progress.epoch, self.name)
        label = self.program.label_scores(logits, part)
        seen = {"loss": loss, "penalised_loss": loss + penalty + self.program.weighted(label)}
        try:
            mask = None if part.mask is None else part.mask > 0
            seen["correlation"] = scores.population(
                scores.correlation, part.responses, predictions, mask
            ).value
        except DataError:  # no neuron's responses vary on this part: there is a loss but no correlation
            pass
        return seen | label

    def _decide(self, loss: float) -> Verdict:
        if self.training.patience is None:
            return Verdict.WAIT
        state, progress = self.snapshot.state, self.snapshot.progress
        every = self.training.validate_every
        passed = progress.epoch % every or every
        progress, verdict = progress.after(loss, self.training, passed)
        self.snapshot = replace(self.snapshot, progress=progress)
        if verdict is Verdict.BETTER:
            self.snapshot = replace(self.snapshot, best=(state.weights, state.other))
        if verdict is Verdict.DECAY:  # moments belong to where the weights were, so they start again as well
            weights, other = self.kept_weights()
            self.snapshot = replace(self.snapshot, state=self.program.fresh(weights, other))
        return verdict

    def _checkpoint(self) -> None:
        epoch = self.snapshot.progress.epoch
        stop = self.task.should_stop() and epoch < self.training.epochs
        if stop or self.clock() - self._saved >= 60 * self.training.checkpoint_minutes:
            self.scalars.flush()
            with self.task.save_checkpoint(self.first + epoch) as folder:
                checkpoint.save(folder, self.snapshot)
            self._saved = self.clock()
        if stop:
            self.scalars.close()
            self.task.stop(self.first + epoch)

    def _resume(self) -> None:
        for folder in self.task.checkpoints:
            snapshot = checkpoint.load(folder, self.snapshot.state)
            if snapshot is None:
                log.warning("Checkpoint %s is damaged, or of another model: skipped.", folder)
                continue
            self.task.resume(folder)
            self.snapshot = snapshot
            return

    def _diverged(self, epoch: int, part: str) -> None:
        rate = self.snapshot.progress.learning_rate
        raise Diverged(
            f"Training diverged: the {part} loss is no longer a number in epoch {epoch} (learning rate "
            f"{rate:g}). Try a lower learning_rate, such as {rate / 10:g}, and check whether inputs and "
            f"responses are scaled sensibly{ABOVE_ZERO.get(self.training.loss, '')}."
        )


def orders(seed: int, first: int, count: int, n_images: int) -> np.ndarray:
    """The order of the images in the epochs first … first + count − 1, counted from 0.

    Returns
    -------
    ndarray of int32, shape (epoch, image)
    """
    rows = [
        np.random.default_rng((seed, epoch)).permutation(n_images) for epoch in range(first, first + count)
    ]
    return np.asarray(rows, np.int32)


def orders_in_turn(seed: int, first: int, count: int, recordings: np.ndarray, batch_size: int) -> np.ndarray:
    """Batches of one recording each, in rotation, until the longest recording is complete.

    Parameters
    ----------
    seed, first, count : int
        As for `orders`.
    recordings : ndarray of int, shape (image,)
        The recording of each image. A shorter recording starts again in another order; its last batch is
        filled up from there, so that every batch is full.
    batch_size : int

    Returns
    -------
    ndarray of int32, shape (epoch, row)
    """
    places = [np.flatnonzero(recordings == number) for number in np.unique(recordings)]
    turns = max(-(-len(one) // batch_size) for one in places)
    rows = []
    for epoch in range(first, first + count):
        random = np.random.default_rng((seed, epoch))
        batches = [_filled(random, one, turns * batch_size).reshape(turns, batch_size) for one in places]
        rows.append(np.stack(batches, axis=1).ravel())
    return np.asarray(rows, np.int32)


def _filled(random: np.random.Generator, images: np.ndarray, length: int) -> np.ndarray:
    """Successive shuffles of the images, cut to this length."""
    return np.concatenate([random.permutation(images) for _ in range(-(-length // len(images)))])[:length]


class Scalars:
    """An event file for TensorBoard in the task's folder; its first record is the version of the format.

    Records are written directly, without the thread of TensorFlow's own writer.
    """

    def __init__(self, folder: Path):
        now = time.time()
        earlier = len(list(folder.glob(EVENTS)))  # copied from earlier attempts
        path = folder / f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{earlier}"
        self._file = tf.io.TFRecordWriter(str(path))
        self._add(tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2"))

    def write(self, epoch: int, numbers: Mapping[str, float]) -> None:
        values = [tf.compat.v1.Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._add(
            tf.compat.v1.Event(wall_time=time.time(), step=epoch, summary=tf.compat.v1.Summary(value=values))
        )

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _add(self, event: Any) -> None:
        self._file.write(event.SerializeToString())


class NoScalars:
    """In place of `Scalars`, for a repetition of which nothing is kept."""

    def write(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Write nothing."""

    def flush(self) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Write nothing."""
