"""Journals: one file per start of a job, which only its worker appends to; the mtime is the heartbeat.

{"start": {process}, "job": 17, "t": …, "host": …}            first line
{"claim": [run, repetition], "attempt": 2, "t": …}            a task was started
{"outcome": {…}}                                              as in outcome.json, so a table needs no other file
{"skip": [run, repetition], "why": "…"}                       a task was skipped
{"end": "done"}                                               this start of the job ended
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import NamedTuple

from neurofit import recording
from neurofit.files import encoded, to_json
from neurofit.process import Process
from neurofit.store.layout import JOURNAL, SubmissionFiles
from neurofit.store.records import JournalLine, TaskOutcome, Values
from neurofit.structure import structured_lines
from neurofit.transient import retry

OUTCOME = b'{"outcome":'  # the start of a line with an outcome
CLAIM = b'{"claim":'  # … with a claim
HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 300.0
UNMET_END = "unmet"  # the end of a job whose submission needs what will not get done: it has claimed nothing


class Journal:
    """The open journal of one start of a job."""

    def __init__(self, files: SubmissionFiles, job: int, *, host: str | None = None) -> None:
        self.job = job
        self.path, self.start = _next_start(files, job)
        self._descriptor = retry(self._open, late=True)
        self._torn = False  # whether the last line may be incomplete
        self._failed = False  # whether the last write failed
        self.write(JournalLine(start=Process.here(), job=job, t=round(time.time(), 3), host=host))

    def write(self, line: JournalLine) -> None:
        """Append a line. If the previous one is incomplete because the disk was full, start a new line first."""
        self._write(line.as_object())

    def copy_outcome(self, outcome: Values) -> None:
        """Append the content of an `outcome.json`, unchanged: its size tells readers whether the two agree."""
        self._write({"outcome": outcome})

    def _write(self, record: Values) -> None:
        line = encoded(to_json(record) + "\n")
        retry(lambda: self._append(line))

    def _append(self, line: bytes) -> None:
        """Append once. A retry may write a line twice, which does not change its meaning."""
        if self._failed:
            self._reopen()
        whole, self._torn, self._failed = (b"\n" + line if self._torn else line), True, True
        written = os.write(self._descriptor, whole)
        if written < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._torn = self._failed = False

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def _reopen(self) -> None:
        """Open the file again: a file server that restarted may not know the old descriptor."""
        fresh = self._open()
        os.dup2(fresh, self._descriptor, inheritable=False)
        os.close(fresh)

    def touch(self) -> None:
        """Write the heartbeat.

        If the storage is unavailable, this heartbeat is skipped: the next one follows, and no work is lost.
        """
        try:
            os.utime(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                self._reopen()
                os.utime(self._descriptor)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # every line has already been written
            os.close(self._descriptor)


def _next_start(files: SubmissionFiles, job: int) -> tuple[Path, int]:
    return retry(lambda: _make_next_start(files, job))


def _make_next_start(files: SubmissionFiles, job: int) -> tuple[Path, int]:
    start = 1
    while True:
        path = files.journal(job, start)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            return path, start
        except FileExistsError:
            start += 1


def journals(files: SubmissionFiles) -> dict[tuple[int, int], os.DirEntry[str]]:
    """Job and start → the directory entry of the journal."""
    return retry(lambda: _journals(files))


def _journals(files: SubmissionFiles) -> dict[tuple[int, int], os.DirEntry[str]]:
    found = {}
    try:
        with os.scandir(files.journals) as entries:
            for entry in entries:
                if match := JOURNAL.match(entry.name):
                    found[int(match.group(1)), int(match.group(2))] = entry
    except FileNotFoundError:
        pass
    return found


class Journalled(NamedTuple):
    """An outcome in a journal, and the size of its `outcome.json` in bytes (None if unknown)."""

    outcome: TaskOutcome
    size: int | None


def read_outcomes(path: str) -> tuple[list[Journalled], bool]:
    """The outcomes in a journal, and whether any of its lines is damaged."""
    return outcomes_in(retry(Path(path).read_bytes))


def outcomes_in(content: bytes) -> tuple[list[Journalled], bool]:
    """As `read_outcomes`, of a journal with this content."""
    lines = content.split(b"\n")
    is_torn = any(line and not (line.startswith(b'{"') and line.endswith(b"}")) for line in lines[:-1])
    lines = [line for line in lines if line.startswith(OUTCOME)]
    records, damaged = structured_lines(b"\n".join(lines), JournalLine)
    sizes = [None if damaged else len(line) - len(OUTCOME) for line in lines]
    found = [
        Journalled(record.outcome, size) for record, size in zip(records, sizes) if record.outcome is not None
    ]
    return found, is_torn or bool(damaged)


def now_on(folder: Path) -> float:
    """The current time of the file system of `folder`: ages are never computed from the clocks of two hosts."""
    if not recording.is_on():
        return time.time()
    probe = folder / f".now-{os.getpid()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()  # not writable from this host: its own clock is the best available
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
