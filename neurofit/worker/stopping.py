"""Why tasks stop: the reason that a worker gives a task and the task's outcome records, and whether a worker starts
another task after identical failures of the first ones.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from neurofit.store.error_fingerprint import EXCEPTIONS
from neurofit.store.fail_fast import judge, write_fail_fast
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import FailFastStop, Outcome, Reason
from neurofit.transient import retry

NEAR_LIMIT = "the job's time limit is near"
CANCELLED = "cancelled"
_SHARED_BYTES = 200
_SIGNALS = {
    "SIGINT": "by Ctrl-C (SIGINT)",
    "SIGTERM": "by SIGTERM, because its pool, its queue or its machine ended the job",
    "SIGUSR1": "by its queue's notice (SIGUSR1) that the job will end or be suspended soon",
    "SIGUSR2": "by its queue's notice (SIGUSR2) that the job will end or be suspended soon",
}


class SharedReason:
    """A short text that a process and the processes it forks share, in memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SHARED_BYTES)

    def write(self, text: str) -> None:
        self._memory[:] = text.encode()[:_SHARED_BYTES].ljust(_SHARED_BYTES, b"\0")

    def read(self) -> str | None:
        """The text; None if none was written."""
        return self._memory[:].rstrip(b"\0").decode("utf-8", "replace") or None


def stop_reason(asked: str | None) -> Reason:
    """The `reason` of a stopped attempt's outcome: a kind (`walltime`, `cancelled`, `signal`, `fit`) and a sentence.

    Parameters
    ----------
    asked : str or None
        Why the worker asked the task to stop; None if it did not ask.
    """
    if asked is None:
        return Reason(kind="fit", message="The fit stopped itself.")
    if asked == NEAR_LIMIT:
        return Reason(kind="walltime", message="The job's time limit was near.")
    if asked == CANCELLED:
        return Reason(kind="cancelled", message="The task was cancelled.")
    return Reason(kind="signal", message=f"It was asked to stop {_SIGNALS.get(asked, asked)}.")


@dataclass
class FailFast:
    """Whether a start of a job begins another task, after identical failures of the submission's first tasks.

    The journals are read only when one of the job's own tasks has failed with an exception, even its last one, so that
    other jobs learn of it. They are not read again once a task has ended otherwise.
    """

    submission: SubmissionFiles
    keep_going: bool

    def note(self, outcome: Outcome) -> bool:
        """Take into account an outcome of this job, which is in its journal already.

        Returns
        -------
        bool
            Whether it stopped the submission.
        """
        if self.keep_going or outcome.state not in ("done", "failed"):
            return False
        if outcome.state == "done" or outcome.error is None or outcome.error.kind not in EXCEPTIONS:
            self.keep_going = True
            return False
        found = retry(lambda: judge(self.submission))
        if isinstance(found, FailFastStop):
            return write_fail_fast(self.submission, found)
        self.keep_going = not found
        return False

    def has_stopped(self) -> bool:
        """Whether no further task of this submission should start."""
        return not self.keep_going and retry(self.submission.fail_fast.exists)
