"""Scale inputs and responses for training, and record the numbers to scale other data in the same way.

Every way is (x - mean) / std, with these numbers:

| way | mean | std |
| --- | --- | --- |
| none | 0 | 1 |
| global | one number: of all pixels of all images | one number |
| pixel | (height, width, channel) | (height, width, channel); 1 for a pixel that never changes |
| std | 0 | one number |
| times_mil | 0 | 1e-6 (the Antolík images are 0 … 2.55e-4) |

Standard deviations are those of the population (n, not n - 1), as NumPy's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neurofit.datasets.dataset import Dataset, frozen
from neurofit.datasets.disk_images import DiskImages
from neurofit.datasets.splits import Parts
from neurofit.errors import DataError, nearest

INPUTS = ("global", "pixel", "std", "times_mil", "none")
RESPONSES = ("none", "std")
STATISTICS = ("train", "own")
_UNCHANGED = {"mean": 0.0, "std": 1.0}
# In units of the std of the training images: the range of images that are nearly uniform, and a std that none have
_FLAT, _WIDE = 0.25, 24
_APART, _SEVERAL = 2, 10  # a std that is not nearly 1; images whose mean and std say something


def standardise(
    parts: Parts, inputs: str = "global", responses: str = "none", statistics: str = "train"
) -> tuple[Parts, dict]:
    """Scale the parts of a data set.

    Parameters
    ----------
    parts : Parts
    inputs : {"global", "pixel", "std", "times_mil", "none"}
        How each input is scaled; the module's docstring has the table.
    responses : {"none", "std"}
        "std" divides by one number, the std of all valid responses (trials and true rates too).
    statistics : {"train", "own"}
        "train" uses the training part's numbers for all parts; "own" uses each part's own, as in the thesis
        (a test image then depends on the other test images).

    Returns
    -------
    parts : Parts
    record : dict
        For JSON: {"inputs", "responses", "statistics", "parts": {part: {"inputs": {name: {mean, std}},
        "responses": {mean, std}, "seen": {name: {mean, std}}}}}. "seen" has mean and std of all values before
        scaling.

    Raises
    ------
    DataError
        If a way is not known, or all values are equal, so that their std is 0.
    """
    _check("inputs", inputs, INPUTS)
    _check("responses", responses, RESPONSES)
    _check("statistics", statistics, STATISTICS)
    numbers, scaled = {}, {}
    for name, part in parts.items():
        if name == "train" or statistics == "own":
            numbers[name] = _numbers(part, inputs, responses)
        scaled[name] = _scaled(part, numbers.get(name, numbers["train"]))
    record = {"inputs": inputs, "responses": responses, "statistics": statistics, "parts": numbers}
    changed = replace(parts, train=scaled["train"], validation=scaled.get("validation"), test=scaled["test"])
    return changed, record


def standardise_like(
    record: dict, inputs: dict[str, np.ndarray], part: str = "train"
) -> dict[str, np.ndarray]:
    """Scale other inputs with the numbers of a record that `standardise` returned.

    Parameters
    ----------
    record : dict
    inputs : dict of str to ndarray, shape (image, …)
    part : str, default "train"
        The part whose numbers are used.

    Returns
    -------
    dict of str to ndarray, shape (image, …)
        float32.

    Raises
    ------
    DataError
        If the record has no numbers for an input.
    """
    numbers = record["parts"][part]["inputs"]
    unknown = sorted(set(inputs) - set(numbers))
    if unknown:
        raise DataError(
            f"No statistics for inputs {', '.join(unknown)}. Inputs with statistics: {', '.join(numbers)}."
        )
    return {name: _apply(array, numbers[name]).astype(np.float32) for name, array in inputs.items()}


def check_units(record: dict, inputs: dict[str, np.ndarray]) -> None:
    """Raise DataError if inputs are most probably not in the units that the data set was recorded in.

    Only if they differ from the training images by more than a choice of images explains: all values nearly equal and
    far from their mean, or varying many times as much, or with the mean and std of scaled images. Images that do not
    vary are not judged, nor are inputs that are no images, nor any if the record does not say how the training images
    were, as those of early versions.

    Parameters
    ----------
    record : dict
        That `standardise` returned.
    inputs : dict of str to ndarray, shape (image, …)
        Not scaled.
    """
    seen = record["parts"]["train"].get("seen", {})
    for name in inputs.keys() & seen.keys():
        values, mean, std = inputs[name], seen[name]["mean"], seen[name]["std"]
        if values.ndim < 3 or not values.size:
            continue
        own_mean, own_std = float(np.mean(values, dtype=np.float64)), float(np.std(values, dtype=np.float64))
        is_flat = 0 < np.ptp(values) < _FLAT * std and abs(own_mean - mean) > std
        is_wide = own_std > _WIDE * std > 0
        if not (is_flat or is_wide or _are_scaled(own_mean, own_std, len(values), record, std)):
            continue
        raise DataError(
            f"'{name}' of the data set has mean {own_mean:.3g} and std {own_std:.3g}, and the images that the model "
            f"was trained on had mean {mean:.3g} and std {std:.3g}. They look scaled already, or have another range: "
            "give images in the units of the recorded ones."
        )


def _are_scaled(mean: float, std: float, count: int, record: dict, trained: float) -> bool:
    """Whether several images have the mean and std that scaling gave those of the training set, and raw ones cannot."""
    apart = not 1 / _APART < trained < _APART
    return (
        record["inputs"] in ("global", "pixel")
        and count >= _SEVERAL
        and apart
        and abs(mean) < 0.15 > abs(std - 1)
    )


def _numbers(part: Dataset, inputs: str, responses: str) -> dict:
    scales = {
        name: _statistics(x if isinstance(x, DiskImages) else x.astype(np.float64), inputs, name)
        for name, x in part.inputs.items()
    }
    seen = {name: _seen(x) for name, x in part.inputs.items()}
    return {
        "inputs": scales,
        "responses": _statistics(part.responses[part.valid], responses, "responses"),
        "seen": seen,
    }


def _seen(values: np.ndarray | DiskImages) -> dict[str, float]:
    if isinstance(values, DiskImages):
        return {"mean": float(values.mean(of_float32=True)), "std": float(values.std(of_float32=True))}
    return {"mean": float(np.mean(values, dtype=np.float64)), "std": float(np.std(values, dtype=np.float64))}


def _statistics(values: np.ndarray | DiskImages, way: str, name: str) -> dict:
    if way == "none":
        return dict(_UNCHANGED)
    if way == "times_mil":
        return {"mean": 0.0, "std": 1e-6}
    if way == "pixel":
        std = values.std(axis=0)
        return {"mean": values.mean(axis=0).tolist(), "std": np.where(std > 0, std, 1.0).tolist()}
    std = float(values.std())
    if not std > 0:
        raise DataError(
            f"All values of '{name}' are equal ({values[:1].flat[0]:g}): they cannot be scaled to a std of 1."
        )
    return {"mean": float(values.mean()) if way == "global" else 0.0, "std": std}


def _scaled(part: Dataset, numbers: dict) -> Dataset:
    inputs = {name: _scaled_input(x, numbers["inputs"][name]) for name, x in part.inputs.items()}
    if numbers["responses"] == _UNCHANGED:
        return part.derived(inputs=inputs)
    std = numbers["responses"]["std"]
    truth = None if part.truth is None else {**part.truth, "rates": part.truth["rates"] / std}
    trials = None if part.trials is None else frozen(part.trials / std)
    return part.derived(inputs=inputs, responses=frozen(part.responses / std), trials=trials, truth=truth)


def _scaled_input(values: np.ndarray | DiskImages, numbers: dict) -> Any:
    if isinstance(values, DiskImages):
        return values if numbers == _UNCHANGED else values.scaled(numbers["mean"], numbers["std"])
    return frozen(_apply(values, numbers).astype(np.float32))


def _apply(values: np.ndarray, numbers: dict) -> np.ndarray:
    return (np.asarray(values, np.float64) - np.asarray(numbers["mean"])) / np.asarray(numbers["std"])


def _check(argument: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(
            f"standardise({argument}={value!r}): expected one of {', '.join(known)}.{nearest(str(value), known)}"
        )
