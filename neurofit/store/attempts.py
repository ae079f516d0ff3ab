"""Attempts at a task: which worker may run it, and how the attempt ended. This module guarantees that no
task runs twice.

A worker claims a task by creating its next `attempt-NN/` folder with `claim.json` already inside: renaming
onto a non-empty folder fails, so exactly one of several claimants wins. A worker ends an attempt by creating
its `outcome.json` exclusively. A worker that takes over from one it considers dead first writes `abandoned`
there; if the other worker was only slow, its own outcome comes too late and is discarded. Independently of
all clocks, an attempt has one outcome, and a task has one `done`.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import StoreError
from neurofit.files import partial_path, to_json, write_new
from neurofit.process import Process
from neurofit.store.journal import STALE_SECONDS, now_on
from neurofit.store.layout import AttemptFiles, SubmissionFiles, TaskFiles
from neurofit.store.records import Claim, ErrorRecord, Outcome, Takeover
from neurofit.store.submissions import is_at_home, read_submission
from neurofit.structure import read_record
from neurofit.transient import retry

RUNNING_ELSEWHERE = "another worker is running it"


@dataclass(frozen=True)
class Claimant:
    """The worker that claims a task: one start of one job of one submission."""

    submission: SubmissionFiles
    job: int
    start: int
    process: Process

    def claim(self) -> Claim:
        return Claim(
            submission=self.submission.name,
            job=self.job,
            start=self.start,
            inode=self.submission.folder.stat().st_ino,
            process=self.process,
            t=round(time.time(), 3),
        )


@dataclass(frozen=True)
class Refusal:
    """Why a task was not claimed: its attempt is `done` or `failed`, or another worker is running it."""

    why: str


def claim(task: TaskFiles, last_attempt: int, claimant: Claimant) -> AttemptFiles | Refusal:
    """Create the next attempt at `task`.

    Parameters
    ----------
    task : TaskFiles
        The task to claim.
    last_attempt : int
        The number of the newest attempt when the submission was written.
    claimant : Claimant
        The worker that claims the task.

    Returns
    -------
    AttemptFiles or Refusal
        The files of the new attempt, or the reason why the task cannot be claimed.
    """
    return retry(lambda: _claim(task, last_attempt, claimant))


def _claim(task: TaskFiles, last_attempt: int, claimant: Claimant) -> AttemptFiles | Refusal:
    own = claimant.claim()
    for folder in (task.folder.parent.parent, task.folder.parent, task.folder):
        # no parents=True: if the storage is not mounted, no second tree is created in its place
        folder.mkdir(exist_ok=True)
    for number in range(last_attempt + 1, last_attempt + 1000):
        attempt = task.attempt(number)
        if _make(attempt, own) or _was_made(attempt, own):
            return attempt
        state = _state_of(attempt, claimant)
        if state not in ("stopped", "abandoned"):
            return Refusal(state)
    return Refusal("1000 attempts")


def _make(attempt: AttemptFiles, own: Claim) -> bool:
    partial = AttemptFiles(partial_path(attempt.folder))
    partial.folder.mkdir()
    try:
        partial.claim.write_text(to_json(own.as_object()), encoding="utf-8")
        partial.folder.rename(attempt.folder)
        return True
    except FileNotFoundError:  # the network file system repeated a rename that had already succeeded
        if not _was_made(attempt, own):
            raise
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    finally:
        shutil.rmtree(partial.folder, ignore_errors=True)


def _was_made(attempt: AttemptFiles, own: Claim) -> bool:
    """Whether this claimant created the attempt a moment ago, but the reply was lost.

    No other process can have written this claim.
    """
    try:
        there = read_record(attempt.claim, Claim, late=True)
    except (FileNotFoundError, StoreError):
        return False
    return there.worker == own.worker and there.process == own.process and not _ended(attempt)


def _state_of(attempt: AttemptFiles, claimant: Claimant) -> str:
    """How an existing attempt ended. If its worker is gone, end the attempt as abandoned."""
    ended = _ended(attempt)
    if ended:
        return ended
    if not may_take_over(attempt, claimant):
        return RUNNING_ELSEWHERE
    why = ErrorRecord(kind="lost", type="Lost", message="The worker disappeared; a newer attempt took over.")
    if publish(attempt, Takeover(error=why, by=claimant.claim(), attempt=attempt.number)):
        return "abandoned"
    return _ended(attempt, late=True) or RUNNING_ELSEWHERE  # the worker was alive, and ended it first


def _ended(attempt: AttemptFiles, *, late: bool = False) -> str | None:
    try:
        return read_record(attempt.outcome, Outcome, late=late).state
    except FileNotFoundError:
        return None
    except StoreError:
        return "damaged"


def may_take_over(attempt: AttemptFiles, claimant: Claimant) -> bool:
    """Whether the worker that claimed `attempt` is known to be gone, or its heartbeat is stale."""
    try:
        there = read_record(attempt.claim, Claim)
    except (OSError, StoreError):
        return False
    process, same_job = there.process, there.job == claimant.job
    theirs = SubmissionFiles(claimant.submission.folder.with_name(there.submission))
    journal = theirs.journal(there.job, there.start)
    if process == claimant.process:
        return False
    alive = process.is_alive()
    if alive is False:
        return True
    if alive and not _is_in_a_copy(theirs):
        return False
    if alive is None and same_job and theirs == claimant.submission:
        return True  # a queue never runs a job twice at the same time, so the previous start has ended
    return is_stale(journal, claimant.submission.folder, since=attempt.claim)


def is_over(earlier: AttemptFiles, own: AttemptFiles) -> bool:
    """Whether the process of an earlier attempt is known to be gone; False if it may only be slow.

    Parameters
    ----------
    earlier, own : AttemptFiles
        Two attempts at one task, the second by this process's job.
    """
    ended = _ended(earlier)
    if ended not in (None, "abandoned", "damaged"):
        return True  # its own process, or the worker that watched it, has said how it ended
    try:
        there, here = read_record(earlier.claim, Claim), read_record(own.claim, Claim)
    except FileNotFoundError:
        return not earlier.folder.exists()
    except StoreError:
        return False
    alive = there.process.is_alive()
    same_job = (there.submission, there.job) == (here.submission, here.job)
    return alive is False or (alive is None and same_job)  # a queue never runs a job twice at the same time


def _is_in_a_copy(files: SubmissionFiles) -> bool:
    """Whether this study is a copy whose workers write to the original."""
    try:
        return not is_at_home(files, read_submission(files))
    except (OSError, StoreError):
        return False


def is_stale(journal: Path, here: Path, *, since: Path | None = None) -> bool:
    """Whether a journal was last modified more than `STALE_SECONDS` ago.

    Parameters
    ----------
    journal : Path
        The journal whose modification time is the heartbeat.
    here : Path
        A folder on the same file system, which gives the current time.
    since : Path, optional
        The file whose age decides if the journal does not exist.
    """
    for path in (journal, since):
        try:
            return path is not None and now_on(here) - path.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:
            continue  # a file that is not visible yet is not stale
    return False


def publish(attempt: AttemptFiles, outcome: Outcome | Takeover, *, durable: bool = True) -> bool:
    """End `attempt` with this outcome.

    Returns
    -------
    bool
        False if the attempt has already ended, or now belongs to another worker.
    """
    if isinstance(outcome, Outcome) and not _is_by_its_claimant(attempt, outcome):
        return False
    return write_new(attempt.outcome, to_json(outcome.as_object()) + "\n", durable=durable)


def _is_by_its_claimant(attempt: AttemptFiles, outcome: Outcome) -> bool:
    """False if the storage was unavailable and another worker claimed this attempt in the meantime."""
    try:
        claim = read_record(attempt.claim, Claim)
    except (FileNotFoundError, StoreError):
        return True  # the exclusive outcome decides
    theirs = claim.submission, claim.job, claim.process.host, claim.process.pid
    ours = outcome.submission, outcome.job, outcome.host, outcome.pid
    return None in ours or theirs == ours


def still_mine(attempt: AttemptFiles) -> bool:
    """Whether no other worker has ended this attempt."""
    try:
        retry(lambda: os.stat(attempt.outcome))
    except FileNotFoundError:
        return True
    return False
