"""Features for regressions: functions of images that return blocks of features.

Their keyword arguments can be axes of an experiment, as those of an architecture. `GaborBank` has Gabor
filters: an even and an odd wavelet of every wavelength, at a grid of places, in all orientations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neurofit.errors import DataError, nearest

COMPRESSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"none": np.array, "sqrt": np.sqrt}


@dataclass(frozen=True)
class GaborBank:
    """Complex filters e(x, y) · (exp(2πi u / λ) − m); the real part is even, the imaginary part odd.

    u = (x − x₀) cos θ + (y − y₀) sin θ, v = (y − y₀) cos θ − (x − x₀) sin θ, e = exp(−(u² + aspect² v²) /
    2σ²) and σ = width · λ. m makes the sum of a filter's values 0, so that no response depends on the mean of
    an image. Each filter is then divided by √Σ|·|².

    Parameters
    ----------
    wavelengths : tuple of float
        λ [pixels], one for each scale.
    orientations : int, default 8
        θ = kπ / orientations, k = 0 … orientations − 1. At θ = 0 the wave runs along x, and its stripes are
        upright.
    width : float, default 0.4
        σ / λ of the envelope.
    aspect : float, default 1
        Below 1, the envelope is longer along the stripes.
    spacing : float, default 0.25
        Distance between neighbouring places along x and along y [wavelengths].
    reach : float, default 12
        Places lie within ± this distance from the image's middle, along x and along y [pixels]; the middle is
        one of them.

    Raises
    ------
    DataError
        If a number is not above 0 (`reach`: below 0).
    """

    wavelengths: tuple[float, ...] = (8.0, 11.3, 16.0)
    orientations: int = 8
    width: float = 0.4
    aspect: float = 1.0
    spacing: float = 0.25
    reach: float = 12.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "wavelengths", tuple(float(one) for one in self.wavelengths))
        numbers = {"orientations": self.orientations, "width": self.width, "aspect": self.aspect}
        numbers |= {"spacing": self.spacing, "wavelengths": min(self.wavelengths, default=0)}
        for name, value in numbers.items():
            if not value > 0:
                raise DataError(f"GaborBank({name}={getattr(self, name)!r}): expected numbers > 0.")
        if self.reach < 0:
            raise DataError(f"GaborBank(reach={self.reach!r}): expected pixels from the middle, ≥ 0.")

    def parameters(self) -> np.ndarray:
        """(filter, 4): wavelength [pixels], y and x of the place [pixels from the middle], θ [radians]."""
        rows = []
        for wavelength in self.wavelengths:
            step = self.spacing * wavelength
            count = int(self.reach / step + 1e-9)
            places = np.arange(-count, count + 1) * step
            turns = np.arange(self.orientations) * np.pi / self.orientations
            rows += [(wavelength, y, x, turn) for turn in turns for y in places for x in places]
        return np.array(rows)

    def filters(self, height: int, width: int) -> np.ndarray:
        """The filters, (filter, height, width), complex."""
        y, x = np.meshgrid(
            np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
        )
        wavelength, y0, x0, turn = self.parameters().T[:, :, None, None]
        across = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
        along = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
        envelope = np.exp(-(across**2 + (self.aspect * along) ** 2) / (2 * (self.width * wavelength) ** 2))
        wave = envelope * np.exp(2j * np.pi * across / wavelength)
        wave = wave - envelope * (wave.sum(axis=(1, 2)) / envelope.sum(axis=(1, 2)))[:, None, None]
        filters: np.ndarray = wave / np.sqrt((np.abs(wave) ** 2).sum(axis=(1, 2)))[:, None, None]
        return filters

    def responses(self, images: np.ndarray) -> np.ndarray:
        """Σ over pixels of image times filter, (image, filter), for images (image, height, width)."""
        filters = self.filters(*images.shape[1:]).reshape(-1, images[0].size).T
        flat = images.reshape(len(images), -1).astype(np.float64)
        return np.asarray(flat @ filters.real + 1j * (flat @ filters.imag))


@dataclass(frozen=True)
class Block:
    """Features of one kind.

    Parameters
    ----------
    values : ndarray, shape (image, feature)
    share : float, default 1
        Share of the variance of all features, relative to the other blocks.
    weights : ndarray, shape (feature,), optional
        Factor of each feature after its variance was scaled to 1. Default: 1.
    """

    values: np.ndarray
    share: float = 1.0
    weights: np.ndarray | None = None


def pixels(images: np.ndarray) -> list[Block]:
    """Every pixel as a feature.

    Parameters
    ----------
    images : ndarray, shape (image, height, width, channel)

    Returns
    -------
    list of Block
    """
    return [Block(_flat(images))]


def gabor_energy(
    images: np.ndarray,
    *,
    wavelengths: Sequence[float] = GaborBank.wavelengths,
    orientations: int = GaborBank.orientations,
    width: float = GaborBank.width,
    aspect: float = GaborBank.aspect,
    spacing: float = GaborBank.spacing,
    reach: float = GaborBank.reach,
    compression: str = "sqrt",
    window: float = 8.0,
    luminance: float = 0.0,
    pixels: float = 0.0,
) -> list[Block]:
    """√(even² + odd²) of each pair of the bank (`GaborBank`), compressed, for images with one channel.

    Parameters
    ----------
    images : ndarray, shape (image, height, width, 1)
    wavelengths : sequence of float
    orientations : int, default 8
    width, aspect, spacing, reach : float
        See `GaborBank`.
    compression : {"sqrt", "none"}
        "sqrt" is the square root of the energy, as responses of cells saturate with contrast.
    window : float, default 8
        Energies at a distance d from the image's middle have the weight exp(−d² / 4 window²), so that their
        share of the variance is a Gaussian with this standard deviation [pixels]; 0: equal weights.
    luminance, pixels : float, default 0
        Share of the variance of the image's mean, and of its pixels, relative to the energies; 0: none. The
        filters of the bank see neither.

    Returns
    -------
    list of Block

    Raises
    ------
    DataError
        If a value is not valid, or the images have several channels.
    """
    if compression not in COMPRESSIONS:
        raise DataError(
            f"compression={compression!r}: expected none or sqrt.{nearest(str(compression), COMPRESSIONS)}"
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
    images: np.ndarray,
    *,
    wavelength: float = 8.0,
    width: float = 0.4,
    orientations: int = 9,
    across: int = 11,
) -> list[Block]:
    """Signed responses of even Gabor filters at across × across places, 3 pixels apart: 1,089 by default.

    Parameters
    ----------
    images : ndarray, shape (image, height, width, 1)
    wavelength : float, default 8
        [Pixels].
    width : float, default 0.4
        σ / λ of the envelope.
    orientations : int, default 9
    across : int, default 11
        Places along x and along y.

    Returns
    -------
    list of Block
    """
    bank = GaborBank((wavelength,), orientations, width, spacing=3 / wavelength, reach=3.0 * (across // 2))
    return [Block(bank.responses(_grey(images)).real)]


def _grey(images: np.ndarray) -> np.ndarray:
    if images.ndim != 4 or images.shape[-1] != 1:
        raise DataError(f"Gabor filters take images (image, height, width, 1), not {images.shape}.")
    return images[..., 0]


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)
