"""Files written whole or not at all, and files of JSON lines that only grow.

Every record that neurofit keeps goes through these few functions, so that whatever dies leaves either the old file, the
new one, or a last line that the next reader recognises as torn.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError


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
        raise StoreError(f"{path}: could not {doing}: {error.strerror or error}. {_advice(error)}".rstrip()) from error


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
    partial = partial_path(path)
    try:
        _write_out(partial, data, durable)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_new(path: Path, content: str | bytes, *, durable: bool = True) -> bool:
    """Make `path` with `content`, whole, unless it exists; False where it does. Only one of many callers gets True."""
    data = encoded(content) if isinstance(content, str) else content
    partial = partial_path(path)
    try:
        _write_out(partial, data, durable)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError as error:
            if not _no_links_here(error):
                raise
            return _create_in_place(path, data)
        return True
    finally:
        partial.unlink(missing_ok=True)


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
    """Append whole lines, on a fresh line if the last one was torn; the caller is the file's only writer just now."""
    data = encoded("".join(to_json(record) + "\n" for record in records))
    with open(path, "ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                data = b"\n" + data
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; StoreError names a damaged file."""
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: damaged, this is not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise StoreError(f"{path}: damaged, expected a JSON object, found {type(record).__name__}.")
    return record


def parse_lines(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Records of the whole lines in `data`, and how many lines were no records (torn, damaged)."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if not lines:
        return [], 0
    try:  # one parse of all lines is several times faster than one each
        records = json.loads(b"[" + b",".join(lines) + b"]")
        if len(records) == len(lines) and all(isinstance(record, dict) for record in records):
            return records, 0
    except ValueError:
        pass
    records = [record for line in lines if (record := _record(line)) is not None]
    return records, len(lines) - len(records)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Records of a file of JSON lines and how many of its lines are damaged; nothing where there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    return parse_lines(data)
