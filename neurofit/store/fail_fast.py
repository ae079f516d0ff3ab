"""A submission that stopped by itself: the first of its tasks all failed alike, and none was done.

Any worker of it may find that, between its tasks, from the journals. `stops/alike.json` then tells the
others, which begin no further task; those at work go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from neurofit.errors import StoreError
from neurofit.files import to_json, write_new
from neurofit.store.error_fingerprint import EXCEPTIONS, in_words, signature
from neurofit.store.journal import journals, read_outcomes
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import ErrorRecord, FailFastStop, TaskOutcome
from neurofit.store.submissions import Planned, TaskKey, read_jobs
from neurofit.structure import read_record

ENOUGH = 5  # identical failures
LEAST_RUNS = 2  # that they are of, where there are more: one run alone may ask for what cannot be


def read_fail_fast(files: SubmissionFiles) -> FailFastStop | None:
    try:
        return read_record(files.fail_fast, FailFastStop)
    except (OSError, StoreError):
        return None


def write_fail_fast(files: SubmissionFiles, stop: FailFastStop) -> None:
    """Tell all workers, unless one of them has done so already."""
    write_new(files.fail_fast, to_json(stop.as_object()))


def judge(files: SubmissionFiles) -> FailFastStop | bool:
    """A reason to start no further task, or whether there may still be one.

    Reads no more journals than that takes.
    """
    errors: dict[TaskKey, ErrorRecord] = {}
    for outcome in _outcomes(files):
        if outcome.state == "done":
            return False
        if outcome.state == "failed":
            errors[outcome.key] = error = outcome.error or ErrorRecord()
            first = next(iter(errors.values()))
            if signature(error)[0] not in EXCEPTIONS or signature(error) != signature(first):
                return False
    if len(errors) < ENOUGH or not _is_enough(errors.keys(), read_jobs(files)):
        return True
    message = " ".join(in_words(errors[min(errors)]).split())[:300]
    return FailFastStop(failures=len(errors), message=message)


def _is_enough(failed: Set[TaskKey], jobs: list[list[Planned]]) -> bool:
    """They are of more than one run, where there are more, and something else is left."""
    planned = {task.key for job in jobs for task in job}
    runs = {run for run, _ in planned}
    return len({run for run, _ in failed}) >= min(LEAST_RUNS, len(runs)) and not planned <= failed


def _outcomes(files: SubmissionFiles) -> Iterator[TaskOutcome]:
    for entry in journals(files).values():
        for one in read_outcomes(entry.path)[0]:
            yield one.outcome
