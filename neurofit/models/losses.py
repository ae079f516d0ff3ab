"""Losses between predictions and responses: summed over neurons, mean over images, as in NDN.

Responses and predictions are (…, image, neuron). The result has the leading axes, usually none. A response
that is NaN, or where the mask (same shape, 1 = counts) is 0, adds nothing to the loss or the gradient; the
number of images that the mean is taken over stays the same.
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
    """−Σ [y · log(p + 1e-6) − p] / images: the negative Poisson log likelihood, without constant terms.

    Parameters
    ----------
    responses, predictions : tensor, shape (…, image, neuron)
        Spikes per presentation.
    mask : tensor, shape (…, image, neuron), optional
        1 where a response counts.
    rates : ndarray, shape (neuron,), optional
        Divides each neuron's part, so that a spike of an active neuron counts as much as one of a quiet
        neuron; see `mean_rates`. Use the rates of the *training* images; NDN used those of all images,
        validation included.

    Returns
    -------
    tensor
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
    """Σ (y − p)² / images.

    Parameters
    ----------
    responses, predictions : tensor, shape (…, image, neuron)
    mask : tensor, shape (…, image, neuron), optional
        1 where a response counts.

    Returns
    -------
    tensor
    """
    y, p, _ = _counted(responses, predictions, mask)
    return ops.sum(ops.square(y - p), axis=(-2, -1)) / _images(predictions)


def mean_squared(responses, predictions, mask=None):
    """Σ (y − p)² / (images · neurons): steps of plain gradient descent do not grow with the population.

    Parameters
    ----------
    responses, predictions : tensor, shape (…, image, neuron)
    mask : tensor, shape (…, image, neuron), optional
        1 where a response counts.

    Returns
    -------
    tensor
    """
    return gaussian(responses, predictions, mask) / ops.cast(ops.shape(predictions)[-1], predictions.dtype)


def bernoulli(responses, predictions, mask=None):
    """−Σ [y log p + (1 − y) log(1 − p)] / images: the cross-entropy of responses in [0, 1].

    Parameters
    ----------
    responses : tensor, shape (…, image, neuron)
        In [0, 1].
    predictions : tensor, shape (…, image, neuron)
        Probabilities, as a last layer with a sigmoid gives them (NDN takes the sigmoid's input). They are
        clipped to [1e-7, 1 − 1e-7]; outside, the gradient is 0.
    mask : tensor, shape (…, image, neuron), optional
        1 where a response counts.

    Returns
    -------
    tensor
    """
    y, p, valid = _counted(responses, predictions, mask)
    p = ops.clip(p, CLOSEST, 1 - CLOSEST)
    terms = ops.where(valid, y * ops.log(p) + (1 - y) * ops.log(1 - p), 0)
    return -ops.sum(terms, axis=(-2, -1)) / _images(predictions)


def gamma(responses, predictions, mask=None):
    """Σ [y / (p + 1e-6) + log(p + 1e-6)] / images: standard deviations grow with the mean response.

    The negative log likelihood of a gamma distribution with mean p, without terms that do not depend on p and
    without its shape, which is a factor: the best p is the same for every shape. Fluorescence is such a
    response; counts are not.

    Parameters
    ----------
    responses, predictions : tensor, shape (…, image, neuron)
        At least 0.
    mask : tensor, shape (…, image, neuron), optional
        1 where a response counts.

    Returns
    -------
    tensor

    References
    ----------
    P. McCullagh and J. Nelder (1989), Generalized Linear Models, doi:10.1007/978-1-4899-3242-6, chapter 8.
    """
    y, p, valid = _counted(responses, predictions, mask)
    mean = p + EPSILON
    terms = ops.where(valid, y / mean + ops.log(mean), 0)
    return ops.sum(terms, axis=(-2, -1)) / _images(predictions)


PLAIN = {"gaussian": gaussian, "mean_squared": mean_squared, "bernoulli": bernoulli, "gamma": gamma}
RANGES = {"poisson": (0, np.inf), "bernoulli": (0, 1), "gamma": (0, np.inf)}  # of responses


def loss(training: Training, rates: np.ndarray | None = None) -> Callable:
    """The loss that a training names, as a function of responses, predictions and mask.

    Parameters
    ----------
    training : Training
    rates : ndarray, shape (neuron,), optional
        Divides each neuron's Poisson loss.

    Returns
    -------
    callable
    """
    if training.loss in PLAIN:
        return PLAIN[training.loss]
    return lambda responses, predictions, mask=None: poisson(responses, predictions, mask, rates)


def check_responses(name: str, responses: np.ndarray, part: str = "") -> None:
    """Check that a loss is defined for these responses. NaN is a missing response and is allowed.

    Parameters
    ----------
    name : str
        Name of the loss.
    responses : ndarray, shape (image, neuron)
    part : str, optional
        The part that the error names.

    Raises
    ------
    DataError
        If a response is outside the range of the loss.
    """
    low, high = RANGES.get(name, (-np.inf, np.inf))
    wrong = np.asarray(responses)[(responses < low) | (responses > high)]
    if wrong.size:
        wanted = f"in [{low}, {high}]" if np.isfinite(high) else f"≥ {low}"
        raise DataError(
            f"loss '{name}' needs responses {wanted}, but {wrong.size}{part and f' of the {part} set'} are "
            f"not, such as {wrong.flat[0]:g}. Use another loss ('gaussian' takes any), or other responses."
        )


def mean_rates(
    responses: list[np.ndarray], valid: list[np.ndarray], own: list[np.ndarray] | None = None
) -> np.ndarray:
    """Mean response of each neuron over all images of these parts; missing responses count as 0.

    Missing responses count, and the loss is divided by all images: together these give each spike the same
    weight, also for a neuron that was recorded for half of the images. A neuron that never responded gets the
    mean of the others: divided by a value near 0, it would dominate the loss, as it does in NDN.

    Parameters
    ----------
    responses : list of ndarray, shape (image, neuron)
    valid : list of ndarray of bool, shape (image, neuron)
    own : list of ndarray of bool, shape (image, neuron), optional
        Take each neuron's mean over these images only, because the others are in batches of other recordings.

    Returns
    -------
    ndarray, shape (neuron,)
    """
    sums = np.where(np.concatenate(valid), np.concatenate(responses), 0).sum(axis=0)
    means = sums / np.maximum(
        sum(len(one) if own is None else one.sum(axis=0) for one in own or responses), 1
    )
    active = means > 0
    return np.where(active, means, means[active].mean() if active.any() else 1.0)


def _images(predictions):
    return ops.cast(ops.shape(predictions)[-2], predictions.dtype)


def _counted(responses, predictions, mask):
    """Responses and predictions, 0 where they do not count, and where they count."""
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
