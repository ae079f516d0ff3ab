"""How far predictions are from responses: summed over neurons, mean over images, as NDN has it.

Responses and predictions are (…, image, neuron), the result has the leading axes, usually none. A response
that is NaN, or where the mask (same shape, 1 = counts) is 0, adds nothing to the loss and nothing to the
gradient; the number of images that the mean is taken over stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from neurofit.errors import DataError
from neurofit.models.training import Training

EPSILON = 1e-6  # added to a predicted rate before its logarithm [spikes per presentation]
SMALLEST_DIVISOR = 1e-8
CLOSEST = 1e-7  # of a probability to 0 or 1


def poisson(responses, predictions, mask=None, rates=None):
    """−Σ [y · log(p + 1e-6) − p] / images: the Poisson log likelihood, without what the prediction cannot change.

    Parameters
    ----------
    responses, predictions : array of shape (…, image, neuron)
        NaN in the responses is missing.
    mask : bool array of shape (…, image, neuron), optional
        True where a response counts.
    rates : array of shape (neuron,), optional
        What each neuron's part is divided by (`mean_rates`), so that a spike of a busy neuron counts as much as
        one of a quiet neuron. Rates of the *training* images are right; NDN took those of all images that it
        got, validation included.
    """
    y, p, _ = _counted(responses, predictions, mask)
    terms = y * ops.log(EPSILON + p) - p
    images = _images(predictions)
    if rates is None:
        return -ops.sum(terms, axis=(-2, -1)) / images
    return -ops.sum(
        terms / ops.maximum(ops.cast(rates, terms.dtype) * images, SMALLEST_DIVISOR), axis=(-2, -1)
    )


def gaussian(responses, predictions, mask=None):
    """Σ (y − p)² / images."""
    y, p, _ = _counted(responses, predictions, mask)
    return ops.sum(ops.square(y - p), axis=(-2, -1)) / _images(predictions)


def mean_squared(responses, predictions, mask=None):
    """Σ (y − p)² / (images · neurons): with plain gradient descent, its steps do not grow with the population."""
    return gaussian(responses, predictions, mask) / ops.cast(ops.shape(predictions)[-1], predictions.dtype)


def bernoulli(responses, predictions, mask=None):
    """−Σ [y log p + (1 − y) log(1 − p)] / images: the cross-entropy of responses in [0, 1], a spike or none.

    Predictions are probabilities, from a last layer with a sigmoid. (NDN's are what goes into the sigmoid.)
    They are clipped into [1e-7, 1 − 1e-7], outside of which the gradient is 0.
    """
    y, p, valid = _counted(responses, predictions, mask)
    p = ops.clip(p, CLOSEST, 1 - CLOSEST)
    terms = ops.where(valid, y * ops.log(p) + (1 - y) * ops.log(1 - p), 0)
    return -ops.sum(terms, axis=(-2, -1)) / _images(predictions)


def gamma(responses, predictions, mask=None):
    """Σ [y / (p + 1e-6) + log(p + 1e-6)] / images, for responses whose standard deviation grows with their mean.

    This is the negative log likelihood of a gamma distribution with mean p, without terms that do not depend
    on p and without its shape, a factor: the best p is the same for every shape. Responses are at least 0, such
    as fluorescence; counts are not distributed like this.

    References
    ----------
    McCullagh & Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6, chapter 8.
    """
    y, p, valid = _counted(responses, predictions, mask)
    mean = p + EPSILON
    terms = ops.where(valid, y / mean + ops.log(mean), 0)
    return ops.sum(terms, axis=(-2, -1)) / _images(predictions)


PLAIN = {"gaussian": gaussian, "mean_squared": mean_squared, "bernoulli": bernoulli, "gamma": gamma}
RANGES = {"poisson": (0, np.inf), "bernoulli": (0, 1), "gamma": (0, np.inf)}  # of responses


def loss(training: Training, rates: np.ndarray | None = None) -> Callable:
    """(responses, predictions, mask) → the loss that a training names."""
    if training.loss in PLAIN:
        return PLAIN[training.loss]
    return lambda responses, predictions, mask=None: poisson(responses, predictions, mask, rates)


def check_responses(name: str, responses: np.ndarray, part: str = "") -> None:
    """Raises DataError where a loss makes no sense of a part's responses (NaN is missing, and fine)."""
    low, high = RANGES.get(name, (-np.inf, np.inf))
    wrong = np.asarray(responses)[(responses < low) | (responses > high)]
    if wrong.size:
        wanted = f"in [{low}, {high}]" if np.isfinite(high) else f"≥ {low}"
        raise DataError(
            f"loss '{name}' is of responses {wanted}, and {wrong.size}{part and f' of the {part} set'} are "
            "not, such "
            f"as {wrong.flat[0]:g}. "
            "Another loss ('gaussian' takes any), or other responses."
        )


def mean_rates(
    responses: list[np.ndarray], valid: list[np.ndarray], own: list[np.ndarray] | None = None
) -> np.ndarray:
    """Mean response of each neuron over all images of these parts; missing responses count 0.

    Missing responses count and the loss is divided by all images: together, each spike then has the same
    weight, even of a neuron recorded for half of the images. A neuron that never responded gets the mean of
    the others': divided by (nearly) 0 it would drown them, as it does in NDN.

    Parameters
    ----------
    responses : list of ndarray of shape (image, neuron)
        One per part.
    valid : list of bool ndarray of shape (image, neuron)
        Where responses count.
    own : list of bool ndarray of shape (image, neuron), optional
        The images over which a neuron's mean is taken. The others come in batches of other recordings.

    Returns
    -------
    ndarray of shape (neuron,)
    """
    sums = np.where(np.concatenate(valid), np.concatenate(responses), 0).sum(axis=0)
    means = sums / np.maximum(
        sum(len(one) if own is None else one.sum(axis=0) for one in own or responses), 1
    )
    heard = means > 0
    return np.where(heard, means, means[heard].mean() if heard.any() else 1.0)


def _images(predictions):
    return ops.cast(ops.shape(predictions)[-2], predictions.dtype)


def _counted(responses, predictions, mask):
    """Responses and predictions, 0 where they do not count, and where they do."""
    # Both are set to 0 before anything is computed with them: the gradient of where(…, NaN) would be NaN all
    # the same.
    valid = ops.isfinite(responses)
    if mask is not None:
        valid = ops.logical_and(valid, ops.cast(mask, "bool"))
    zero = ops.zeros((), predictions.dtype)
    return (
        ops.where(valid, ops.cast(responses, predictions.dtype), zero),
        ops.where(valid, predictions, zero),
        valid,
    )
