"""Features (image, unit) that are read by blocks of columns, so that a wide layer never has to be in memory.

A `.npy` file is read with ordinary reads into a buffer: pages of a memory map would count as this process's
memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neurofit.errors import DataError, ShapeError


@runtime_checkable
class WideMatrix(Protocol):
    """Features of images, which may be wider than memory.

    Attributes
    ----------
    shape : tuple of int
        (image, unit).
    dtype : dtype
        float32 or float64.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def columns(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read units start … stop − 1 of every image.

        Parameters
        ----------
        start, stop : int
        out : ndarray, shape (image, stop − start), optional
            Filled and returned; without it, a new array.

        Returns
        -------
        ndarray, shape (image, stop − start)
        """
        ...


@dataclass(frozen=True)
class ArrayMatrix:
    """An array in memory; axes after the first are units.

    Parameters
    ----------
    values : ndarray, shape (image, …)
        Numbers; integers and halves are read as float32.
    """

    values: np.ndarray

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim < 2 or values.dtype.kind not in "fiub":
            raise ShapeError(
                f"Features {values.shape} of {values.dtype}: expected an array of numbers, (image, unit)."
            )
        object.__setattr__(self, "values", values.reshape(len(values), -1))

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64 if self.values.dtype.itemsize > 4 else np.float32)

    def columns(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        out = _buffer(self, start, stop, out)
        out[:] = self.values[:, start:stop]
        return out


@dataclass(frozen=True, init=False)
class NpyMatrix:
    """A `.npy` file of float32 or float64 in C order; axes after the first are units.

    Parameters
    ----------
    path : path

    Raises
    ------
    DataError
        If the file is missing, is not such a file, or is shorter than its header says.
    """

    path: Path
    shape: tuple[int, int] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    offset: int = field(init=False)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        shape, dtype, offset = _header(path)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "shape", (shape[0], int(np.prod(shape[1:], dtype=np.int64))))
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "offset", offset)
        expected, size = offset + self.shape[0] * self.shape[1] * dtype.itemsize, path.stat().st_size
        if size < expected:
            raise DataError(
                f"{path} has {size:,} bytes, and its header promises {expected:,}: it was not written whole. "
                "Compute these features again."
            )

    def columns(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        out = _buffer(self, start, stop, out)
        target = out if out.dtype == self.dtype and out.flags.c_contiguous else None
        rows = np.empty(out.shape, self.dtype) if target is None else target
        width, wanted = self.shape[1] * self.dtype.itemsize, (stop - start) * self.dtype.itemsize
        first = self.offset + start * self.dtype.itemsize
        with open(self.path, "rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(
                    file.fileno(), 0, 0, os.POSIX_FADV_RANDOM
                )  # no reading ahead of a row's part
            for number, row in enumerate(rows):
                _fill(file.fileno(), row, first + number * width, wanted, self.path)
        if target is None:
            out[:] = rows
        return out


@dataclass(frozen=True)
class StackedMatrix:
    """The images of several matrices with the same units, one after the other.

    Parameters
    ----------
    matrices : tuple of WideMatrix
        For example the features of the training and of the validation images.

    Raises
    ------
    ShapeError
        If their numbers of units differ.
    """

    matrices: tuple[WideMatrix, ...]

    def __post_init__(self) -> None:
        if len({one.shape[1] for one in self.matrices}) != 1:
            found = ", ".join(str(one.shape) for one in self.matrices)
            raise ShapeError(
                f"Stacked features must have the same units; their shapes are {found or 'none'}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        return sum(one.shape[0] for one in self.matrices), self.matrices[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(*(one.dtype for one in self.matrices))

    def columns(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        out, row = _buffer(self, start, stop, out), 0
        for one in self.matrices:
            one.columns(start, stop, out[row : row + one.shape[0]])
            row += one.shape[0]
        return out


def wide(features: Any) -> WideMatrix:
    """The features as a `WideMatrix`.

    Parameters
    ----------
    features : WideMatrix, ndarray, or path of a `.npy` file

    Returns
    -------
    WideMatrix
    """
    if isinstance(features, (str, os.PathLike)):
        return NpyMatrix(features)
    if isinstance(features, WideMatrix):
        return features
    return ArrayMatrix(np.asarray(features))


def bands_of(features: Any) -> tuple[WideMatrix, ...]:
    """One matrix, or a list or tuple of them (one per band), as a tuple of `WideMatrix`.

    Raises
    ------
    ShapeError
        If there is none, or their numbers of images differ.
    """
    listed: Sequence[Any] = features if isinstance(features, (list, tuple)) else (features,)
    bands = tuple(wide(one) for one in listed)
    if len({one.shape[0] for one in bands}) != 1:
        found = ", ".join(str(one.shape) for one in bands)
        raise ShapeError(f"Bands must be features of the same images; their shapes are {found or 'none'}.")
    return bands


def _buffer(matrix: WideMatrix, start: int, stop: int, out: np.ndarray | None) -> np.ndarray:
    images, units = matrix.shape
    if not 0 <= start <= stop <= units:
        raise ShapeError(f"Units {start} … {stop} of features with {units} units.")
    if out is None:
        return np.empty((images, stop - start), matrix.dtype)
    if out.shape != (images, stop - start):
        raise ShapeError(f"out {out.shape} must be {(images, stop - start)}: (image, stop − start).")
    return out


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            shape, fortran, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
            offset = file.tell()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file of features.") from None
    except ValueError as error:
        raise DataError(f"{path} is not a .npy file: {error}.") from None
    if fortran and len(shape) > 1:
        raise DataError(f"{path} is in Fortran order; write it with numpy.ascontiguousarray.")
    if len(shape) < 2 or dtype not in (np.float32, np.float64):
        raise DataError(f"{path} holds {dtype} {shape}; expected float32 or float64, (image, unit).")
    return shape, dtype, offset


def _fill(descriptor: int, row: np.ndarray, offset: int, wanted: int, path: Path) -> None:
    """Read `wanted` bytes into a row; a read may return fewer than it was asked for."""
    view, done = row.data.cast("B"), 0
    while done < wanted:
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if not count:
            raise DataError(f"{path} ended while it was read: it is being written, or was cut.")
        done += count
