"""Inputs and responses on a scale that a model can learn from, with the numbers kept so that it can be done
again.

Every way is (x - mean) / std, and differs in what mean and std are:

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

import numpy as np

from neurofit.datasets.dataset import Dataset, frozen
from neurofit.datasets.splits import Parts
from neurofit.errors import DataError, nearest

INPUTS = ("global", "pixel", "std", "times_mil", "none")
RESPONSES = ("none", "std")
STATISTICS = ("train", "own")


def standardise(
    parts: Parts, inputs: str = "global", responses: str = "none", statistics: str = "train"
) -> tuple[Parts, dict]:
    """Scale the parts of a data set.

    Parameters
    ----------
    parts : Parts
        What `split` gave.
    inputs : {"global", "pixel", "std", "none"}
        How each named input is scaled; the module's table has the formulas.
    responses : {"none", "std"}
        Whether responses are divided by one number, the standard deviation of all valid responses; trials and
        true rates are, too.
    statistics : {"train", "own"}
        Whose statistics are used: the training part's for all parts, or each part's own, as in the thesis. In
        the latter case, a test image's value depends on the other test images.

    Returns
    -------
    parts : Parts
        The scaled parts.
    record : dict
        The numbers used, as JSON: "inputs", "responses", "statistics", and "parts": {part: {"inputs": {name:
        {mean, std}}, "responses": {mean, std}, "seen": {name: {mean, std}}}}. "seen" are the mean and standard
        deviation of all values before scaling, which say what is grey and how far from it they are.

    Raises
    ------
    DataError
        A way is unknown, or all values are equal, so that their standard deviation is 0.
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
    return replace(parts, **scaled), record


def standardise_like(
    record: dict, inputs: dict[str, np.ndarray], part: str = "train"
) -> dict[str, np.ndarray]:
    """Other inputs, (image, …) each, scaled by the numbers of a record that `standardise` gave."""
    numbers = record["parts"][part]["inputs"]
    unknown = sorted(set(inputs) - set(numbers))
    if unknown:
        raise DataError(
            f"No statistics for inputs {', '.join(unknown)}; there are some for {', '.join(numbers)}."
        )
    return {name: _apply(array, numbers[name]).astype(np.float32) for name, array in inputs.items()}


def _numbers(part: Dataset, inputs: str, responses: str) -> dict:
    scales = {
        name: _statistics(array.astype(np.float64), inputs, name) for name, array in part.inputs.items()
    }
    seen = {
        name: {"mean": float(np.mean(x, dtype=np.float64)), "std": float(np.std(x, dtype=np.float64))}
        for name, x in part.inputs.items()
    }
    return {
        "inputs": scales,
        "responses": _statistics(part.responses[part.valid], responses, "responses"),
        "seen": seen,
    }


def _statistics(values: np.ndarray, way: str, name: str) -> dict:
    if way == "none":
        return {"mean": 0.0, "std": 1.0}
    if way == "times_mil":
        return {"mean": 0.0, "std": 1e-6}
    if way == "pixel":
        std = values.std(axis=0)
        return {"mean": values.mean(axis=0).tolist(), "std": np.where(std > 0, std, 1.0).tolist()}
    std = float(values.std())
    if not std > 0:
        raise DataError(
            f"All values of '{name}' are equal ({values.flat[0]:g}): they cannot be scaled to a std of 1."
        )
    return {"mean": float(values.mean()) if way == "global" else 0.0, "std": std}


def _scaled(part: Dataset, numbers: dict) -> Dataset:
    inputs = {
        name: frozen(_apply(x, numbers["inputs"][name]).astype(np.float32)) for name, x in part.inputs.items()
    }
    if numbers["responses"] == {"mean": 0.0, "std": 1.0}:
        return part.derived(inputs=inputs)
    std = numbers["responses"]["std"]
    truth = None if part.truth is None else {**part.truth, "rates": part.truth["rates"] / std}
    trials = None if part.trials is None else frozen(part.trials / std)
    return part.derived(inputs=inputs, responses=frozen(part.responses / std), trials=trials, truth=truth)


def _apply(values: np.ndarray, numbers: dict) -> np.ndarray:
    return (np.asarray(values, np.float64) - np.asarray(numbers["mean"])) / np.asarray(numbers["std"])


def _check(argument: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(
            f"standardise({argument}={value!r}): known are {', '.join(known)}.{nearest(str(value), known)}"
        )
