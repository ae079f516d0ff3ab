"""Tuning of a model's neurons to sinusoidal gratings, as it is measured in animals."""

from __future__ import annotations

from dataclasses import dataclass

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
    orientations, frequencies, diameters, contrasts = shown = [
        np.asarray(values, float) for values in (orientations, frequencies, diameters, contrasts)
    ]
    if not all(len(values) for values in shown):
        raise UsageError(
            "tuning: orientations, frequencies, diameters and contrasts each need at least one value."
        )
    grid = _full_field(model, shape, orientations, frequencies, contrast, units)[..., indices]
    best = grid.mean(axis=2).reshape(-1, len(indices)).argmax(axis=0)
    angle, wave = np.unravel_index(best, grid.shape[:2])
    each = np.arange(len(indices))
    centres = _centres(model, indices, shape) if centres is None else np.asarray(centres, float)
    own = {
        "orientation": orientations[angle],
        "frequency": frequencies[wave],
        "units": units,
        "centre": centres,
    }
    by_size, _ = _own_gratings(
        model, indices, shape, diameter=diameters, contrast=np.full(1, contrast), **own
    )
    by_contrast, phases = _own_gratings(
        model, indices, shape, diameter=np.full(1, np.inf), contrast=contrasts, **own
    )
    means = grid.mean(axis=2)
    return Tuning(
        orientations,
        frequencies,
        diameters,
        contrasts,
        means[:, wave, each].T,
        means[angle, :, each],
        by_size,
        by_contrast,
        orientations[angle],
        frequencies[wave],
        centres,
        _modulation(phases[:, contrasts.argmax()]),
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


def _full_field(model, shape, orientations, frequencies, contrast, units):
    """Responses to full-field gratings, (orientation, frequency, phase, neuron)."""
    axes = np.meshgrid(orientations, frequencies, _phases(), indexing="ij")
    angle, wave, phase = (axis.ravel() for axis in axes)
    images = gratings(shape, orientation=angle, frequency=wave, phase=phase, contrast=contrast, units=units)
    return responses.respond(model, images).reshape(*axes[0].shape, -1)


def _own_gratings(model, indices, shape, *, orientation, frequency, centre, diameter, contrast, units):
    """Responses to each neuron's own gratings, (neuron, diameter or contrast): mean phase, every phase."""
    count = max(len(diameter), len(contrast))
    found = np.empty((len(indices), count, PHASES))
    size, strength = (np.broadcast_to(values, count).repeat(PHASES) for values in (diameter, contrast))
    phase = np.tile(_phases(), count)
    for place, neuron in enumerate(indices):
        images = gratings(
            shape,
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
