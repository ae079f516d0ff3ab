"""Images that show what a neuron prefers: gratings, the tuning to them, and the most exciting image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from neurofit.errors import UsageError
from neurofit.models.inspection import fields, responses
from neurofit.models.inspection.responses import Units

ORIENTATIONS = tuple(range(0, 180, 15))  # degrees
FREQUENCIES = (0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32)  # cycles per pixel
CONTRASTS = (0.0, 0.06, 0.12, 0.25, 0.5, 0.75, 1.0)
PHASES = 8


@dataclass(frozen=True)
class Tuning:
    """Responses averaged over phases, and what each neuron prefers.

    Parameters
    ----------
    orientations : ndarray, shape (orientation,)
        [Degrees].
    frequencies : ndarray, shape (frequency,)
        [Cycles per pixel].
    diameters : ndarray, shape (diameter,)
        [Pixels].
    contrasts : ndarray, shape (contrast,)
    by_orientation : ndarray, shape (neuron, orientation)
        At the preferred frequency.
    by_frequency : ndarray, shape (neuron, frequency)
        At the preferred orientation.
    by_diameter : ndarray, shape (neuron, diameter)
        At the preferred orientation and frequency, around the neuron's centre.
    by_contrast : ndarray, shape (neuron, contrast)
        At the preferred orientation and frequency.
    preferred_orientation : ndarray, shape (neuron,)
        [Degrees].
    preferred_frequency : ndarray, shape (neuron,)
        [Cycles per pixel].
    centres : ndarray, shape (neuron, 2)
        y and x [pixels].
    modulation : ndarray, shape (neuron,)
        F1 / F0 over the phases of the preferred grating, > 1 for a simple cell, < 1 for a complex one; nan
        for a silent neuron.
    """

    orientations: np.ndarray
    frequencies: np.ndarray
    diameters: np.ndarray
    contrasts: np.ndarray
    by_orientation: np.ndarray
    by_frequency: np.ndarray
    by_diameter: np.ndarray
    by_contrast: np.ndarray
    preferred_orientation: np.ndarray
    preferred_frequency: np.ndarray
    centres: np.ndarray
    modulation: np.ndarray


def tuning(
    model: keras.Model,
    *,
    neurons=None,
    orientations=ORIENTATIONS,
    frequencies=FREQUENCIES,
    diameters=None,
    contrasts=CONTRASTS,
    contrast: float = 1.0,
    units: Units | None = None,
    centres: np.ndarray | None = None,
) -> Tuning:
    """Tuning to orientation and spatial frequency (full field), then to size and contrast at the best.

    Parameters
    ----------
    model : keras.Model
    neurons : sequence of int, optional
        Indices. Default: all.
    orientations : sequence of float
        [Degrees].
    frequencies : sequence of float
        [Cycles per pixel].
    diameters : sequence of float, optional
        [Pixels]. Default: ten values from 2 pixels to the image's diagonal.
    contrasts : sequence of float
    contrast : float, default 1
        Of gratings whose contrast does not vary.
    units : Units, optional
        Of the model, so that contrasts are those of a screen. Otherwise they are amplitudes in normalised
        units.
    centres : ndarray, shape (neuron, 2), optional
        y and x around which sizes grow [pixels]. Default: the centres of the receptive fields.

    Returns
    -------
    Tuning

    Raises
    ------
    UsageError
        If there is nothing to show, or no such neuron.
    """
    indices, shape = responses.chosen(model, neurons), responses.image_shape(model)
    if diameters is None:
        diameters = np.unique(np.round(np.geomspace(2, np.hypot(*shape[:2]), 10)))
    axes = [np.asarray(values, float) for values in (orientations, frequencies, diameters, contrasts)]
    if not all(len(values) for values in axes):
        raise UsageError(
            "tuning: orientations, frequencies, diameters and contrasts each need at least one value."
        )
    centres = _centres(model, indices, shape) if centres is None else np.asarray(centres, float)
    return _tuning(model, indices, axes, contrast, units, centres)


def _tuning(model, indices, axes, contrast, units, centres) -> Tuning:
    """The tuning of these neurons; axes are orientations, frequencies, diameters and contrasts."""
    orientations, frequencies, diameters, contrasts = axes
    full_field = _full_field(model, orientations, frequencies, contrast, units)[..., indices].mean(axis=2)
    best = full_field.reshape(-1, len(indices)).argmax(axis=0)
    angle, wave = np.unravel_index(best, full_field.shape[:2])
    own = partial(
        _own_gratings,
        model,
        indices,
        orientation=orientations[angle],
        frequency=frequencies[wave],
        centre=centres,
        units=units,
    )
    by_diameter, _ = own(diameter=diameters, contrast=np.full(1, contrast))
    by_contrast, phases = own(diameter=np.full(1, np.inf), contrast=contrasts)
    each = np.arange(len(indices))
    return Tuning(
        orientations=orientations,
        frequencies=frequencies,
        diameters=diameters,
        contrasts=contrasts,
        by_orientation=full_field[:, wave, each].T,
        by_frequency=full_field[angle, :, each],
        by_diameter=by_diameter,
        by_contrast=by_contrast,
        preferred_orientation=orientations[angle],
        preferred_frequency=frequencies[wave],
        centres=centres,
        modulation=_modulation(phases[:, contrasts.argmax()]),
    )


def orientation_selectivity(responses: np.ndarray, orientations: np.ndarray) -> np.ndarray:
    """|Σ r e^{2iθ}| / Σ r, one minus the circular variance.

    Parameters
    ----------
    responses : ndarray, shape (…, orientation)
        At least 0.
    orientations : ndarray, shape (orientation,)
        [Degrees].

    Returns
    -------
    ndarray, shape (…)
        In [0, 1]; nan for a silent neuron.

    References
    ----------
    D. Ringach, R. Shapley and M. Hawken (2002), doi:10.1523/JNEUROSCI.22-13-05639.2002.
    """
    turned = np.exp(2j * np.deg2rad(np.asarray(orientations, float)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(responses @ turned) / np.sum(responses, axis=-1)


def _full_field(model, orientations, frequencies, contrast, units):
    """Responses to full-field gratings, (orientation, frequency, phase, neuron)."""
    axes = np.meshgrid(orientations, frequencies, _phases(), indexing="ij")
    angle, wave, phase = (axis.ravel() for axis in axes)
    shape = responses.image_shape(model)
    images = gratings(shape, orientation=angle, frequency=wave, phase=phase, contrast=contrast, units=units)
    return responses.respond(model, images).reshape(*axes[0].shape, -1)


def _own_gratings(model, indices, *, orientation, frequency, centre, diameter, contrast, units):
    """Responses to each neuron's own gratings, (neuron, diameter or contrast): mean phase, every phase."""
    count = max(len(diameter), len(contrast))
    found = np.empty((len(indices), count, PHASES))
    size, strength = (np.broadcast_to(values, count).repeat(PHASES) for values in (diameter, contrast))
    phase = np.tile(_phases(), count)
    for place, neuron in enumerate(indices):
        images = gratings(
            responses.image_shape(model),
            orientation=orientation[place],
            frequency=frequency[place],
            phase=phase,
            diameter=size,
            contrast=strength,
            centre=centre[place],
            units=units,
        )
        found[place] = responses.respond(model, images)[:, neuron].reshape(count, PHASES)
    return found.mean(axis=-1), found


def _centres(model, indices, shape):
    """Centres of the receptive fields; the middle for a neuron that has none at grey."""
    found = fields.centres(fields.receptive_fields(model, neurons=indices))
    return np.where(np.isfinite(found), found, (np.array(shape[:2]) - 1) / 2)


def _modulation(phases):
    """F1 / F0 of responses (neuron, phase)."""
    turned = np.exp(1j * _phases())
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * np.abs(phases @ turned) / phases.sum(axis=-1)


def _phases():
    return np.arange(PHASES) * 2 * np.pi / PHASES


def gratings(
    shape: tuple[int, int, int],
    *,
    orientation=0.0,
    frequency=0.1,
    phase=0.0,
    diameter=np.inf,
    contrast=1.0,
    centre=None,
    units: Units | None = None,
) -> np.ndarray:
    """grey · (1 + contrast · cos(2π f u + phase)) within a disc, grey outside.

    u = x cos θ + y sin θ [pixels] from the centre. Every keyword argument but `units` is a number, or
    broadcasts to (image,).

    Parameters
    ----------
    shape : tuple of int
        (height, width, channel). All channels are equal.
    orientation : float or ndarray, default 0
        θ [degrees]; 0: upright stripes, which change along x.
    frequency : float or ndarray, default 0.1
        f [cycles per pixel].
    phase : float or ndarray, default 0
        [Radians].
    diameter : float or ndarray, default inf
        Of the disc, whose edge is one pixel soft [pixels].
    contrast : float or ndarray, default 1
        Michelson contrast in [0, 1]; without `units`, the amplitude in normalised units around 0.
    centre : ndarray, shape (2,) or (image, 2), optional
        y and x of the disc [pixels]. Default: the middle.
    units : Units, optional
        Of the model.

    Returns
    -------
    ndarray, shape (image, height, width, channel)
        Normalised, float32.
    """
    centre = (np.array(shape[:2]) - 1) / 2 if centre is None else np.asarray(centre, np.float64)
    given = np.broadcast_arrays(
        *map(
            np.atleast_1d, (orientation, frequency, phase, diameter, contrast, centre[..., 0], centre[..., 1])
        )
    )
    angle, f, shift, across, strength, middle_y, middle_x = (
        np.asarray(one, float)[:, None, None] for one in given
    )
    y, x = np.arange(shape[0])[None, :, None] - middle_y, np.arange(shape[1])[None, None, :] - middle_x
    along = x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle))
    inside = np.clip(across / 2 - np.hypot(y, x) + 0.5, 0, 1)
    waves = (strength * inside * np.cos(2 * np.pi * f * along + shift))[..., None].repeat(shape[2], axis=-1)
    return waves.astype(np.float32) if units is None else units.to_model(units.grey * (1 + waves))


FIRST_NORM = 0.1  # of the budget: norm of the noise that the ascent starts from
FIRST_STEP = 0.2  # of the budget: length of a step, which falls linearly to 0


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
    _check_budget(budget, steps, limits, around)
    limits = (limits[0] - around, limits[1] - around)
    images = np.random.default_rng(seed).standard_normal((len(indices), *shape))
    images = _within(FIRST_NORM * budget * images / _norms(images), budget, limits)
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


def _check_budget(budget: float, steps: int, limits: tuple[float, float], around: float) -> None:
    if not budget > 0 or steps < 1:
        raise UsageError(
            f"most_exciting_images(norm={budget:g}, steps={steps}): expected a norm and steps above 0."
        )
    if not limits[0] <= around <= limits[1]:
        raise UsageError(
            f"most_exciting_images(lowest, highest = {limits}): around={around:g}, the mean grey, must lie "
            "between."
        )
