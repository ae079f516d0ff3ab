"""The files that came from the other host: which ones a command needs, and how they are written to a folder.

Nothing of an archive is trusted. Only plain files are written, under names that stay inside, each once and for this
user alone, up to a number and a size.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import shutil
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from neurofit.errors import HostError, UsageError
from neurofit.experiments.selector import Range, parse
from neurofit.packed import ARCHIVE
from neurofit.store.storage import BESIDE, MARKER

MOST_FILES = 2_000_000
MOST_BYTES = 8_000_000_000  # unpacked
_MEMORY = Path("/dev/shm")
_IN_MEMORY = 8_000_000  # bytes of an archive
_UNPACKED = 100  # times as many bytes, with the blocks of small files
MOST_NAMED = 200  # runs or repetitions that are named one by one

PRUNED = ("checkpoint", "persistent-*", ".scratch", ".check")
_RECORDS = (
    "*/runs.jsonl",
    "*/chosen.jsonl",
    "*/submissions/*/submission.json",
    "*/submissions/*/jobs.tasks",
    "*/submissions/*/queue.jsonl",
    "*/submissions/*/stops/*.json",
    "*/submissions/*/journal/*.jsonl",
    "*/submissions/*/notice/*.json",
    "*/runs/*/suggestion.json",
    "*/attempt-*/outcome.json",
    "*/attempt-*/claim.json",
    f"*/{MARKER}",
    f"{BESIDE}/*.json",
)
_SMALL = ("*/submissions/*/logs/*.log",)  # whose last lines say why tasks stopped
_OF_REPORT = ("*/attempt-*/history.csv", "*/attempt-*/neurons.csv", "*/attempt-*/recipe.json", "*/.code/*.py")
_OF_JOBS = ("*/submissions/*/logs/*.log",)


def wanted_if_small(command: str) -> list[str]:
    """Patterns of files of which a command reads the end, and which it can do without."""
    return [*_SMALL, "*/attempt-*/*.log"] if command == "report" else list(_SMALL)


def wanted(command: str, selectors: Sequence[str]) -> list[str]:
    """Patterns of the paths of the files that a command reads."""
    if command not in ("report", "logs"):
        return list(_RECORDS)
    places: set[str] = set()
    for selector in selectors:
        try:
            selection = parse(selector)
        except UsageError:
            continue  # the command explains it
        runs = ["*"] if selection.best else [f"{one:03d}-*" for one in _numbers(selection.runs)]
        places |= {f"*/runs/{run}/{ARCHIVE}" for run in runs or ["*"]}
        if command == "logs":  # tasks that share a process write to the files of one of them
            places |= {f"*/runs/{run}/*.log" for run in runs or ["*"]}
    return [*_RECORDS, *(_OF_REPORT if command == "report" else _OF_JOBS), *sorted(places)]


def _numbers(ranges: tuple[Range, ...] | None) -> list[int]:
    """The numbers in some ranges; empty for all or for too many to be named."""
    found: list[int] = []
    for one in ranges or ():
        if one.first is None or one.last is None or one.last - one.first >= MOST_NAMED:
            return []
        found += range(one.first, one.last + 1)
    return found if len(found) <= MOST_NAMED else []


def folder_for(archive: Path) -> Path | None:
    """Where the files of an archive are best written: in memory if they are small; None for the usual folder.

    Thousands of small files take a minute on a slow disk.
    """
    size = archive.stat().st_size
    if os.environ.get("TMPDIR") or size > _IN_MEMORY or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > _UNPACKED * size + (1 << 30) else None


class _Limited(io.RawIOBase):
    """A stream that ends with an error after too many bytes."""

    def __init__(self, inner: IO[bytes] | gzip.GzipFile) -> None:
        self._inner, self._left = inner, MOST_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise HostError(f"The files there have more than {MOST_BYTES // 10**9} GB. Select fewer tasks.")
        return data


def unpack(archive: Path, into: Path, clock_ahead: float) -> int:
    """Write the files of an archive of `tar`, and return their number.

    Parameters
    ----------
    archive : Path
        Perhaps packed by gzip.
    into : Path
        An empty folder of this user alone.
    clock_ahead : float
        How many seconds the clock of the other host is ahead of this one.

    Raises
    ------
    HostError
        The archive is damaged, or has something that is not a plain file of a study.
    """
    if archive.stat().st_size == 0:
        return 0
    number = 0
    now = time.time()
    try:
        with contextlib.ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(open(archive, "rb"))
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            plain = stack.enter_context(gzip.GzipFile(fileobj=file)) if is_packed else file
            members = stack.enter_context(tarfile.open(fileobj=_Limited(plain), mode="r|", ignore_zeros=True))
            for member in members:
                number += 1
                if number > MOST_FILES:
                    raise HostError(f"There are more than {MOST_FILES:,} files. Select fewer tasks.")
                _write(members, member, into, min(max(member.mtime - clock_ahead, 0.0), now))
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError) as error:
        raise HostError(f"The files that came are damaged ({error}). Repeat the command.") from error
    return number


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, into: Path, modified: float) -> None:
    target = into / _inside(member)
    content = members.extractfile(member)
    if content is None:
        raise HostError(f"'{member.name!a}' has no content.")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(target, "xb") as file:
            while block := content.read(1 << 20):
                file.write(block)
        os.utime(target, (modified, modified))
    except OSError as error:
        raise HostError(
            f"{member.name!a} from the other host could not be written to {target.parent}: {error.strerror}."
        ) from error


def _inside(member: tarfile.TarInfo) -> Path:
    """The path of a file in the folder, or an error."""
    name = re.sub(r"/+", "/", member.name).removeprefix("./")
    parts = name.split("/")
    if not member.isreg() or member.issparse():
        raise HostError(f"The other host sent {member.name!a}, which is not a plain file. Nothing was used.")
    if (
        name.startswith("/")
        or "\0" in name
        or parts[0] not in ("training_data", BESIDE)
        or len(parts) < 2
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise HostError(
            f"The other host sent a file named {member.name!a}, which is not in its study. Nothing was used."
        )
    return Path(*parts)
