"""Files that are written whole or not at all, and files of JSON lines that only grow.

Every record of neurofit is written by these functions. A process that dies leaves the old file, the new file,
or a last line that readers recognise as incomplete.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from neurofit import recording
from neurofit.errors import StoreError, UsageError
from neurofit.transient import is_transient, retry

T = TypeVar("T", bytes, list)


def to_json(record: Any) -> str:
    """One line of standard JSON: no NaN, no bare newlines."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encoded(text: str) -> bytes:
    """The text as UTF-8; a lone surrogate, which UTF-8 cannot represent, becomes its JSON escape."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def partial_path(path: Path) -> Path:
    """A unique name in the folder of `path`; readers ignore names that start with a dot."""
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.partial")


@contextlib.contextmanager
def explain_os_errors(path: Path, action: str) -> Iterator[None]:
    """Raise a StoreError that says what to do, if the operating system refuses an action ("write a record")."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: could not {action}: {error.strerror or error}. {_advice(error)}".rstrip()
        ) from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "The disk or your quota is full: free some space (`neurofit clean` lists files that no result "
            "needs), then repeat the command."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "The folder cannot be written: check its owner and permissions, then repeat the command."
    return ""


def write_whole(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replace a file in one step.

    Parameters
    ----------
    path : Path
    content : str or bytes
    durable : bool, optional
        Wait until the content is on the disk before the file is replaced.
    """
    recording.require(path)
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
    with contextlib.suppress(OSError):  # readers ignore a file that stays
        partial.unlink()


def write_new(path: Path, content: str | bytes, *, durable: bool = True) -> bool:
    """Create a file with its whole content, unless it exists.

    Parameters
    ----------
    path : Path
    content : str or bytes
    durable : bool, optional
        Wait until the content is on the disk before the file appears.

    Returns
    -------
    bool
        True for exactly one of several concurrent callers; False if the file existed.
    """
    recording.require(path)
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
    """Link `partial` to `path`; `lost` is not empty if an earlier try may have succeeded although it failed."""
    try:
        os.link(partial, path)
    except FileExistsError:  # perhaps the answer to our own request, which the network repeated
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
        return False  # it was removed in the meantime


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
    """Append records as lines of JSON, after a newline if the last line is incomplete.

    Parameters
    ----------
    path : Path
        A file to which another process may append at the same time.
    records : list of mapping
    durable : bool, optional
        Wait until the lines are on the disk.
    """
    recording.require(path)
    data = encoded("".join(to_json(record) + "\n" for record in records))
    sizes: list[int] = []  # at each try; a later one starts at the first again
    retry(lambda: _append(path, data, durable, sizes))


def _append(path: Path, data: bytes, durable: bool, sizes: list[int]) -> None:
    with open(path, "ab+") as file:
        sizes.append(file.seek(0, os.SEEK_END))
        file.seek(max(sizes[0] - 1, 0))
        before, since = file.read(1) if sizes[0] else b"\n", file.read()
        if before != b"\n":
            data = b"\n" + data
        if data not in since:  # an earlier try may have succeeded although it failed
            if since and data.startswith(since):  # its beginning, and nobody else's line
                file.truncate(sizes[0])
            elif since and not since.endswith(b"\n"):
                data = b"\n" + data
            file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO)  # the name of the file belongs to something else
# perhaps a number that becomes infinite; in the hash e1234…, something else follows
_LARGE = re.compile(rb"[eE]\+?\d{3,}(?=[\s,\]}]|$)")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def from_json(data: bytes) -> Any:
    """The value of standard JSON.

    Raises
    ------
    ValueError
        The data are not standard JSON: NaN, numbers too large for a float, nesting without end, bytes that
        are not UTF-8.
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
    """The content of a file.

    Raises
    ------
    StoreError
        The path is not a file.
    OSError
        The file cannot be read.
    """
    return retry(lambda: _read_file(path))


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in NO_FILE:
            raise StoreError(f"{path}: damaged, this is not a file ({error.strerror}).") from error
        raise


def known_to_have(path: Path, size: int, read: Callable[[Path], T]) -> T | None:
    """The first parts of a file that another host wrote, which may become visible here with a delay.

    Parameters
    ----------
    path : Path
    size : int
        How many parts the file is known to have.
    read : callable
        Reads the parts: bytes, or a list.

    Returns
    -------
    bytes, list or None
        The first `size` parts, or fewer if no more become visible; None if there is no file.
    """

    def whole() -> T:
        found = read(path)
        if len(found) < size:
            raise StoreError(f"{path}: {len(found)} of {size} parts are visible.")
        return found

    with contextlib.suppress(FileNotFoundError):
        try:
            return retry(whole, late=size > 0)[:size]
        except StoreError:
            return retry(lambda: read(path))[:size]
    return None


def read_json(path: Path, *, late: bool = False) -> dict[str, Any]:
    """The JSON object in a file.

    Parameters
    ----------
    path : Path
    late : bool, optional
        The file is known to exist and may become visible here with a delay, so wait for it.

    Raises
    ------
    StoreError
        The file is damaged.
    OSError
        The file cannot be read.
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
    """The records of the lines in `data`, and the number of lines that are incomplete or damaged."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if not lines:
        return [], 0
    try:  # parsing all lines at once is several times faster
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
    """The records of a file of JSON lines, and the number of damaged lines; ([], 0) if there is no file."""
    try:
        data = read_file(path)
    except FileNotFoundError:
        return [], 0
    return parse_lines(data)


def check_place(path: Path, example: str) -> None:
    """Raise UsageError unless a file can be put at a path that the user named: its folder exists, and it is none."""
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist. Create it first.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give a file name, such as {path / example}.")


def file_in_memory(name: str) -> int:
    """The descriptor of a file that is in no folder. Python for old systems, as conda has it, cannot keep it in memory.

    Parameters
    ----------
    name : str
        What lists of open files show.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    import tempfile  # rarely needed

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
