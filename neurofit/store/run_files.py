"""What lies in the folder of a run: how much it is, and which files of its attempts can be packed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from neurofit.packed import ARCHIVE

LARGE, LINK, FOREIGN, STRANGE, UNKNOWN_END = (
    "larger than 10 MB",
    "links, or files with several names",
    "other users' files",
    "names that are no text, or not plain files",
    "of attempts without an outcome of their own",
)
LARGEST_BYTES = 10_000_000  # of a file that is packed: a larger one is a single file anyway
_KEPT = ("claim.json", "outcome.json")
_ATTEMPT = re.compile(r"rep-\d+/attempt-\d+")
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.unpack\.partial")
_BUSY = re.compile(r"\..*\.partial$|\.nfs.*")  # of an interrupted write, or of a file that a process has open


@dataclass(frozen=True)
class Loose:
    """A file or a folder of an attempt that can be packed."""

    name: str  # rep-03/attempt-02/history.csv
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


@dataclass
class RunFiles:
    """What is in the folder of a run."""

    folder: Path
    number: int = 0  # of files and folders
    size_bytes: int = 0
    packable: list[Loose] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)  # why files of attempts stay → how many
    attempts: set[str] = field(default_factory=set)  # rep-03/attempt-02
    unfinished: list[str] = field(default_factory=list)  # this user's files that an interrupted `unpack` left

    @property
    def archive(self) -> Path:
        return self.folder / ARCHIVE

    @property
    def files(self) -> list[Loose]:
        return [one for one in self.packable if not one.is_folder]


def survey(folder: Path, has_ended: Callable[[Path], bool]) -> RunFiles:
    """Look at the folder of a run.

    Parameters
    ----------
    folder : Path
    has_ended : callable
        Whether nothing can be writing to the folder of an attempt any more.
    """
    found, ended = RunFiles(folder), {}
    owner = os.geteuid()
    for name, status in walk(folder):
        found.number += 1
        if not stat.S_ISDIR(status.st_mode):
            found.size_bytes += status.st_size
        attempt = attempt_of(name)
        if attempt is None:
            continue
        inner = name[len(attempt) + 1 :]
        found.attempts.add(attempt)
        is_own = stat.S_ISREG(status.st_mode) and status.st_uid == owner
        if is_own and _UNFINISHED.fullmatch(os.path.basename(inner)):
            found.unfinished.append(name)
        if not inner or inner in _KEPT or _BUSY.fullmatch(os.path.basename(inner)):
            continue
        if attempt not in ended:
            ended[attempt] = has_ended(folder / attempt)
        why = _why_it_stays(name, status, owner) if ended[attempt] else UNKNOWN_END
        if why is None:
            found.packable.append(Loose(name, status))
        elif not stat.S_ISDIR(status.st_mode):
            found.left[why] += 1
    return found


def walk(folder: Path | str, above: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """The names of all files and folders below a folder, and their status, in order; `above` stands before a name."""
    try:
        with os.scandir(folder) as entries:
            inner = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in inner:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        name = f"{above}{entry.name}"
        yield name, status
        if stat.S_ISDIR(status.st_mode):
            yield from walk(entry.path, f"{name}/")


def unfinished(path: Path) -> Path:
    """The name under which `unpack` writes a file until it is whole."""
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.unpack.partial")


def attempt_of(name: str) -> str | None:
    """The attempt that a file or a folder of a run is part of, such as rep-03/attempt-02."""
    found = "/".join(name.split("/", 2)[:2])
    return found if _ATTEMPT.fullmatch(found) else None


def _why_it_stays(name: str, status: os.stat_result, owner: int) -> str | None:
    if status.st_uid != owner:
        return FOREIGN
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
        return LINK
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)) or not _is_text(name):
        return STRANGE
    return LARGE if stat.S_ISREG(status.st_mode) and status.st_size > LARGEST_BYTES else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
