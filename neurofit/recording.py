"""Whether this process may write records and caches, and where caches are: a study that is read for another host
stays as it is.
"""

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


def cache_folder(environment: dict[str, str] | None = None) -> Path:
    """The folder of this user's caches: `neurofit` in $XDG_CACHE_HOME, else in ~/.cache.

    A user without a home folder gets a path that cannot exist.
    """
    environment = dict(os.environ) if environment is None else environment
    base = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base if os.path.isabs(base) else os.devnull) / "neurofit"
