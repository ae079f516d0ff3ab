"""Why a task is asked to stop: said by its worker, kept in the task's own outcome, in memory that the two
share.

Whether a worker begins another task, after identical failures of the first ones.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

from neurofit.store.error_fingerprint import EXCEPTIONS
from neurofit.store.fail_fast import judge, write_fail_fast
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import FailFastStop, Outcome
from neurofit.transient import retry

NEAR_LIMIT = "the job's time limit is near"
CANCELLED = "cancelled"
_ROOM = 200
_SIGNALS = {
    "SIGINT": "by Ctrl-C (SIGINT)",
    "SIGTERM": "by SIGTERM: its pool was ended, or its queue or machine ended the job",
    "SIGUSR1": "by its queue's notice (SIGUSR1) that the job ends or is suspended soon",
    "SIGUSR2": "by its queue's notice (SIGUSR2) that the job ends or is suspended soon",
}


class SharedReason:
    """A few words that a process leaves for those that it forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ROOM)

    def leave(self, words: str) -> None:
        self._memory[:] = words.encode()[:_ROOM].ljust(_ROOM, b"\0")

    def read(self) -> str | None:
        """None where nothing was left."""
        return self._memory[:].rstrip(b"\0").decode("utf-8", "replace") or None


def stop_reason(asked: str | None) -> dict[str, Any]:
    """The `reason` of a stopped attempt's outcome: a kind (`walltime`, `cancelled`, `signal`, `fit`) and a
    sentence.

    Parameters
    ----------
    asked : what the worker said; None where it asked for nothing
    """
    if asked is None:
        return {"kind": "fit", "message": "The fit stopped by itself."}
    if asked == NEAR_LIMIT:
        return {"kind": "walltime", "message": "The job's time limit was near."}
    if asked == CANCELLED:
        return {"kind": "cancelled", "message": "It was cancelled."}
    return {"kind": "signal", "message": f"It was asked to stop {_SIGNALS.get(asked, asked)}."}


@dataclass
class FailFast:
    """What one start of a job knows of it. The journals are looked at only when one of its own tasks has just
    failed with an exception (also its last one: the other jobs are to know), and never again once none can be
    a reason.
    """

    submission: SubmissionFiles
    keep_going: bool

    def saw(self, outcome: Outcome) -> None:
        """An outcome of this job's own, which its journal has."""
        if self.keep_going or outcome.state not in ("done", "failed"):
            return
        if outcome.state == "done" or outcome.error is None or outcome.error.kind not in EXCEPTIONS:
            self.keep_going = True
            return
        found = retry(lambda: judge(self.submission))
        if isinstance(found, FailFastStop):
            write_fail_fast(self.submission, found)
        else:
            self.keep_going = not found

    def has_stopped(self) -> bool:
        return not self.keep_going and retry(self.submission.fail_fast.exists)
