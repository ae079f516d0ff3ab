"""What a task is trained on: the data set, its parts, and their arrays as a training loop takes them."""

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
from neurofit.errors import DataError

_REMEMBERED: dict[tuple, Any] = {}
_AT_MOST = 8  # data sets kept in memory: the first ones that were asked for


@dataclass(frozen=True)
class Arrays:
    """One part: inputs {name:

    (image, …)}; responses (image, neuron), 0 where missing; mask (image, neuron) or None.
    """

    inputs: dict[str, np.ndarray]
    responses: np.ndarray
    mask: np.ndarray | None

    @property
    def n_images(self) -> int:
        return len(self.responses)


@dataclass(frozen=True)
class Material:
    """The data set as loaded, its standardised parts, the numbers used, and how and by which seed it was split."""

    dataset: datasets.Dataset
    parts: datasets.Parts
    normalisation: dict[str, Any]
    split: datasets.Split
    split_seed: int


def material(
    source: str | Callable, arguments: Mapping[str, Any], defaults: Mapping[str, Any], task: Any
) -> Material:
    """Loaded, split by the task's seed (or fold), and standardised."""
    arguments = {**defaults, **arguments}
    split, ways = as_split(arguments.pop("split")), arguments.pop("standardise")
    dataset = load(source, arguments, task.study)
    if isinstance(name := _named(source, arguments, task.study), str):
        for path in files_of(name, Path(task.study) / "data"):
            task.uses(path)
    fold = {"fold": task.repetition, "folds": task.repetitions} if task.split_by == "fold" else {}
    seed = split_seed(split, task)
    parts = datasets.split(dataset, split, seed, **fold)
    ways = {"inputs": ways} if isinstance(ways, str) else dict(ways)
    parts, record = datasets.standardise(parts, **ways)
    return Material(dataset, parts, record, split, seed)


def split_seed(split: datasets.Split, task: Any) -> int:
    """The task's; but what ignores groups repeats published splits, whose seeds are 0, 1, 2 …"""
    if not split.ignore_groups:
        return task.seeds.split
    return task.repetition if task.split_by == "repetition" else 0


def warn(task: Any, told: str) -> None:
    """In the outcome, once: results say so too."""
    known = task.facts.get("warnings", [])
    task.record(warnings=known if told in known else [*known, told])


def record_split(parts: datasets.Parts, task: Any) -> None:
    """Record the number of images of each part, which intervals over resampled splits need.

    It warns of copies of test images in training, and of parts that got more images than asked for.
    """
    task.record(images={name: part.n_images for name, part in parts.items()})
    if parts.leaked:
        warn(
            task,
            "The split ignores groups (ignore_groups): test images have copies that were trained on, which "
            "flatters.",
        )
    if parts.overshot:
        which = f"{' and '.join(parts.overshot)} {'sets have' if len(parts.overshot) > 1 else 'set has'}"
        remedy = "Split(rule='exact') meets the numbers, with other splits."
        warn(task, f"The {which} more images than the split asks for: {remedy}")


def load(source: str | Callable, arguments: Mapping[str, Any], study: Path) -> datasets.Dataset:
    """The data set, read once per process: forked tasks share what `prepare` read."""
    given = _named(source, arguments, study)
    if isinstance(given, str):
        return _by_name(given, study)
    if not isinstance(given, datasets.Dataset):
        raise DataError(
            f"{source.__name__}() gave a {type(given).__name__}; expected a name or a neurofit Dataset."
        )
    return given


def _named(source: str | Callable, arguments: Mapping[str, Any], study: Path) -> Any:
    """The name of the data set; or the data set itself, where a function gives that."""
    if isinstance(source, str):
        return arguments["data"]
    told = {"study": study} if "study" in inspect.signature(source).parameters else {}
    key = (source, str(study), json.dumps(arguments, sort_keys=True, default=str))
    return _remembered(key, lambda: source(**arguments, **told))


def arrays(part: datasets.Dataset, dtype: str = "float32") -> Arrays:
    """Of this dtype; the mask is None where every response counts."""
    valid = part.valid
    responses = np.where(valid, part.responses, 0).astype(dtype)
    inputs = {name: np.asarray(values, dtype) for name, values in part.inputs.items()}
    return Arrays(inputs, responses, None if valid.all() else valid.astype(dtype))


def turns(part: datasets.Dataset) -> np.ndarray | None:
    """The number of the recording that each image's responses belong to, (image,); None if there is only one.

    Raises
    ------
    DataError
        An image has responses of several recordings, so that recordings cannot take turns.
    """
    names, numbers = _recordings(part)
    if len(names) < 2:
        return None
    seen = np.stack([part.valid[:, numbers == number].any(axis=1) for number in range(len(names))], axis=1)
    if (seen.sum(axis=1) > 1).any():
        image = part.image_ids[np.argmax(seen.sum(axis=1) > 1)]
        raise DataError(
            f"turns='recording': image {image} has responses of several recordings ({', '.join(names)}), "
            "which are "
            "trained together anyway. Leave turns out."
        )
    return seen.argmax(axis=1)


def in_turn(part: datasets.Dataset) -> np.ndarray:
    """(image, neuron) bool: whether the image is in batches of the neuron's recording.

    Raises as `turns` does.
    """
    of_image = turns(part)
    if of_image is None:
        return np.ones(part.responses.shape, bool)
    return of_image[:, None] == _recordings(part)[1]


def _recordings(part: datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Names, and (neuron,) the number of each neuron's."""
    return np.unique(part.neurons["recording"].to_numpy().astype(str), return_inverse=True)


def as_split(split: Any) -> datasets.Split:
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


def _by_name(name: str, study: Path) -> datasets.Dataset:
    return _remembered((name, str(study)), lambda: datasets.load(name, Path(study) / "data"))


def _remembered(key: tuple, make: Callable[[], Any]) -> Any:
    if key in _REMEMBERED:
        return _REMEMBERED[key]
    made = make()
    if len(_REMEMBERED) < _AT_MOST:
        _REMEMBERED[key] = made
    return made
