"""The state of a task, computed from evidence and never stored. A pure function, and the order in which
evidence counts.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class State(str, Enum):
    """What a task is at, in the order in which a person reads it."""

    NEW = "new"  # nothing of it is queued or done
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"  # was asked to stop and left its progress; goes on with the next submit
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"  # its worker vanished, and nobody knows why
    CANCELLED = "cancelled"

    def __str__(self) -> str:
        return self.value


# Sets of states, used everywhere under these names
ACTIVE = frozenset({State.QUEUED, State.RUNNING})
FAILED_OR_LOST = frozenset({State.FAILED, State.LOST})
UNFINISHED = FAILED_OR_LOST | {State.STOPPED}  # ended without a result, and nobody cancelled them
ENDED = UNFINISHED | {State.DONE, State.CANCELLED}
WITH_OUTCOME = frozenset(
    {State.DONE, State.FAILED, State.STOPPED, State.CANCELLED}
)  # may have an outcome.json


class Job(Enum):
    """What the queue says of a task's job."""

    LIVE = "live"
    ABSENT = "absent"  # the queue answered, and does not have it
    UNKNOWN = "unknown"  # it could not be asked


class Heartbeat(Enum):
    """What is known of the worker that claimed a task."""

    FRESH = "fresh"
    STALE = "stale"
    DEAD = "dead"  # its process was on this host, and is gone


class Evidence(NamedTuple):
    """What is known of one task since a submission was written."""

    ended: str | None = None  # the newest attempt's outcome: done, failed, stopped, abandoned, damaged
    heartbeat: Heartbeat | None = (
        None  # of the worker that claimed the newest attempt, where that has not ended
    )
    job: Job = Job.UNKNOWN
    cancelled: bool = False
    grace_over: bool = True  # the queue has answered without the job for long enough
    cause: str | None = None  # why the job ended, from the queue's accounting
    unread: bool = False  # a file that may say more could not be read just now


def decide(evidence: Evidence) -> State:
    """The state of a task that a submission holds."""
    if evidence.ended == "done":
        return State.DONE
    if evidence.ended in ("failed", "damaged"):
        return State.FAILED
    if evidence.ended == "stopped":
        return _stopped(evidence)
    if evidence.unread:  # as where a queue cannot be asked: nothing is concluded from what is not known
        return State.RUNNING if evidence.heartbeat is not None else State.QUEUED
    if evidence.heartbeat is not None:
        return _claimed(evidence)
    return _waiting(evidence)


def _stopped(evidence: Evidence) -> State:
    if evidence.cancelled:
        return State.CANCELLED
    return State.QUEUED if evidence.job is Job.LIVE else State.STOPPED


def _claimed(evidence: Evidence) -> State:
    if evidence.heartbeat is Heartbeat.FRESH:
        return State.RUNNING
    dead = evidence.heartbeat is Heartbeat.DEAD
    if evidence.job is Job.LIVE:
        return State.QUEUED if dead else State.RUNNING  # its queue starts it again
    if evidence.cancelled:
        return State.CANCELLED
    if evidence.job is Job.UNKNOWN or not (evidence.grace_over or dead):
        return State.RUNNING
    return State.FAILED if evidence.cause else State.LOST


def _waiting(evidence: Evidence) -> State:
    if evidence.job is Job.LIVE:
        return State.QUEUED
    if evidence.cancelled:
        return State.CANCELLED
    if evidence.job is Job.UNKNOWN or not evidence.grace_over:
        return State.QUEUED
    if evidence.cause:
        return State.FAILED
    return State.LOST if evidence.ended == "abandoned" else State.NEW
