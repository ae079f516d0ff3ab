"""Reading and writing HDF5 files: the only module that imports h5py, which comes with the extra "models"."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurofit.errors import DataError, MissingExtra, install, nearest


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Any]:
    """An HDF5 file, open for reading without a lock.

    Open it for each read: an open file that is inherited by a fork reads wrong bytes.

    Parameters
    ----------
    path : Path

    Yields
    ------
    h5py.File

    Raises
    ------
    DataError
        If the file is missing, damaged, or something in it cannot be read.
    MissingExtra
        If h5py is not installed.
    """
    h5py = _library(path)
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError) as error:
        size = Path(path).stat().st_size
        raise DataError(
            f"{path} ({size} bytes) cannot be read as an HDF5 file ({_first_line(error)}). It may be incomplete: "
            "download it again."
        ) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Any]:
    """A new HDF5 file; an existing one is replaced."""
    h5py = _library(path)
    with h5py.File(path, "w") as file:
        yield file


def array(file: Any, key: str) -> Any:
    """The array with this key.

    Parameters
    ----------
    file : h5py.File
    key : str

    Returns
    -------
    h5py.Dataset

    Raises
    ------
    DataError
        If there is no such array.
    """
    found = file.get(key)
    if found is None or not hasattr(found, "dtype"):
        known = sorted(name for name in file if hasattr(file.get(name), "dtype"))
        raise DataError(
            f"{file.filename}: no array '{key}'. Arrays in this file: {', '.join(known) or 'none'}."
            f"{nearest(key, known)}"
        )
    return found


def _library(path: Path) -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{path} needs h5py, which is not installed: {install('models')}.", name="h5py"
        ) from error
    return h5py


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip() or type(error).__name__
