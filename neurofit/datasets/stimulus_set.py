"""The images of an experiment, on disk or in memory, with the declared meaning of their values and their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.datasets import checks
from neurofit.datasets.image_sources import ImageSource, InMemory, Joined, in_hdf5, in_npy
from neurofit.datasets.pixels import PixelFormat, channels_last, check_images
from neurofit.datasets.resizing import resized
from neurofit.errors import DataError, ShapeError, nearest

_BLOCK_BYTES = 32 * 2**20
_LARGEST_BLOCK_BYTES = 8 * _BLOCK_BYTES  # rather than unpacking every chunk several times


@dataclass(frozen=True, eq=False)
class StimulusSet:
    """Images with the declared meaning of their values. Reading some of them does not read all of them.

    `from_array`, `from_npy` and `from_hdf5` make one; `datasets.load_stimuli` loads one by name.

    Parameters
    ----------
    name : str
    pixels : PixelFormat
        Of the images that `read` returns. Its axes are always "channels_last", wherever channels are stored.
    ids : ndarray of str or int, shape (image,)
        Unique.
    labels : dict of str to ndarray, shape (image,)
        Such as "object" and "category".
    source : ImageSource
    stored : PixelFormat
        As the images are stored.
    size : tuple of int, optional
        (height, width) that images are resized to while they are read.

    Raises
    ------
    ShapeError
        If the images, ids and labels do not fit together.
    DataError
        If ids repeat.
    """

    name: str
    pixels: PixelFormat
    ids: np.ndarray
    labels: dict[str, np.ndarray]
    source: ImageSource = field(repr=False)
    stored: PixelFormat = field(repr=False)
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.source.shape) != 4:
            raise ShapeError(f"{self.name}: images have shape {self.source.shape}; expected 4 axes.")
        count = self.source.shape[0]
        for name, values in {"ids": self.ids, **self.labels}.items():
            if np.shape(values) != (count,):
                raise ShapeError(
                    f"{self.name}: {name} has shape {np.shape(values)}, but there are {count} images."
                )
        if len(np.unique(self.ids)) != count:
            raise DataError(f"{self.name}: ids must be unique, one per image.")

    @classmethod
    def from_array(
        cls,
        name: str,
        images: np.ndarray,
        pixels: PixelFormat,
        ids: Any = None,
        labels: dict[str, Any] | None = None,
    ) -> StimulusSet:
        """A stimulus set of images in memory.

        Parameters
        ----------
        name : str
        images : ndarray
            With the axes of `pixels`.
        pixels : PixelFormat
            The declared meaning of the values.
        ids : sequence of str or int, optional
            Unique. Default: 0 … n-1.
        labels : dict of str to sequence, optional

        Returns
        -------
        StimulusSet

        Raises
        ------
        DataError
            If the first images are not in the declared format.
        """
        return cls.of(name, InMemory(np.asarray(images)), pixels, ids, labels)

    @classmethod
    def from_npy(
        cls,
        name: str,
        path: Path,
        pixels: PixelFormat,
        ids: Any = None,
        labels: dict[str, Any] | None = None,
    ) -> StimulusSet:
        """A stimulus set of images in a .npy file; parameters as `from_array`."""
        return cls.of(name, in_npy(path), pixels, ids, labels)

    @classmethod
    def from_hdf5(
        cls,
        name: str,
        path: Path,
        key: str,
        pixels: PixelFormat,
        ids: Any = None,
        labels: dict[str, Any] | None = None,
    ) -> StimulusSet:
        """A stimulus set of images in an array of an HDF5 file; parameters as `from_array`."""
        return cls.of(name, in_hdf5(path, key), pixels, ids, labels)

    @classmethod
    def of(
        cls,
        name: str,
        source: ImageSource,
        pixels: PixelFormat,
        ids: Any = None,
        labels: dict[str, Any] | None = None,
    ) -> StimulusSet:
        """A stimulus set of any source; parameters as `from_array`."""
        if len(source.shape) == 4 and source.shape[0]:
            check_images(source.range(0, min(8, source.shape[0])), pixels, where=f"{name}: images")
        count = source.shape[0]
        return cls(
            name=name,
            pixels=channels_last(pixels),
            ids=np.arange(count) if ids is None else np.asarray(ids),
            labels={key: np.asarray(values) for key, values in (labels or {}).items()},
            source=source,
            stored=pixels,
        )

    @classmethod
    def joined(cls, name: str, sets: Sequence[StimulusSet]) -> StimulusSet:
        """Several stimulus sets of one format, one after the other, with the labels that all of them have.

        Raises
        ------
        ShapeError
            If their images differ in size or format.
        """
        first = sets[0]
        for other in sets[1:]:
            if (other.shape[1:], other.stored, other.size) != (first.shape[1:], first.stored, first.size):
                raise ShapeError(
                    f"{first.name} {first.shape[1:]} ({first.stored}) and {other.name} {other.shape[1:]} "
                    f"({other.stored}) cannot be joined: sizes and pixel formats must be equal."
                )
        common = [key for key in first.labels if all(key in one.labels for one in sets)]
        return replace(
            first,
            name=name,
            ids=np.concatenate([one.ids for one in sets]),
            labels={key: np.concatenate([one.labels[key] for one in sets]) for key in common},
            source=Joined(tuple(one.source for one in sets)),
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(image, height, width, channel)."""
        count, *rest = self.source.shape
        if self.stored.axes == "channels_first":
            rest = [*rest[1:], rest[0]]
        height, width = self.size or rest[:2]
        return count, height, width, rest[2]

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self.source.shape[0]

    @property
    def dtype(self) -> np.dtype:
        """Type of the values that `read` returns: uint8 as stored, otherwise float32."""
        return np.dtype(np.uint8 if self.source.dtype == np.uint8 and self.size is None else np.float32)

    def read(self, rows: Any) -> np.ndarray:
        """Read images.

        Parameters
        ----------
        rows : slice, or sequence of int or of bool
            Which images, in this order.

        Returns
        -------
        ndarray, shape (image, height, width, channel)
            In the format `pixels`.

        Raises
        ------
        DataError
            If an index is out of range, or the file cannot be read.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.n_images)
            if step == 1:
                return self._prepared(self.source.range(start, max(start, stop)))
            rows = np.arange(start, stop, step)
        wanted = checks.indices(rows, self.n_images, "image") % max(self.n_images, 1)
        sorted_rows, places = np.unique(wanted, return_inverse=True)
        runs = np.split(sorted_rows, np.flatnonzero(np.diff(sorted_rows) > 1) + 1) if len(wanted) else []
        found = [self.source.range(int(run[0]), int(run[-1]) + 1) for run in runs]
        if not found:
            return self._prepared(self.source.range(0, 0))
        return self._prepared(np.concatenate(found)[places])

    def blocks(self, images_at_a_time: int | None = None) -> Iterator[tuple[slice, np.ndarray]]:
        """All images, in order, some at a time.

        Parameters
        ----------
        images_at_a_time : int, optional
            Default: about 32 MiB, or whole chunks of a compressed file if these are at most 256 MiB.

        Yields
        ------
        rows : slice
        images : ndarray, shape (image, height, width, channel)
        """
        step = images_at_a_time or self._block()
        for start in range(0, self.n_images, step):
            rows = slice(start, min(start + step, self.n_images))
            yield rows, self.read(rows)

    def hash(self) -> str:
        """Digest of the values of all images, read in blocks: 32 hex digits.

        It does not depend on how the images are stored, on the name, ids or labels, nor on the declared format.
        """
        digest = hashlib.blake2b(f"{self.shape}{self.dtype.name}".encode(), digest_size=16)
        for _, images in self.blocks():
            little = images.astype(images.dtype.newbyteorder("<"), copy=False)
            digest.update(np.ascontiguousarray(little).data)
        return digest.hexdigest()

    def label(self, name: str) -> np.ndarray:
        """One label of each image, (image,).

        Raises
        ------
        DataError
            If the set has no such label.
        """
        if name not in self.labels:
            known = ", ".join(self.labels) or "none"
            raise DataError(f"{self.name}: no label '{name}'. Labels: {known}.{nearest(name, self.labels)}")
        return self.labels[name]

    def sized(self, height: int, width: int, *, resize: bool = False) -> StimulusSet:
        """The stimulus set with images of this size; other sizes are refused unless `resize` is True.

        Parameters
        ----------
        height, width : int
            Size that is needed [pixels].
        resize : bool, default False
            Resize images, bilinearly and with antialiasing, while they are read. `describe` reports it.

        Returns
        -------
        StimulusSet

        Raises
        ------
        ShapeError
            If the images have another size and `resize` is False.
        """
        if self.shape[1:3] == (height, width):
            return self
        if not resize:
            raise ShapeError(
                f"{self.name}: images are {self.shape[1]}×{self.shape[2]} pixels, but {height}×{width} are "
                "needed. Images are not resized unless you ask for it with resize=True, because this changes "
                "what the network sees."
            )
        if min(height, width) < 1:
            raise ShapeError(f"{self.name}: images cannot be resized to {height}×{width} pixels.")
        return replace(self, size=(height, width))

    def describe(self) -> dict[str, Any]:
        """The set as JSON for a recipe: name, shape, pixel format, and how it is resized, if it is."""
        first = self.stored.axes == "channels_first"
        before = self.source.shape[2:4] if first else self.source.shape[1:3]
        resize = None
        if self.size is not None:
            resize = {"from": list(before), "to": list(self.size), "method": "bilinear, antialiased"}
        return {
            "name": self.name,
            "shape": list(self.shape),
            "pixels": asdict(self.pixels),
            "stored_axes": self.stored.axes,
            "resize": resize,
        }

    def _block(self) -> int:
        each = max(1, int(np.prod(self.source.shape[1:])) * max(4, self.source.dtype.itemsize))
        step = max(1, _BLOCK_BYTES // each)
        chunk = self.source.chunk
        if chunk <= step:
            return step // chunk * chunk
        return chunk if chunk * each <= _LARGEST_BLOCK_BYTES else step

    def _prepared(self, images: np.ndarray) -> np.ndarray:
        if self.stored.axes == "channels_first":
            images = np.moveaxis(images, 1, -1)
        if self.size is not None and self.size != images.shape[1:3]:
            images = resized(images, *self.size)
        return np.ascontiguousarray(images, dtype=self.dtype)
