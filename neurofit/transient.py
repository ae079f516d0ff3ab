"""Errors of a storage that may pass by themselves, and how long they are waited for.

A network file system that restarts, a mount that is away for a while, a client whose caches are behind: what
fails now succeeds a little later. Every record that neurofit reads or writes goes through `retry`. How
patient it is depends on the process: a worker waits for minutes, because there are hours of computing to
lose; a command gives up within ten seconds, because somebody is looking at it. An error that stays is raised
as `Away`, never taken for an answer.

Lost answers belong to the same trouble: a request can have been carried out although it failed. What makes a
file or a folder by `link` or `rename` therefore looks, after an error, whether what is there is its own
(`files.write_new`, `attempts.claim`, `checkpoints.publishing`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from neurofit.errors import NeurofitError, StoreError

TRANSIENT = {
    errno.EIO: "a soft mount whose server did not answer in time, or a disk that failed to answer once",
    errno.EREMOTEIO: "the same, of the server's own disk",
    errno.ESTALE: "the server has restarted or forgotten the file: looked up again, it is there",
    errno.ETIMEDOUT: "the server did not answer",
    errno.EAGAIN: "too busy just now",
    errno.EBUSY: "the file is held by another client for a moment",
    errno.EINTR: "interrupted by a signal on a mount that allows it",
    errno.ENOTCONN: "a user-space file system (sshfs, Lustre) that is not connected",
    errno.ECONNABORTED: "the connection to the server was cut",
    errno.ECONNRESET: "the connection to the server was cut",
    errno.ECONNREFUSED: "the server is starting",
    errno.ESHUTDOWN: "the client is reconnecting",
    errno.EHOSTDOWN: "the server is down",
    errno.EHOSTUNREACH: "the server cannot be reached",
    errno.ENETDOWN: "the network is down",
    errno.ENETUNREACH: "the network is down",
    errno.EPROTO: "the server's answer made no sense",
}
MISSING = (errno.ENOENT, errno.ENOTDIR)  # transient where the whole tree is missing
COMMAND_SECONDS = 8.0
WORKER_SECONDS = 900.0
SPELL_SECONDS = 10.0  # after which what was waited in vain is forgotten
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0

T = TypeVar("T")


class Away(OSError):
    """The storage did not answer for as long as this process waits for it. Says nothing about any file."""


@dataclass(frozen=True)
class Patience:
    """How long a process waits for its storage.

    Parameters
    ----------
    seconds : float
        For one action; with `shared`, for all that fail for good in one spell of trouble: a thousand files
        that cannot be read cost what one costs, while trouble that passes costs nothing
    late_seconds : float
        For what is known to have been written: a client may see it late, or not all of it
    tree : Path or None
        A folder known to exist. While it is missing, so is the storage, and no missing file is missing
    meanwhile : callable or None
        Called between tries (a heartbeat); the waiting is over where it gives True
    """

    seconds: float = COMMAND_SECONDS
    late_seconds: float = 0.3
    shared: bool = True
    tree: Path | None = None
    meanwhile: Callable[[], bool] | None = None


@dataclass
class _Spell:
    """How long this process has waited in vain, and when it last did."""

    seconds: float = 0.0
    last: float = float("-inf")

    def waited(self) -> float:
        return self.seconds if time.monotonic() - self.last < SPELL_SECONDS else 0.0

    def add(self, seconds: float) -> None:
        self.seconds, self.last = self.waited() + seconds, time.monotonic()


_patience = Patience()
_spells = {"seconds": _Spell(), "late_seconds": _Spell()}


def worker(tree: Path, meanwhile: Callable[[], bool] | None = None) -> Patience:
    """Of a process that does tasks."""
    return Patience(WORKER_SECONDS, 3.0, False, tree, meanwhile)


def at_once(tree: Path) -> Patience:
    """For a look that is taken again in a second."""
    return Patience(0.0, 0.0, False, tree)


@contextlib.contextmanager
def patience(wanted: Patience) -> Iterator[None]:
    """Have this process wait for its storage like that in the block."""
    global _patience
    before, _patience = _patience, wanted
    try:
        yield
    finally:
        _patience = before


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed a little later; also of an error of ours that the system's is
    behind.
    """
    return _errno(error) in TRANSIENT and not isinstance(error, Away)


def _errno(error: BaseException) -> int | None:
    if not isinstance(error, OSError):
        error = error.__cause__ if isinstance(error, NeurofitError) else None
    return error.errno if isinstance(error, OSError) else None


def retry(action: Callable[[], T], *, late: bool = False) -> T:
    """What `action` gives, tried again while what it meets may pass.

    Parameters
    ----------
    action : callable
        Must be able to bear being repeated, also where it was carried out and only its answer was lost
    late : bool
        What it reads is known to have been written, so that a missing file is waited for, too

    Raises
    ------
    Away : the storage was in trouble for as long as this process waits for it
    OSError : any other error, as it was
    """
    trouble = None
    while True:
        try:
            return action()
        except (OSError, NeurofitError) as error:
            trouble = trouble or _Trouble(_patience, late)
            trouble.wait_or_raise(error)


class _Trouble:
    """One action that does not succeed."""

    def __init__(self, patience: Patience, late: bool) -> None:
        self.patience, self.late = patience, late
        self.began = time.monotonic()
        self.pause = FIRST_PAUSE_SECONDS
        self.tree_was_there = False  # when this action was tried last

    def wait_or_raise(self, error: OSError | NeurofitError) -> None:
        if isinstance(error, Away):
            raise error  # an action inside this one has waited
        if is_transient(error) or (_errno(error) in MISSING and not self._is_tree_there()):
            self.tree_was_there = False
            if not self._wait("seconds"):
                raise self._away(error) from error
        elif _errno(error) in MISSING and self.patience.tree is not None and not self.tree_was_there:
            self.tree_was_there = True  # it is back, or always was: only the next answer is to be believed
        elif not self._may_be_late(error) or not self._wait("late_seconds"):
            raise error

    def _is_tree_there(self) -> bool:
        try:
            return self.patience.tree is None or bool(os.stat(self.patience.tree))
        except OSError:
            return False

    def _may_be_late(self, error: OSError | NeurofitError) -> bool:
        torn = isinstance(error, StoreError) and _errno(error) is None
        return torn or (self.late and _errno(error) in MISSING)

    def _wait(self, kind: str) -> bool:
        """False where that was long enough."""
        waited = time.monotonic() - self.began
        left = (
            getattr(self.patience, kind) - waited - (_spells[kind].waited() if self.patience.shared else 0.0)
        )
        if left <= 0 or (self.patience.meanwhile is not None and self.patience.meanwhile()):
            _spells[kind].add(waited)
            return False
        time.sleep(min(self.pause, left))
        self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)
        return True

    def _away(self, error: OSError | NeurofitError) -> OSError:
        number, path = _errno(error), getattr(error, "filename", None)
        said = f"{os.strerror(number)}; the storage did not answer properly for {self.patience.seconds:g} s"
        return Away(number, f"{said}. Is it mounted, and does `ls` there work? Then repeat the command", path)
