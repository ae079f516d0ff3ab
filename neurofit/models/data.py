"""The data that a task is trained on: the data set, its parts, and their arrays for the training loop."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofit import datasets
from neurofit.datasets.catalogue import files as files_of
from neurofit.datasets.disk_images import DiskImages
from neurofit.errors import DataError
from neurofit.models.labels import Classes
from neurofit.models.ready_made import ComputesInputs, name_of

_REMEMBERED: dict[tuple[Any, ...], Any] = {}
ON_DISK_ABOVE = 10**9  # bytes of images in memory: larger ones are trained on from disk, if they can be
_AT_MOST = 8  # data sets kept in memory: the first ones that were requested


@dataclass(frozen=True)
class Arrays:
    """Arrays of one part.

    Parameters
    ----------
    inputs : dict of str to ndarray or DiskImages, shape (image, …)
    responses : ndarray, shape (image, neuron)
        0 where missing.
    mask : ndarray, shape (image, neuron), or None
        1 where a response counts; None if every response counts.
    labels : ndarray of int, shape (image,), optional
        Class of each image, for co-training; -1 without one.
    """

    inputs: dict[str, np.ndarray | DiskImages]
    responses: np.ndarray
    mask: np.ndarray | None
    labels: np.ndarray | None = None

    @property
    def n_images(self) -> int:
        return len(self.responses)


@dataclass(frozen=True)
class PreparedData:
    """A data set as loaded, its standardised parts, and how they were made.

    Parameters
    ----------
    dataset : datasets.Dataset
    parts : datasets.Parts
    normalisation : dict
        The numbers that the parts were scaled with.
    split : datasets.Split
    split_seed : int
    name : str or None
        By which the data set was loaded; None if a function made it.
    classes : Classes or None
        Of the label, for co-training.
    """

    dataset: datasets.Dataset
    parts: datasets.Parts
    normalisation: dict[str, Any]
    split: datasets.Split
    split_seed: int
    name: str | None = None
    classes: Classes | None = None


def prepared(
    source: str | Callable[..., Any],
    arguments: Mapping[str, Any],
    defaults: Mapping[str, Any],
    task: Any,
    *,
    with_images: bool = True,
    on_disk_above: int | None = None,
) -> PreparedData:
    """The data set of a task: loaded, split by the task's seed or fold, and standardised.

    Without images, its only input is "row", see `datasets.load_responses`; the source must then be a name.
    `on_disk_above` is that of `datasets.load`.
    """
    arguments = {**defaults, **arguments}
    split, scaling = as_split(arguments.pop("split")), arguments.pop("standardise")
    dataset = load(source, arguments, task.study, with_images=with_images, on_disk_above=on_disk_above)
    computed = isinstance(source, ComputesInputs)
    name = arguments.get("data") if computed else _named(source, arguments, task.study)
    if isinstance(name, str):
        for path in files_of(name, Path(task.study) / "data"):
            task.uses(path)
    fold = {"fold": task.repetition, "folds": task.repetitions} if task.split_by == "fold" else {}
    seed = split_seed(split, task)
    parts = datasets.split(dataset, split, seed, **fold)
    scaling = {"inputs": scaling} if isinstance(scaling, str) else dict(scaling)
    parts, record = datasets.standardise(parts, **scaling)
    return PreparedData(dataset, parts, record, split, seed, name if isinstance(name, str) else None)


def split_seed(split: datasets.Split, task: Any) -> int:
    """The task's seed of the split; 0, 1, 2, … for a split that ignores groups, as published ones have."""
    seed: int = task.seeds.split
    if split.ignore_groups:
        seed = task.repetition if task.split_by == "repetition" else 0
    return seed


def warn(task: Any, message: str) -> None:
    """Record a warning in the outcome, once; tables of results show it."""
    known = task.facts.get("warnings", [])
    task.record(warnings=known if message in known else [*known, message])


def record_split(parts: datasets.Parts, task: Any) -> None:
    """Record the number of images in each part, which intervals over resampled splits need.

    Warns if copies of test images are in the training set, or a part has more images than the split asks for.
    """
    task.record(images={name: part.n_images for name, part in parts.items()})
    if parts.leaked:
        warn(
            task,
            "The split ignores groups (ignore_groups): test images have copies in the training set, "
            "which raises scores.",
        )
    if parts.overshot:
        which = f"{' and '.join(parts.overshot)} {'sets have' if len(parts.overshot) > 1 else 'set has'}"
        remedy = "Split(rule='exact') meets the sizes, but changes the splits."
        warn(task, f"The {which} more images than the split asks for: {remedy}")


def load(
    source: str | Callable[..., Any],
    arguments: Mapping[str, Any],
    study: Path,
    *,
    with_images: bool = True,
    on_disk_above: int | None = None,
) -> datasets.Dataset:
    """The data set. It is read once per process; forked tasks share what `prepare` read.

    Raises
    ------
    DataError
        If the data cannot be read, or a function returned neither a name nor a `Dataset`.
    """
    given = _named(source, arguments, study)
    if isinstance(source, str) or isinstance(given, str):
        return _by_name(given, study, with_images, on_disk_above)
    if not with_images:
        raise DataError(
            f"{name_of(source)}() returned a {type(given).__name__}. Features of a network are those of a stimulus "
            "set: give the name of a data set that has one, such as 'majaj_2015', or a function that returns it."
        )
    if not isinstance(given, datasets.Dataset):
        raise DataError(
            f"{name_of(source)}() returned a {type(given).__name__}; expected a name or a neurofit Dataset."
        )
    return given


def _named(source: str | Callable[..., Any], arguments: Mapping[str, Any], study: Path) -> Any:
    """The name of the data set, or the `Dataset` that the user's function returned."""
    if isinstance(source, str):
        return arguments["data"]
    extra = {"study": study} if "study" in inspect.signature(source).parameters else {}
    key = (source, str(study), json.dumps(arguments, sort_keys=True, default=str))
    return _remembered(key, lambda: source(**arguments, **extra))


def arrays(part: datasets.Dataset, dtype: str = "float32", classes: Classes | None = None) -> Arrays:
    """Arrays of a part, of this dtype. Labels are None without classes, and the mask if every response counts.

    float32 images on disk stay there.
    """
    valid = part.valid
    responses = np.where(valid, part.responses, 0).astype(dtype)
    inputs: dict[str, np.ndarray | DiskImages] = {
        name: values if isinstance(values, DiskImages) and dtype == "float32" else np.asarray(values, dtype)
        for name, values in part.inputs.items()
    }
    labels = None if classes is None else classes.codes(part)
    return Arrays(inputs, responses, None if valid.all() else valid.astype(dtype), labels)


def turns(part: datasets.Dataset) -> np.ndarray | None:
    """The recording of each image's responses, for batches of one recording each.

    Returns
    -------
    ndarray of int, shape (image,), or None
        None if there is only one recording.

    Raises
    ------
    DataError
        If an image has responses of several recordings.
    """
    names, numbers = _recordings(part)
    if len(names) < 2:
        return None
    seen = np.stack([part.valid[:, numbers == number].any(axis=1) for number in range(len(names))], axis=1)
    if (seen.sum(axis=1) > 1).any():
        image = part.image_ids[np.argmax(seen.sum(axis=1) > 1)]
        raise DataError(
            f"turns='recording': image {image} has responses of several recordings ({', '.join(names)}), "
            "which are trained together anyway. Leave turns out."
        )
    recording: np.ndarray = seen.argmax(axis=1)
    return recording


def in_turn(part: datasets.Dataset) -> np.ndarray:
    """Whether an image is in the batches of a neuron's recording.

    Returns
    -------
    ndarray of bool, shape (image, neuron)

    Raises
    ------
    DataError
        As `turns`.
    """
    of_image = turns(part)
    if of_image is None:
        return np.ones(part.responses.shape, bool)
    same: np.ndarray = of_image[:, None] == _recordings(part)[1]
    return same


def _recordings(part: datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Names of the recordings, and the number of each neuron's recording, (neuron,)."""
    return np.unique(part.neurons["recording"].to_numpy().astype(str), return_inverse=True)


def as_split(split: Any) -> datasets.Split:
    """The split as a `Split`: None is the default, a dict has its fields.

    Raises
    ------
    DataError
        If it is neither a `Split` nor a dict of its fields.
    """
    if split is None:
        return datasets.Split()
    if isinstance(split, datasets.Split):
        return split
    try:
        return datasets.Split(**split)
    except TypeError as error:
        raise DataError(
            f"split={split!r}: expected a datasets.Split or a dict of its fields ({error})."
        ) from None


def _by_name(name: str, study: Path, with_images: bool, on_disk_above: int | None) -> datasets.Dataset:
    folder = Path(study) / "data"

    def read() -> datasets.Dataset:
        if with_images:
            return datasets.load(name, folder, on_disk_above=on_disk_above)
        return datasets.load_responses(name, folder)

    dataset: datasets.Dataset = _remembered((name, str(study), with_images, on_disk_above), read)
    return dataset


def _remembered(key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    if key in _REMEMBERED:
        return _REMEMBERED[key]
    made = make()
    if len(_REMEMBERED) < _AT_MOST:
        _REMEMBERED[key] = made
    return made
