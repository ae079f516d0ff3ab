"""Where the images of a stimulus set are: in memory, in a .npy file, in an HDF5 file, or in several of these.

A source reads a range of images, as stored. Files are opened for each read, with ordinary reads: pages of a memory
map would count as memory of the task, and an open HDF5 file does not survive a fork.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from neurofit.datasets import hdf5
from neurofit.errors import DataError


class ImageSource(Protocol):
    """Images on disk or in memory.

    `shape` and `dtype` are as stored; `chunk` is the number of images that are stored together, of which one
    cannot be read without the others.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def chunk(self) -> int: ...

    def range(self, start: int, stop: int) -> np.ndarray:
        """Images start … stop - 1, as stored."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Images in an array."""

    images: np.ndarray
    chunk: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    @property
    def dtype(self) -> np.dtype:
        return self.images.dtype

    def range(self, start: int, stop: int) -> np.ndarray:
        return self.images[start:stop]


@dataclass(frozen=True)
class InNpy:
    """Images in a .npy file, in C order."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    chunk: int = 1

    def range(self, start: int, stop: int) -> np.ndarray:
        each = int(np.prod(self.shape[1:]))
        count = max(0, stop - start) * each
        try:
            values = np.fromfile(
                self.path, self.dtype, count, offset=self.offset + start * each * self.dtype.itemsize
            )
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error}.") from None
        if len(values) != count:
            raise DataError(
                f"{self.path} ends before image {stop}: {len(values)} of {count} values. It is incomplete: "
                "write it again."
            )
        return values.reshape(-1, *self.shape[1:])


def in_npy(path: Path) -> InNpy:
    """The images of a .npy file. Reads only its header.

    Raises
    ------
    DataError
        If it is not such a file, or is not in C order.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
            shape, fortran, dtype = (header or np.lib.format.read_array_header_2_0)(file)
            offset = file.tell()
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array ({error}).") from None
    if fortran or dtype.hasobject:
        raise DataError(
            f"{path} must hold numbers in C order: save it with numpy.save(path, array.copy('C'))."
        )
    return InNpy(path, shape, dtype, offset)


@dataclass(frozen=True)
class InHdf5:
    """Images in an array of an HDF5 file."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: int

    def range(self, start: int, stop: int) -> np.ndarray:
        with hdf5.reading(self.path) as file:
            return hdf5.array(file, self.key)[start:stop]


def in_hdf5(path: Path, key: str) -> InHdf5:
    """The images in an array of an HDF5 file. Reads only its description."""
    with hdf5.reading(path) as file:
        array = hdf5.array(file, key)
        return InHdf5(Path(path), key, array.shape, array.dtype, array.chunks[0] if array.chunks else 1)


@dataclass(frozen=True)
class Joined:
    """Images of several sources, one after the other."""

    sources: tuple[ImageSource, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(one.shape[0] for one in self.sources), *self.sources[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return np.result_type(*(one.dtype for one in self.sources))

    @property
    def chunk(self) -> int:
        return max(one.chunk for one in self.sources)

    def range(self, start: int, stop: int) -> np.ndarray:
        found, first = [], 0
        for one in self.sources:
            begin, end = max(start - first, 0), min(stop - first, one.shape[0])
            if begin < end:
                found.append(one.range(begin, end))
            first += one.shape[0]
        if not found:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return found[0] if len(found) == 1 else np.concatenate(found)
