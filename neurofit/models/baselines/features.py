"""What a regression is given: functions of images (image, height, width, channel) that return blocks of
features.

Their keyword arguments are axes of an experiment, as an architecture's are.

A bank of Gabor filters: an even and an odd wavelet of every wavelength, at a grid of places, in all
directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurofit.errors import DataError, nearest

COMPRESSIONS = {"none": np.array, "sqrt": np.sqrt}


@dataclass(frozen=True)
class GaborBank:
    """Complex filters e(x, y) · (exp(2πi u / λ) − m), their real part even and their imaginary part odd.

    With u = (x − x₀) cos θ + (y − y₀) sin θ and v = (y − y₀) cos θ − (x − x₀) sin θ: e = exp(−(u² + aspect²
    v²) / 2σ²) and σ = width · λ. m makes a filter's values sum to 0, so that no response depends on the mean
    of an image. Then each filter is divided by √Σ|·|².

    Parameters
    ----------
    wavelengths : tuple of float
        λ [pixels], one for each scale.
    orientations : int
        θ = kπ / orientations, k = 0 … orientations − 1. At θ = 0 the wave runs along x, and its stripes are
        upright.
    width : float
        σ / λ of the envelope.
    aspect : float
        Below 1, the envelope is longer along the stripes.
    spacing : float
        Between neighbouring places, in wavelengths, along x and y. At a half, adjacent filters overlap.
    reach : float
        Places lie within this many pixels of the image's middle, along x and along y; the middle is one.
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
        """(filter, 4): wavelength [pixels], y and x of its place [pixels from the middle], θ [radians]."""
        rows = []
        for wavelength in self.wavelengths:
            step = self.spacing * wavelength
            count = int(self.reach / step + 1e-9)
            places = np.arange(-count, count + 1) * step
            turns = np.arange(self.orientations) * np.pi / self.orientations
            rows += [(wavelength, y, x, turn) for turn in turns for y in places for x in places]
        return np.array(rows)

    def filters(self, height: int, width: int) -> np.ndarray:
        """(filter, height, width) complex."""
        y, x = np.meshgrid(
            np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
        )
        wavelength, y0, x0, turn = self.parameters().T[:, :, None, None]
        across = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
        along = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
        envelope = np.exp(-(across**2 + (self.aspect * along) ** 2) / (2 * (self.width * wavelength) ** 2))
        wave = envelope * np.exp(2j * np.pi * across / wavelength)
        wave = wave - envelope * (wave.sum(axis=(1, 2)) / envelope.sum(axis=(1, 2)))[:, None, None]
        return wave / np.sqrt((np.abs(wave) ** 2).sum(axis=(1, 2)))[:, None, None]

    def responses(self, images: np.ndarray) -> np.ndarray:
        """(image, filter) complex: Σ over pixels of image times filter. In (image, height, width)."""
        filters = self.filters(*images.shape[1:]).reshape(-1, images[0].size).T
        flat = images.reshape(len(images), -1).astype(np.float64)
        return flat @ filters.real + 1j * (flat @ filters.imag)


@dataclass(frozen=True)
class Block:
    """Features of one kind.

    Parameters
    ----------
    values : ndarray of shape (image, feature)
        The features.
    share : float
        Share of the variance of all features, relative to the other blocks'.
    weights : ndarray of shape (feature,), optional
        What each feature is multiplied by once its variance is 1.
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
    """√(even² + odd²) of each pair of a `GaborBank`, compressed, for images of one channel.

    Parameters
    ----------
    images : ndarray of shape (image, height, width, 1)
        In pixels.
    wavelengths, orientations, width, aspect, spacing, reach : optional
        Of the bank, see `GaborBank`.
    compression : {"sqrt", "none"}
        "sqrt" takes the square root of the energy, because responses of cells to contrast saturate.
    window : float
        Energies at a distance d [pixels] from the image's middle are weighted by exp(−d² / 4 window²), so that
        their share of the variance is a Gaussian with this standard deviation. 0 means equal weights.
    luminance, pixels : float
        Share of the variance of the image's mean, and of its pixels, where the energies have 1. 0 leaves them
        out. The bank's filters see neither.

    Returns
    -------
    list of Block
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
    """Signed even Gabor filters in `orientations` directions at across × across places, 3 pixels apart: 1,089.

    Parameters
    ----------
    images : ndarray of shape (image, height, width, 1)
        In pixels.
    wavelength : float
        Of all filters [pixels].
    width : float
        Standard deviation of the envelope, in wavelengths.
    orientations : int
        Number of directions.
    across : int
        Number of places along each side.

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
