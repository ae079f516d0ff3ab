"""A submission that stopped by itself: the first of its tasks all failed alike, and none was done.

Any worker of it may find that, between its tasks, from the journals. `stops/alike.json` then tells the others, which
begin no further task; those at work go on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from neurofit.errors import StoreError
from neurofit.experiments.alike import EXCEPTIONS, in_words, signature
from neurofit.experiments.store.journal import journals
from neurofit.experiments.store.layout import SubmissionFiles
from neurofit.experiments.store.submissions import TaskKey, read_jobs
from neurofit.files import parse_lines, read_json, to_json, write_new

ENOUGH = 5  # identical failures
LEAST_RUNS = 2  # that they are of, where there are more: one run alone may ask for what cannot be
_OUTCOME = b'{"outcome":'


@dataclass(frozen=True)
class Halt:
    """Why no further task is begun."""

    failures: int
    message: str  # of one of them: "ValueError: …"


def read_halt(files: SubmissionFiles) -> Halt | None:
    try:
        record = read_json(files.halt)
        return Halt(record["failures"], record["message"])
    except (OSError, StoreError, KeyError, TypeError):
        return None


def write_halt(files: SubmissionFiles, halt: Halt) -> None:
    """Say it to all workers, unless one of them has said so already."""
    write_new(files.halt, to_json(asdict(halt)))


def ended_tasks(files: SubmissionFiles) -> tuple[bool, dict[TaskKey, dict[str, Any]]]:
    """Whether a task is done, as far as it takes to know; if none is, the error of each that failed."""
    errors = {}
    for entry in journals(files).values():
        with open(entry.path, "rb") as file:
            lines = [line for line in file.read().split(b"\n") if line.startswith(_OUTCOME)]
        for record in parse_lines(b"\n".join(lines))[0]:
            outcome = record["outcome"]
            if outcome["state"] == "done":
                return True, {}
            if outcome["state"] == "failed":
                errors[outcome["run"], outcome["repetition"]] = outcome.get("error") or {}
    return False, errors


def is_alike(errors: dict[TaskKey, dict[str, Any]]) -> bool:
    """Whether these are all one exception."""
    kinds = {signature(error) for error in errors.values()}
    return len(kinds) == 1 and next(iter(kinds))[0] in EXCEPTIONS


def halt_of(files: SubmissionFiles, errors: dict[TaskKey, dict[str, Any]]) -> Halt | None:
    """What these failures, which are alike, are reason for; None where they are too few or nothing else is left."""
    if len(errors) < ENOUGH:
        return None
    planned = {task.key for job in read_jobs(files) for task in job}
    runs = {run for run, _ in planned}
    if len({run for run, _ in errors}) < min(LEAST_RUNS, len(runs)) or planned <= errors.keys():
        return None
    return Halt(len(errors), " ".join(in_words(errors[min(errors)]).split())[:300])
