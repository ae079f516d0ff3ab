"""Data that tasks read: the files, and a digest of the content of each, stored in outcomes as the fact
`inputs`.

A digest depends on the content alone, so it is the same in a copy of the study. Large files take time to
read, so their digests are cached in the user's cache folder by path, size, mtime and inode.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from neurofit import recording, unpacked
from neurofit.files import write_whole
from neurofit.recording import cache_folder

_LARGE_BYTES = 1_000_000  # a smaller file is read as fast as its digest is looked up
_JUST_NOW_SECONDS = 2.0  # a file changed this recently may change again without a new mtime
_MOST_REMEMBERED = 5_000
_BLOCK_BYTES = 1 << 20
_remembered: dict[str, list[Any]] = {}  # path → size, mtime, inode, digest; inherited on fork


def name_of(path: Path | str, study: Path) -> str:
    """The path as it is stored in outcomes: relative to the study if it is inside, otherwise absolute."""
    whole = os.path.normpath(os.path.join(os.path.abspath(study), os.fspath(path)))
    relative = os.path.relpath(whole, os.path.abspath(study))
    return Path(whole if relative.split(os.sep)[0] == os.pardir else relative).as_posix()


def digest(path: Path | str, *, cache: Path | None = None) -> str:
    """A digest of the content of a file, or of the names and contents of all files in a folder.

    Parameters
    ----------
    path : path-like
        A file or a folder.
    cache : Path, optional
        The folder in which digests of large files are cached; the user's cache folder by default.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    OSError
        If the path does not exist or cannot be read.
    """
    path = unpacked.located(path)
    if not os.path.isdir(path):
        return _of_file(os.path.realpath(path), cache)
    whole = hashlib.blake2b(digest_size=8)
    for above, folders, files in os.walk(path, onerror=_raised):
        folders.sort()
        for file in sorted(files):
            inner = os.path.join(above, file)
            whole.update(os.fsencode(os.path.relpath(inner, path)) + b"\0" + _of_file(inner, cache).encode())
    return whole.hexdigest()


def _raised(error: OSError) -> None:
    raise error


def _of_file(path: str, cache: Path | None) -> str:
    status = os.stat(path)
    stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
    large = status.st_size >= _LARGE_BYTES
    for known in (_remembered, _read(cache) if large else {}):
        if known.get(path, [])[:3] == stamp:
            _remembered[path] = known[path]
            return str(known[path][3])
    found = _read_through(path)
    after = os.stat(path)
    unchanged = stamp == [after.st_size, after.st_mtime_ns, after.st_ino]
    if unchanged and abs(time.time() - status.st_mtime) > _JUST_NOW_SECONDS:
        _remembered[path] = [*stamp, found]
        if large:
            _remember(path, cache)
    return found


def _read_through(path: str) -> str:
    whole = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            whole.update(block)
    return whole.hexdigest()


def _file(cache: Path | None) -> Path:
    return (cache or cache_folder()) / "inputs.json"


def _read(cache: Path | None) -> dict[str, list[Any]]:
    try:
        known = json.loads(_file(cache).read_bytes())["digests"]
        return {path: entry for path, entry in known.items() if isinstance(entry, list) and len(entry) == 4}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(path: str, cache: Path | None) -> None:
    """Cache a digest. If two processes do so at once, one digest is lost and computed again later."""
    known = {**_read(cache), path: _remembered[path]}
    newest = dict(list(known.items())[-_MOST_REMEMBERED:])
    try:
        recording.require(_file(cache))
        _file(cache).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(cache), json.dumps({"digests": newest}), durable=False)
    except OSError:
        pass
