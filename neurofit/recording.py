"""Whether this process may write records and caches: a study that is read for another host stays as it is."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_stack: list[None] = []


def is_on() -> bool:
    """Whether records and caches may be written."""
    return not _stack


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Treat every disk as one that cannot be written."""
    _stack.append(None)
    try:
        yield
    finally:
        _stack.pop()


def require(path: Path) -> None:
    """Raise the OSError of a disk that cannot be written, if recording is off."""
    if _stack:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
