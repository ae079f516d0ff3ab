"""What one task of a job has made and the next ones can use again, in memory that the job's processes share.

A worker opens the cache before it forks the first task, and every process forked since has it: the tasks of a job, and
in a local pool those of all its jobs. It is a file without a name, so nobody else can open it, nothing of it is left
when the last of these processes has ended, however that ends, and no disk can be full. In a process without a worker
there is no cache.

The file has one record after the other and only grows; it begins again when it would be too large. A record counts only
if its digest is right: a process may be killed while it writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator

from neurofit.files import file_in_memory

MOST_BYTES = 32_000_000
_HEADER = struct.Struct("<4s32s32sQ")  # the mark, the key, the digest of key and value, the size of the value
_MARK = b"nfjc"

_opened: tuple[int, int, int] | None = None  # descriptor, device and inode


def begin() -> None:
    """Open the cache of this process and of those that it will fork, unless it has one. Raises nothing."""
    global _opened
    if _opened is None:
        with contextlib.suppress(OSError):
            descriptor = file_in_memory("neurofit-job-cache")
            found = os.fstat(descriptor)
            _opened = descriptor, found.st_dev, found.st_ino


def end() -> None:
    """Close it, in this process."""
    global _opened
    if (descriptor := _descriptor()) is not None:
        os.close(descriptor)
    _opened = None


def is_open() -> bool:
    """Whether this process has a cache."""
    return _descriptor() is not None


def get(key: bytes) -> bytes | None:
    """The value that was put last, or None.

    Parameters
    ----------
    key : bytes, 32 of them
    """
    if (descriptor := _descriptor()) is None:
        return None
    with contextlib.suppress(OSError):
        value = None
        for place, header in _records(descriptor):
            _, of, digest, size = header
            if of == key:
                found = os.pread(descriptor, size, place + _HEADER.size)
                value = found if _digest(key, found) == digest else None
        return value
    return None


def put(key: bytes, value: bytes) -> None:
    """Keep a value, unless it is too large, another process writes at this moment, or there is no room."""
    whole = _HEADER.pack(_MARK, key, _digest(key, value), len(value)) + value
    if (descriptor := _descriptor()) is None or len(whole) > MOST_BYTES // 4:
        return
    with contextlib.suppress(OSError):
        # not waited for: a process that was stopped here would stop all others
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            end = 0
            for place, (*_, size) in _records(descriptor):
                end = place + _HEADER.size + size
            if end + len(whole) > MOST_BYTES:
                end = 0
            os.ftruncate(descriptor, end)  # what a process has left that was killed while it wrote
            if os.pwrite(descriptor, whole, end) != len(whole):
                os.ftruncate(descriptor, end)
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _descriptor() -> int | None:
    """The descriptor of the file, if it still is this file: a fit may have closed it."""
    if _opened is None:
        return None
    descriptor, *identity = _opened
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return descriptor if [found.st_dev, found.st_ino] == identity else None


def _records(descriptor: int) -> Iterator[tuple[int, tuple[bytes, bytes, bytes, int]]]:
    """Where each whole record is, and its header."""
    place, total = 0, os.fstat(descriptor).st_size
    while place + _HEADER.size <= total:
        header = _HEADER.unpack(os.pread(descriptor, _HEADER.size, place))
        mark, _, _, size = header
        if mark != _MARK or place + _HEADER.size + size > total:
            return
        yield place, header
        place += _HEADER.size + size


def _digest(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=32).digest()
