"""Cancellations: which tasks of a submission a person has cancelled, read again whenever its `stops/` changes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from neurofit import transient
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import Cancellation
from neurofit.store.submissions import Planned, read_stops
from neurofit.transient import retry


class Cancellations:
    """The cancellations of a submission, as far as its files are known."""

    def __init__(self, submission: SubmissionFiles) -> None:
        self.submission = submission
        self._read: frozenset[str] | None = frozenset()  # names of the files that were read
        self._found: list[Cancellation] = []  # in them

    def cover(self, task: Planned) -> bool:
        """Whether this task is cancelled; waits for the storage."""
        retry(self._look)
        return self._covers(task)

    def cover_now(self, tasks: Iterable[Planned]) -> bool:
        """Whether all of these tasks are cancelled, without waiting for the storage: asked once per second."""
        try:
            self._look()
        except OSError:
            return False
        return all(map(self._covers, tasks))

    def _covers(self, task: Planned) -> bool:
        return any(one.covers(task.key) for one in self._found)

    def _look(self) -> None:
        # compared by name, since one may be added while another is removed
        names = frozenset(os.listdir(self.submission.stops))
        if names != self._read:
            with transient.patience(transient.at_once(self.submission.folder)):
                self._found, damaged = read_stops(self.submission)
            self._read = None if damaged else names  # what could not be read now is read again
