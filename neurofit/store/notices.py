"""The notice of a submission: its notify command is run at most once, by the process that creates `claim.json`.

submissions/20261120-183012-slurm-k3f9/notice/
├── claim.json     created exclusively, before anything is sent; whoever finds it sends nothing
├── digest.json    what the command got on its standard input
└── result.json    how the command ended; missing if its process was killed meanwhile
"""

from __future__ import annotations

import os
import time
from typing import Any

from neurofit.errors import StoreError
from neurofit.files import explain_os_errors, from_json, to_json, write_new, write_whole
from neurofit.process import Process
from neurofit.store.journal import UNMET_END, journals
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import JournalLine, NoticeClaim, NoticeResult
from neurofit.store.submissions import read_jobs, read_stops
from neurofit.structure import read_record, structured_or_none
from neurofit.transient import retry

_TAIL_BYTES = 4096  # of a journal, which have its last line


def is_claimed(files: SubmissionFiles) -> bool:
    """Whether some process sends the notice of a submission, or has sent it."""
    return retry(lambda: os.path.lexists(files.notice_claim))


def claim(files: SubmissionFiles, reason: str) -> bool:
    """Claim the notice of a submission; True for exactly one process, once.

    Raises
    ------
    StoreError
        The claim cannot be written.
    """
    record = NoticeClaim(process=Process.here(), reason=reason, t=round(time.time(), 3))
    with explain_os_errors(files.notice_claim, "record that the notify command is run"):
        retry(lambda: files.notice.mkdir(exist_ok=True))
        return write_new(files.notice_claim, to_json(record.as_object()))


def write_digest(files: SubmissionFiles, text: str) -> None:
    """Keep what the notify command gets."""
    with explain_os_errors(files.notice_digest, "record what the notify command gets"):
        write_whole(files.notice_digest, text)


def write_result(files: SubmissionFiles, result: NoticeResult) -> None:
    """Record how the notify command ended."""
    with explain_os_errors(files.notice_result, "record how the notify command ended"):
        write_new(files.notice_result, to_json(result.as_object()))


def read_claim(files: SubmissionFiles) -> NoticeClaim | None:
    """Which process sends the notice; None if none does, or its record is damaged."""
    try:
        return read_record(files.notice_claim, NoticeClaim)
    except (OSError, StoreError):
        return None


def read_result(files: SubmissionFiles) -> NoticeResult | None:
    """How the notify command ended; None if that is not recorded."""
    try:
        return read_record(files.notice_result, NoticeResult)
    except (OSError, StoreError):
        return None


def is_final(end: str | None, why: str | None) -> bool:
    """Whether no queue starts a job again whose newest start ended like this.

    A job that was stopped without a reason of its own may have been preempted by its queue.
    """
    return end in ("done", "damaged", UNMET_END) or (end == "stopped" and why is not None)


def may_have_ended(files: SubmissionFiles) -> bool:
    """Whether the journals say that no job of a submission is under way or to come, or that it failed fast.

    Reads only until it finds a job that has not ended, the last ones first: those started last.

    Raises
    ------
    OSError, StoreError
        A file cannot be read, or is damaged.
    """
    if retry(files.fail_fast.exists):
        return True
    jobs, newest = read_jobs(files), {}
    for (job, _), entry in sorted(journals(files).items()):
        newest[job] = entry.path
    stops, _ = read_stops(files)
    for number in reversed(range(len(jobs))):
        line = _last_line(newest[number]) if number in newest else None
        if line is not None and is_final(line.end, line.why):
            continue
        is_under_way = number in newest and (line is None or line.end is None)
        if is_under_way or not all(any(stop.covers(task.key) for stop in stops) for task in jobs[number]):
            return False
    return True


def _last_line(path: str) -> JournalLine | None:
    """The last line of a journal; None if it is incomplete or has no record."""
    data = retry(lambda: _tail(path))
    line = data.rstrip(b"\n").rpartition(b"\n")[2]
    try:
        record: Any = from_json(line)
    except ValueError:
        return None
    return structured_or_none(record, JournalLine)


def _tail(path: str) -> bytes:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - _TAIL_BYTES, 0))
        return file.read()
