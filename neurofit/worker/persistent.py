"""The folder that the attempts of one series share: a program finds its own checkpoints there again.

A series begins with the first attempt, and with each attempt of a rerun's submission; it keeps its folder when the
next one begins. Only one attempt of a series may write into a folder: one that follows an attempt whose process is
not known to be gone gets a copy.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from neurofit.errors import StoreError
from neurofit.files import partial_path
from neurofit.store.attempts import is_over
from neurofit.store.layout import AttemptFiles, SubmissionFiles, TaskFiles
from neurofit.store.records import Claim
from neurofit.store.submissions import read_submission
from neurofit.structure import read_record
from neurofit.transient import retry


def folder_of(task: TaskFiles, attempt: AttemptFiles) -> Path:
    """The folder of this attempt, which exists when this returns.

    Parameters
    ----------
    task : TaskFiles
    attempt : AttemptFiles
        The attempt that asks for it. It is running.
    """
    first = _series_start(task, attempt)
    there = [number for number in task.persistent_numbers() if first <= number <= attempt.number]
    own = task.persistent(attempt.number)
    if not there:
        retry(lambda: own.mkdir(exist_ok=True))
        return own
    newest = max(there)
    users = range(newest, attempt.number)
    if all(is_over(task.attempt(number), attempt) for number in users):
        return task.persistent(newest)
    retry(lambda: _copy(task.persistent(newest), own))
    return own


def _series_start(task: TaskFiles, attempt: AttemptFiles) -> int:
    """The number of the first attempt of the series that an attempt belongs to."""
    first, series = 1, ""
    for number in range(attempt.number, 0, -1):
        submission = _submission_of(task, task.attempt(number))
        name = submission.name if submission else ""
        if series and name != series:
            break
        if submission is not None and _is_fresh(submission):
            first, series = number, name
    return first


def _submission_of(task: TaskFiles, attempt: AttemptFiles) -> SubmissionFiles | None:
    try:
        claim = retry(lambda: read_record(attempt.claim, Claim))
    except (FileNotFoundError, StoreError):
        return None
    return SubmissionFiles(
        task.folder.parents[2] / "submissions" / claim.submission
    )  # …/exp3/runs/012-…/rep-03


def _is_fresh(submission: SubmissionFiles) -> bool:
    try:
        return retry(lambda: read_submission(submission)).fresh
    except (FileNotFoundError, StoreError):  # a scratch attempt's, which is elsewhere, or removed
        return False


def _copy(source: Path, target: Path) -> None:
    """A copy under the target's name. Files that another process removes meanwhile are left out."""
    partial = partial_path(target)
    try:
        with contextlib.suppress(shutil.Error):
            shutil.copytree(source, partial, symlinks=True, dirs_exist_ok=True)
        with contextlib.suppress(FileExistsError):
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
