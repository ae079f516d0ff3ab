"""Transient errors of a storage, and how long a process waits for them to pass.

A network file system restarts, a mount disappears for a while, the cache of a client is out of date: a
request that fails now succeeds a little later. Every record of neurofit is read and written through `retry`.
A worker retries for minutes, because hours of computing are at stake; a command gives up within ten seconds,
because a user waits for it. An error that stays is raised as `StorageUnavailable`, which is never taken for
an answer about a file.

A request can also have succeeded although it failed, because its answer was lost. Functions that create a
file or a folder by `link` or `rename` therefore check, after an error, whether they have created it
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
    errno.EIO: "a soft mount whose server did not answer in time, or a disk that failed once",
    errno.EREMOTEIO: "the same for a disk of the server",
    errno.ESTALE: "the server has restarted or forgotten the file; a new lookup finds it",
    errno.ETIMEDOUT: "the server did not answer",
    errno.EAGAIN: "the resource is busy",
    errno.EBUSY: "another client holds the file",
    errno.EINTR: "interrupted by a signal, on a mount that allows it",
    errno.ENOTCONN: "a user-space file system (sshfs, Lustre) that is not connected",
    errno.ECONNABORTED: "the connection to the server was cut",
    errno.ECONNRESET: "the connection to the server was cut",
    errno.ECONNREFUSED: "the server is starting",
    errno.ESHUTDOWN: "the client is reconnecting",
    errno.EHOSTDOWN: "the server is down",
    errno.EHOSTUNREACH: "the server cannot be reached",
    errno.ENETDOWN: "the network is down",
    errno.ENETUNREACH: "the network is down",
    errno.EPROTO: "the answer of the server was invalid",
}
MISSING = (errno.ENOENT, errno.ENOTDIR)  # transient if the whole tree is missing
COMMAND_SECONDS = 8.0
WORKER_SECONDS = 900.0
SPELL_SECONDS = 10.0  # after which time waited in vain no longer counts
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0

T = TypeVar("T")


class StorageUnavailable(OSError):
    """The storage did not answer for as long as this process waits. It says nothing about any file."""


@dataclass(frozen=True)
class Patience:
    """How long a process waits for its storage.

    Parameters
    ----------
    seconds : float
        The longest wait for one action. With `shared`, for all actions that fail during one disturbance: a
        thousand files that cannot be read take as long as one. Disturbances that pass do not count.
    late_seconds : float
        The longest wait for a file that is known to have been written, which a client may see late or in part.
    shared : bool
        Share `seconds` between the actions of a disturbance.
    tree : Path or None
        A folder known to exist. While it is missing, so is the storage, and a missing file means nothing.
    meanwhile : callable or None
        Called between tries, for a heartbeat; the wait ends if it returns True.
    """

    seconds: float = COMMAND_SECONDS
    late_seconds: float = 0.3
    shared: bool = True
    tree: Path | None = None
    meanwhile: Callable[[], bool] | None = None


@dataclass
class _Spell:
    """How long this process has waited in vain, and when it last waited."""

    seconds: float = 0.0
    last: float = float("-inf")

    def waited(self) -> float:
        return self.seconds if time.monotonic() - self.last < SPELL_SECONDS else 0.0

    def add(self, seconds: float) -> None:
        self.seconds, self.last = self.waited() + seconds, time.monotonic()


_patience = Patience()
_spells = {"seconds": _Spell(), "late_seconds": _Spell()}


def worker(tree: Path, meanwhile: Callable[[], bool] | None = None) -> Patience:
    """The patience of a process that runs tasks."""
    return Patience(WORKER_SECONDS, 3.0, False, tree, meanwhile)


def at_once(tree: Path) -> Patience:
    """No patience: for a check that is repeated soon."""
    return Patience(0.0, 0.0, False, tree)


@contextlib.contextmanager
def patience(wanted: Patience) -> Iterator[None]:
    """Set how long this process waits for its storage in the block."""
    global _patience
    before, _patience = _patience, wanted
    try:
        yield
    finally:
        _patience = before


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later; also for an error of neurofit that a system error caused."""
    return _errno(error) in TRANSIENT and not isinstance(error, StorageUnavailable)


def _errno(error: BaseException) -> int | None:
    cause = error.__cause__ if isinstance(error, NeurofitError) else error
    return cause.errno if isinstance(cause, OSError) else None


def retry(action: Callable[[], T], *, late: bool = False) -> T:
    """The result of an action, which is repeated while its errors are transient.

    Parameters
    ----------
    action : callable
        Must be safe to repeat, even if it succeeded and only its answer was lost.
    late : bool, optional
        The action reads a file that is known to have been written, so wait for a missing file too.

    Raises
    ------
    StorageUnavailable
        The errors stayed transient for as long as this process waits.
    OSError, NeurofitError
        Any other error of the action, unchanged.
    """
    trouble = None
    while True:
        try:
            return action()
        except (OSError, NeurofitError) as error:
            trouble = trouble or _Trouble(_patience, late)
            trouble.wait_or_raise(error)


class _Trouble:
    """An action that failed, and how long to wait before it is repeated."""

    def __init__(self, patience: Patience, late: bool) -> None:
        self.patience, self.late = patience, late
        self.began = time.monotonic()
        self.pause = FIRST_PAUSE_SECONDS
        self.tree_was_there = False  # at the last try of this action

    def wait_or_raise(self, error: OSError | NeurofitError) -> None:
        try:
            if isinstance(error, StorageUnavailable):
                raise error  # an action inside this one has waited already
            if is_transient(error) or (_errno(error) in MISSING and not self._is_tree_there()):
                self.tree_was_there = False
                if not self._wait("seconds"):
                    raise self._away(error) from error
            elif _errno(error) in MISSING and self.patience.tree is not None and not self.tree_was_there:
                self.tree_was_there = True  # it is back, or was never missing: only the next answer counts
            elif not self._may_be_late(error) or not self._wait("late_seconds"):
                raise error
        finally:
            del error  # its traceback has this frame: a cycle would keep the callers' arrays alive

    def _is_tree_there(self) -> bool:
        try:
            return self.patience.tree is None or bool(os.stat(self.patience.tree))
        except OSError:
            return False

    def _may_be_late(self, error: OSError | NeurofitError) -> bool:
        torn = isinstance(error, StoreError) and _errno(error) is None
        return torn or (self.late and _errno(error) in MISSING)

    def _wait(self, kind: str) -> bool:
        """Wait before the next try; False if the time is over."""
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
        cause = os.strerror(number) if number is not None else "an unknown error"
        message = (
            f"{cause}; the storage did not answer properly for {self.patience.seconds:g} s. Check that it is "
            "mounted and that `ls` works there, then repeat the command"
        )
        return StorageUnavailable(number, message, path)
