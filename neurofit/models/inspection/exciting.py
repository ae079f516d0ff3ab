"""The image that excites a neuron most, among images of limited norm."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from neurofit.errors import UsageError
from neurofit.models.inspection import responses

START = 0.1  # of the budget: how strong the noise is from which the ascent starts
FIRST_STEP = 0.2  # of the budget; falls linearly to 0


@dataclass(frozen=True)
class Exciting:
    """Most exciting images.

    Parameters
    ----------
    images : ndarray, shape (neuron, height, width, channel)
        Normalised.
    responses : ndarray, shape (neuron,)
        Responses to these images.
    trace : ndarray, shape (step, neuron)
        Responses at every step.
    """

    images: np.ndarray
    responses: np.ndarray
    trace: np.ndarray


def most_exciting_images(
    model: keras.Model,
    *,
    neurons=None,
    norm: float | None = None,
    steps: int = 100,
    seed: int = 0,
    blur: float = 0.0,
    lowest: float | None = None,
    highest: float | None = None,
    around: float = 0.0,
) -> Exciting:
    """Gradient ascent on each neuron's response, among images of limited norm.

    Parameters
    ----------
    model : keras.Model
    neurons : sequence of int, optional
        Indices. Default: all.
    norm : float, optional
        Largest L2 norm of the image's difference from `around`, in normalised units. Default: √(number of
        pixels), that of an image with typical contrast for a standardised training set.
    steps : int, default 100
    seed : int, default 0
        Of the noise that the ascent starts from.
    blur : float, default 0
        Standard deviation of a Gaussian that smooths gradients, against patterns finer than any filter
        [pixels].
    lowest, highest : float, optional
        Limits of every pixel, normalised (`Units.to_model` of 0 and 255). Default: no limit.
    around : float, default 0
        Every pixel of the grey image that the ascent starts from, normalised (`Units.middle`); within the
        limits.

    Returns
    -------
    Exciting
        The best image of each neuron's ascent.

    Raises
    ------
    UsageError
        If the norm or the number of steps is not above 0, or the limits exclude grey.

    References
    ----------
    E. Walker et al. (2019), most exciting inputs, doi:10.1038/s41593-019-0517-x; here with a limit on the
    norm.
    """
    indices, shape = responses.chosen(model, neurons), responses.image_shape(model)
    budget = float(np.sqrt(np.prod(shape))) if norm is None else float(norm)
    limits = (-np.inf if lowest is None else lowest, np.inf if highest is None else highest)
    _check(budget, steps, limits, around)
    limits = (limits[0] - around, limits[1] - around)
    images = np.random.default_rng(seed).standard_normal((len(indices), *shape))
    images = _within(START * budget * images / _norms(images), budget, limits)
    best, best_responses, trace = images, np.full(len(indices), -np.inf), []
    for step in range(steps + 1):
        slopes, excited = responses.gradients(model, images + around, indices)
        trace.append(excited)
        better = excited > best_responses
        best = np.where(better[:, None, None, None], images, best)
        best_responses = np.where(better, excited, best_responses)
        direction = _smoothed(slopes, blur)
        length = FIRST_STEP * budget * (1 - step / (steps + 1))
        images = _within(images + length * direction / np.maximum(_norms(direction), 1e-12), budget, limits)
    return Exciting((best + around).astype(np.float32), best_responses, np.stack(trace))


def _norms(images: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(images).sum(axis=(1, 2, 3), keepdims=True))


def _within(images: np.ndarray, budget: float, limits: tuple[float, float]) -> np.ndarray:
    """Images within norm and limits. The norm comes first: limits around 0 only make it smaller."""
    return np.clip(images * np.minimum(1, budget / np.maximum(_norms(images), 1e-12)), *limits)


def _smoothed(slopes: np.ndarray, blur: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(slopes, (0, blur, blur, 0)) if blur else slopes


def _check(budget: float, steps: int, limits: tuple[float, float], around: float) -> None:
    if not budget > 0 or steps < 1:
        raise UsageError(
            f"most_exciting_images(norm={budget:g}, steps={steps}): expected a norm and steps above 0."
        )
    if not limits[0] <= around <= limits[1]:
        raise UsageError(
            f"most_exciting_images(lowest, highest = {limits}): around={around:g}, the mean grey, must lie "
            "between."
        )
