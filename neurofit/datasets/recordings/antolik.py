"""The mouse V1 recordings of Antolík, Hofer, Bednar & Mrsic-Flogel 2016.

data/antolik_2016/regionN/training_inputs.npy       (image, 961) pixels of 31×31 images, 0 … 2.55e-4
                          training_set.npy          (image, neuron), one trial each
                          validation_inputs.npy     (image, 961)
                          validation_set.npy        (image, neuron), means over trials
                          raw_validation_set.npy    (trial, image, neuron)
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from neurofit.datasets.dataset import Dataset
from neurofit.datasets.recordings.matlab import read_npy, same_length, with_axes
from neurofit.errors import DataError

_AXES = {
    "training_inputs": ("image", "pixel"),
    "training_set": ("image", "neuron"),
    "validation_inputs": ("image", "pixel"),
    "validation_set": ("image", "neuron"),
    "raw_validation_set": ("trial", "image", "neuron"),
}
_TEST = [name for name in _AXES if "validation" in name]


class Antolik:
    """Mouse V1, natural images, two-photon imaging, in three regions.

    The validation images, shown several times, are the official test set. "region1/test" has only those
    images, and does not need the training images. Regions 1 and 2 were shown the same validation images.

    References
    ----------
    J. Antolík, S. Hofer, J. Bednar and T. Mrsic-Flogel (2016), doi:10.1371/journal.pcbi.1004927.
    """

    kind: ClassVar[str] = "antolik_2016"
    description: ClassVar[str] = (
        "mouse V1, natural images 31×31, test images with 8 to 12 trials (Antolík et al. 2016)"
    )
    parts: ClassVar[tuple[str, ...]] = ("region1", "region2", "region3")
    merge: ClassVar[str] = "stack"
    has_test: ClassVar[bool] = True

    def part(self, text: str) -> str:
        return text

    def files(self, part: str) -> tuple[str, ...]:
        region = part.removesuffix("/test")
        return tuple(f"{region}/{name}.npy" for name in (_TEST if part.endswith("/test") else _AXES))

    def hint(self, name: str) -> str:
        if not name.endswith("training_inputs.npy"):
            return ""
        alone = f"{self.kind}/{Path(name).parent.name}/test"
        return f" The published supplement comes without the training images; '{alone}' is the test images alone."

    def place(self, path: Path) -> str | None:
        place = "/".join(path.parts[-2:])
        return place if any(place in self.files(region) for region in self.parts) else None

    def validate(self, path: Path, place: str) -> None:
        _array(path, Path(place).stem)

    def read(self, part: str, folder: Path) -> Dataset:
        arrays = {Path(name).stem: _array(folder / name, Path(name).stem) for name in self.files(part)}
        region = folder / part.removesuffix("/test")
        halves = [
            _half(region, arrays, half) for half in ("training", "validation") if f"{half}_set" in arrays
        ]
        _same_neurons(region, arrays)
        counts = [len(images) for images, _ in halves]
        kinds = ["train", "test"][-len(halves) :]
        return Dataset(
            name=f"{self.kind}/{part}",
            inputs={"image": np.concatenate([images for images, _ in halves])[..., None]},
            responses=np.concatenate(
                [arrays[name] for name in ("training_set", "validation_set") if name in arrays]
            ),
            trials=_padded([trials for _, trials in halves]),
            image_ids=np.array(
                [f"{kind}/{k:04d}" for kind, count in zip(kinds, counts) for k in range(count)]
            ),
            official=np.repeat(kinds, counts),
        )


def _half(region: Path, arrays: dict[str, np.ndarray], half: str) -> tuple[np.ndarray, np.ndarray]:
    """(image, height, width) and (image, trial, neuron) of the training or the validation images."""
    pixels, mean = arrays[f"{half}_inputs"], arrays[f"{half}_set"]
    same_length(region, f"{half}_inputs", pixels, f"{half}_set", mean)
    side = round(pixels.shape[1] ** 0.5)
    if side * side != pixels.shape[1]:
        raise DataError(
            f"{region}: {half}_inputs has {pixels.shape[1]} pixels per image, which is not a square number."
        )
    images = pixels.reshape(-1, side, side)
    if half == "training":
        return images, mean[:, None]
    trials = arrays["raw_validation_set"].swapaxes(0, 1)
    same_length(region, "raw_validation_set", trials, "validation_set", mean)
    return images, trials


def _same_neurons(region: Path, arrays: dict[str, np.ndarray]) -> None:
    counts = {name: array.shape[-1] for name, array in arrays.items() if name.endswith("set")}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"{region}: files of one region differ in their number of neurons: {listed}.")


def _array(path: Path, name: str) -> np.ndarray:
    return with_axes(path, name, read_npy(path), _AXES[name])


def _padded(trials: list[np.ndarray]) -> np.ndarray:
    """(image, trial, neuron), concatenated along images, with NaN for missing trials."""
    most = max(part.shape[1] for part in trials)
    gaps = [((0, 0), (0, most - part.shape[1]), (0, 0)) for part in trials]
    return np.concatenate([np.pad(part, gap, constant_values=np.nan) for part, gap in zip(trials, gaps)])
