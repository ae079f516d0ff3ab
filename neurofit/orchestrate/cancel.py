"""Cancel tasks that are queued or running, or stop a pool so that a later submit resumes its tasks.

A cancellation is first written to the submission, where workers look for it, and then passed to the queue.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from neurofit import process
from neurofit.backends.base import Backend, Queued
from neurofit.errors import QueueError
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.queues import backend_of, calls_of
from neurofit.status.submission_status import SubmissionStatus
from neurofit.store.state import ACTIVE
from neurofit.store.submissions import TaskKey, read_queue, write_stop
from neurofit.study import Study

STILL_CANCELLED = (
    "The tasks are cancelled nevertheless: a worker that is running one stops it within seconds, and a job "
    "that has not started yet ends as soon as it starts."
)


@dataclass(frozen=True)
class Cancellation:
    """Tasks of one submission that will be cancelled."""

    submission: SubmissionStatus
    tasks: list[TaskKey]
    jobs: list[int]  # those with no other task left


def ending(status: ExperimentStatus, keys: Collection[TaskKey]) -> list[Cancellation]:
    """The cancellations that end those of these tasks that are queued or running, one per submission."""
    by_submission: dict[str, set[TaskKey]] = {}
    for key in keys:
        task = status.of(key)
        if task.state in ACTIVE and task.submission:
            by_submission.setdefault(task.submission, set()).add(key)
    return [
        _of_submission(status, submission, by_submission[submission.name])
        for submission in status.submissions
        if submission.name in by_submission
    ]


def _of_submission(
    status: ExperimentStatus, submission: SubmissionStatus, cancelled: set[TaskKey]
) -> Cancellation:
    def is_over(key: TaskKey) -> bool:
        task = status.of(key)
        return key in cancelled or task.state not in ACTIVE or task.submission != submission.name

    jobs = [
        number for number, tasks in enumerate(submission.jobs) if all(is_over(task.key) for task in tasks)
    ]
    return Cancellation(submission, sorted(cancelled), jobs)


def cancel(study: Study, cancellations: list[Cancellation]) -> int:
    """Cancel tasks.

    Returns
    -------
    int
        Number of tasks.

    Raises
    ------
    QueueError
        A queue could not be asked, or refused. The jobs still end, once their workers see the cancellation.
    """
    by = process.user()
    for one in cancellations:
        write_stop(one.submission.files, one.tasks, by)
    problems = [problem for one in cancellations if (problem := _cancel_jobs(study, one))]
    if problems:
        raise QueueError("\n".join([*problems, STILL_CANCELLED]))
    return sum(len(one.tasks) for one in cancellations)


def _cancel_jobs(study: Study, one: Cancellation) -> str | None:
    """Cancel jobs in the queue; returns the queue's objection, if it has one."""
    submission = one.submission
    if not submission.at_home:
        return None  # a copy of the study: the queue's jobs belong to the original
    try:
        backend, calls = _calls(study, submission)
        backend.cancel(calls, [(submission.name, job) for job in one.jobs])
    except QueueError as error:
        user = submission.record.user
        whose = f" (submitted by {user})" if user and user != process.user() else ""
        return f"{submission.name}{whose}: {error}"
    return None


def stop(study: Study, submission: SubmissionStatus) -> None:
    """Ask all jobs of a submission to stop, without cancelling: the next submit resumes their tasks.

    A second call ends them at once. In a copy of the study nothing happens: the jobs belong to the original.
    """
    if submission.at_home:
        backend, calls = _calls(study, submission)
        backend.cancel(calls, [(submission.name, job) for job in range(submission.record.jobs)])


def _calls(study: Study, submission: SubmissionStatus) -> tuple[Backend, list[Queued]]:
    backend = backend_of(submission.record, study.runners)
    return backend, calls_of(backend, submission, read_queue(submission.files))
