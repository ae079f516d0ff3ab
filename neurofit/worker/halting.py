"""Whether a worker begins another task, after identical failures of the first ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurofit.experiments.store.halt import Halt, judge, write_halt
from neurofit.experiments.store.layout import SubmissionFiles
from neurofit.experiments.tasks.alike import EXCEPTIONS
from neurofit.transient import retry


@dataclass
class Halting:
    """What one start of a job knows of it. The journals are looked at only when one of its own tasks has just
    failed with an exception (also its last one: the other jobs are to know), and never again once none can be
    a reason.
    """

    submission: SubmissionFiles
    keep_going: bool

    def saw(self, outcome: dict[str, Any]) -> None:
        """An outcome of this job's own, which its journal has."""
        if self.keep_going or outcome["state"] not in ("done", "failed"):
            return
        if outcome["state"] == "done" or (outcome.get("error") or {}).get("kind") not in EXCEPTIONS:
            self.keep_going = True
            return
        found = retry(lambda: judge(self.submission))
        if isinstance(found, Halt):
            write_halt(self.submission, found)
        else:
            self.keep_going = not found

    def is_halted(self) -> bool:
        return not self.keep_going and retry(self.submission.halt.exists)
