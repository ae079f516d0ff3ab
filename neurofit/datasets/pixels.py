"""What the values of images mean, and the conversion between what a stimulus set holds and what a network needs.

A value x of a channel stands for v = x · sd + mean, and v lies in low … high (sd = 1 and mean = 0 for images that
are not normalised). A conversion is therefore one scale and one offset per channel, an order of channels, and an
order of axes. `NETWORKS` has the formats of the modes of `keras.applications`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from neurofit.datasets.accidents import accident
from neurofit.errors import DataError, NameUnknown, nearest

ORDERS = ("rgb", "bgr", "grey")
AXES = ("channels_last", "channels_first")


@dataclass(frozen=True)
class PixelFormat:
    """What the values of images mean.

    Parameters
    ----------
    low, high : float
        Range of the values before normalisation: 0 and 1, 0 and 255, or -1 and 1.
    order : {"rgb", "bgr", "grey"}
        Order of the channels.
    axes : {"channels_last", "channels_first"}
        (image, height, width, channel) or (image, channel, height, width).
    mean, sd : tuple of float, shape (channel,), optional
        If the images are normalised: the mean that was subtracted, and then the standard deviation that was
        divided by, in units of low … high and in the order of the channels. A number applies to all channels.
        sd may be left out, which is 1.

    Raises
    ------
    DataError
        If a field is not valid.
    """

    low: float = 0.0
    high: float = 255.0
    order: str = "rgb"
    axes: str = "channels_last"
    mean: tuple[float, ...] | None = None
    sd: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("order", self.order, ORDERS), ("axes", self.axes, AXES)):
            if value not in known:
                raise DataError(
                    f"PixelFormat({name}={value!r}): expected one of {', '.join(known)}."
                    f"{nearest(str(value), known)}"
                )
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise DataError(f"PixelFormat(low={self.low}, high={self.high}): low must be less than high.")
        if self.mean is None and self.sd is not None:
            raise DataError("PixelFormat: sd without mean. Give both, or mean=0 if nothing was subtracted.")
        if self.mean is not None:
            object.__setattr__(self, "mean", self._per_channel("mean", self.mean))
            object.__setattr__(self, "sd", self._per_channel("sd", 1.0 if self.sd is None else self.sd))
            if not min(self.sd or ()) > 0:
                raise DataError(f"PixelFormat(sd={self.sd}): every sd must be greater than 0.")

    @property
    def channels(self) -> int:
        """Number of channels: 1 for grey, otherwise 3."""
        return 1 if self.order == "grey" else 3

    @property
    def normalised(self) -> bool:
        """Whether a mean was subtracted."""
        return self.mean is not None

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and offset, each (channel,), that take a value to 0 … 1: u = x · scale + offset."""
        ones = np.ones(self.channels)
        mean = np.zeros(self.channels) if self.mean is None else np.asarray(self.mean)
        sd = ones if self.sd is None else np.asarray(self.sd)
        span = self.high - self.low
        return sd / span, (mean - self.low) / span * ones

    def __str__(self) -> str:
        normalised = f", normalised with mean {_listed(self.mean)} and sd {_listed(self.sd)}"
        return f"{self.order} {self.low:g}…{self.high:g}{normalised if self.normalised else ''}, {self.axes}"

    def _per_channel(self, name: str, value: Any) -> tuple[float, ...]:
        numbers = np.atleast_1d(np.asarray(value, np.float64))
        if numbers.size == 1:
            numbers = np.repeat(numbers, self.channels)
        if numbers.shape != (self.channels,) or not np.isfinite(numbers).all():
            raise DataError(
                f"PixelFormat({name}={value!r}): expected {self.channels} finite numbers, one per channel of "
                f"'{self.order}'."
            )
        return tuple(numbers.tolist())


IMAGENET = PixelFormat(0, 1, "rgb", mean=(0.485, 0.456, 0.406), sd=(0.229, 0.224, 0.225))
NETWORKS = {
    "torch": IMAGENET,  # DenseNet, and every network of torchvision
    "caffe": PixelFormat(0, 255, "bgr", mean=(103.939, 116.779, 123.68)),  # VGG, ResNet
    "tf": PixelFormat(-1, 1, "rgb"),  # ResNetV2, Inception, Xception, MobileNet, NASNet
    "raw": PixelFormat(0, 255, "rgb"),  # EfficientNet, ConvNeXt: the network scales its input itself
}


@dataclass(frozen=True)
class Conversion:
    """The computed way from one pixel format to another. `conversion` makes it.

    Parameters
    ----------
    have, need : PixelFormat
    """

    have: PixelFormat
    need: PixelFormat

    def apply(self, images: np.ndarray, check: bool = True) -> np.ndarray:
        """Convert images.

        Parameters
        ----------
        images : ndarray
            In the format `have`, with its axes.
        check : bool, default True
            Refuse images whose values cannot be, or are unlikely to be, in the format `have`.

        Returns
        -------
        ndarray of float32
            In the format `need`, with its axes.

        Raises
        ------
        DataError
            If the images are not in the format `have`; the message names the likely cause.
        """
        if check:
            check_images(images, self.have)
        last = images if self.have.axes == "channels_last" else np.moveaxis(images, 1, -1)
        if self.have.order != self.need.order:
            last = np.repeat(last, 3, axis=-1) if self.have.order == "grey" else last[..., ::-1]
        scale, offset = self._coefficients()
        converted = np.multiply(last, scale.astype(np.float32), dtype=np.float32)
        converted += offset.astype(np.float32)
        return converted if self.need.axes == "channels_last" else np.moveaxis(converted, -1, 1)

    def describe(self) -> dict[str, Any]:
        """The conversion, as JSON for a recipe: both formats, the numbers, and the steps in words."""
        scale, offset = self._coefficients()
        return {
            "have": asdict(self.have),
            "need": asdict(self.need),
            "scale": scale.tolist(),
            "offset": offset.tolist(),
            "steps": self.steps(),
        }

    def steps(self) -> list[str]:
        """What the conversion does, one step a line; empty if the formats are equal."""
        have, need = self.have, self.need
        found: list[str] = []
        if have == need:
            return found
        if have.axes != need.axes:
            found.append(f"axes: {have.axes} to {need.axes}")
        if have.order != need.order:
            found.append(f"channels: {have.order} to {need.order}")
        if (have.mean, have.sd) != (need.mean, need.sd) and have.normalised:
            found.append(f"undo mean {_listed(have.mean)} and sd {_listed(have.sd)}")
        if (have.low, have.high) != (need.low, need.high):
            found.append(f"range: {have.low:g}…{have.high:g} to {need.low:g}…{need.high:g}")
        if (have.mean, have.sd) != (need.mean, need.sd) and need.normalised:
            found.append(f"subtract mean {_listed(need.mean)} and divide by sd {_listed(need.sd)}")
        return found

    def _coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and offset of each channel, in the order of `need`."""
        scale, offset = self.have.coefficients()
        if self.have.order != self.need.order:
            scale, offset = (
                np.broadcast_to(scale[::-1], self.need.channels),
                np.broadcast_to(offset[::-1], self.need.channels),
            )
        to_scale, to_offset = self.need.coefficients()
        return scale / to_scale, (offset - to_offset) / to_scale


def conversion(have: PixelFormat, need: PixelFormat | str) -> Conversion:
    """The conversion from what a stimulus set holds to what a network needs.

    Parameters
    ----------
    have : PixelFormat
        Of the images, `StimulusSet.pixels`.
    need : PixelFormat or {"torch", "caffe", "tf", "raw"}
        Of the network; a name is a mode of `keras.applications`, and "raw" is 0 … 255.

    Returns
    -------
    Conversion

    Raises
    ------
    NameUnknown
        If there is no such mode.
    DataError
        If the conversion is not defined.
    """
    if isinstance(need, str):
        if need not in NETWORKS:
            raise NameUnknown(
                f"No pixel format '{need}'. Known: {', '.join(NETWORKS)}.{nearest(need, NETWORKS)} "
                "Other formats are PixelFormat(low, high, order, mean=…, sd=…)."
            )
        need = NETWORKS[need]
    for name, one in (("have", have), ("need", need)):
        if not isinstance(one, PixelFormat):
            raise DataError(f"conversion({name}={one!r}): expected a PixelFormat.")
    if need.order == "grey" and have.order != "grey":
        raise DataError(
            f"No conversion from '{have.order}' to 'grey': the weights of the channels are not defined. "
            "Convert the images yourself and declare them as PixelFormat(order='grey')."
        )
    return Conversion(have, need)


def check_images(images: np.ndarray, pixels: PixelFormat, where: str = "Images") -> None:
    """Raise DataError if images are not, or are most probably not, in the declared format.

    Parameters
    ----------
    images : ndarray
        With the axes of `pixels`.
    pixels : PixelFormat
        The declared format.
    where : str
        Name of the images, for the message.

    Raises
    ------
    DataError
        With the likely cause: channels in the wrong place or order, another range, already normalised,
        normalised twice, not normalised.
    """
    found = accident(images, pixels, NETWORKS)
    if found is not None:
        raise DataError(f"{where} {tuple(images.shape)}, declared as {pixels}: {found}")


def channels_last(pixels: PixelFormat) -> PixelFormat:
    """The same format with the channels as the last axis."""
    return replace(pixels, axes="channels_last")


def _listed(numbers: tuple[float, ...] | None) -> str:
    return f"({', '.join(f'{number:g}' for number in numbers or ())})"
