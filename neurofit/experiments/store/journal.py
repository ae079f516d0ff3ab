"""Journals: one file per start of a job, written by that worker alone, line by line; its mtime is the heartbeat.

{"start": {process}, "job": 17, "cluster_job": …}             first line
{"claim": [run, repetition], "attempt": 2, "t": …}            a task was begun
{"outcome": {…}}                                              as in outcome.json, so that a table reads no other file
{"skip": [run, repetition], "why": "…"}                       a task was left alone
{"end": "done"}                                               the job came to its end
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import Any

from neurofit.experiments.store.layout import JOURNAL, SubmissionFiles
from neurofit.files import encoded, to_json
from neurofit.process import Process

HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 300.0


class Journal:
    """The open journal of one start of a job."""

    def __init__(self, files: SubmissionFiles, job: int, **facts: Any) -> None:
        self.job = job
        self.path, self.start = _next_start(files, job)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._torn = False
        self.write({"start": Process.here().record(), "job": job, "t": round(time.time(), 3), **facts})

    def write(self, record: dict[str, Any]) -> None:
        """Add a line, on a fresh one after a line that the disk had no room for."""
        line = encoded(to_json(record) + "\n")
        whole, self._torn = (b"\n" + line if self._torn else line), True
        written = os.write(self._descriptor, whole)
        if written < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._torn = False

    def touch(self) -> None:
        os.utime(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _next_start(files: SubmissionFiles, job: int) -> tuple[Path, int]:
    start = 1
    while True:
        path = files.journal(job, start)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            return path, start
        except FileExistsError:
            start += 1


def journals(files: SubmissionFiles) -> dict[tuple[int, int], os.DirEntry[str]]:
    """(job, start) → the journal's directory entry."""
    found = {}
    try:
        with os.scandir(files.journals) as entries:
            for entry in entries:
                if match := JOURNAL.match(entry.name):
                    found[int(match.group(1)), int(match.group(2))] = entry
    except FileNotFoundError:
        pass
    return found


def now_on(folder: Path) -> float:
    """The time as the file system of `folder` sees it: ages are never taken between two machines' clocks."""
    probe = folder / f".now-{os.getpid()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()  # cannot be written from here: this host's clock is the best there is
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
