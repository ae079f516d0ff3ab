"""Why a task is asked to stop: said by its worker, kept in the task's own outcome, in memory that the two
share.
"""

from __future__ import annotations

import mmap
from typing import Any

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
