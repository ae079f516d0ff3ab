"""What map to fit, and how its settings are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.errors import GridError, nearest
from neurofit.models.linear_maps.folds import RULES

KINDS = ("ridge", "ols", "pca_ridge", "pls", "banded")
CRITERIA = ("r_squared", "squared_error", "correlation")
COMPONENTS = {"pca_ridge": (1000,), "pls": (25,)}  # as published for images of objects, and by Brain-Score


@dataclass(frozen=True)
class MapRecipe:
    """How a map from features to neurons is fitted.

    Features are centred on the training images, and not scaled; penalties are in the units of the features:
    Σ_image (y − b − x · w)² + α |w|².

    Parameters
    ----------
    kind : {"ridge", "ols", "pca_ridge", "pls", "banded"}
        "ridge": one penalty for all units. "ols": least squares, with the smallest |w|² of those that fit
        equally well if there are more units than images. "pca_ridge": ridge on the first principal components
        of the training images. "pls": partial least squares for all neurons together (as
        `PLSRegression(scale=False)`). "banded": ridge on several bands of features, each with a weight.
    alphas : tuple of float
        Penalties to choose from. Not used by "ols" and "pls".
    components : int or tuple of int, optional
        Numbers of components to choose from, of "pca_ridge" (default: 1000) and "pls" (default: 25).
    per_neuron : bool, default False
        Whether every neuron has settings of its own; otherwise all share those that are best on average.
    folds : int, default 5
        Folds of the training images in which the settings are chosen.
    fold_rule : {"stratified", "grouped", "random"}
        By which the labels of images (their objects) are put into folds, see `folds_of`.
    criterion : {"r_squared", "squared_error", "correlation"}
        What is averaged over folds, and over neurons if these share their settings.
    band_weights : tuple of tuple of float, optional
        Weights of the bands to choose from, (candidate, band): a band's products are multiplied by its weight.
        Default: equal weights, each band alone, and `band_samples` random ones.
    band_samples : int, default 20
        Candidates from a uniform (Dirichlet) distribution over weights that sum to 1.
    scale_bands : bool, default True
        Divide every band first by the mean squared length of its training images, so that a weight means the
        same for each, and α = 1 is a penalty as large as an image.
    seed : int, default 0
        Of the folds and the random weights.

    Raises
    ------
    GridError
        If a value is not valid.
    """

    kind: str = "ridge"
    alphas: tuple[float, ...] = tuple(float(f"{10.0 ** (k / 2):.6g}") for k in range(-4, 21))
    components: int | tuple[int, ...] | None = None
    per_neuron: bool = False
    folds: int = 5
    fold_rule: str = "stratified"
    criterion: str = "r_squared"
    band_weights: tuple[tuple[float, ...], ...] | None = None
    band_samples: int = 20
    scale_bands: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("fold_rule", RULES), ("criterion", CRITERIA)):
            value = getattr(self, name)
            if value not in known:
                raise GridError(
                    f"MapRecipe: {name}={value!r}; expected one of {', '.join(known)}.{nearest(str(value), known)}"
                )
        for name, least in (("folds", 2), ("band_samples", 0), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise GridError(f"MapRecipe: {name}={value!r}; expected a whole number of at least {least}.")
        alphas = _tuple(self.alphas)
        if not alphas or not all(_is_number(alpha) and alpha > 0 for alpha in alphas):
            raise GridError(f"MapRecipe: alphas={self.alphas!r}; expected some numbers > 0.")
        object.__setattr__(self, "alphas", tuple(sorted({float(alpha) for alpha in alphas})))
        self._check_components()
        self._check_bands()

    def _check_components(self) -> None:
        if self.components is None:
            return
        if self.kind not in COMPONENTS:
            kinds = " and ".join(COMPONENTS)
            raise GridError(
                f"MapRecipe: components={self.components!r} is for the kinds {kinds}, not {self.kind}."
            )
        found = _tuple(self.components)
        if not found or not all(type(one) is int and one > 0 for one in found):
            raise GridError(f"MapRecipe: components={self.components!r}; expected whole numbers > 0.")
        object.__setattr__(self, "components", tuple(sorted(set(found))))

    def _check_bands(self) -> None:
        if self.band_weights is None:
            return
        weights = tuple(_tuple(one) for one in _tuple(self.band_weights))
        numbers = all(_is_number(one) and one >= 0 for row in weights for one in row)
        if not weights or not numbers or len(set(map(len, weights))) != 1 or not all(map(any, weights)):
            raise GridError(
                f"MapRecipe: band_weights={self.band_weights!r}; expected for every candidate one number ≥ 0 per "
                "band, not all of them 0."
            )
        object.__setattr__(self, "band_weights", weights)

    @property
    def component_grid(self) -> tuple[int, ...]:
        """Numbers of components to choose from; empty if this kind has none."""
        given = self.components if self.components is not None else COMPONENTS.get(self.kind, ())
        return _tuple(given)

    def candidates(self, bands: int) -> np.ndarray:
        """Weights of the bands to choose from, (candidate, band); one row of 1 unless the kind is "banded".

        Raises
        ------
        GridError
            If the weights or the kind do not fit this number of bands.
        """
        if self.kind != "banded":
            if bands != 1:
                raise GridError(
                    f"MapRecipe(kind={self.kind!r}) takes one band, and there are {bands}: use 'banded'."
                )
            return np.ones((1, 1))
        if self.band_weights is not None:
            if len(self.band_weights[0]) != bands:
                raise GridError(
                    f"MapRecipe: band_weights has {len(self.band_weights[0])} weights per candidate, and there are "
                    f"{bands} bands."
                )
            return np.array(self.band_weights, np.float64)
        random = np.random.default_rng(self.seed).dirichlet(np.ones(bands), self.band_samples)
        listed = np.concatenate([np.full((1, bands), 1 / bands), np.eye(bands), random])
        return listed[:1] if bands == 1 else listed


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else (value,)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and bool(np.isfinite(value))
    )
