"""Folders of packed attempts as folders again: copies in the user's cache folder, for code that wants a path.

CACHE/packed/KEY-SIZE/012-3f9a1c2e/rep-03/attempt-02/     files from the archive, and links to those that stayed

The key is a hash of the archive's identity and of the files that stayed, so a copy is never out of date. Copies can be
deleted at any time; those that were used last stay, up to a number and a size.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neurofit import packed, recording
from neurofit.errors import StoreError
from neurofit.files import explain_os_errors, partial_path
from neurofit.packed import Archive, Member

if TYPE_CHECKING:
    import tempfile

MOST_BYTES = 4_000_000_000  # of all copies
MOST_COPIES = 1_000
IN_USE_SECONDS = 3600.0  # a copy that was asked for this recently stays
_temporary: list[tempfile.TemporaryDirectory[str]] = []  # removed when this process ends


def located(path: Path | str) -> Path:
    """A path that exists for a file or a folder of an attempt; for any other path, or one that is nowhere, itself.

    Parameters
    ----------
    path : Path or str
        The folder of an attempt, or something in it.

    Returns
    -------
    Path
        The same path if nothing of it was packed, otherwise one in a copy of the attempt's folder.

    Raises
    ------
    StoreError
        The archive is damaged, or there is no room for the copy.
    """
    place = None if os.path.isfile(path) else packed.place_of(path)
    if place is None:
        return Path(path)
    archive, name = place
    attempt = "/".join(name.split("/")[:2])
    copy = folder(archive.parent / attempt)
    found = copy.joinpath(*name.split("/")[2:])
    return found if os.path.exists(found) else Path(path)


def folder(attempt: Path) -> Path:
    """The folder of an attempt with all of its files: itself, or a copy if some were packed; raises as `located`."""
    place = packed.place_of(attempt)
    if place is None:
        return attempt
    with packed.archive_at(place[0]) as archive:
        if archive is None:
            return attempt
        inside = archive.below(place[1])
        loose = sorted(_loose(attempt, ""))
        if all(one.name.removeprefix(f"{place[1]}/") in loose for one in inside):
            return attempt
        identity = [os.path.abspath(attempt), archive.stamp, loose]
        key = hashlib.sha256(json.dumps(identity).encode("utf-8", "surrogatepass")).hexdigest()[:24]
        name = f"{key}-{sum(one.size for one in inside)}"
        with explain_os_errors(attempt, "unpack a copy of its files"):
            return _copied(archive, inside, place[1], attempt, loose, name)


def _loose(folder: Path, above: str) -> Iterator[str]:
    """The names of the files and folders below a folder; those behind links are not entered."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            yield above + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _loose(Path(entry.path), f"{above}{entry.name}/")


def _copied(
    archive: Archive, inside: list[Member], attempt: str, source: Path, loose: list[str], name: str
) -> Path:
    store = _store()
    copy = store / name
    below = Path(archive.path.parent.name, *attempt.split("/"))
    stay = set(loose)
    wanted = [one for one in inside if one.name.removeprefix(f"{attempt}/") not in stay]
    if _is_whole(copy / below, wanted, attempt, loose):
        with contextlib.suppress(OSError):
            os.utime(copy)
        return copy / below
    partial = partial_path(copy)
    try:
        _write(archive, partial / below, wanted, attempt, source, loose)
        if copy.exists():  # somebody removed a part of it
            aside = partial_path(copy)
            copy.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was first
            partial.rename(copy)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if not _is_whole(copy / below, wanted, attempt, loose):
        raise StoreError(
            f"{copy}: this copy of packed files was removed while it was made. Repeat the command, or restore the "
            "files with `neurofit unpack`."
        )
    _trim(store, copy)
    return copy / below


def _write(
    archive: Archive, target: Path, wanted: list[Member], attempt: str, source: Path, loose: list[str]
) -> None:
    target.mkdir(mode=0o700, parents=True)
    for name in loose:
        there = source / name
        if there.is_dir() and not there.is_symlink():
            (target / name).mkdir(exist_ok=True)
        else:
            (target / name).symlink_to(_inside(there, name) or os.path.abspath(there))
    for member in wanted:
        path = target / member.name.removeprefix(f"{attempt}/")
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            file.write(archive.read(member))
        os.chmod(path, 0o600 | (member.mode & 0o100))
        os.utime(path, ns=(member.modified, member.modified))


def _inside(there: Path, name: str) -> str | None:
    """Where a link leads, if that is inside the folder of the attempt: what it names may have been packed."""
    if not there.is_symlink() or os.path.isabs(text := os.readlink(there)):
        return None
    leads = os.path.normpath(os.path.join(os.path.dirname(name), text))
    return None if leads.split(os.sep)[0] == os.pardir else text


def _is_whole(folder: Path, wanted: list[Member], attempt: str, loose: list[str]) -> bool:
    """Whether a copy has every file and link; programs that clean caches remove single ones."""
    for member in wanted:
        try:
            there = os.stat(folder / member.name.removeprefix(f"{attempt}/"))
        except OSError:
            return False
        if not member.is_folder and there.st_size != member.size:
            return False
    return os.path.isdir(folder) and all(os.path.lexists(folder / name) for name in loose)


def _store() -> Path:
    """The folder of all copies; a temporary one if this user has no cache folder here."""
    store = recording.cache_folder() / "packed"
    try:
        recording.require(store)
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(store, os.W_OK | os.X_OK):
            return store
    except OSError:
        pass
    if not _temporary:
        import tempfile  # imports much, and few processes need it

        _temporary.append(tempfile.TemporaryDirectory(prefix="neurofit-"))
    return Path(_temporary[0].name)


def _trim(store: Path, newest: Path) -> None:
    """Remove the copies that were used longest ago, while there are too many, or they are too large."""
    with contextlib.suppress(OSError):
        found = sorted((one for one in store.iterdir() if one != newest), key=_used)
        texts = [one.name.rpartition("-")[2] for one in found]
        sizes = [int(text) if text.isdecimal() else 0 for text in texts]
        number, total = len(found), sum(sizes)
        for one, size in zip(found, sizes):
            if (number <= MOST_COPIES and total <= MOST_BYTES) or time.time() - _used(one) < IN_USE_SECONDS:
                return
            shutil.rmtree(one, ignore_errors=True)
            number, total = number - 1, total - size


def _used(copy: Path) -> float:
    try:
        return copy.stat().st_mtime
    except OSError:
        return 0.0
