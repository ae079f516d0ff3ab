"""The state of a task, computed from evidence and never stored: a pure function that defines which evidence
takes precedence.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class State(str, Enum):
    """The state of a task, in the order in which states are displayed."""

    NEW = "new"  # neither queued nor done
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"  # asked to stop, saved its progress; continues with the next submit
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"  # its worker disappeared for an unknown reason
    CANCELLED = "cancelled"

    def __str__(self) -> str:
        return self.value


# Sets of states, used under these names throughout the package
ACTIVE = frozenset({State.QUEUED, State.RUNNING})
FAILED_OR_LOST = frozenset({State.FAILED, State.LOST})
UNFINISHED = FAILED_OR_LOST | {State.STOPPED}  # ended without a result, but not cancelled
ENDED = UNFINISHED | {State.DONE, State.CANCELLED}
# may have an outcome.json
WITH_OUTCOME = frozenset({State.DONE, State.FAILED, State.STOPPED, State.CANCELLED})


class Job(Enum):
    """What the queue reports about a task's job."""

    LIVE = "live"
    ABSENT = "absent"  # the queue answered, and did not list it
    UNKNOWN = "unknown"  # the queue could not be queried


class Heartbeat(Enum):
    """What is known about the worker that claimed a task."""

    FRESH = "fresh"
    STALE = "stale"
    DEAD = "dead"  # its process ran on this host, and is gone


class Evidence(NamedTuple):
    """What is known about one task since its submission was written."""

    ended: str | None = None  # outcome of the newest attempt: done, failed, stopped, abandoned, damaged
    # of the worker that claimed the newest attempt, if the attempt has not ended
    heartbeat: Heartbeat | None = None
    job: Job = Job.UNKNOWN
    cancelled: bool = False
    grace_over: bool = True  # the job has been missing from the queue for long enough
    cause: str | None = None  # why the job ended, from the queue's accounting
    unread: bool = False  # a file that may hold more evidence could not be read
    again: bool = False  # the job's newest start ended with the request to its queue to start it again


def decide(evidence: Evidence) -> State:
    """The state of a task that belongs to a submission."""
    if evidence.ended == "done":
        return State.DONE
    if evidence.ended in ("failed", "damaged"):
        return State.FAILED
    if evidence.ended == "stopped":
        return _stopped(evidence)
    if evidence.unread:  # as if the queue could not be queried: a read error proves nothing
        return State.RUNNING if evidence.heartbeat is not None else State.QUEUED
    if evidence.heartbeat is not None:
        return _claimed(evidence)
    return _waiting(evidence)


def _stopped(evidence: Evidence) -> State:
    if evidence.cancelled:
        return State.CANCELLED
    is_due = evidence.again and (evidence.job is Job.UNKNOWN or not evidence.grace_over)
    return State.QUEUED if evidence.job is Job.LIVE or is_due else State.STOPPED


def _claimed(evidence: Evidence) -> State:
    if evidence.heartbeat is Heartbeat.FRESH:
        return State.RUNNING
    dead = evidence.heartbeat is Heartbeat.DEAD
    if evidence.job is Job.LIVE:
        return State.QUEUED if dead else State.RUNNING  # the queue restarts it
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
