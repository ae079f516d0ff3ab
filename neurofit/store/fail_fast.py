"""Fail fast: a submission stops if its first tasks all fail with the same error and none is done.

Each worker checks the journals between its tasks. `stops/alike.json` then informs the other workers, which
start no further task; tasks that are running continue.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from neurofit.errors import StoreError
from neurofit.files import to_json, write_new
from neurofit.store.error_fingerprint import EXCEPTIONS, error_text, signature
from neurofit.store.journal import journals, read_outcomes
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import ErrorRecord, FailFastStop, TaskOutcome
from neurofit.store.submissions import Planned, TaskKey, read_jobs
from neurofit.structure import read_record

ENOUGH = 5  # identical failures that stop a submission
NO_SUCH_METRIC = "NoSuchMetric"  # the type of the error of a trial that lacks the metric of its search
LEAST_RUNS = 2  # runs they must span, if the submission has as many: a single run may have invalid arguments


def read_fail_fast(files: SubmissionFiles) -> FailFastStop | None:
    try:
        return read_record(files.fail_fast, FailFastStop)
    except (OSError, StoreError):
        return None


def write_fail_fast(files: SubmissionFiles, stop: FailFastStop) -> bool:
    """Stop all workers of a submission; False if one of them has already done so."""
    return write_new(files.fail_fast, to_json(stop.as_object()))


def judge(files: SubmissionFiles) -> FailFastStop | bool:
    """Decide from the journals whether a submission must stop. Reads only as many journals as it needs.

    Returns
    -------
    FailFastStop or bool
        The stop to write, True if a later check may find one, or False if none ever will.
    """
    errors: dict[TaskKey, ErrorRecord] = {}
    for outcome in _outcomes(files):
        if outcome.state == "done":
            return False
        if outcome.state == "failed":
            errors[outcome.key] = error = outcome.error or ErrorRecord()
            if error.type == NO_SUCH_METRIC:  # of a search: no later trial can teach it anything
                return FailFastStop(failures=1, message=" ".join(error_text(error).split())[:300])
            first = next(iter(errors.values()))
            if signature(error)[0] not in EXCEPTIONS or signature(error) != signature(first):
                return False
    if len(errors) < ENOUGH or not _is_enough(errors.keys(), read_jobs(files)):
        return True
    message = " ".join(error_text(errors[min(errors)]).split())[:300]
    return FailFastStop(failures=len(errors), message=message)


def _is_enough(failed: Set[TaskKey], jobs: list[list[Planned]]) -> bool:
    """Whether the failures span enough runs, and other tasks remain."""
    planned = {task.key for job in jobs for task in job}
    runs = {run for run, _ in planned}
    return len({run for run, _ in failed}) >= min(LEAST_RUNS, len(runs)) and not planned <= failed


def _outcomes(files: SubmissionFiles) -> Iterator[TaskOutcome]:
    for entry in journals(files).values():
        for one in read_outcomes(entry.path)[0]:
            yield one.outcome
