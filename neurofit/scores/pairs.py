"""Responses and predictions side by side: shapes checked, and what does not count set aside."""

from __future__ import annotations

import numpy as np

from neurofit.errors import ShapeError


def paired(responses, predictions, mask=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Responses and predictions without what does not count, and where they count.

    A response counts if the mask is True (everywhere by default) and the response is finite. A prediction
    that is NaN or infinite makes all valid predictions of its neuron NaN, so that every score of that neuron
    is nan.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image, neuron)
        NaN in the responses is a missing response.
    mask : bool ndarray of shape (image, neuron), optional
        True where a response counts.

    Returns
    -------
    responses, predictions, valid : ndarray of shape (image, neuron)
        Float64 with zeros wherever `valid` is False.

    Raises
    ------
    ShapeError
        An array is not (image, neuron), or the shapes differ.
    """
    responses = np.asarray(responses, np.float64)
    predictions = np.asarray(predictions, np.float64)
    if responses.ndim != 2 or responses.shape != predictions.shape:
        raise ShapeError(
            f"responses {responses.shape} and predictions {predictions.shape} must both be (image, neuron), "
            "and alike."
        )
    valid = counted(responses, mask)
    broken = (valid & ~np.isfinite(predictions)).any(axis=0)
    predictions = np.where(valid, np.where(broken, np.nan, predictions), 0)
    return np.where(valid, responses, 0), predictions, valid


def counted(responses: np.ndarray, mask=None) -> np.ndarray:
    """(image, neuron) bool: the mask is True and the response finite."""
    finite = np.isfinite(responses)
    if mask is None:
        return finite
    mask = np.asarray(mask)
    if mask.shape != responses.shape:
        raise ShapeError(
            f"mask {mask.shape} and responses {responses.shape} must both be (image, neuron), and alike."
        )
    return finite & mask.astype(bool)


def is_constant(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Which neurons have fewer than two valid values, or values that are equal to the last bit.

    NaN equals nothing.

    Returns
    -------
    bool ndarray of shape (neuron,)
    """
    low = np.where(valid, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(valid, values, -np.inf).max(axis=0, initial=-np.inf)
    return (valid.sum(axis=0) < 2) | (low == high)


def mean(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(neuron,) mean over valid images; nan where there are none. `values` is 0 where not valid."""
    return divided(values.sum(axis=0), valid.sum(axis=0))


def divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator; nan where the denominator is 0, without a warning."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)
