"""Repetitions of one run as one model: the mean of their predictions, scored.

Uses only NumPy, and reads `predictions.npz`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurofit import scores, unpacked
from neurofit.errors import StoreError, UsageError
from neurofit.models.fitting import scoring
from neurofit.models.ready_made import SCORES

SAME = {
    "image_id": "images",
    "part": "parts",
    "recording": "neurons",
    "number": "neurons",
    "responses": "responses",
    "mask": "masks",
}
WANTED = (*SCORES, "explained_variance")


@dataclass(frozen=True)
class Ensemble:
    """The mean prediction of several repetitions, and its scores.

    Parameters
    ----------
    members : int
        Number of repetitions.
    metrics : mapping of str to float
        "part/score" of the mean prediction, on validation and test set, as a task has them.
    alone : mapping of str to float
        The same names: mean over the repetitions of each repetition's own score.
    per_neuron : mapping of str to ndarray, shape (neuron,)
        "part/score" of each neuron; nan for a neuron that cannot be scored.
    predictions : ndarray, shape (image, neuron)
        The mean prediction.
    image_id : ndarray, shape (image,)
    part : ndarray of str, shape (image,)
        "validation" or "test".
    """

    members: int
    metrics: Mapping[str, float]
    alone: Mapping[str, float]
    per_neuron: Mapping[str, np.ndarray] = field(repr=False)
    predictions: np.ndarray = field(repr=False)
    image_id: np.ndarray = field(repr=False)
    part: np.ndarray = field(repr=False)


def ensemble(folders: Sequence[Path]) -> Ensemble:
    """The ensemble of several repetitions.

    Parameters
    ----------
    folders : sequence of Path
        Folders of finished attempts of `Fit`.

    Returns
    -------
    Ensemble

    Raises
    ------
    UsageError
        If there are fewer than two, or they were split or scaled differently, so that one was trained on what
        another is tested on.
    StoreError
        If a `predictions.npz` is missing or damaged.
    DataError
        If no neuron of the test set can be scored.
    """
    if len(folders) < 2:
        raise UsageError(f"An ensemble needs at least two repetitions, got {len(folders)}.")
    saved = [_read(Path(folder) / "predictions.npz") for folder in folders]
    for folder, one in zip(folders[1:], saved[1:]):
        _check_same(folders[0], saved[0], folder, one)
    first = saved[0]
    mean = np.stack([one["predictions"] for one in saved]).mean(axis=0, dtype=np.float64)
    summaries = _scored(mean, first)
    each = [_scored(one["predictions"], first) for one in saved]
    return Ensemble(
        members=len(saved),
        metrics={name: one.value for name, one in summaries.items()},
        alone={name: float(np.mean([found[name].value for found in each])) for name in summaries},
        per_neuron={name: one.per_neuron for name, one in summaries.items()},
        predictions=mean,
        image_id=first["image_id"],
        part=first["part"],
    )


@dataclass(frozen=True)
class _Part:
    """The fields of a `Dataset` that scores need."""

    responses: np.ndarray
    valid: np.ndarray
    trials: np.ndarray | None

    @property
    def mask(self) -> np.ndarray:
        return self.valid


def _scored(predictions: np.ndarray, saved: Mapping[str, np.ndarray]) -> dict[str, scores.Summary]:
    found: dict[str, scores.Summary] = {}
    wanted: tuple[str, ...] = WANTED
    if "training_mean" not in saved:  # by an earlier version
        wanted = tuple(name for name in WANTED if name not in scoring.AGAINST_TRAIN)
    means = saved.get("training_mean", np.zeros(predictions.shape[1]))
    for name in dict.fromkeys(saved["part"].tolist()):
        rows = saved["part"] == name
        trials = saved["trials"][rows] if "trials" in saved else None
        part = _Part(saved["responses"][rows], saved["mask"][rows], trials)
        found |= scoring.against_responses(name, part, predictions[rows], wanted, means)
        if name == "test":
            found |= scoring.against_trials(part, predictions[rows], wanted)
    return found


def _check_same(
    folder: Path, one: Mapping[str, np.ndarray], other_folder: Path, other: Mapping[str, np.ndarray]
) -> None:
    for name, called in SAME.items():
        if not _equal(one[name], other[name]):
            raise UsageError(
                f"{folder} and {other_folder} have different {called}: they were split or scaled "
                "differently, and the mean of their predictions would be tested on what some of them "
                "trained on. Average repetitions of one split (an experiment without split_by)."
            )


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" == other.dtype.kind)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(unpacked.located(path), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        missing = {"predictions", *SAME} - found.keys()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: missing or damaged ({error}).") from error
    if missing:
        raise StoreError(f"{path}: damaged; it lacks {', '.join(sorted(missing))}.")
    return found
