"""Claim free GPUs of this machine for a command, if its queue only counts them.

`python -m neurofit.backends.devices 1 -- COMMAND…` runs COMMAND with CUDA_VISIBLE_DEVICES set.

A claim is a lock on one file per device, in a folder that all users of the machine share. The kernel releases it
when the last process of the job has ended. A device that any program uses counts as taken, even if it is not
locked. If the queue has named the job's devices (CUDA_VISIBLE_DEVICES, or Grid Engine's SGE_HGR_gpu), these are
used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from neurofit.exit_codes import NO_DEVICE

FOLDER = Path(os.environ.get("NEUROFIT_DEVICES", "/tmp/neurofit-devices"))
TIMEOUT_SECONDS = 120.0  # the queue has promised a device, but the previous job may still be ending
ASK_SECONDS = 30.0


def granted() -> str | None:
    """Devices that the queue has given this job; None if it only counted them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return os.environ["CUDA_VISIBLE_DEVICES"]
    for name, value in os.environ.items():
        if re.match(
            r"SGE_HGR_(gpu|cuda)", name, re.IGNORECASE
        ):  # Univa's and Altair's RSMAP: `0 1`, or `gpu0 gpu1`
            return ",".join(re.sub(r"^\D+", "", word) for word in re.split(r"[\s,]+", value.strip()))
    return None


def _smi(*query: str) -> list[list[str]]:
    """Rows of `nvidia-smi`'s answer; empty if there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    words = ["nvidia-smi", *query, "--format=csv,noheader"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=ASK_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return [row for row in rows if done.returncode == 0 and all(row)]


def devices() -> list[str]:
    """UUIDs of this machine's devices. Unlike numbers, they mean the same in every process."""
    rows = [
        row for row in _smi("--query-gpu=index,uuid") if len(row) == 2 and row[1].startswith(("GPU-", "MIG-"))
    ]
    return [uuid for _, uuid in rows]


def in_use() -> set[str]:
    """Devices that any user's process computes on."""
    return {row[0] for row in _smi("--query-compute-apps=gpu_uuid,pid") if len(row) == 2}


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """Lock out other claimants, so that two that need several devices do not hold half of them each."""
    lock = _open("turn")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open(name: str) -> int:
    """Open a file that every user of this machine can lock, for which read access is enough."""
    mask = os.umask(0)
    try:
        with contextlib.suppress(FileExistsError):
            FOLDER.mkdir(mode=0o1777, parents=True)
        path = FOLDER / re.sub(r"[^\w.-]", "_", name)
        try:
            lock = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except FileExistsError:
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    finally:
        os.umask(mask)
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise OSError(f"{path} is not a regular file")
    return lock


def claim(wanted: int, *, timeout_seconds: float) -> dict[str, int]:
    """Lock free devices: UUID → descriptor of the lock, for as many devices as wanted, or none."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        with _turn():
            held = _claim_now(wanted)
        if len(held) == wanted:
            return held
        for lock in held.values():
            os.close(lock)
        if time.monotonic() >= deadline:
            return {}
        time.sleep(1.0)


def _claim_now(wanted: int) -> dict[str, int]:
    held: dict[str, int] = {}
    busy = in_use()
    for device in devices():
        if len(held) == wanted or device in busy:
            continue
        lock = _open(device)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held[device] = lock
        except OSError:
            os.close(lock)
    return held


def main(arguments: list[str]) -> int:
    """Claim devices and become the command; returns only if that fails."""
    wanted, command = int(arguments[0]), arguments[arguments.index("--") + 1 :]
    if wanted == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif (given := granted()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = given
    else:
        held = claim(wanted, timeout_seconds=TIMEOUT_SECONDS)
        if not held:
            print(
                f"neurofit: the queue gave this job {wanted} GPU(s), but fewer of the {len(devices())} GPU(s) of "
                f"{os.uname().nodename} are free. Another program may use them outside the queue. Locks are in "
                f"{FOLDER}.",
                file=sys.stderr,
            )
            return NO_DEVICE
        for lock in held.values():
            os.set_inheritable(lock, True)  # so that the job's processes hold it
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
