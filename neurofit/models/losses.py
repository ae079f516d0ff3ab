"""How far predictions are from responses: summed over neurons, mean over images, as NDN has it.

Responses and predictions are (…, image, neuron), the result has the leading axes, usually none. A response that is NaN,
or where the mask (same shape, 1 = counts) is 0, adds nothing to the loss and nothing to the gradient; the number of
images that the mean is taken over stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from neurofit.models.training import Training

EPSILON = 1e-6  # added to a predicted rate before its logarithm [spikes per presentation]
SMALLEST_DIVISOR = 1e-8


def poisson(responses, predictions, mask=None, rates=None):
    """−Σ [y · log(p + 1e-6) − p] / images: the Poisson log likelihood but for what does not depend on the prediction.

    `rates` (neuron,): what each neuron's part is divided by, so that a busy neuron's spike counts as a quiet one's
    (`mean_rates`). Those of the *training* images are right; NDN took those of all it was given, validation included.
    """
    y, p = _counted(responses, predictions, mask)
    terms = y * ops.log(EPSILON + p) - p
    images = ops.cast(ops.shape(predictions)[-2], terms.dtype)
    if rates is None:
        return -ops.sum(terms, axis=(-2, -1)) / images
    return -ops.sum(terms / ops.maximum(ops.cast(rates, terms.dtype) * images, SMALLEST_DIVISOR), axis=(-2, -1))


def gaussian(responses, predictions, mask=None):
    """Σ (y − p)² / images."""
    y, p = _counted(responses, predictions, mask)
    return ops.sum(ops.square(y - p), axis=(-2, -1)) / ops.cast(ops.shape(predictions)[-2], p.dtype)


def loss(training: Training, rates: np.ndarray | None = None) -> Callable:
    """(responses, predictions, mask) → the loss that a training names."""
    if training.loss == "gaussian":
        return gaussian
    return lambda responses, predictions, mask=None: poisson(responses, predictions, mask, rates)


def mean_rates(responses: list[np.ndarray], valid: list[np.ndarray]) -> np.ndarray:
    """(neuron,) mean response over all images of these parts, (image, neuron) each, missing ones counting 0.

    That the missing ones count and that a loss is divided by all images belong together: each spike then weighs the
    same, also of a neuron recorded for half of them. A neuron that never responded gets the mean of the others':
    divided by (nearly) 0 it would drown them, as it does in NDN.
    """
    means = np.where(np.concatenate(valid), np.concatenate(responses), 0).mean(axis=0)
    heard = means > 0
    return np.where(heard, means, means[heard].mean() if heard.any() else 1.0).astype(np.float32)


def _counted(responses, predictions, mask):
    # Both are set to 0 before anything is computed with them: the gradient of where(…, NaN) would be NaN all the same.
    valid = ops.isfinite(responses)
    if mask is not None:
        valid = ops.logical_and(valid, ops.cast(mask, "bool"))
    zero = ops.zeros((), predictions.dtype)
    return ops.where(valid, ops.cast(responses, predictions.dtype), zero), ops.where(valid, predictions, zero)
