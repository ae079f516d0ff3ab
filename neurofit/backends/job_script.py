"""What the job scripts of every queue share: their environment, the record of how they ended, and who submitted.

A queue may keep no record of how a job ended, or forget it. So a script that fails leaves an empty file in the
submission's folder: `ended/000017.1.node07` means that job 17 ended with status 1 on node07. A file's name is
either there whole or not at all, even on a full disk. The next start of the job removes it. A job that succeeds
or asks to be started again leaves none. `kill -9` leaves none either, so a missing file proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neurofit.backends.base import Ending, JobKey, Queued
from neurofit.exit_codes import DAMAGED, NO_DEVICE, NO_FOLDER, NO_LOG, NO_ROOM, NO_STUDY, START_AGAIN, UNMET

SCRIPT = "job.sh"  # in the submission's folder
FOLDER = "ended"
NAME = re.compile(r"(\d{6,})\.(\d{1,3})\.([^./]*)$")
DISK_FULL = (
    "the disk or your quota on it is full; free some space (`neurofit clean` lists what can be removed)"
)
CAUSES = {  # exit status of a script or its worker → why the job ended, where no outcome says more
    DAMAGED: "a file of its submission is damaged; see its log",
    NO_ROOM: DISK_FULL,
    NO_STUDY: "its node cannot see the study's folder or cannot write to it",
    NO_LOG: "its log could not be written; the disk or your quota may be full",
    126: "a program could not be started, perhaps the Python interpreter; see its log",
    127: "a program was not found, perhaps the Python interpreter; see its log",
    NO_DEVICE: "its node had fewer free GPUs than the job was given; see its log",
}
HOST_FAULTS = frozenset({NO_FOLDER, NO_STUDY, NO_DEVICE})  # what every task on that host would meet
# Lines for a script in which $submission and $number (six digits) are set. The first runs at the start, in the
# submission's folder; the other at the end, when $status is the script's exit status.
REMOVE_RECORD = f'rm -f {FOLDER}/"$number".*'
WRITE_RECORD = f"""\
    if [ "$status" != 0 ] && [ "$status" != {START_AGAIN} ]; then
        node=${{SLURMD_NODENAME:-$(uname -n)}}
        cd "$submission" && mkdir -p {FOLDER} && : >"{FOLDER}/$number.$status.${{node%%.*}}"
    fi"""


def thread_environment(cpus: int) -> dict[str, str]:
    """The environment of a job with this number of cores.

    It limits the threads of numeric libraries to these cores, sets TensorFlow's defaults unless the caller's
    environment sets them, and keeps the current folder out of Python's path.
    """
    threads = {
        name: str(cpus)
        for name in (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
        )
    }
    tensorflow = {
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        # makes convolutions two to three times faster; TensorFlow's own default depends on the CPU
        "TF_ENABLE_ONEDNN_OPTS": "1",
    }
    safe_path = {
        "PYTHONSAFEPATH": "1"
    }  # json.py in the study does not hide the standard library's (Python 3.11)
    kept = {name: os.environ.get(name, value) for name, value in tensorflow.items()}
    return {**safe_path, **threads, **kept}


@dataclass(frozen=True)
class ExitRecord:
    """How a script ended, as its own file says."""

    status: int
    host: str


def write_record(folder: Path, job: int, status: int) -> None:
    """Write what the shell lines write, for a job without a shell. Errors of the disk are ignored."""
    if status not in (0, START_AGAIN):
        with contextlib.suppress(OSError):
            (folder / FOLDER).mkdir(exist_ok=True)
            node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
            (folder / FOLDER / f"{job:06d}.{status}.{node.partition('.')[0]}").touch()


def records(folder: Path) -> dict[int, ExitRecord]:
    """Job → how its script ended, for the scripts of a submission that left a file."""
    try:
        names = os.listdir(folder / FOLDER)
    except OSError:
        return {}
    matches = (NAME.match(name) for name in sorted(names))
    return {int(match[1]): ExitRecord(int(match[2]), match[3]) for match in matches if match}


def endings(queued: Iterable[Queued]) -> dict[JobKey, Ending]:
    """Why these jobs ended, as far as their scripts have recorded it."""
    entries = list(queued)
    folders = {entry.folder: records(entry.folder) for entry in entries}
    return {
        (entry.token, job): Ending(
            cause(record.status, record.host), final=False, host=blamed(record.status, record.host)
        )
        for entry in entries
        for job, record in folders[entry.folder].items()
        if entry.first <= job <= entry.last
    }


def cause(status: int, host: str) -> str | None:
    """Why a script ended with this exit status; None for 0, and for UNMET, which leaves its tasks as they were."""
    where = f" (on {host})" if host else ""
    if status in (0, UNMET):
        return None
    if status in CAUSES:
        return f"{CAUSES[status]}{where}"
    if 128 < status <= 192:
        return f"it was killed by signal {status - 128}{where}"
    return f"its script exited with status {status}{where}; see its log"


def blamed(status: int, host: str) -> str | None:
    """The host, if a script that ended there with this exit status ended because of it."""
    return host if host and status in HOST_FAULTS else None


def current_user() -> str:
    """Name of this process's user, or the number if it has no name."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def owner(path: Path) -> str:
    """Name of a file's owner, or this process's user if that cannot be read."""
    with contextlib.suppress(KeyError, OSError):
        return path.owner()
    return current_user()


def submitter(entry: Queued) -> str:
    """Who submitted these jobs: the user noted with them, otherwise the owner of the job script."""
    noted = (entry.process or {}).get("user")
    return str(noted) if noted else owner(entry.folder / SCRIPT)
