"""Files written whole or not at all, and files of JSON lines that only grow.

Every record that neurofit keeps goes through these few functions, so that whatever dies leaves either the old
file, the new one, or a last line that the next reader recognises as torn.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from neurofit.errors import StoreError
from neurofit.transient import is_transient, retry

T = TypeVar("T", bytes, list)


def to_json(record: Any) -> str:
    """One line of standard JSON: no NaN, no bare newlines."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encoded(text: str) -> bytes:
    """UTF-8; a lone surrogate, which UTF-8 cannot carry, travels as its JSON escape."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def partial_path(path: Path) -> Path:
    """A name beside `path` that nobody else uses; readers pass over names that start with a dot."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


@contextlib.contextmanager
def told_apart(path: Path, doing: str) -> Iterator[None]:
    """Turn the operating system's refusal into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: could not {doing}: {error.strerror or error}. {_advice(error)}".rstrip()
        ) from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "free some space (`neurofit clean` lists what can go), then repeat the command."
        return f"The disk or your quota is full: {advice}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "This folder cannot be written: check its owner and permissions, then repeat the command."
    return ""


def write_whole(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replace `path` by `content` in one step; with `durable`, only once the content is on the disk."""
    data = encoded(content) if isinstance(content, str) else content
    retry(lambda: _replace(path, data, durable))


def _replace(path: Path, data: bytes, durable: bool) -> None:
    partial = partial_path(path)
    try:
        _write_out(partial, data, durable)
        partial.replace(path)
    except BaseException:
        _remove(partial)
        raise


def _remove(partial: Path) -> None:
    with contextlib.suppress(OSError):  # readers pass over what stays
        partial.unlink()


def write_new(path: Path, content: str | bytes, *, durable: bool = True) -> bool:
    """Make `path` with `content`, whole, unless it exists; False where it does.

    Only one of many callers gets True.
    """
    data = encoded(content) if isinstance(content, str) else content
    partials: list[Path] = []
    try:
        partial = retry(lambda: _partial(path, data, durable, partials))
        answers: list[bool] = []
        return retry(lambda: _link(partial, path, data, answers))
    finally:
        for partial in partials:
            _remove(partial)


def _partial(path: Path, data: bytes, durable: bool, made: list[Path]) -> Path:
    made.append(partial_path(path))
    _write_out(made[-1], data, durable)
    return made[-1]


def _link(partial: Path, path: Path, data: bytes, lost: list[bool]) -> bool:
    """`lost` is not empty where an earlier try may have made the link, although it failed."""
    try:
        os.link(partial, path)
    except FileExistsError:  # also the answer to a request of ours that the network repeated
        return _is_ours(partial, path, data, bool(lost))
    except OSError as error:
        if _no_links_here(error):
            return _create_in_place(path, data)
        if is_transient(error):
            lost.append(True)
        raise
    return True


def _is_ours(partial: Path, path: Path, data: bytes, lost: bool) -> bool:
    try:
        there = retry(lambda: os.stat(path), late=lost)
        return os.path.samestat(os.stat(partial), there) or (lost and path.read_bytes() == data)
    except FileNotFoundError:
        return False  # it was there a moment ago


def _no_links_here(error: OSError) -> bool:
    return error.errno in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


def _create_in_place(path: Path, data: bytes) -> bool:
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def _write_out(path: Path, data: bytes, durable: bool) -> None:
    with open(path, "xb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def append_lines(path: Path, records: list[Mapping[str, Any]], *, durable: bool = True) -> None:
    """Append whole lines, on a fresh line if the last one was torn; the caller is the file's only writer just
    now.
    """
    data = encoded("".join(to_json(record) + "\n" for record in records))
    sizes: list[int] = []  # before the first try: a later one begins there again
    retry(lambda: _append(path, data, durable, sizes))


def _append(path: Path, data: bytes, durable: bool, sizes: list[int]) -> None:
    with open(path, "ab+") as file:
        sizes.append(file.seek(0, os.SEEK_END))
        size = sizes[0]
        if sizes[-1] > size:
            file.truncate(size)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                data = b"\n" + data
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO)  # something else has the name of a file
_LARGE = re.compile(rb"[eE]\+?\d{3}")  # may be a number that becomes infinite


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def from_json(data: bytes) -> Any:
    """The value of standard JSON. Raises ValueError for anything else: NaN, numbers that no float holds,
    endless nesting, bytes that are not UTF-8.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _LARGE.search(data) and not _is_finite(value):
        raise ValueError("a number in it is too large")
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(map(_is_finite, items))


def read_file(path: Path) -> bytes:
    """All that is in a file.

    StoreError where something else has its name, OSError where it cannot be read.
    """
    return retry(lambda: _read_file(path))


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in NO_FILE:
            raise StoreError(f"{path}: damaged, this is no file ({error.strerror}).") from error
        raise


def known_to_have(path: Path, size: int, read: Callable[[Path], T]) -> T | None:
    """The first `size` parts of what `read` finds in a file that is known to have so many: another host may
    see them late. What there is after all, if that is less; None where there is no file.
    """

    def whole() -> T:
        found = read(path)
        if len(found) < size:
            raise StoreError(f"{path}: {len(found)} of {size} parts are there.")
        return found

    with contextlib.suppress(FileNotFoundError):
        try:
            return retry(whole, late=size > 0)[:size]
        except StoreError:
            return retry(lambda: read(path))[:size]
    return None


def read_json(path: Path, *, late: bool = False) -> dict[str, Any]:
    """The JSON object in `path`; StoreError names a damaged file. One that is known to have been written may
    be `late`: not yet to be seen from here.
    """
    return retry(lambda: _read_json(path), late=late)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = from_json(_read_file(path))
    except ValueError as error:
        raise StoreError(f"{path}: damaged, this is not JSON ({str(error)[:200]}).") from error
    if not isinstance(record, dict):
        raise StoreError(f"{path}: damaged, expected a JSON object, found {type(record).__name__}.")
    return record


def parse_lines(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Records of the whole lines in `data`, and how many lines were no records (torn, damaged)."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if not lines:
        return [], 0
    try:  # one parse of all lines is several times faster than one each
        records = from_json(b"[" + b",".join(lines) + b"]")
        if len(records) == len(lines) and all(isinstance(record, dict) for record in records):
            return records, 0
    except ValueError:
        pass
    records = [record for line in lines if (record := _record(line)) is not None]
    return records, len(lines) - len(records)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = from_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Records of a file of JSON lines and how many of its lines are damaged; nothing where there is no
    file.
    """
    try:
        data = read_file(path)
    except FileNotFoundError:
        return [], 0
    return parse_lines(data)
