"""Fit a map from features to all neurons at once: settings by cross-validation, then all training images.

Nothing but the training images' responses is ever given to a fit, so that what it is scored on cannot take
part. A map knows the features that it was fitted to, and refuses others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit import scores
from neurofit.errors import DataError, ShapeError
from neurofit.models.baselines.ridge import centred
from neurofit.models.linear_maps.folds import folds_of
from neurofit.models.linear_maps.gram import Gram
from neurofit.models.linear_maps.paths import MapPath, Settings, map_path
from neurofit.models.linear_maps.recipe import MapRecipe

SAME = 1e-6  # relative difference of squared lengths that rounding and the order of sums can make


@dataclass(frozen=True)
class LinearMap:
    """A map, and how it was chosen.

    Parameters
    ----------
    recipe : MapRecipe
    features : str
        What the features are (`Gram.name`).
    dual : ndarray, shape (training image, neuron)
        Coefficients of the training images: w = Σ_band weight X̃ᵀ dual.
    intercept : ndarray, shape (neuron,)
        Mean training response.
    band_weights : ndarray, shape (neuron, band)
        With the scale of each band.
    alpha : ndarray, shape (neuron,)
        nan for a kind without penalty.
    components : ndarray of int, shape (neuron,)
        0 for a kind without components.
    cross_validation : ndarray, shape (setting, neuron), or None
        Mean of the criterion over folds (higher is better); None if there was nothing to choose.
    train : ndarray of int, shape (training image,)
        Rows of the training images.
    fingerprint : ndarray, shape (band, training image)
        Squared lengths of their features.
    at_edge : dict of str to int
        Neurons whose α is the "lowest" or "highest" of its grid, or that use the "most" components.
    warnings : tuple of str
        What a reader of the scores must know: settings at the edge of their grid.
    """

    recipe: MapRecipe
    features: str
    dual: np.ndarray
    intercept: np.ndarray
    band_weights: np.ndarray
    alpha: np.ndarray
    components: np.ndarray
    cross_validation: np.ndarray | None
    train: np.ndarray
    fingerprint: np.ndarray
    at_edge: dict[str, int]
    warnings: tuple[str, ...]

    def predict(self, gram: Gram, rows: Any) -> np.ndarray:
        """Predict the responses to some of the images.

        Parameters
        ----------
        gram : Gram
            The products that the map was fitted to.
        rows : ndarray of int, shape (image,)

        Returns
        -------
        ndarray, shape (image, neuron)

        Raises
        ------
        DataError
            If these are products of other features, or of other training images.
        """
        self._check_features(gram)
        rows = np.asarray(rows)
        predicted = np.empty((len(rows), len(self.intercept)))
        for weights, neurons in _groups(self.band_weights):
            predicted[:, neurons] = gram.between(rows, self.train, weights) @ self.dual[:, neurons]
        return predicted + self.intercept

    def scored(self, gram: Gram, rows: Any, responses) -> dict[str, np.ndarray]:
        """Explained variance and correlation of each neuron, on images that the map was not fitted to.

        Parameters
        ----------
        gram : Gram
            The products that the map was fitted to.
        rows : ndarray of int, shape (image,)
        responses : ndarray, shape (image, neuron)
            To these images.

        Returns
        -------
        dict of str to ndarray, shape (neuron,)
            "explained_variance" and "correlation".

        Raises
        ------
        DataError
            If some of the images are training images, or the features are others.
        """
        rows = np.asarray(rows)
        shared = np.intersect1d(rows, self.train)
        if len(shared):
            raise DataError(
                f"{len(shared)} of {len(rows)} images to score are training images of this map (row {shared[0]}, for "
                "example): fit it to the training images alone."
            )
        predicted = self.predict(gram, rows)
        return {
            "explained_variance": scores.explained_variance(responses=responses, predictions=predicted),
            "correlation": scores.correlation(responses=responses, predictions=predicted),
        }

    def facts(self) -> dict[str, Any]:
        """What an outcome records of the map, as JSON."""
        found: dict[str, Any] = {"map": self.recipe.kind, "features": self.features, "at_edge": self.at_edge}
        if np.isfinite(self.alpha).any():
            low, middle, high = (float(x) for x in np.quantile(self.alpha, (0, 0.5, 1)))
            found["alpha"] = low if low == high else {"lowest": low, "median": middle, "highest": high}
        if self.components.any():
            found["components"] = sorted(set(self.components.tolist()))
        return found

    def _check_features(self, gram: Gram) -> None:
        if not np.array_equal(gram.train, self.train):
            raise DataError(
                f"This map was fitted to {len(self.train)} training images, and these products are centred on "
                f"{len(gram.train)} others."
            )
        found = gram.fingerprint()
        same = found.shape == self.fingerprint.shape and np.allclose(
            found, self.fingerprint, rtol=SAME, atol=0
        )
        if gram.name != self.features or not same:
            own, given = self.features or "unnamed features", gram.name or "unnamed features"
            raise DataError(
                f"This map was fitted to other features of the training images ({own}) than these ({given}): fit a "
                "map for each layer and each network."
            )


def fit_map(gram: Gram, responses, recipe: MapRecipe | None = None, *, labels=None, folds=None) -> LinearMap:
    """Fit a map to the training images, with settings chosen by cross-validation among them.

    In every fold, features and responses are centred, and principal components found, on that fold's training
    images alone.

    Parameters
    ----------
    gram : Gram
        Products of the features of all images.
    responses : ndarray, shape (training image, neuron)
        To the training images, in the order of `gram.train`.
    recipe : MapRecipe, optional
        Default: ridge with one penalty.
    labels : ndarray, shape (training image,), optional
        The objects in the training images, for folds that are stratified or grouped.
    folds : ndarray of int, shape (training image,), optional
        The fold of each image, in place of the recipe's folds.

    Returns
    -------
    LinearMap

    Raises
    ------
    DataError
        If responses are missing, labels are needed, or there are too few images.
    ShapeError
        If there is not one row of responses for every training image.
    GridError
        If the recipe does not go with these bands.

    References
    ----------
    Ridge for several bands: A. O. Nunez-Elizalde, A. G. Huth and J. L. Gallant (2019),
    doi:10.1016/j.neuroimage.2019.04.012. Partial least squares from a kernel: R. Rosipal and L. J. Trejo (2001).
    """
    recipe = recipe or MapRecipe()
    y = _checked(responses, gram)
    settings = Settings.of(recipe)
    scale = 1 / gram.scales() if recipe.kind == "banded" and recipe.scale_bands else 1.0
    candidates = recipe.candidates(len(gram.products)) * scale
    n_settings = len(settings.alpha)
    found = None
    if n_settings * len(candidates) > 1:
        if folds is None:
            folds = folds_of(len(y), recipe.folds, rule=recipe.fold_rule, labels=labels, seed=recipe.seed)
        found = _cross_validated(gram, y, recipe, settings, candidates, _checked_folds(folds, len(y)))
    chosen = _best(found, y.shape[1], recipe.per_neuron)
    candidate, setting = np.divmod(chosen, n_settings)
    intercept, dual = y.mean(axis=0), np.empty(y.shape)
    for number in np.unique(candidate):
        own = candidate == number
        kernel = gram.between(gram.train, gram.train, candidates[number])
        path = map_path(kernel, y[:, own] - intercept[own], recipe, settings, sum(gram.units))
        dual[:, own] = path.dual(setting[own])
    at_edge, warnings = _edges(recipe, settings.alpha[setting], settings.components[setting])
    return LinearMap(
        recipe,
        gram.name,
        dual,
        intercept,
        candidates[candidate],
        settings.alpha[setting],
        settings.components[setting],
        found,
        gram.train,
        gram.fingerprint(),
        at_edge,
        warnings,
    )


def _checked(responses, gram: Gram) -> np.ndarray:
    y = np.asarray(responses, np.float64)
    if y.ndim != 2 or len(y) != len(gram.train):
        raise ShapeError(
            f"responses {y.shape} must be those of the {len(gram.train)} training images alone: "
            f"({len(gram.train)}, neuron)."
        )
    if not np.isfinite(y).all():
        raise DataError(
            f"{int((~np.isfinite(y)).any(axis=0).sum())} of {y.shape[1]} neurons have missing responses (NaN), which "
            "a map for all neurons cannot leave out. Select the other neurons."
        )
    return y


def _checked_folds(folds, images: int) -> np.ndarray:
    folds = np.asarray(folds)
    if folds.shape != (images,) or folds.dtype.kind not in "iu":
        raise ShapeError(
            f"folds {folds.shape} of {folds.dtype}: expected one number per training image, ({images},)."
        )
    if len(np.unique(folds)) < 2:
        raise DataError("folds: all training images are in one fold; expected at least two folds.")
    return folds


def _cross_validated(
    gram: Gram,
    y: np.ndarray,
    recipe: MapRecipe,
    settings: Settings,
    candidates: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """Mean over folds of the criterion, (candidate and setting, neuron); higher is better."""
    numbers = np.unique(folds)
    total = np.zeros((len(candidates), len(settings.alpha), y.shape[1]))
    for number in numbers:
        inside, outside = folds != number, folds == number
        rows, mean = gram.train[inside], y[inside].mean(axis=0)
        for candidate, weights in enumerate(candidates):
            kernel = gram.between(rows, rows, weights)
            across = centred(gram.between(gram.train[outside], rows, weights), kernel)
            path: MapPath = map_path(kernel, y[inside] - mean, recipe, settings, sum(gram.units))
            for setting, predicted in enumerate(path.predictions(across)):
                total[candidate, setting] += _criterion(recipe.criterion, y[outside], predicted + mean)
    return total.reshape(-1, y.shape[1]) / len(numbers)


def _criterion(name: str, responses: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    if name == "squared_error":
        return -((responses - predictions) ** 2).mean(axis=0)
    if name == "correlation":  # a constant prediction is worth nothing
        found = scores.correlation(responses=responses, predictions=predictions)
        return np.where(np.ptp(responses, axis=0) == 0, np.nan, np.nan_to_num(found))
    return scores.r_squared(responses=responses, predictions=predictions)


def _best(found: np.ndarray | None, neurons: int, per_neuron: bool) -> np.ndarray:
    """Index of the best setting for each neuron; a neuron without a score has the best of the others."""
    if found is None:
        return np.zeros(neurons, np.int64)
    defined = np.isfinite(found).all(axis=0)
    together = int(found[:, defined].mean(axis=1).argmax()) if defined.any() else 0
    if not per_neuron:
        return np.full(neurons, together)
    return np.where(defined, np.where(defined, found, 0).argmax(axis=0), together)


def _edges(
    recipe: MapRecipe, alpha: np.ndarray, components: np.ndarray
) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many neurons have settings at the edge of a grid, and sentences that say so."""
    counts: dict[str, int] = {}
    found: list[str] = []
    if np.isfinite(alpha).all() and len(recipe.alphas) > 1:
        for edge, value in (("lowest", recipe.alphas[0]), ("highest", recipe.alphas[-1])):
            counts[edge] = int((alpha == value).sum())
            if counts[edge]:
                found.append(
                    f"alpha is the {edge} of its grid ({value:g}) for some neurons: extend the grid of alphas."
                )
    if len(recipe.component_grid) > 1:
        most = recipe.component_grid[-1]
        counts["most"] = int((components == most).sum())
        if counts["most"]:
            found.append(f"components is the highest of its grid ({most}) for some neurons: extend the grid.")
    return counts, tuple(found)


def _groups(weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Different weights of the bands, and the neurons, (neuron,) of bool, that have them."""
    rows, number = np.unique(weights, axis=0, return_inverse=True)
    for index, row in enumerate(rows):
        yield row, number.ravel() == index
