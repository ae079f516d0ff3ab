"""One writer at a time on the submit hosts: a lock file per experiment, created exclusively, that names its
holder.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from neurofit.errors import LockedError, StoreError
from neurofit.files import encoded, explain_os_errors, to_json, write_new
from neurofit.process import Process, user
from neurofit.store.records import LockRecord
from neurofit.structure import read_record
from neurofit.transient import retry

PATIENCE_SECONDS = 60.0
WITHOUT_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)


@contextlib.contextmanager
def locked(path: Path, *, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold a lock file. Waits for a holder that is alive, and takes over from one known to be dead.

    Parameters
    ----------
    path : Path
        The lock file. Its folder is created if it does not exist.
    patience_seconds : float, default 60
        How long to wait for the holder, in seconds.

    Raises
    ------
    LockedError
        If the lock is still held after `patience_seconds`; the message names the holder.
    StoreError
        If the lock file cannot be written.
    """
    with explain_os_errors(path.parent, "create this folder"):
        retry(lambda: path.parent.mkdir(parents=True, exist_ok=True))
    content = to_json(LockRecord.of(Process.here(), user=user(), since=_now()).as_object())
    deadline = time.monotonic() + patience_seconds
    with explain_os_errors(path, "lock the experiment"):
        while not write_new(path, content, durable=False):
            if not _break_if_dead(path):
                if time.monotonic() > deadline:
                    raise LockedError(_explanation(path))
                time.sleep(0.05)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # whoever finds the lock later sees that this process is gone
            retry(lambda: _release(path, encoded(content)))


def _release(path: Path, content: bytes) -> None:
    if path.read_bytes() == content:  # otherwise the file was deleted by hand, and is now another process's
        path.unlink()


def held_elsewhere(path: Path) -> bool:
    """Whether a process other than this one holds the lock and may be alive."""
    try:
        holder = read_record(path, LockRecord).process
    except (OSError, StoreError):
        return False
    return holder != Process.here() and holder.is_alive() is not False


def _break_if_dead(path: Path) -> bool:
    """Remove the lock if its holder ran on this host and is gone.

    A guard file prevents two processes that do this at once from removing a new lock.
    """
    if _holder_is_alive(path) is not False:
        return False
    retry(lambda: _break(path))
    return True


def _break(path: Path) -> bool:
    guard = path.with_name(path.name + ".guard")
    # flock is enough: only processes on the holder's host can know that it is dead
    with open(guard, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in WITHOUT_FLOCK:
                raise
            raise LockedError(_cannot_take_over(path, guard, error)) from error
        if _holder_is_alive(path) is False:
            path.unlink(missing_ok=True)
    return True


def _cannot_take_over(path: Path, guard: Path, error: OSError) -> str:
    return (
        f"{path.parent.name} is locked by {_holder(path)}, which has ended. The lock cannot be taken over "
        f"safely, because this file system does not support flock ({error.strerror}). If no other command is "
        f"using this experiment, delete {path} and {guard}, then repeat the command."
    )


def _holder_is_alive(path: Path) -> bool | None:
    try:
        return read_record(path, LockRecord).process.is_alive()
    except (OSError, StoreError):
        return None


def _explanation(path: Path) -> str:
    return (
        f"{path.parent.name} is locked by {_holder(path)}. Wait for that process, or, if it has ended, delete "
        f"{path} and repeat the command."
    )


def _holder(path: Path) -> str:
    try:
        holder = read_record(path, LockRecord)
        return f"process {holder.pid} of {holder.user} on {holder.host} since {holder.since}"
    except (OSError, StoreError):
        return "an unknown process"


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
