"""Arrays of numbers in files: MATLAB 5 (`save -v6` and `-v7`) and NumPy.

Damaged files raise a DataError that names them. SciPy's reader of MATLAB files crashes the whole process on
some of them; this one does not, and zlib checks the sums.

    128 bytes of header, at its end "IM" or "MI" for the byte order; then elements: type, length, content,
    padded to 8. A matrix: flags (class in the lowest byte; bit 11 = complex), lengths of the axes, name,
    numbers column by column.

Source: "MAT-File Format", MathWorks, chapter 1 (level 5).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from neurofit.errors import DataError

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _CHAR = 2, 4  # classes
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}  # table 1-1
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}  # table 1-3
_COMPLEX = 1 << 11
_LARGEST = 2**30  # bytes of one variable: a damaged length must not fill the memory


def read_mat(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Variables of a MATLAB file, each with the type and shape that MATLAB would show.

    Parameters
    ----------
    path : Path
    keys : tuple of str
        Names of the variables.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError
        If the file is damaged, is not a MATLAB 5 file, or lacks one of the keys as an array of real numbers.
    """
    arrays = {key: array for key, array in _read(path, keys, _matrix).items() if array is not None}
    _check_present(path, keys, arrays, "array")
    return arrays


def read_structs(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Struct arrays of a MATLAB file.

    Parameters
    ----------
    path : Path
    keys : tuple of str
        Names of the variables.

    Returns
    -------
    dict of str to ndarray of object
        With the shape that MATLAB would show. Each element is a dict with the fields that are arrays of real
        numbers, or text, which is a str.

    Raises
    ------
    DataError
        If the file is damaged, is not a MATLAB 5 file, or lacks one of the keys as a struct array.
    """
    structs = {key: found for key, found in _read(path, keys, _struct).items() if found is not None}
    _check_present(path, keys, structs, "struct")
    return structs


def _read(path: Path, keys: tuple[str, ...], reader: Callable) -> dict[str, Any]:
    """What the reader makes of each variable of the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return dict(_variables(content, reader))
    except (ValueError, IndexError, OverflowError, struct.error, zlib.error) as error:
        raise DataError(
            f"{path} ({len(content)} bytes) cannot be read as a MATLAB 5 file ({error}); expected "
            f"{', '.join(keys)}. It may be incomplete: download it again."
        ) from None


def _check_present(path: Path, keys: tuple[str, ...], found: dict[str, Any], kind: str) -> None:
    missing = [key for key in keys if key not in found]
    if missing:
        what = "', '".join(missing)
        raise DataError(
            f"{path}: no {kind} '{what}' in this file; expected {', '.join(keys)}. Download it again."
        )


def _variables(content: bytes, reader: Callable) -> Iterator[tuple[str, Any]]:
    """(name, value) of each variable; None for one that the reader does not read."""
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None or not content.startswith(b"MATLAB 5.0"):
        raise ValueError("its first 128 bytes are not a header of that version")
    for kind, element in _elements(memoryview(content)[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            kind, element = next(_elements(_decompressed(element), order))
        if kind == _MATRIX:
            yield reader(element, order)


def _matrix(element: memoryview, order: str) -> tuple[str, np.ndarray | None]:
    parts = _elements(element, order)
    first, second, third = (bytes(next(parts, (0, b""))[1]) for _ in range(3))
    flags = struct.unpack_from(f"{order}I", first)[0]
    name = third.decode("latin-1")
    if flags & 0xFF not in _CLASSES or flags & _COMPLEX:
        return name, None
    shape = np.frombuffer(second, f"{order}i4")
    kind, numbers = next(parts, (0, b""))
    if kind not in _STORED or (shape < 0).any():
        raise ValueError(f"the numbers of '{name}' are damaged")
    # Small whole numbers of any class are stored in fewer bytes: what counts is the class.
    values = np.frombuffer(numbers, order + _STORED[kind]).astype(_CLASSES[flags & 0xFF])
    return name, values.reshape(shape, order="F")


def _struct(element: memoryview, order: str) -> tuple[str, np.ndarray | None]:
    """(name, object array of dicts); None for a variable that is not a struct array."""
    parts = _elements(element, order)
    first, second, third = (bytes(next(parts, (0, b""))[1]) for _ in range(3))
    name = third.decode("latin-1")
    if struct.unpack_from(f"{order}I", first)[0] & 0xFF != _STRUCT:
        return name, None
    shape = np.frombuffer(second, f"{order}i4")
    length = struct.unpack(f"{order}i", bytes(next(parts, (0, b""))[1]))[0]
    text = bytes(next(parts, (0, b""))[1])
    if length < 1 or len(text) % length or (shape < 0).any():
        raise ValueError(f"the fields of '{name}' are damaged")
    fields = [
        text[at : at + length].partition(b"\0")[0].decode("latin-1") for at in range(0, len(text), length)
    ]
    values = [_value(content, order) for kind, content in parts if kind == _MATRIX]
    if len(values) != len(fields) * int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"'{name}' is incomplete")
    rows = [
        {field: value for field, value in zip(fields, values[at : at + len(fields)]) if value is not None}
        for at in range(0, len(values), max(1, len(fields)))
    ]
    found = np.empty(len(rows), object)
    found[:] = rows
    return name, found.reshape(shape, order="F")


def _value(element: memoryview, order: str) -> np.ndarray | str | None:
    """An array of real numbers or a text; None for anything else."""
    if not len(element):
        return None
    parts = list(_elements(element, order))
    if len(parts) < 4 or struct.unpack_from(f"{order}I", parts[0][1])[0] & 0xFF != _CHAR:
        return _matrix(element, order)[1]
    kind, text = parts[3]
    encoding = {
        17: "utf-16-le" if order == "<" else "utf-16-be",
        4: "utf-16-le" if order == "<" else "utf-16-be",
    }
    return bytes(text).decode(encoding.get(kind, "latin-1"))


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of each element in order."""
    at = 0
    while at < len(content):
        kind, length = struct.unpack_from(f"{order}II", content, at)
        start = at + 8
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, length, start = kind & 0xFFFF, kind >> 16, at + 4
            if length > 4:
                raise ValueError(f"{length} bytes in an element that holds four")
            at += 8
        else:
            at = start + length + (-length % 8 if kind != _COMPRESSED else 0)
        if start + length > len(content):
            raise ValueError(f"{start + length - len(content)} bytes are missing")
        yield kind, content[start : start + length]


def _decompressed(element: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    content = stream.decompress(element, _LARGEST)
    if not stream.eof:
        raise ValueError("a compressed variable is incomplete")
    return memoryview(content)


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
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a NumPy array ({reason}). "
            "It may be incomplete: download it again."
        ) from None


def same_length(path: Path, left: str, left_array: np.ndarray, right: str, right_array: np.ndarray) -> None:
    """Raise DataError unless both arrays have the same number of images."""
    if len(left_array) != len(right_array):
        raise DataError(
            f"{path}: {len(left_array)} images but {len(right_array)} rows of responses: '{left}' "
            f"{left_array.shape} and '{right}' {right_array.shape} must have the same length along 'image'."
        )


def with_axes(path: Path, name: str, array: np.ndarray, axes: tuple[str, ...]) -> np.ndarray:
    if array.ndim != len(axes) or array.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: '{name}' is {array.dtype} {array.shape}, expected numbers ({', '.join(axes)})."
        )
    return array
