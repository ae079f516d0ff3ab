"""Images of a data set that stay on disk: an input of `Dataset` that is read by rows, with bounded memory.

Statistics over all values are equal, to the last bit, to those that NumPy computes of the same images in memory, so
that a model trained on images from disk is the model trained on images in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from neurofit.datasets import checks
from neurofit.datasets.stimulus_set import StimulusSet

BLOCK_BYTES = 16 * 2**20
_BUFFERED = 8192  # values that NumPy converts at a time while it sums float32 in float64


@dataclass(frozen=True, eq=False)
class DiskImages:
    """Some images of a stimulus set, scaled while they are read.

    `images[rows]` reads images, with a slice or indices; `numpy.asarray(images)` reads all of them.

    Parameters
    ----------
    stimuli : StimulusSet
    rows : ndarray of int, shape (image,)
        Rows of the stimulus set.
    scales : tuple of (mean, std)
        Applied one after the other: (x - mean) / std in float64, kept as float32.
    block_bytes : int
        Of float32 values that are read and scaled at once.
    """

    stimuli: StimulusSet
    rows: np.ndarray
    scales: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    block_bytes: int = BLOCK_BYTES

    @classmethod
    def of(cls, stimuli: StimulusSet, block_bytes: int = BLOCK_BYTES) -> DiskImages:
        """All images of a stimulus set."""
        return cls(stimuli, np.arange(stimuli.n_images), block_bytes=block_bytes)

    @property
    def shape(self) -> tuple[int, ...]:
        """(image, height, width, channel)."""
        return len(self.rows), *self.stimuli.shape[1:]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The images of these rows, float32."""
        wanted = (
            self.rows[rows]
            if isinstance(rows, slice)
            else self.rows[checks.indices(rows, len(self), "image")]
        )
        images = np.empty((len(wanted), *self.shape[1:]), np.float32)
        step = self._images_per_block()
        for start in range(0, len(wanted), step):
            images[start : start + step] = self._scaled(self.stimuli.read(wanted[start : start + step]))
        return images

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks():
            yield from block

    def select(self, rows: np.ndarray) -> DiskImages:
        """These images, in this order, still on disk."""
        return replace(self, rows=self.rows[rows])

    def scaled(self, mean, std) -> DiskImages:
        """The images as (x - mean) / std, still on disk."""
        return replace(self, scales=(*self.scales, (np.asarray(mean), np.asarray(std))))

    def blocks(self) -> Iterator[np.ndarray]:
        """All images, in order, some at a time."""
        step = self._images_per_block()
        for start in range(0, len(self), step):
            yield self[start : start + step]

    # Statistics over all images, or of each pixel (axis 0)

    def mean(self, axis: int | None = None, *, of_float32: bool = False):
        """As `numpy.mean` of the images in float64; with `of_float32`, as `numpy.mean(images, dtype=float64)`."""
        if axis == 0:
            return self._sum_of_pixels(lambda values: values) / len(self)
        return (self._buffered_sum() if of_float32 else self._pairwise_sum()) / self.size

    def std(self, axis: int | None = None, *, of_float32: bool = False):
        """As `numpy.std`; arguments as for `mean`."""
        if axis == 0:
            mean = self.mean(axis=0)
            return np.sqrt(self._sum_of_pixels(lambda values: (values - mean) ** 2) / len(self))
        mean = self.mean(of_float32=of_float32)
        return np.sqrt(self._pairwise_sum(lambda values: (values - mean) ** 2) / self.size)

    def _pairwise_sum(self, of: Callable[[np.ndarray], np.ndarray] = lambda values: values) -> np.float64:
        """The sum in the order of NumPy's pairwise summation of one contiguous array."""
        most = self.block_bytes // 4

        def total(start: int, count: int) -> np.float64:
            if count <= most:
                return np.add.reduce(of(self._values(start, start + count).astype(np.float64)))
            half = count // 2
            half -= half % 8
            return total(start, half) + total(start + half, count - half)

        return total(0, self.size)

    def _buffered_sum(self) -> np.float64:
        """The sum in the order in which NumPy sums float32 in float64: a buffer after the other."""
        total, step = np.float64(0), max(1, self.block_bytes // 4 // _BUFFERED) * _BUFFERED
        for start in range(0, self.size, step):
            values = self._values(start, min(start + step, self.size)).astype(np.float64)
            for first in range(0, len(values), _BUFFERED):
                total = total + np.add.reduce(values[first : first + _BUFFERED])
        return total

    def _sum_of_pixels(self, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        total = np.zeros(self.shape[1:])
        for block in self.blocks():
            for image in block:
                total += of(image.astype(np.float64))
        return total

    def _values(self, start: int, stop: int) -> np.ndarray:
        """Values start … stop - 1 of all images in a row."""
        each = int(np.prod(self.shape[1:]))
        first, last = start // each, -(-stop // each)
        return self[first:last].reshape(-1)[start - first * each : stop - first * each]

    def _scaled(self, images: np.ndarray) -> np.ndarray:
        for mean, std in self.scales:
            images = ((images.astype(np.float64) - mean) / std).astype(np.float32)
        return images

    def _images_per_block(self) -> int:
        return max(1, self.block_bytes // (4 * max(1, int(np.prod(self.shape[1:])))))
