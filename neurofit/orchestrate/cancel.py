"""End what is queued or running: noted in the submission first, where workers look, then said to the queue;
or stop a pool, to go on later.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from neurofit import process
from neurofit.backends.base import Backend, Queued
from neurofit.errors import QueueError
from neurofit.status.experiment_status import ExperimentStatus, SubmissionStatus
from neurofit.status.queues import backend_of, calls_of
from neurofit.store.state import ACTIVE
from neurofit.store.submissions import TaskKey, read_queue, write_stop
from neurofit.study import Study

UNTOLD = (
    "The tasks are cancelled all the same: a worker that has one stops within seconds, and a job that has "
    "not begun "
    "ends as soon as it does."
)


@dataclass(frozen=True)
class Cancellation:
    """Tasks of one submission that are to be ended."""

    part: SubmissionStatus
    tasks: list[TaskKey]
    jobs: list[int]  # those of which no task is left


def ending(status: ExperimentStatus, keys: Collection[TaskKey]) -> list[Cancellation]:
    """What it takes to end those of these tasks that are queued or running, by submission."""
    doomed: dict[str, list[TaskKey]] = {}
    for key in keys:
        task = status.of(key)
        if task.state in ACTIVE and task.submission:
            doomed.setdefault(task.submission, []).append(key)
    return [
        _of_part(status, part, set(doomed[part.files.name]))
        for part in status.submissions
        if part.files.name in doomed
    ]


def _of_part(status: ExperimentStatus, part: SubmissionStatus, doomed: set[TaskKey]) -> Cancellation:
    def over(key: TaskKey) -> bool:
        return (
            key in doomed
            or status.of(key).state not in ACTIVE
            or status.of(key).submission != part.files.name
        )

    jobs = [number for number, tasks in enumerate(part.jobs) if all(over(task.key) for task in tasks)]
    return Cancellation(part, sorted(doomed), jobs)


def cancel(study: Study, cancellations: list[Cancellation]) -> int:
    """End them; gives how many tasks.

    Raises
    ------
    QueueError : a queue could not be told, or would not: its jobs end all the same once their workers look
    """
    by = process.user()
    for one in cancellations:
        write_stop(one.part.files, one.tasks, by)
    problems = [problem for one in cancellations if (problem := _tell_queue(study, one))]
    if problems:
        raise QueueError("\n".join([*problems, UNTOLD]))
    return sum(len(one.tasks) for one in cancellations)


def _tell_queue(study: Study, one: Cancellation) -> str | None:
    """What the queue said against it."""
    if not one.part.at_home:
        return None  # a copy of the study: the queue has the original's jobs, not these
    try:
        backend, calls = _queued(study, one.part)
        backend.cancel(calls, [(one.part.files.name, job) for job in one.jobs])
    except QueueError as error:
        who = one.part.record.user
        whose = f" ({who} submitted it)" if who and who != process.user() else ""
        return f"{one.part.files.name}{whose}: {error}"
    return None


def stop(study: Study, part: SubmissionStatus) -> None:
    """Ask all jobs of a submission to stop, leaving no cancellation: the next submit goes on with its tasks.
    Asked again, they end at once. In a copy of the study nothing is asked: the jobs are the original's.
    """
    if not part.at_home:
        return
    backend, calls = _queued(study, part)
    backend.cancel(calls, [(part.files.name, job) for job in range(part.record.jobs)])


def _queued(study: Study, part: SubmissionStatus) -> tuple[Backend, list[Queued]]:
    backend = backend_of(part.record, study.runners)
    return backend, calls_of(backend, part, read_queue(part.files))
