"""Common accidents with image values: what is probably wrong with images in a declared format, in words."""

from __future__ import annotations

from typing import Any

import numpy as np

_SAMPLE = 200_000  # values that are looked at for eight-bit levels
_WEAK = 1e-3  # of the range: rounding


def accident(images: np.ndarray, pixels: Any, networks: dict[str, Any]) -> str | None:
    """What is probably wrong with these images, and the remedy; None if nothing is.

    Parameters
    ----------
    images : ndarray
    pixels : PixelFormat
        The declared format.
    networks : dict of str to PixelFormat
        Formats that images are often found in.

    Returns
    -------
    str or None
    """
    images = np.asarray(images)
    wrong = _shape(images, pixels)
    if wrong is not None or images.size == 0:
        return wrong
    if images.dtype.kind not in "biuf":
        return f"values are {images.dtype}; expected numbers."
    last = images if pixels.axes == "channels_last" else np.moveaxis(images, 1, -1)
    low, high = _range(last)
    if not (np.isfinite(low) and np.isfinite(high)):
        return "there are NaN or infinite values. Leave these images out."
    seen = f"values are {low:.4g} … {high:.4g}"
    problem = _normalised(last, pixels, low, high) if pixels.normalised else _plain(last, pixels, networks)
    return None if problem is None else f"{seen}. {problem}"


def _shape(images: np.ndarray, pixels: Any) -> str | None:
    first = pixels.axes == "channels_first"
    if images.ndim != 4:
        axes = "image, channel, height, width" if first else "image, height, width, channel"
        return f"there are {images.ndim} axes; expected ({axes})."
    here, there = (images.shape[1], images.shape[-1]) if first else (images.shape[-1], images.shape[1])
    if here == pixels.channels:
        return None
    if there == pixels.channels:
        other = "channels_last" if first else "channels_first"
        return (
            f"they look like {other.replace('_', ' ')}: axis {3 if first else 1} has {there} elements. "
            f"Declare them with axes='{other}'."
        )
    if here == 1:
        return "there is one channel. Declare them with order='grey'."
    if here == 4:
        return "there are four channels, probably with transparency. Remove the fourth."
    return f"there are {here} channels; expected {pixels.channels}."


def _plain(last: np.ndarray, pixels: Any, networks: dict[str, Any]) -> str | None:
    """What is wrong with images that are declared as not normalised."""
    low, high = _range(last)
    weak = _WEAK * (pixels.high - pixels.low)
    if pixels.low - weak <= low and high <= pixels.high + weak:
        if low < 0 or low == high or high > 1 or (pixels.low, pixels.high) == (0, 1):
            return None
        if pixels.high > 10 or (pixels.low < 0 and pixels.high == 1):
            return "They look like 0…1. Declare them with low=0, high=1."
        return None
    if low >= 0:
        if 1 < high <= 255.5 and pixels.high < 255:
            return "They look like 0…255. Declare them with low=0, high=255."
        return "They are outside of the declared range. Declare the range that they have."
    fitting = {
        name: known
        for name, known in networks.items()
        if known.normalised and known.channels == pixels.channels and _fits(last, known)
    }
    certain = {name: known for name, known in fitting.items() if _levels(last, known)}
    if pixels.low == 0 and low >= -1 - _WEAK and high <= 1 + _WEAK and not certain:
        return "They look like -1…1 (the mode 'tf'). Declare them with low=-1, high=1."
    for name, known in (certain or fitting).items():
        return (
            f"They look normalised already (as for the mode '{name}'). Declare them with low={known.low:g}, "
            f"high={known.high:g}, order='{known.order}', mean={known.mean}, sd={known.sd}."
        )
    return "They look normalised already. Declare the mean and sd that they were normalised with."


def _normalised(last: np.ndarray, pixels: Any, low: float, high: float) -> str | None:
    """What is wrong with images that are declared as normalised."""
    mean, sd = np.asarray(pixels.mean), np.asarray(pixels.sd)
    reverse = pixels.channels == 3 and pixels.mean != pixels.mean[::-1]
    if _fits(last, pixels):
        if pixels.high == 1 and low >= 0 and low < high <= 1 and (sd < 1).all():
            return (
                "They look like 0…1, not normalised. Declare them with low=0, high=1 and without mean and sd."
            )
        if (
            reverse
            and not _eight_bit(last, mean, sd, pixels)
            and _eight_bit(last, mean[::-1], sd[::-1], pixels)
        ):
            return _reversed(pixels)
        return None
    if low >= 0 and high > 1:
        return (
            "They look like 0…255, not normalised. Declare them with low=0, high=255 and without mean and sd."
        )
    if reverse and _within(last, mean[::-1], sd[::-1], pixels):
        return _reversed(pixels)
    if _within(last * sd + mean, mean, sd, pixels):
        return (
            "They look normalised twice: with the mean and sd taken back once, they still look normalised. "
            "Normalise them once."
        )
    return (
        f"With the mean and sd taken back they are outside of {pixels.low:g}…{pixels.high:g}. Declare the mean "
        "and sd that they were normalised with."
    )


def _reversed(pixels: Any) -> str:
    other = {"rgb": "bgr", "bgr": "rgb"}[pixels.order]
    return (
        f"The channels look reversed: the mean and sd fit in the opposite order. Declare them with "
        f"order='{other}', mean={pixels.mean[::-1]}, sd={pixels.sd[::-1]}."
    )


def _range(images: np.ndarray) -> tuple[float, float]:
    return float(images.min()), float(images.max())


def _fits(last: np.ndarray, pixels: Any) -> bool:
    return _within(last, np.asarray(pixels.mean), np.asarray(pixels.sd), pixels)


def _within(last: np.ndarray, mean: np.ndarray, sd: np.ndarray, pixels: Any) -> bool:
    """Whether all values, with mean and sd taken back, are in the range of the format."""
    axes = tuple(range(last.ndim - 1))
    low, high = last.min(axis=axes) * sd + mean, last.max(axis=axes) * sd + mean
    weak = _WEAK * (pixels.high - pixels.low)
    return bool((low >= pixels.low - weak).all() and (high <= pixels.high + weak).all())


def _levels(last: np.ndarray, pixels: Any) -> bool:
    return _eight_bit(last, np.asarray(pixels.mean), np.asarray(pixels.sd), pixels)


def _eight_bit(last: np.ndarray, mean: np.ndarray, sd: np.ndarray, pixels: Any) -> bool:
    """Whether values, with mean and sd taken back, are whole numbers of 255 levels."""
    values = last.reshape(-1, last.shape[-1])
    values = values[:: max(1, len(values) // _SAMPLE)].astype(np.float64)
    steps = (values * sd + mean - pixels.low) * (255 / (pixels.high - pixels.low))
    return bool((np.abs(steps - np.rint(steps)) < 0.02).mean() > 0.99)
