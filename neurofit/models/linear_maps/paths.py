"""Maps for a whole grid of settings, from one kernel of the training images.

Every map predicts b + K(image, training images) · a, K centred on the training images, b the mean response.

    ridge      a = Σ_i v_i (v_iᵀ y) / (s_i + α),   K = Σ_i s_i v_i v_iᵀ
    pca_ridge  the same sum over the k largest s_i
    ols        the same with α = 0, over the s_i that are not 0 up to rounding: the shortest w that fits best
    pls        t_j = K u_j less its part along t_1 … t_(j−1), normalised;   u_j = Y c_j, c_j the dominant
               eigenvector of Yᵀ K Y;   Y ← Y − t_j t_jᵀ Y;   a = U (Tᵀ K U)⁻¹ Tᵀ Y
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neurofit.errors import DataError
from neurofit.models.baselines.ridge import Spectrum, centred
from neurofit.models.linear_maps.recipe import MapRecipe


class MapPath(Protocol):
    """Maps with the same training images, one for each setting of the grid."""

    def predictions(self, kernel: np.ndarray) -> Iterator[np.ndarray]:
        """Predictions less the mean response, (image, neuron), of each setting, from a centred kernel."""
        ...

    def dual(self, chosen: np.ndarray) -> np.ndarray:
        """Coefficients a, (training image, neuron), with the setting of each neuron, (neuron,)."""
        ...


@dataclass(frozen=True)
class Shrinkage:
    """A factor for every component of the training images.

    Parameters
    ----------
    vectors : ndarray, shape (training image, component)
    projected : ndarray, shape (component, neuron)
    factors : ndarray, shape (setting, component)
    """

    vectors: np.ndarray
    projected: np.ndarray
    factors: np.ndarray

    def predictions(self, kernel: np.ndarray) -> Iterator[np.ndarray]:
        along = kernel @ self.vectors
        for factor in self.factors:
            yield along @ (factor[:, None] * self.projected)

    def dual(self, chosen: np.ndarray) -> np.ndarray:
        return self.vectors @ (self.factors[chosen].T * self.projected)


@dataclass(frozen=True)
class LatentComponents:
    """Partial least squares with 1 … k components.

    Parameters
    ----------
    rotations : ndarray, shape (training image, component)
        U (Tᵀ K U)⁻¹.
    loadings : ndarray, shape (component, neuron)
        Tᵀ Y.
    counts : tuple of int
        Components of each setting.
    """

    rotations: np.ndarray
    loadings: np.ndarray
    counts: tuple[int, ...]

    def predictions(self, kernel: np.ndarray) -> Iterator[np.ndarray]:
        along = kernel @ self.rotations
        for count in self.counts:
            yield along[:, :count] @ self.loadings[:count]

    def dual(self, chosen: np.ndarray) -> np.ndarray:
        used = np.arange(len(self.loadings))[:, None] < np.asarray(self.counts)[chosen]
        return self.rotations @ (used * self.loadings)


@dataclass(frozen=True)
class Settings:
    """The grid of one kernel: α and components of each setting; nan and 0 where the kind has none.

    Parameters
    ----------
    alpha : ndarray, shape (setting,)
    components : ndarray of int, shape (setting,)
    """

    alpha: np.ndarray
    components: np.ndarray

    @classmethod
    def of(cls, recipe: MapRecipe) -> Settings:
        alphas = (np.nan,) if recipe.kind in ("ols", "pls") else recipe.alphas
        counts = recipe.component_grid or (0,)
        pairs = [(alpha, count) for count in counts for alpha in alphas]
        return cls(np.array([alpha for alpha, _ in pairs]), np.array([count for _, count in pairs]))


def map_path(
    kernel: np.ndarray, responses: np.ndarray, recipe: MapRecipe, settings: Settings, units: int
) -> MapPath:
    """Fit the maps of every setting.

    Parameters
    ----------
    kernel : ndarray, shape (training image, training image)
        Centred or not.
    responses : ndarray, shape (training image, neuron)
        Less their mean.
    recipe : MapRecipe
    settings : Settings
    units : int
        Of the features, which bound the number of components.

    Raises
    ------
    DataError
        If there are fewer components than asked for.
    """
    most, asked = min(len(kernel) - 1, units), int(settings.components.max())
    if asked > most:
        raise DataError(
            f"{recipe.kind} with {asked:,} components: {len(kernel):,} training images (of a fold, if settings are "
            f"chosen) and {units:,} units have {most:,} at most. Ask for fewer components."
        )
    if recipe.kind == "pls":
        return _latent(centred(kernel, kernel), responses, tuple(settings.components.tolist()))
    spectrum = Spectrum.of(kernel)
    values = spectrum.values
    if recipe.kind == "ols":
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        factors = np.where(kept, 1 / np.where(kept, values, 1), 0)[None]
    else:
        factors = 1 / (values + settings.alpha[:, None])
    if recipe.kind == "pca_ridge":  # eigenvalues ascend
        rank = np.arange(len(values), 0, -1)
        factors = np.where(rank <= settings.components[:, None], factors, 0)
    return Shrinkage(spectrum.vectors, spectrum.vectors.T @ responses, factors)


def _latent(kernel: np.ndarray, responses: np.ndarray, counts: tuple[int, ...]) -> LatentComponents:
    left, found = responses.copy(), []
    scores, directions = np.zeros((len(kernel), max(counts))), np.zeros((len(kernel), max(counts)))
    for number in range(max(counts)):
        product = kernel @ left
        _, vectors = np.linalg.eigh(left.T @ product)
        direction, score = left @ vectors[:, -1], product @ vectors[:, -1]
        length = np.linalg.norm(score)
        for _ in range(2):  # once more, against rounding
            score = score - scores[:, :number] @ (scores[:, :number].T @ score)
        norm = np.linalg.norm(score)
        if not norm > 1e-12 * length:
            break  # nothing is left to explain
        scores[:, number], directions[:, number] = score / norm, direction
        left = left - np.outer(scores[:, number], scores[:, number] @ left)
        found.append(number)
    used = len(found)
    scores, directions = scores[:, :used], directions[:, :used]
    mixing = np.triu(scores.T @ (kernel @ directions))
    rotations = np.linalg.solve(mixing.T, directions.T).T if used else directions
    return LatentComponents(rotations, scores.T @ responses, counts)
