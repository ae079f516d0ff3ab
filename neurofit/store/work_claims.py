"""Claims on work that several processes may want at the same time, and that only one of them should do.

A claim is a folder `claim-0001/` with `claim.json` inside, made under a temporary name and renamed: renaming onto
a folder that is not empty fails, so exactly one of several claimants wins. Its holder touches `heartbeat`, and ends
it by creating `ended.json`, exclusively. Whoever takes over from a holder that is gone first creates `ended.json`
in its place; if the holder was only slow, it finds that the claim is not its own any more. Claims do not need a
submission: a process of a notebook has them as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neurofit.errors import StoreError
from neurofit.files import partial_path, to_json, write_new
from neurofit.process import Process, user
from neurofit.store.attempts import is_stale
from neurofit.store.journal import HEARTBEAT_SECONDS
from neurofit.structure import Record, read_record
from neurofit.transient import retry

CLAIM = re.compile(r"claim-(\d{4,})$")
How = Literal["done", "released", "abandoned"]


class WorkClaim(Record, frozen=True, kw_only=True):
    """Who does the work: `claim.json`."""

    what = "a claim"

    process: Process
    user: str
    t: float
    token: str = ""  # of one call: threads of a process may claim at the same time


@dataclass(frozen=True)
class Holder:
    """The process that holds a claim, as text for a message."""

    text: str


@dataclass(frozen=True)
class HeldClaim:
    """A claim of this process."""

    folder: Path

    @property
    def number(self) -> int:
        return int(self.folder.name.removeprefix("claim-"))

    def is_mine(self) -> bool:
        """Whether no other process has taken over, and the folder still exists."""
        return _exists(self.folder / "claim.json") and not _exists(self.folder / "ended.json")

    def end(self, how: How) -> bool:
        """End the claim; False if another process has ended it."""
        try:
            return _end(self.folder, how)
        except FileNotFoundError:  # the folder was removed
            return False

    def touch(self) -> None:
        """Write the heartbeat; if the storage is unavailable, the next one follows."""
        with contextlib.suppress(OSError):
            (self.folder / "heartbeat").touch()


def claim(folder: Path) -> HeldClaim | Holder:
    """Claim the work of a folder.

    Parameters
    ----------
    folder : Path
        Must exist.

    Returns
    -------
    HeldClaim or Holder
        The claim, or the process that has it and may be alive.
    """
    return retry(lambda: _claim(folder))


def claims(folder: Path) -> list[Path]:
    """The claims on the work of a folder, oldest first."""
    try:
        found = [path for path in folder.iterdir() if CLAIM.match(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda path: int(path.name.removeprefix("claim-")))


def holder(folder: Path) -> Holder | None:
    """Who is doing the work of a folder now, or None."""
    made = claims(folder)
    if not made or _exists(made[-1] / "ended.json") or _may_take_over(made[-1]):
        return None
    return _holder(made[-1])


@contextlib.contextmanager
def heartbeat(held: Iterable[HeldClaim], *, seconds: float = HEARTBEAT_SECONDS) -> Iterator[None]:
    """Touch the heartbeats of claims from a thread, as long as the block runs."""
    held, over = list(held), threading.Event()

    def beat() -> None:
        while not over.wait(seconds):
            for one in held:
                one.touch()

    thread = threading.Thread(target=beat, name="heartbeat of claims", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _claim(folder: Path) -> HeldClaim | Holder:
    own = WorkClaim(process=Process.here(), user=user(), t=round(time.time(), 3), token=secrets.token_hex(8))
    while True:
        made = claims(folder)
        if made and not _exists(made[-1] / "ended.json"):
            if not _may_take_over(made[-1]):
                return _holder(made[-1])
            _end(made[-1], "abandoned")  # whether by this process or another, it is over
        number = int(made[-1].name.removeprefix("claim-")) + 1 if made else 1
        there = folder / f"claim-{number:04d}"
        if _make(there, own):
            return HeldClaim(there)


def _make(there: Path, own: WorkClaim) -> bool:
    partial = partial_path(there)
    partial.mkdir()
    try:
        (partial / "claim.json").write_text(to_json(own.as_object()), encoding="utf-8")
        partial.rename(there)
        return True
    except FileNotFoundError:  # a network file system repeated a rename that had succeeded
        if not _is_by(there, own):
            raise
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return _is_by(there, own)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_by(there: Path, own: WorkClaim) -> bool:
    """Whether this very call made the claim a moment ago, but the answer was lost."""
    try:
        found = read_record(there / "claim.json", WorkClaim, late=True)
    except (FileNotFoundError, StoreError):
        return False
    return (found.process, found.token) == (own.process, own.token) and not _exists(there / "ended.json")


def _may_take_over(there: Path) -> bool:
    """Whether the holder is known to be gone, or its heartbeat is stale.

    Also where the kernel knows a living process: in a copy of the study, the holder works in the original.
    A holder that was only stopped for minutes finds `ended.json` before it writes again.
    """
    try:
        process = read_record(there / "claim.json", WorkClaim).process
    except (OSError, StoreError):
        return is_stale(there / "heartbeat", there.parent, since=there)
    return process.is_alive() is False or is_stale(
        there / "heartbeat", there.parent, since=there / "claim.json"
    )


def _end(there: Path, how: How) -> bool:
    return write_new(there / "ended.json", to_json({"how": how, "by": Process.here().record()}) + "\n")


def _holder(there: Path) -> Holder:
    try:
        found = read_record(there / "claim.json", WorkClaim)
        return Holder(f"process {found.process.pid} of {found.user} on {found.process.host}")
    except (OSError, StoreError):
        return Holder("another process")


def _exists(path: Path) -> bool:
    try:
        return bool(retry(lambda: os.stat(path)))
    except FileNotFoundError:
        return False
