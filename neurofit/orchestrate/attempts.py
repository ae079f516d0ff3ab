"""The attempts at one task, and which of them counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from neurofit import process
from neurofit.errors import NameUnknown, StoreError, UsageError
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store import choices
from neurofit.store.layout import AttemptFiles
from neurofit.store.lock import locked
from neurofit.store.records import Outcome
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record
from neurofit.text import command


@dataclass(frozen=True)
class Attempt:
    """One attempt at a task, as its outcome tells."""

    attempt: int
    state: str
    counts: bool
    ended: str | None = None
    submission: str | None = None
    metrics: dict[str, float] | None = None

    def record(self) -> dict[str, Any]:
        return asdict(self)


def attempts_at(status: ExperimentStatus, key: TaskKey) -> list[Attempt]:
    """All that were made, oldest first."""
    run = status.registry.runs.get(key[0])
    made = [] if run is None else status.files.task(run.number, run.id, key[1]).attempts()
    return [_attempt(status, key, files) for files in made]


def _attempt(status: ExperimentStatus, key: TaskKey, files: AttemptFiles) -> Attempt:
    counted, latest = status.of(key).counted, status.of(key).latest
    counts = counted is not None and counted.attempt == files.number
    try:
        outcome = read_record(files.outcome, Outcome)
    except FileNotFoundError:
        is_at_work = latest.state in ACTIVE and latest.attempt == files.number
        return Attempt(files.number, str(latest.state if is_at_work else State.LOST), counts)
    except (StoreError, OSError):
        return Attempt(files.number, "damaged", counts)
    return Attempt(files.number, outcome.state, counts, outcome.ended, outcome.submission, outcome.metrics)


def choose(status: ExperimentStatus, key: TaskKey, number: int | None, *, dry_run: bool = False) -> int:
    """Have this attempt count, or the newest that is done without a number; gives the number of the one that
    does.

    Raises
    ------
    UsageError : the task is not done, or this attempt is not
    NameUnknown : there is no such attempt
    """
    with locked(status.files.lock):
        status = read_status(status.files.study, status.name)
        done = sorted(status.done.get(key, {}))
        name = f"{status.name}:{key[0]}/{key[1]}"
        if not done:
            raise UsageError(
                f"{name} is {status.of(key).state}: no attempt at it is done, so that none can be chosen."
            )
        if number is not None and number not in done:
            raise _not_to_be_chosen(status, key, name, number, done)
        if not dry_run:
            choices.choose(status.files, key, number, done[-1], process.user())
    return done[-1] if number is None else number


def _not_to_be_chosen(
    status: ExperimentStatus, key: TaskKey, name: str, number: int, done: list[int]
) -> Exception:
    there = f"Done: {', '.join(map(str, done))}. `{command('choose', name)}` lists all attempts."
    for one in attempts_at(status, key):
        if one.attempt == number:
            return UsageError(
                f"Attempt {number} at {name} is {one.state}; one that counts has to be done. {there}"
            )
    return NameUnknown(f"{name} has no attempt {number}. {there}")
