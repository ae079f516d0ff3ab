"""A map as weights of units, which predicts any images without the training images; in an `.npz` file.

mean (unit,), weights (unit, neuron), intercept (neuron,), alpha (neuron,), components (neuron,)
units (band,): units of each band, one after the other;   features: what they are;   recipe: JSON
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.errors import DataError, ShapeError
from neurofit.models.linear_maps.blocks import bands_of
from neurofit.models.linear_maps.forecast import LIBRARIES, MOST_UNITS, available_bytes, fits_in_memory
from neurofit.models.linear_maps.gram import Gram, centred_blocks
from neurofit.models.linear_maps.maps import SAME, LinearMap

NAMES = ("mean", "weights", "intercept", "alpha", "components", "units", "features", "recipe")


@dataclass(frozen=True)
class SavedMap:
    """Weights of units: prediction = intercept + (x − mean) · weights.

    Parameters
    ----------
    mean : ndarray, shape (unit,)
        Of the training images.
    weights : ndarray, shape (unit, neuron)
        float32.
    intercept, alpha, components : ndarray, shape (neuron,)
        As of the `LinearMap`.
    units : tuple of int
        Units of each band.
    features : str
        What the features are.
    recipe : dict
        The `MapRecipe`.
    """

    mean: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    components: np.ndarray
    units: tuple[int, ...]
    features: str
    recipe: dict[str, Any]

    @classmethod
    def of(
        cls, linear_map: LinearMap, gram: Gram, features: Any, *, memory_gb: float | None = None
    ) -> SavedMap:
        """Compute the weights, in one more pass over the features.

        Parameters
        ----------
        linear_map : LinearMap
        gram : Gram
            The products that it was fitted to.
        features : WideMatrix, ndarray, path, or list of these
            The features that the products were computed from.
        memory_gb : float, optional
            As of `gram_of`.

        Raises
        ------
        DataError
            If these are other features than those of the products.
        UsageError
            If the weights do not fit into memory; before anything is read.
        """
        bands, images, neurons = bands_of(features), gram.n_images, len(linear_map.intercept)
        units = tuple(one.shape[1] for one in bands)
        if units != gram.units or bands[0].shape[0] != images:
            raise ShapeError(
                f"Features of {bands[0].shape[0]} images, with {units} units: not those of the map."
            )
        linear_map._check_features(gram)
        block = _block(images, neurons, sum(units), memory_gb)
        mean_of, dual = np.zeros(images), np.zeros((images, neurons))
        mean_of[gram.train] = 1 / len(gram.train)
        dual[gram.train] = linear_map.dual
        mean, weights, done = np.empty(sum(units)), np.empty((sum(units), neurons), np.float32), 0
        for number, matrix in enumerate(bands):
            of_band, lengths = dual * linear_map.band_weights[:, number], np.zeros(images)
            for centred, average in centred_blocks(matrix, mean_of, min(block, matrix.shape[1])):
                part = slice(done, done + len(average))
                mean[part], weights[part] = average, centred.T @ of_band
                lengths += np.einsum("ij,ij->i", centred, centred)
                done = part.stop
            if not np.allclose(lengths[gram.train], linear_map.fingerprint[number], rtol=SAME, atol=0):
                raise DataError("These features have other values than those that the map was fitted to.")
        recipe = json.loads(json.dumps(asdict(linear_map.recipe)))
        return cls(
            mean,
            weights,
            linear_map.intercept,
            linear_map.alpha,
            linear_map.components,
            units,
            linear_map.features,
            recipe,
        )

    def predict(self, features: Any, *, name: str = "", memory_gb: float | None = None) -> np.ndarray:
        """Predict the responses to any images, by blocks of units.

        Parameters
        ----------
        features : WideMatrix, ndarray, path, or list of these
            (image, unit), of the same network and layer, with the same preprocessing of images.
        name : str
            What these features are; must be `self.features`.
        memory_gb : float, optional
            As of `gram_of`.

        Returns
        -------
        ndarray, shape (image, neuron)

        Raises
        ------
        DataError
            If `name` is another one.
        ShapeError
            If the units are not those of the map.
        """
        bands = bands_of(features)
        units = tuple(one.shape[1] for one in bands)
        if name != self.features:
            raise DataError(f"This map was fitted to {self.features!r}, and these features are {name!r}.")
        if units != self.units:
            raise ShapeError(f"Features with {units} units, and the map is for {self.units}.")
        images, done = bands[0].shape[0], 0
        predicted = np.zeros((images, len(self.intercept)))
        block = _block(images, len(self.intercept), 0, memory_gb)
        for matrix in bands:
            for start in range(0, matrix.shape[1], block):
                values = matrix.columns(start, min(start + block, matrix.shape[1]))
                part = slice(done, done + values.shape[1])
                predicted += (values - self.mean[part]) @ self.weights[part].astype(np.float64)
                done = part.stop
        return predicted + self.intercept

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map to an `.npz` file, whole or not at all."""
        path = Path(path)
        arrays = {name: getattr(self, name) for name in NAMES[:5]}
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                np.savez(
                    file,
                    **arrays,
                    units=np.array(self.units),
                    features=np.array(self.features),
                    recipe=np.array(json.dumps(self.recipe)),
                )
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SavedMap:
        """Read a map that `save` wrote; never a pickle.

        Raises
        ------
        DataError
            If the file is missing, damaged, or not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                absent = [name for name in NAMES if name not in kept.files]
                if absent:
                    raise DataError(f"{path} is not a saved map: {', '.join(absent)} is missing.")
                found = {name: kept[name] for name in NAMES}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} cannot be read as a saved map: {error}.") from None
        return cls(
            mean=found["mean"],
            weights=found["weights"],
            intercept=found["intercept"],
            alpha=found["alpha"],
            components=found["components"],
            units=tuple(found["units"].tolist()),
            features=str(found["features"]),
            recipe=json.loads(str(found["recipe"])),
        )


def _block(images: int, neurons: int, units: int, memory_gb: float | None) -> int:
    """Units to read at a time, if the weights of this number of units are in memory."""
    weights = LIBRARIES + units * (4 * neurons + 8) + 16 * images * neurons
    per_unit = 24 * images + 16 * neurons
    fits_in_memory(
        f"The weights of {units:,} units for {neurons:,} neurons" if units else "Predicting",
        weights + 64 * per_unit,
        memory_gb,
    )
    room, _ = available_bytes(memory_gb)
    return MOST_UNITS if room is None else int(min(MOST_UNITS, (room - weights) // per_unit))
