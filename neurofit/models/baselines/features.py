"""What a regression is given: functions of images (image, height, width, channel) that return blocks of
features.

Their keyword arguments are axes of an experiment, as an architecture's are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurofit.errors import DataError, nearest
from neurofit.models.baselines.gabor import GaborBank

COMPRESSIONS = {"none": np.array, "sqrt": np.sqrt}


@dataclass(frozen=True)
class Block:
    """Features of one kind.

    Parameters
    ----------
    values : (image, feature)
    share : of the variance of all features, relative to the other blocks'
    weights : (feature,), what each is multiplied by once its variance is 1; None: nothing
    """

    values: np.ndarray
    share: float = 1.0
    weights: np.ndarray | None = None


def pixels(images: np.ndarray) -> list[Block]:
    """Every pixel."""
    return [Block(_flat(images))]


def gabor_energy(
    images: np.ndarray,
    *,
    wavelengths=GaborBank.wavelengths,
    orientations=GaborBank.orientations,
    width=GaborBank.width,
    aspect=GaborBank.aspect,
    spacing=GaborBank.spacing,
    reach=GaborBank.reach,
    compression="sqrt",
    window=8.0,
    luminance=0.0,
    pixels=0.0,
) -> list[Block]:
    """√(even² + odd²) of each pair of the bank (`GaborBank`), compressed, for images of one channel.

    compression: "sqrt": the square root of the energy, since cells' responses to contrast saturate; or
    "none"; window [pixels]: energies at a distance d from the image's middle weigh exp(−d² / 4 window²), so
    that their share of the variance is a Gaussian with this standard deviation; 0: all alike; luminance,
    pixels: share of the variance of the image's mean, and of its pixels, where the energies have 1; 0: none.
    The bank's filters see neither.
    """
    if compression not in COMPRESSIONS:
        raise DataError(
            f"compression={compression!r}: known are none, sqrt.{nearest(str(compression), COMPRESSIONS)}"
        )
    bank = GaborBank(tuple(wavelengths), orientations, width, aspect, spacing, reach)
    _, y, x, _ = bank.parameters().T
    weights = np.exp(-(y**2 + x**2) / (4 * window**2)) if window else None
    blocks = [Block(COMPRESSIONS[compression](np.abs(bank.responses(_grey(images)))), 1.0, weights)]
    if luminance:
        blocks.append(Block(_flat(images).mean(axis=1, keepdims=True), luminance))
    if pixels:
        blocks.append(Block(_flat(images), pixels))
    return blocks


def gabor_wavelets(
    images: np.ndarray, *, wavelength=8.0, width=0.4, orientations=9, across=11
) -> list[Block]:
    """Even Gabor filters in `orientations` directions at across × across places, 3 pixels apart: 1,089, with
    signs.
    """
    bank = GaborBank((wavelength,), orientations, width, spacing=3 / wavelength, reach=3.0 * (across // 2))
    return [Block(bank.responses(_grey(images)).real)]


def _grey(images: np.ndarray) -> np.ndarray:
    if images.ndim != 4 or images.shape[-1] != 1:
        raise DataError(f"Gabor filters take images (image, height, width, 1), not {images.shape}.")
    return images[..., 0]


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)
