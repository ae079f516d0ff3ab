"""Sinusoidal gratings as stimuli."""

from __future__ import annotations

import numpy as np

from neurofit.models.inspection.units import Units


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
    """grey · (1 + contrast · cos(2π f u + phase)) within a disc, grey outside; as the model takes it.

    u = x cos θ + y sin θ [pixels] from the centre. Every argument is a number, or broadcasts to (image,).

    Parameters
    ----------
    shape : (height, width, channel); channels are alike
    orientation : θ [degrees]; 0: upright stripes, which change along x
    frequency : f [cycles per pixel]
    phase : [radians]
    diameter : of the disc [pixels], its edge one pixel soft
    contrast : (Michelson) in [0, 1]; without `units`, the amplitude in normalised units around 0
    centre : y and x [pixels] of the disc, (2,) or (image, 2); None for the middle
    units : of the model

    Returns
    -------
    (image, height, width, channel) float32, normalised
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
