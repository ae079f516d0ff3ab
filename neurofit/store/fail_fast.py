"""A submission that stopped by itself: the first of its tasks all failed alike, and none was done.

Any worker of it may find that, between its tasks, from the journals. `stops/alike.json` then tells the
others, which begin no further task; those at work go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.files import parse_lines, to_json, write_new
from neurofit.store.error_fingerprint import EXCEPTIONS, in_words, signature
from neurofit.store.journal import journals
from neurofit.store.layout import SubmissionFiles
from neurofit.store.schemas import FAIL_FAST, JOURNAL_LINE, fault, read_record
from neurofit.store.submissions import Planned, TaskKey, read_jobs
from neurofit.transient import retry

ENOUGH = 5  # identical failures
LEAST_RUNS = 2  # that they are of, where there are more: one run alone may ask for what cannot be
_OUTCOME = b'{"outcome":'


@dataclass(frozen=True)
class FailFastStop:
    """Why no further task is begun."""

    failures: int
    message: str  # of one of them: "ValueError: …"


def read_fail_fast(files: SubmissionFiles) -> FailFastStop | None:
    try:
        record = read_record(files.fail_fast, FAIL_FAST)
        return FailFastStop(record["failures"], record["message"])
    except (OSError, StoreError):
        return None


def write_fail_fast(files: SubmissionFiles, stop: FailFastStop) -> None:
    """Say it to all workers, unless one of them has said so already."""
    write_new(files.fail_fast, to_json(asdict(stop)))


def judge(files: SubmissionFiles) -> FailFastStop | bool:
    """A reason to begin no further task; or whether one may still turn up.

    Reads no more journals than that takes.
    """
    errors: dict[TaskKey, dict[str, Any]] = {}
    for outcome in _outcomes(files):
        if outcome["state"] == "done":
            return False
        if outcome["state"] == "failed":
            errors[outcome["run"], outcome["repetition"]] = error = outcome.get("error") or {}
            if signature(error)[0] not in EXCEPTIONS or signature(error) != signature(
                next(iter(errors.values()))
            ):
                return False
    if len(errors) < ENOUGH or not _is_enough(errors.keys(), read_jobs(files)):
        return True
    return FailFastStop(len(errors), " ".join(in_words(errors[min(errors)]).split())[:300])


def _is_enough(failed: Set[TaskKey], jobs: list[list[Planned]]) -> bool:
    """They are of more than one run, where there are more, and something else is left."""
    planned = {task.key for job in jobs for task in job}
    runs = {run for run, _ in planned}
    return len({run for run, _ in failed}) >= min(LEAST_RUNS, len(runs)) and not planned <= failed


def _outcomes(files: SubmissionFiles) -> Iterator[dict[str, Any]]:
    for entry in journals(files).values():
        data = retry(Path(entry.path).read_bytes)
        lines = [line for line in data.split(b"\n") if line.startswith(_OUTCOME)]
        for record in parse_lines(b"\n".join(lines))[0]:
            if fault(record, JOURNAL_LINE) is None:
                yield record["outcome"]
