"""Arrays as they lie in files: read, or a DataError that names the file and what is wrong with it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from neurofit.errors import DataError

# What NumPy and SciPy raise on files that were cut short or altered: the tests cut and alter files everywhere.
_DAMAGE = (
    OSError, EOFError, ValueError, TypeError, LookupError, OverflowError, MemoryError, NotImplementedError,
    AttributeError, SyntaxError, struct.error, zlib.error,
)  # fmt: skip


def read_mat(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """These variables of a MATLAB file.

    Raises
    ------
    DataError : damaged, no MATLAB 5 file, or without one of the keys
    """
    from scipy.io import loadmat  # 0.1 s, and only this format needs it
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=keys)
    except (*_DAMAGE, MatReadError) as error:
        raise _damaged(path, f"as a MATLAB 5 file ({_said(error)}); expected {', '.join(keys)}") from None
    missing = [key for key in keys if key not in content]
    if missing:
        raise DataError(f"{path}: no '{', '.join(missing)}' in this file; expected {', '.join(keys)}. Get it again.")
    return {key: content[key] for key in keys}


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file.

    Raises
    ------
    DataError : damaged, or no such file
    """
    try:
        return np.load(path, allow_pickle=False)
    except _DAMAGE as error:
        raise _damaged(path, f"as a NumPy array ({_said(error)})") from None


def same_length(path: Path, left: str, left_array: np.ndarray, right: str, right_array: np.ndarray) -> None:
    """Both have as many images."""
    if len(left_array) != len(right_array):
        raise DataError(
            f"{path}: {len(left_array)} images but {len(right_array)} rows of responses: "
            f"'{left}' {left_array.shape} and '{right}' {right_array.shape} must have the same length along 'image'."
        )


def with_axes(path: Path, name: str, array: np.ndarray, axes: tuple[str, ...]) -> np.ndarray:
    if array.ndim != len(axes) or array.dtype.kind not in "biuf":
        raise DataError(f"{path}: '{name}' is {array.dtype} {array.shape}, expected numbers ({', '.join(axes)}).")
    return array


def _damaged(path: Path, how: str) -> DataError:
    if not path.is_file():
        return DataError(f"{path}: no such file.")
    size_bytes = path.stat().st_size
    return DataError(f"{path} ({size_bytes} bytes) cannot be read {how}. It may have been cut short: get it again.")


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
