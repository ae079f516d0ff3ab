"""Images with the statistics of photographs: textures with 1/f amplitude, occlusion, contours."""

from __future__ import annotations

import numpy as np
from scipy import fft

LEAVES = 14
_CHUNK = 100  # images at a time: the working arrays stay in the processor's cache


def natural_like(n_images: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Dead leaves: textured shapes of all sizes that occlude one another, with thin curved lines among them.

    Values are rounded to eight bits, so that differences in the last bit between processors change nothing
    downstream.

    Parameters
    ----------
    n_images : int
    size : int
        Height and width [pixels].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (image, height, width)
        Whole numbers 0 … 255, float32.

    References
    ----------
    A. Lee, D. Mumford and J. Huang (2001), an occlusion model of natural images, doi:10.1023/A:1011109015675.
    """
    texture = pink_noise(n_images, size, rng)
    leaves = _draw_leaves(n_images, size, rng)
    images = np.empty((n_images, size, size), np.float32)
    for start in range(0, n_images, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        images[chunk] = _paint(texture[chunk], {name: values[:, chunk] for name, values in leaves.items()})
    return np.clip(np.rint(128 + 45 * _softened(images)), 0, 255)


def pink_noise(n_images: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(image, height, width) float32 noise with amplitude 1/frequency; mean 0, std 1 over all."""
    wide = fft.next_fast_len(
        size + size // 2, real=True
    )  # wider than needed: what is cut out does not wrap around
    frequency = np.hypot(np.fft.fftfreq(wide)[:, None], np.fft.rfftfreq(wide)[None, :])
    amplitude = np.divide(1, frequency, out=np.zeros_like(frequency), where=frequency > 0)
    noise = fft.irfft2(fft.rfft2(rng.standard_normal((n_images, wide, wide))) * amplitude, s=(wide, wide))
    noise = noise[:, :size, :size]
    # Rounded to 2⁻¹², for the same reason as the images.
    return (np.rint(noise / noise.std() * 4096) / 4096).astype(np.float32)


def _draw_leaves(n_images: int, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of each leaf of each image, each (leaf, image, 1, 1), from back to front."""
    shape = (LEAVES, n_images, 1, 1)
    small, large = 0.06 * size, 1.0 * size
    # p(radius) ∝ radius⁻²: between the one that makes images alike at every scale (-3) and one of large
    # shapes only.
    radius = 1 / (1 / small + rng.random(shape) * (1 / large - 1 / small))
    angle, stretch = rng.uniform(0, np.pi, shape), rng.uniform(1, 2.5, shape) ** 0.5
    leaves = {
        "x": rng.uniform(-0.1, 1.1, shape) * size,
        "y": rng.uniform(-0.1, 1.1, shape) * size,
        "along_x": np.cos(angle) / (radius * stretch),
        "along_y": np.sin(angle) / (radius * stretch),
        "across_x": -np.sin(angle) * stretch / radius,
        "across_y": np.cos(angle) * stretch / radius,
        "grey": rng.normal(0, 1.1, shape),
        "shade": rng.normal(0, 0.25, shape),
        "contrast": rng.uniform(0.1, 0.5, shape),
    }
    leaves = {name: values.astype(np.float32) for name, values in leaves.items()}
    kind = rng.random(shape)
    return {**leaves, "is_round": kind < 0.6, "is_contour": kind > 0.85}


def _paint(texture: np.ndarray, leaves: dict[str, np.ndarray]) -> np.ndarray:
    """(image, height, width), one leaf over the other; a contour is a thin elliptic line."""
    at = np.arange(texture.shape[-1], dtype=np.float32)
    image = 0.6 * texture
    for index in range(LEAVES):
        leaf = {name: values[index] for name, values in leaves.items()}
        x, y = at[None, None, :] - leaf["x"], at[None, :, None] - leaf["y"]
        along = x * leaf["along_x"] + y * leaf["along_y"]
        across = x * leaf["across_x"] + y * leaf["across_y"]
        ellipse, rectangle = along * along + across * across, np.maximum(abs(along), abs(across))
        distance = np.where(leaf["is_round"] | leaf["is_contour"], ellipse, rectangle)
        inside = (distance < 1) & ~(leaf["is_contour"] & (distance < 0.7))
        np.copyto(
            image, leaf["grey"] + leaf["shade"] * along + leaf["contrast"] * texture[::-1], where=inside
        )
    return image


def _softened(images: np.ndarray) -> np.ndarray:
    """Blurred by (1, 6, 1) / 8 along both axes, as by a lens."""
    for axis in (1, 2):
        padded = np.pad(images, [(0, 0)] + [(int(a == axis),) * 2 for a in (1, 2)], mode="edge")
        length = images.shape[axis]
        left, middle, right = (np.take(padded, range(k, k + length), axis=axis) for k in range(3))
        images = (left + 6 * middle + right) / 8
    return images
