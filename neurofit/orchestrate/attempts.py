"""The attempts at one task: which one counts, how to choose another, and notes about newer attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from neurofit import process
from neurofit.errors import NameUnknown, NeurofitError, StoreError, UsageError
from neurofit.status.experiment_status import ExperimentStatus, TaskStatus, read_status
from neurofit.store import choices
from neurofit.store.layout import AttemptFiles
from neurofit.store.lock import locked
from neurofit.store.records import Outcome
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record
from neurofit.text import command

_RESULT_OF_NEWER = {  # what became of an attempt after the one that counts
    State.FAILED: "failed",
    State.LOST: "was lost",
    State.STOPPED: "was stopped",
    State.CANCELLED: "was cancelled",
    State.DONE: "is also done, but an earlier attempt was chosen",
}


@dataclass(frozen=True)
class Attempt:
    """One attempt at a task, as its outcome describes it."""

    attempt: int
    state: str
    counts: bool
    ended: str | None = None
    submission: str | None = None
    metrics: dict[str, float] | None = None

    def record(self) -> dict[str, Any]:
        """The attempt as JSON."""
        return asdict(self)


def attempts_at(status: ExperimentStatus, key: TaskKey) -> list[Attempt]:
    """All attempts at a task, oldest first."""
    run = status.registry.runs.get(key[0])
    made = [] if run is None else status.files.task(run.number, run.id, key[1]).attempts()
    return [_attempt(status, key, files) for files in made]


def _attempt(status: ExperimentStatus, key: TaskKey, files: AttemptFiles) -> Attempt:
    counted, latest = status.of(key).counted, status.of(key).latest
    counts = counted is not None and counted.attempt == files.number
    try:
        outcome = read_record(files.outcome, Outcome)
    except FileNotFoundError:
        is_active = latest.state in ACTIVE and latest.attempt == files.number
        return Attempt(files.number, str(latest.state if is_active else State.LOST), counts)
    except (StoreError, OSError):
        return Attempt(files.number, "damaged", counts)
    return Attempt(files.number, outcome.state, counts, outcome.ended, outcome.submission, outcome.metrics)


def choose(status: ExperimentStatus, key: TaskKey, number: int | None, *, dry_run: bool = False) -> int:
    """Make one attempt the one that counts.

    Parameters
    ----------
    number : int or None
        The attempt. None: the newest attempt that is done.
    dry_run : bool
        Check only; write nothing.

    Returns
    -------
    int
        Number of the attempt that counts.

    Raises
    ------
    UsageError
        The task, or this attempt, is not done.
    NameUnknown
        There is no such attempt.
    """
    with locked(status.files.lock):
        status = read_status(status.files.study, status.name)
        done = status.done_attempts(key)
        name = f"{status.name}:{key[0]}/{key[1]}"
        if not done:
            raise UsageError(
                f"{name} is {status.of(key).state} and has no attempt that is done, so none can be chosen."
            )
        if number is not None and number not in done:
            raise _cannot_choose(status, key, name, number, done)
        if not dry_run:
            choices.choose(status.files, key, number, done[-1], process.user())
    return done[-1] if number is None else number


def _cannot_choose(
    status: ExperimentStatus, key: TaskKey, name: str, number: int, done: list[int]
) -> NeurofitError:
    known = f"Attempts that are done: {', '.join(map(str, done))}. `{command('choose', name)}` lists all."
    for attempt in attempts_at(status, key):
        if attempt.attempt == number:
            return UsageError(
                f"Attempt {number} at {name} is {attempt.state}; only an attempt that is done can be chosen. "
                f"{known}"
            )
    return NameUnknown(f"{name} has no attempt {number}. {known}")


def label(task: TaskStatus) -> str:
    """The state of a task, and the result of a newer attempt than the one that counts.

    For example 'done', or 'done, newer attempt failed'.
    """
    return f"{task.state}, newer attempt {_result(task.newer.state)}" if task.newer else str(task.state)


def newer_attempts(status: ExperimentStatus, keys: Collection[TaskKey] | None = None) -> list[str]:
    """Sentences about newer attempts than those that count, one per result.

    Parameters
    ----------
    keys : collection of TaskKey or None
        The tasks to report on. None: all.
    """
    tasks = status.of_each(status.tasks if keys is None else keys)
    running_again = sum(task.result is not None and task.state in ACTIVE for task in tasks)
    newer = Counter(task.newer.state for task in tasks if task.newer)
    sentences = [
        f"{_tasks_are(number)} done, and a newer attempt {_result(state)}." for state, number in newer.items()
    ]
    if running_again:
        sentences.append(
            f"{_tasks_are(running_again)} being run again; results show the earlier attempt that is done."
        )
    return sentences


def _result(state: State) -> str:
    return _RESULT_OF_NEWER.get(state, f"is {state}")


def _tasks_are(number: int) -> str:
    return "1 task is" if number == 1 else f"{number:,} tasks are"
