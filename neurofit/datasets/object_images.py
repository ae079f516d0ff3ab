"""Generated colour images of objects: shapes with textures, at any position, size and angle, on any background."""

from __future__ import annotations

import numpy as np

from neurofit.datasets.stimuli import pink_noise

_CHUNK = 50  # images at a time


def object_images(
    objects: np.ndarray, n_per_category: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """One image of each object, with random position, size, angle and background.

    Parameters
    ----------
    objects : ndarray of int, shape (image,)
        Number of the object. Objects of a category have similar outlines; each has its own texture and colour.
    n_per_category : int
        Number of objects in a category.
    size : int
        Height and width [pixels].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of uint8, shape (image, height, width, channel)
        RGB.
    """
    images = np.empty((len(objects), size, size, 3), np.uint8)
    for start in range(0, len(objects), _CHUNK):
        chunk = objects[start : start + _CHUNK]
        images[start : start + _CHUNK] = _painted(chunk, n_per_category, size, rng)
    return images


def _painted(objects: np.ndarray, n_per_category: int, size: int, rng: np.random.Generator) -> np.ndarray:
    count, shape = len(objects), (len(objects), 1, 1)
    look = _looks(objects, n_per_category)
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    angle, scale = rng.uniform(-0.5, 0.5, shape), rng.uniform(0.18, 0.32, shape)
    left, down = rng.uniform(-0.18, 0.18, shape), rng.uniform(-0.18, 0.18, shape)
    u = (np.cos(angle) * (x - left) + np.sin(angle) * (y - down)) / scale
    v = (-np.sin(angle) * (x - left) + np.cos(angle) * (y - down)) / scale * look["stretch"]
    radius, direction = np.hypot(u, v), np.arctan2(v, u)
    outline = 1 + look["depth"] * np.cos(look["lobes"] * direction) + 0.15 * np.sin(2 * direction)
    inside = 1 / (1 + np.exp(np.clip((radius - outline) * 25 * scale * size / 32, -50, 50)))
    wave = np.sin(look["frequency"] * (np.cos(look["turn"]) * u + np.sin(look["turn"]) * v))
    shade = 0.75 + 0.25 * wave * look["contrast"] - 0.25 * v
    background = pink_noise(count, size, rng)[..., None] * 0.16 * rng.uniform(0.3, 1.3, (count, 1, 1, 1))
    background = background + rng.uniform(0.25, 0.75, (count, 1, 1, 3))
    foreground = look["colour"][:, None, None, :] * shade[..., None]
    mixed = background * (1 - inside[..., None]) + foreground * inside[..., None]
    return np.clip(np.rint(mixed * 255), 0, 255).astype(np.uint8)


def _looks(objects: np.ndarray, n_per_category: int) -> dict[str, np.ndarray]:
    """What is always the same about an object, each (image, 1, 1): the outline of its category, and its surface."""
    category = objects // n_per_category
    own = np.stack([np.random.default_rng((7, int(number))).random(8) for number in objects])
    family = np.stack([np.random.default_rng((3, int(number))).random(3) for number in category])
    looks = {
        "lobes": 1 + category % 6,
        "depth": 0.15 + 0.35 * family[:, 0] + 0.08 * own[:, 0],
        "stretch": 0.7 + 1.2 * family[:, 1] + 0.2 * own[:, 1],
        "frequency": 3 + 14 * own[:, 2],
        "turn": np.pi * own[:, 3],
        "contrast": 0.2 + 0.8 * own[:, 4],
    }
    return {
        "colour": 0.15 + 0.85 * own[:, 5:8],
        **{name: values[:, None, None] for name, values in looks.items()},
    }
