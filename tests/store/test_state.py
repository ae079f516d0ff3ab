"""The order of evidence, as a table."""

from __future__ import annotations

import itertools

import pytest

from neurofit.store.state import Evidence, Heartbeat, Job, State, decide

FRESH, STALE, DEAD = Heartbeat.FRESH, Heartbeat.STALE, Heartbeat.DEAD
LIVE, ABSENT, UNKNOWN = Job.LIVE, Job.ABSENT, Job.UNKNOWN

TABLE = [
    # ended        heartbeat  job      cancelled  grace over  cause   state
    ("done", None, UNKNOWN, False, True, None, State.DONE),
    ("done", None, LIVE, True, False, "oom", State.DONE),
    ("failed", None, LIVE, False, True, None, State.FAILED),
    ("damaged", None, ABSENT, False, True, None, State.FAILED),
    ("stopped", None, LIVE, False, True, None, State.QUEUED),
    ("stopped", None, ABSENT, False, True, None, State.STOPPED),
    ("stopped", None, UNKNOWN, False, True, None, State.STOPPED),
    ("stopped", None, ABSENT, True, True, None, State.CANCELLED),
    ("abandoned", None, LIVE, False, True, None, State.QUEUED),
    ("abandoned", None, ABSENT, False, True, None, State.LOST),
    ("abandoned", None, ABSENT, False, True, "oom", State.FAILED),
    (None, FRESH, ABSENT, False, True, "oom", State.RUNNING),
    (None, FRESH, UNKNOWN, True, True, None, State.RUNNING),
    (None, STALE, LIVE, False, True, None, State.RUNNING),
    (None, STALE, UNKNOWN, False, True, None, State.RUNNING),
    (None, STALE, ABSENT, False, False, None, State.RUNNING),
    (None, STALE, ABSENT, False, True, None, State.LOST),
    (None, STALE, ABSENT, False, True, "oom", State.FAILED),
    (None, STALE, ABSENT, True, True, "oom", State.CANCELLED),
    (None, DEAD, LIVE, False, True, None, State.QUEUED),
    (None, DEAD, UNKNOWN, False, True, None, State.RUNNING),
    (None, DEAD, ABSENT, False, False, None, State.LOST),
    (None, None, LIVE, False, True, None, State.QUEUED),
    (None, None, LIVE, True, True, None, State.QUEUED),
    (None, None, UNKNOWN, False, True, None, State.QUEUED),
    (None, None, ABSENT, False, False, None, State.QUEUED),
    (None, None, ABSENT, False, True, None, State.NEW),
    (None, None, ABSENT, False, True, "bad setup", State.FAILED),
    (None, None, ABSENT, True, True, None, State.CANCELLED),
]


@pytest.mark.parametrize(("ended", "heartbeat", "job", "cancelled", "grace_over", "cause", "state"), TABLE)
def test_evidence_counts_in_this_order(ended, heartbeat, job, cancelled, grace_over, cause, state):
    assert decide(Evidence(ended, heartbeat, job, cancelled, grace_over, cause)) is state


@pytest.mark.parametrize(
    ("job", "grace_over", "state"),
    [
        (UNKNOWN, True, State.QUEUED),  # a queue that could not be asked changes nothing
        (ABSENT, False, State.QUEUED),
        (ABSENT, True, State.STOPPED),
        (LIVE, True, State.QUEUED),
    ],
)
def test_a_stopped_task_whose_job_asked_to_be_started_again_is_queued_until_its_queue_denies_it(
    job, grace_over, state
):
    assert decide(Evidence("stopped", None, job, grace_over=grace_over, again=True)) is state
    assert decide(Evidence("stopped", None, job, True, grace_over, again=True)) is State.CANCELLED


def everything():
    return itertools.product(
        (None, "done", "failed", "stopped", "abandoned", "damaged"),
        (None, *Heartbeat),
        Job,
        (False, True),
        (False, True),
        (None, "oom"),
    )


def test_what_is_done_stays_done_whatever_else_is_reported():
    assert all(decide(Evidence(*rest)) is State.DONE for rest in everything() if rest[0] == "done")


def test_a_queue_that_could_not_be_asked_never_makes_a_task_lost_or_failed():
    silent = [
        decide(Evidence(*rest))
        for rest in everything()
        if rest[2] is Job.UNKNOWN and rest[0] in (None, "abandoned")
    ]
    assert not {State.LOST, State.FAILED, State.NEW} & set(silent)
