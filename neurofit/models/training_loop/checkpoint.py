"""The files of a checkpoint: `state.npz` with every array, `progress.json` with every number. No pickles."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from neurofit.models.training_loop.early_stopping import Progress
from neurofit.models.training_loop.program import State


@dataclass(frozen=True)
class Snapshot:
    """Where a training is: its state and progress, and the best weights so far with their other variables."""

    state: State
    progress: Progress
    best: tuple[tf.Tensor, tuple[tf.Tensor, ...]] | None = None


def save(folder: Path, snapshot: Snapshot) -> None:
    """Write the snapshot into this folder."""
    state = snapshot.state
    arrays = {"weights": state.weights, "step": state.step}
    arrays |= _numbered("moment", state.moments) | _numbered("other", state.other)
    if snapshot.best is not None:
        arrays |= {"best_weights": snapshot.best[0]} | _numbered("best_other", snapshot.best[1])
    np.savez(folder / "state.npz", **{name: array.numpy() for name, array in arrays.items()})
    (folder / "progress.json").write_text(json.dumps(asdict(snapshot.progress)))


def load(folder: Path, like: State) -> Snapshot | None:
    """What `save` wrote, or None if it is damaged or has other weights than `like`."""
    try:
        progress = Progress(**json.loads((folder / "progress.json").read_text()))
        with np.load(folder / "state.npz", allow_pickle=False) as arrays:
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
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return Snapshot(state, progress, best)


def _numbered(name: str, tensors: tuple) -> dict:
    return {f"{name}_{index:03}": tensor for index, tensor in enumerate(tensors)}


def _listed(arrays, name: str, like: tuple) -> tuple:
    return tuple(_checked(arrays[f"{name}_{index:03}"], one) for index, one in enumerate(like))


def _checked(array: np.ndarray, like: tf.Tensor) -> tf.Tensor:
    if array.shape != tuple(like.shape) or array.dtype != like.dtype.as_numpy_dtype:
        raise ValueError(f"{array.dtype}{array.shape} is not {like.dtype}{like.shape}")
    return tf.constant(array)
