"""Between pixels and the units that a model was trained in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.errors import DataError


@dataclass(frozen=True)
class Units:
    """The units of a model's inputs: normalised = (pixels − mean) / std, as the training set had it.

    Parameters
    ----------
    mean, std : float or ndarray of shape (height, width, channel)
        What inputs were scaled with.
    grey : float
        [pixels] The light of a blank screen, around which gratings vary. Above 0.
    spread : float, optional
        [pixels] The standard deviation of all pixels of the training set around their mean, if it is known.
    """

    mean: Any
    std: Any
    grey: float
    spread: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any], *, name: str = "image", grey: float | None = None) -> Units:
        """The units of a task's model: `Units.of(neurofit.models.saved.normalisation(folder))`.

        Parameters
        ----------
        record : dict
            The task's `normalisation.json`.
        name : str
            The name of the input.
        grey : float, optional
            By default the mean of all pixels of the training set.

        Returns
        -------
        Units

        Raises
        ------
        DataError
            There is no such input, or no grey above 0 is known.
        """
        inputs = record["parts"]["train"]["inputs"]
        if name not in inputs:
            raise DataError(f"No statistics for input '{name}'; there are some for {', '.join(inputs)}.")
        mean, std = (np.asarray(inputs[name][key], np.float64) for key in ("mean", "std"))
        seen = record["parts"]["train"].get("seen", {}).get(name, {})  # tasks of earlier versions have none
        grey = float(seen.get("mean", mean.mean()) if grey is None else grey)
        if not grey > 0:
            raise DataError(
                f"The normalisation says no grey (mean {grey:g}): contrast has no meaning. Give the light "
                "of a blank "
                "screen in pixels: Units.of(record, grey=127.5)."
            )
        return cls(mean, std, grey, seen.get("std"))

    @property
    def centred(self) -> bool:
        """Whether 0 is the middle of the training images."""
        return bool(np.any(self.mean != 0))

    @property
    def middle(self) -> float:
        """Of the training images, as the model takes it: 0 where they were centred, else the mean grey."""
        return 0.0 if self.centred else float(self.grey / self.std)

    @property
    def typical(self) -> float:
        """Distance of a typical pixel from the middle, as the model takes it.

        It is 1 if images were scaled by their standard deviation.
        """
        return 1.0 if self.centred or self.spread is None else float(self.spread / self.std)

    def to_model(self, pixels: np.ndarray) -> np.ndarray:
        """(image, height, width, channel) as the model takes it, float32."""
        return ((np.asarray(pixels, np.float64) - self.mean) / self.std).astype(np.float32)

    def to_pixels(self, images: np.ndarray) -> np.ndarray:
        """(image, height, width, channel) as recorded."""
        return np.asarray(images, np.float64) * self.std + self.mean

    def fields_to_pixels(self, fields: np.ndarray) -> np.ndarray:
        """Gradients per normalised unit as gradients per pixel value."""
        return np.asarray(fields, np.float64) / self.std
