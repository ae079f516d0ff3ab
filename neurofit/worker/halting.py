"""Whether a worker begins another task, after identical failures of the first ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurofit.experiments.alike import EXCEPTIONS
from neurofit.experiments.store.halt import ended_tasks, halt_of, is_alike, write_halt
from neurofit.experiments.store.layout import SubmissionFiles


@dataclass
class Halting:
    """What one start of a job knows of it. The journals are looked at only when one of its own tasks has just failed
    with an exception, and never again once a task is done or has failed otherwise.
    """

    submission: SubmissionFiles
    keep_going: bool
    _just_failed: bool = False

    def saw(self, outcome: dict[str, Any]) -> None:
        """An outcome of this job's own."""
        kind = (outcome.get("error") or {}).get("kind")
        if outcome["state"] == "failed" and kind in EXCEPTIONS:
            self._just_failed = True
        elif outcome["state"] in ("done", "failed"):
            self.keep_going = True

    def is_halted(self) -> bool:
        if self.keep_going:
            return False
        if self._just_failed:
            self._just_failed = False
            self._look()
        return self.submission.halt.exists()

    def _look(self) -> None:
        is_one_done, errors = ended_tasks(self.submission)
        if is_one_done or (errors and not is_alike(errors)):
            self.keep_going = True
        elif halt := halt_of(self.submission, errors):
            write_halt(self.submission, halt)
