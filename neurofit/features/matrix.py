"""Features as they are read: an object with `shape`, `dtype` and `columns`, which linear maps read by blocks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.errors import DataError, ShapeError
from neurofit.store.features import FeatureRecord


@dataclass(frozen=True)
class Features:
    """The features of one layer, (image, unit), in a file that is read with ordinary reads into a buffer.

    Pages of a memory map would count as this process's memory.

    Parameters
    ----------
    path : Path
        The `.npy` file.
    record : FeatureRecord
        Which network, layer, weights, images and preprocessing.
    """

    path: Path
    record: FeatureRecord
    _offset: int = field(repr=False)

    @property
    def key(self) -> str:
        """32 hexadecimal digits that depend on weights, architecture, preprocessing, images and layer."""
        return self.record.key

    @property
    def layer(self) -> str:
        """The layer's name in the network."""
        return self.record.layer

    @property
    def shape(self) -> tuple[int, int]:
        """(image, unit)."""
        images, units = self.record.shape
        return images, units

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """The shape of the layer's output for one image; units are in C order."""
        return tuple(self.record.unit_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def columns(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read units start … stop - 1 of every image.

        Parameters
        ----------
        start, stop : int
        out : ndarray, shape (image, stop - start), optional
            Filled and returned; without it, a new array of float32.

        Returns
        -------
        ndarray, shape (image, stop - start)
        """
        images, units = self.shape
        if not 0 <= start <= stop <= units:
            raise ShapeError(f"Units {start} … {stop} of features with {units} units.")
        if out is not None and out.shape != (images, stop - start):
            raise ShapeError(f"out {out.shape} must be {(images, stop - start)}: (image, stop - start).")
        direct = out is not None and out.dtype == np.float32 and out.flags.c_contiguous
        rows = out if direct and out is not None else np.empty((images, stop - start), np.float32)
        with open(self.path, "rb", buffering=0) as file:
            for image, row in enumerate(rows):
                self._fill(file.fileno(), row, 4 * (image * units + start))
        if out is None or direct:
            return rows
        out[:] = rows
        return out

    def read(self, rows: slice = slice(None)) -> np.ndarray:
        """Features of some images, in memory.

        Parameters
        ----------
        rows : slice, default all images

        Returns
        -------
        ndarray of float32, shape (image, unit)
        """
        start, stop, step = rows.indices(self.shape[0])
        chosen = range(start, stop, step)
        found = np.empty((len(chosen), self.shape[1]), np.float32)
        with open(self.path, "rb", buffering=0) as file:
            for place, image in enumerate(chosen):
                self._fill(file.fileno(), found[place], 4 * image * self.shape[1])
        return found

    def _fill(self, descriptor: int, row: np.ndarray, start: int) -> None:
        view, done = row.data.cast("B"), 0
        while done < len(view):  # a read may return less than it was asked for
            count = os.preadv(descriptor, [view[done:]], self._offset + start + done)
            if not count:
                raise DataError(f"{self.path} ended while it was read: it was cut. Open the features again.")
            done += count


def header(shape: tuple[int, int]) -> bytes:
    """The first bytes of a `.npy` file of float32 in C order."""
    import io

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": tuple(map(int, shape))}
    )
    return stream.getvalue()


def features_at(path: Path, record: FeatureRecord) -> Features:
    """The features in a file whose record is known."""
    images, units = record.shape
    return Features(path, record, len(header((images, units))))
