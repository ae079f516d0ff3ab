"""Ridge regression of all neurons at once, for a whole path of penalties, on features or on a kernel of them.

    Z: features with mean 0 and variance 1 over the training images, times their weights, each block scaled
    to its share, and everything scaled so that a training image has Σ z² = 1 on average.
    linear: K = Z Zᵀ;   gaussian: K = exp(−|z − z'|² / 2 length²), where |z − z'|² is 2 on average
    Both centred: K ← (1 − J) K (1 − J), J the mean over the training images, as b is not penalised.
    Prediction: b + K(image, training images) · (K + α)⁻¹ (y − b), b the mean response.

For the linear kernel this minimises Σ_image (y − b − z · w)² + α Σ w² for every neuron and α. With a power p
≠ 1, y is the response to the power of p, and the prediction is max(0, prediction) ^ (1 / p): an output
nonlinearity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurofit.errors import DataError
from neurofit.models.baselines.features import Block

KERNELS = ("linear", "gaussian")


@dataclass(frozen=True)
class Scaling:
    """z = (x − mean) · factor, (feature,) each, for the features of all blocks in order.

    Parameters
    ----------
    mean, factor : ndarray, shape (feature,)
    """

    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Scaling:
        """The scaling of the training images' blocks; a feature that is constant there counts nothing."""
        total, means, factors = sum(block.share for block in blocks), [], []
        for block in blocks:
            mean, std = block.values.mean(axis=0), block.values.std(axis=0)
            weights = np.ones(len(mean)) if block.weights is None else block.weights
            weights = np.where(std > 1e-9 * np.abs(mean).max(), weights, 0)
            means.append(mean)
            factors.append(
                weights / np.where(weights, std, 1) * np.sqrt(block.share / total / (weights**2).sum())
            )
        return cls(np.concatenate(means), np.concatenate(factors))

    def scaled(self, blocks: Sequence[Block]) -> np.ndarray:
        """Scaled features, (image, feature)."""
        values = np.concatenate([block.values for block in blocks], axis=1)
        return np.asarray((values - self.mean) * self.factor)


def centred(kernel: np.ndarray, of_train: np.ndarray) -> np.ndarray:
    """A kernel of images with the training images, (image, training image), centred on the training images.

    K(x, x') − mean_s K(x, s) − mean_s K(s, x') + mean_ss' K(s, s'), s and s' training images: the products of
    features less their means over the training images.

    Parameters
    ----------
    kernel : ndarray, shape (image, training image)
    of_train : ndarray, shape (training image, training image)
        The kernel of the training images with each other.

    Returns
    -------
    ndarray, shape (image, training image)
    """
    result: np.ndarray = kernel - kernel.mean(axis=1, keepdims=True) - of_train.mean(axis=0) + of_train.mean()
    return result


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues, at least 0 and ascending, and eigenvectors of a centred kernel of the training images.

    Parameters
    ----------
    values : ndarray, shape (component,)
    vectors : ndarray, shape (training image, component)
    """

    values: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, kernel: np.ndarray) -> Spectrum:
        """The spectrum of a kernel of the training images with each other, which is centred first."""
        values, vectors = np.linalg.eigh(centred(kernel, kernel))
        return cls(np.maximum(values, 0), vectors)


@dataclass(frozen=True)
class Ridge:
    """A path of regressions.

    Parameters
    ----------
    scaling : Scaling
        Of the features.
    seen : ndarray, shape (training image, feature)
        Scaled features of the training images.
    dual : ndarray, shape (alpha, training image, neuron)
    intercept : ndarray, shape (neuron,)
    kernel : {"linear", "gaussian"}
    length : float, default 1
        Of the Gaussian kernel.
    power : float, default 1
        The power that responses were raised to.
    """

    scaling: Scaling
    seen: np.ndarray
    dual: np.ndarray
    intercept: np.ndarray
    kernel: str = "linear"
    length: float = 1.0
    power: float = 1.0

    def predict(self, blocks: Sequence[Block]) -> np.ndarray:
        """Predictions for every penalty.

        Parameters
        ----------
        blocks : sequence of Block

        Returns
        -------
        ndarray, shape (alpha, image, neuron)
        """
        plain = _kernel(self.seen, self.seen, self.kernel, self.length)
        across = _kernel(self.scaling.scaled(blocks), self.seen, self.kernel, self.length)
        predicted: np.ndarray = centred(across, plain) @ self.dual + self.intercept
        if self.power != 1:
            predicted = np.maximum(predicted, 0) ** (1 / self.power)
        return predicted

    def chosen(self, per_neuron: np.ndarray) -> Ridge:
        """The regression with one α for each neuron: (neuron,) indices into the path."""
        dual = self.dual[per_neuron, :, np.arange(len(per_neuron))].T[None]
        return replace(self, dual=dual)


def ridge_path(
    blocks: Sequence[Block],
    responses: np.ndarray,
    alphas: Sequence[float] | np.ndarray,
    *,
    kernel: str = "linear",
    length: float = 1.0,
    power: float = 1.0,
) -> Ridge:
    """Fit a regression for every penalty.

    Parameters
    ----------
    blocks : sequence of Block
        Features of the training images.
    responses : ndarray, shape (image, neuron)
    alphas : sequence of float
        Penalties, above 0.
    kernel : {"linear", "gaussian"}
    length : float, default 1
        Of the Gaussian kernel.
    power : float, default 1
        Power that responses are raised to.

    Returns
    -------
    Ridge

    Raises
    ------
    DataError
        If responses are missing, or negative with a power; if an α is not positive; or if there is no such
        kernel.
    """
    alphas = np.asarray(alphas, np.float64)
    _check(responses, alphas, kernel, power)
    responses = responses if power == 1 else responses**power
    scaling = Scaling.of(blocks)
    seen = scaling.scaled(blocks)
    gram = _kernel(seen, seen, kernel, length)
    spectrum = Spectrum.of(gram)
    intercept = responses.mean(axis=0)
    projected = spectrum.vectors.T @ (responses - intercept)
    dual = spectrum.vectors @ (projected / (spectrum.values[:, None] + alphas[:, None, None]))
    return Ridge(scaling, seen, dual, intercept, kernel, length, power)


def _kernel(left: np.ndarray, right: np.ndarray, kernel: str, length: float) -> np.ndarray:
    inner: np.ndarray = left @ right.T
    if kernel == "linear":
        return inner
    distance = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * inner
    similarity: np.ndarray = np.exp(-np.maximum(distance, 0) / (2 * length**2))
    return similarity


def _check(responses: np.ndarray, alphas: np.ndarray, kernel: str, power: float) -> None:
    if not (alphas > 0).all():
        raise DataError(f"Ridge: every alpha must be > 0, not {alphas.tolist()}.")
    if not np.isfinite(responses).all():
        raise DataError(
            "Ridge: some responses are missing (NaN), which it cannot leave out. Select neurons "
            "without missing responses."
        )
    if kernel not in KERNELS:
        raise DataError(f"Ridge: kernel={kernel!r}; expected one of {', '.join(KERNELS)}.")
    if power != 1 and responses.min() < 0:
        raise DataError(f"Ridge: power={power:g} needs responses ≥ 0, and the lowest is {responses.min():g}.")
