"""Arrays as they lie in files: read, or a DataError that names the file and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np

from neurofit.errors import DataError


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file.

    Raises
    ------
    DataError : damaged, or no such file
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    # What a changed byte in the header, which is Python text, can come to.
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        MemoryError,
        SyntaxError,
        TokenError,
    ) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a NumPy array ({said}). "
            "It may have been cut short: get it again."
        ) from None


def same_length(path: Path, left: str, left_array: np.ndarray, right: str, right_array: np.ndarray) -> None:
    """Both have as many images."""
    if len(left_array) != len(right_array):
        raise DataError(
            f"{path}: {len(left_array)} images but {len(right_array)} rows of responses: "
            f"'{left}' {left_array.shape} and '{right}' {right_array.shape} must have the same length along "
            "'image'."
        )


def with_axes(path: Path, name: str, array: np.ndarray, axes: tuple[str, ...]) -> np.ndarray:
    if array.ndim != len(axes) or array.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: '{name}' is {array.dtype} {array.shape}, expected numbers ({', '.join(axes)})."
        )
    return array
