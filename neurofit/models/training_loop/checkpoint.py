"""Where a training is: its progress, when it ends, and the files of a checkpoint.

A checkpoint has `state.npz` with every array and `progress.json` with every number; that of a group of repetitions has
`group.npz` and `group.json` instead. No pickles.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from neurofit.models.training import Training
from neurofit.models.training_loop.program import State

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)  # a damaged checkpoint


class Verdict(Enum):
    """What to do after a validation. DECAY returns to the best weights, with a lower learning rate."""

    BETTER = "better"
    WAIT = "wait"
    DECAY = "decay"
    STOP = "stop"


@dataclass(frozen=True)
class Progress:
    """How far a training is. `waited` counts epochs since the best one, or since the last decay."""

    learning_rate: float
    decays_left: int
    epoch: int = 0
    best_epoch: int | None = None
    best_loss: float | None = None
    waited: int = 0

    @classmethod
    def start(cls, training: Training) -> Progress:
        """The progress before the first epoch."""
        return cls(learning_rate=training.learning_rate, decays_left=training.decays)

    def scheduled(self, training: Training) -> Progress:
        """This progress with the learning rate of the next epoch."""
        if training.decay_every is None:
            return self
        steps = self.epoch // training.decay_every
        return replace(self, learning_rate=training.learning_rate * training.decay**steps)

    def after(self, loss: float, training: Training, passed: int) -> tuple[Progress, Verdict]:
        """The progress after a validation, `passed` epochs after the previous one; and what to do."""
        if self.best_loss is None or loss < self.best_loss - training.min_delta:
            return replace(self, best_epoch=self.epoch, best_loss=loss, waited=0), Verdict.BETTER
        waited = self.waited + passed
        if training.patience is None or waited < training.patience:
            return replace(self, waited=waited), Verdict.WAIT
        if not self.decays_left:
            return replace(self, waited=waited), Verdict.STOP
        smaller = self.learning_rate * training.decay
        return replace(self, waited=0, decays_left=self.decays_left - 1, learning_rate=smaller), Verdict.DECAY


@dataclass(frozen=True)
class Snapshot:
    """Where a training is: its state and progress, and the best weights so far with their other variables."""

    state: State
    progress: Progress
    best: tuple[tf.Tensor, tuple[tf.Tensor, ...]] | None = None


def save(folder: Path, snapshot: Snapshot) -> None:
    """Write the snapshot into this folder."""
    _write(folder / "state.npz", _arrays(snapshot))
    (folder / "progress.json").write_text(json.dumps(asdict(snapshot.progress)))


def load(folder: Path, like: State) -> Snapshot | None:
    """What `save` wrote, or None if it is damaged or has other weights than `like`."""
    try:
        progress = Progress(**json.loads((folder / "progress.json").read_text()))
        with np.load(folder / "state.npz", allow_pickle=False) as arrays:
            return _snapshot(arrays, progress, like)
    except UNREADABLE:
        return None


@dataclass(frozen=True)
class Member:
    """Where the training of one repetition of a group is.

    Parameters
    ----------
    snapshot : Snapshot
    reason : str or None
        Why its training ended, None if it goes on.
    error : str or None
        Why it failed.
    """

    snapshot: Snapshot
    reason: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class GroupSnapshot:
    """Where the training of a group of repetitions is.

    Parameters
    ----------
    members : tuple of Member
    batches : tuple of tuple of int
        The members that a vectorised program trains at once.
    why_in_turn : str
        Why they are trained in turn instead; empty if they are not.
    absent : tuple of int
        The members that could not start.
    """

    members: tuple[Member, ...]
    batches: tuple[tuple[int, ...], ...] = ()
    why_in_turn: str = ""
    absent: tuple[int, ...] = ()


GROUP = ("group.npz", "group.json")


def save_group(folder: Path, group: GroupSnapshot) -> None:
    """Write the snapshot of a group into this folder: arrays have the member's number in front of their names."""
    arrays: dict[str, np.ndarray] = {}
    records = []
    for number, member in enumerate(group.members):
        named = _arrays(member.snapshot)
        arrays |= {f"{number:04}.{name}": array for name, array in named.items()}
        progress = asdict(member.snapshot.progress)
        records.append({"progress": progress, "reason": member.reason, "error": member.error})
    numbers, record = (folder / name for name in GROUP)
    _write(numbers, arrays)
    how = {"batches": group.batches, "why_in_turn": group.why_in_turn, "absent": group.absent}
    record.write_text(json.dumps({"members": records, **how}))


def load_group(folder: Path, like: Sequence[State]) -> GroupSnapshot | None:
    """What `save_group` wrote, or None if it is damaged or of another group than `like`."""
    numbers, record = (folder / name for name in GROUP)
    try:
        saved = json.loads(record.read_text())
        members = []
        with np.load(numbers, allow_pickle=False) as arrays:
            for number, (one, state) in enumerate(zip(saved["members"], like, strict=True)):
                start = f"{number:04}."
                own = {name[len(start) :]: arrays[name] for name in arrays.files if name.startswith(start)}
                snapshot = _snapshot(own, Progress(**one["progress"]), state)
                members.append(Member(snapshot, one["reason"], one["error"]))
        batches = tuple(tuple(int(number) for number in batch) for batch in saved["batches"])
        return GroupSnapshot(tuple(members), batches, str(saved["why_in_turn"]), tuple(saved["absent"]))
    except UNREADABLE:
        return None


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    names: dict[str, Any] = dict(arrays)  # NumPy's own arguments have other names
    np.savez(path, **names)


def _arrays(snapshot: Snapshot) -> dict[str, np.ndarray]:
    state = snapshot.state
    arrays = {"weights": state.weights, "step": state.step}
    arrays |= _numbered("moment", state.moments) | _numbered("other", state.other)
    if snapshot.best is not None:
        arrays |= {"best_weights": snapshot.best[0]} | _numbered("best_other", snapshot.best[1])
    return {name: array.numpy() for name, array in arrays.items()}


def _snapshot(arrays: Mapping[str, np.ndarray], progress: Progress, like: State) -> Snapshot:
    state = State(
        _checked(arrays["weights"], like.weights),
        _listed(arrays, "moment", like.moments),
        _checked(arrays["step"], like.step),
        _listed(arrays, "other", like.other),
    )
    best = None
    if "best_weights" in arrays:
        best = (
            _checked(arrays["best_weights"], like.weights),
            _listed(arrays, "best_other", like.other),
        )
    return Snapshot(state, progress, best)


def _numbered(name: str, tensors: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
    return {f"{name}_{index:03}": tensor for index, tensor in enumerate(tensors)}


def _listed(
    arrays: Mapping[str, np.ndarray], name: str, like: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    return tuple(_checked(arrays[f"{name}_{index:03}"], one) for index, one in enumerate(like))


def _checked(array: np.ndarray, like: tf.Tensor) -> tf.Tensor:
    if array.shape != tuple(like.shape) or array.dtype != like.dtype.as_numpy_dtype:
        raise ValueError(f"{array.dtype}{array.shape} is not {like.dtype}{like.shape}")
    return tf.constant(array)
