"""How a job's script ended, as it leaves it itself: an empty file `ended/000017.1.node07` in the submission's
folder is job 17, ended with status 1 on node07.

A queue may not keep a record, or forgets it. The name of a file is there whole or not at all, also on a full
disk. A job that is started again takes it away; one that ended well, or asked to be started again, leaves
none; `kill -9` leaves none either, which is no statement.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neurofit.backends.base import NO_ROOM, NO_ROOM_LEFT, Ending, JobKey, Queued
from neurofit.backends.devices import NO_DEVICE

FOLDER = "ended"
NAME = re.compile(r"(\d{6,})\.(\d{1,3})\.([^./]*)$")
START_AGAIN = (
    99  # what a worker ends with when its job is to be started again; see neurofit/worker/__main__.py
)
UNSEEN = (
    97  # what a script ends with when its node does not see the submission's folder, or cannot write there
)
UNLOGGED = 67  # the same of SLURM's, where only its log cannot be written
KNOWN = {  # what a script or its worker ends with where no file could tell more
    NO_ROOM: NO_ROOM_LEFT,
    UNSEEN: "its node does not see the study's folder, or cannot write there",
    UNLOGGED: "its log could not be written: is the disk full, or your quota?",
    126: "a program could not be started, perhaps the interpreter; its log says which",
    127: "a program was not found, perhaps the interpreter; its log says which",
    NO_DEVICE: "not as many GPUs as it was given were free on its node; its log says more",
}
# Shell lines, in a script that knows $submission and $number (six digits). The first belongs to a start, in
# the submission's folder; the second to the end, where $status is what the script ends with.
TAKE_AWAY = f'rm -f {FOLDER}/"$number".*'
LEAVE = f"""\
    if [ "$status" != 0 ] && [ "$status" != {START_AGAIN} ]; then
        node=$(uname -n) && cd "$submission" && mkdir -p {FOLDER} && : >"{FOLDER}/$number.$status.${{node%%.*}}"
    fi"""


@dataclass(frozen=True)
class Left:
    """What a script left of its end."""

    status: int
    host: str


def leave(folder: Path, job: int, status: int) -> None:
    """What the shell lines do, for a script that has become something else; a disk that refuses is no
    error.
    """
    if status not in (0, START_AGAIN):
        with contextlib.suppress(OSError):
            (folder / FOLDER).mkdir(exist_ok=True)
            (folder / FOLDER / f"{job:06d}.{status}.{os.uname().nodename.partition('.')[0]}").touch()


def left(folder: Path) -> dict[int, Left]:
    """Job → what its script left in this submission's folder; without those that left nothing."""
    try:
        names = os.listdir(folder / FOLDER)
    except OSError:
        return {}
    found = (NAME.match(name) for name in sorted(names))
    return {int(match[1]): Left(int(match[2]), match[3]) for match in found if match}


def endings(queued: Iterable[Queued]) -> dict[JobKey, Ending]:
    """What the scripts of these jobs left."""
    entries = list(queued)
    folders = {entry.folder: left(entry.folder) for entry in entries}
    return {
        (entry.token, job): Ending(in_words(one.status, one.host), final=False)
        for entry in entries
        for job, one in folders[entry.folder].items()
        if entry.first <= job <= entry.last
    }


def in_words(status: int, host: str) -> str | None:
    """Why a script ended with this status; None where it ended well."""
    at = f" (on {host})" if host else ""
    if status == 0:
        return None
    if status in KNOWN:
        return f"{KNOWN[status]}{at}"
    if 128 < status <= 192:
        return f"it was ended by signal {status - 128}{at}"
    return f"its script ended with status {status}{at}; its log says more"
