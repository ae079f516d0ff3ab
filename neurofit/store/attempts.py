"""Attempts at a task: who may try it, and what came of it. This is where running something twice is made
impossible.

To claim a task is to make its next `attempt-NN/` folder, with `claim.json` already in it: a rename onto a
folder that is not empty fails, so one of many claimants wins. To end an attempt is to make its
`outcome.json`, exclusively: a worker that takes over from one it holds for dead first writes `abandoned`
there, and if the dead one was only slow, its own outcome then comes too late and is thrown away. Whatever the
clocks say, one attempt has one outcome, and one task one `done`.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.files import partial_path, to_json, write_new
from neurofit.process import Process
from neurofit.store.journal import STALE_SECONDS, now_on
from neurofit.store.layout import AttemptFiles, SubmissionFiles, TaskFiles
from neurofit.store.records import Claim, Outcome
from neurofit.store.submissions import is_at_home, read_submission
from neurofit.structure import read_record
from neurofit.transient import retry


@dataclass(frozen=True)
class Claimant:
    """Who claims: one start of one job of one submission."""

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
    """Why a task was not claimed: `done`, `failed`, or somebody is at it."""

    why: str


def claim(task: TaskFiles, last_attempt: int, claimant: Claimant) -> AttemptFiles | Refusal:
    """Make the next attempt at `task`, or say why not. `last_attempt`: what the submission knew of when it
    was written.
    """
    return retry(lambda: _claim(task, last_attempt, claimant))


def _claim(task: TaskFiles, last_attempt: int, claimant: Claimant) -> AttemptFiles | Refusal:
    own = claimant.claim()
    for folder in (task.folder.parent.parent, task.folder.parent, task.folder):
        folder.mkdir(
            exist_ok=True
        )  # nothing above: where the storage is away, no second tree begins in its place
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
    except FileNotFoundError:  # the network repeated a request of ours that it had carried out
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
    """Whether this claimant made the attempt a moment ago, and the answer was lost: nobody else can have
    written its claim.
    """
    try:
        there = read_record(attempt.claim, Claim, late=True)
    except (FileNotFoundError, StoreError):
        return False
    return there.worker == own.worker and there.process == own.process and not _ended(attempt)


def _state_of(attempt: AttemptFiles, claimant: Claimant) -> str:
    """How an attempt that exists ended; one whose worker is gone is ended here, as abandoned."""
    ended = _ended(attempt)
    if ended:
        return ended
    if not may_take_over(attempt, claimant):
        return "somebody is at it"
    reason = {"kind": "lost", "type": "Lost", "message": "Its worker was gone; a newer attempt took over."}
    if publish(
        attempt,
        {
            "state": "abandoned",
            "error": reason,
            "by": claimant.claim().as_object(),
            "attempt": attempt.number,
        },
    ):
        return "abandoned"
    return _ended(attempt, late=True) or "somebody is at it"  # it was slower than it was thought dead


def _ended(attempt: AttemptFiles, *, late: bool = False) -> str | None:
    try:
        return read_record(attempt.outcome, Outcome, late=late).state
    except FileNotFoundError:
        return None
    except StoreError:
        return "damaged"


def may_take_over(attempt: AttemptFiles, claimant: Claimant) -> bool:
    """Whether the worker that claimed `attempt` is known to be gone, or has been silent for long."""
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
        return True  # a queue never runs one job twice at a time: the start before this one is over
    return is_stale(journal, claimant.submission.folder, since=attempt.claim)


def _is_in_a_copy(files: SubmissionFiles) -> bool:
    """Whether whoever claimed something here is at work on the original of this study."""
    try:
        return not is_at_home(files, read_submission(files))
    except (OSError, StoreError):
        return False


def is_stale(journal: Path, here: Path, *, since: Path | None = None) -> bool:
    """Whether a journal has not been touched for long, or, where there is none, the file `since`."""
    for path in (journal, since):
        try:
            return path is not None and now_on(here) - path.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:
            continue  # not to be seen yet is not the same as silent
    return False


def publish(attempt: AttemptFiles, outcome: dict[str, Any], *, durable: bool = True) -> bool:
    """End `attempt` with this outcome; False if it has ended already, or is another worker's by now."""
    if not _is_by_its_claimant(attempt, outcome):
        return False
    return write_new(attempt.outcome, to_json(outcome) + "\n", durable=durable)


def _is_by_its_claimant(attempt: AttemptFiles, outcome: dict[str, Any]) -> bool:
    """False where the storage was away, and came back with another worker's claim in this place."""
    try:
        claim = read_record(attempt.claim, Claim)
    except (FileNotFoundError, StoreError):
        return True  # the exclusive outcome decides
    theirs = claim.submission, claim.job, claim.process.host, claim.process.pid
    names = ("submission", "job", "host", "pid")
    return not all(name in outcome for name in names) or theirs == tuple(outcome[name] for name in names)


def still_mine(attempt: AttemptFiles) -> bool:
    """Whether nobody has ended this attempt in its worker's stead."""
    try:
        retry(lambda: os.stat(attempt.outcome))
    except FileNotFoundError:
        return True
    return False
