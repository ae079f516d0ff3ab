"""What a submission waits for: other experiments that must be done first, as their files say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from neurofit.backends.base import Queued
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.records import Need
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import TaskKey, read_need_stop, read_queue
from neurofit.study import Study
from neurofit.text import command

NOT_STARTED = frozenset({State.NEW, State.QUEUED})
SAID = (State.FAILED, State.LOST, State.STOPPED, State.CANCELLED, State.NEW)


@dataclass(frozen=True)
class NeedView:
    """A needed experiment at one moment: the number of its tasks by state."""

    name: str
    counts: Counter[State]
    need: Need = field(repr=False)
    status: ExperimentStatus = field(repr=False)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_done(self) -> bool:
        return self.counts[State.DONE] == self.total

    @property
    def is_under_way(self) -> bool:
        return any(self.counts[state] for state in ACTIVE)

    @property
    def progress(self) -> str:
        return f"{self.name} ({self.counts[State.DONE]:,} of {self.total:,} done)"

    @property
    def reason(self) -> str:
        """Why nothing can wait for it any longer."""
        rest = ", ".join(f"{self.counts[state]:,} {state}" for state in SAID if self.counts[state])
        return f"{self.progress} ended with {rest}, and none of its tasks is queued or running"

    def calls(self) -> Iterator[tuple[str, Queued]]:
        """The calls, each with the kind of its queue, in whose jobs needed tasks are queued or running."""
        jobs: dict[str, set[int]] = {}
        for task in map(self.status.of, self.need.tasks()):
            if task.state in ACTIVE and task.submission is not None and task.job is not None:
                jobs.setdefault(task.submission, set()).add(task.job)
        for submission in self.status.submissions:
            wanted = jobs.get(submission.name)
            if not wanted or not submission.at_home:
                continue
            for call in read_queue(submission.files).calls:
                if not wanted.isdisjoint(range(call.first, call.last + 1)):
                    yield submission.record.backend, Queued(submission.files.folder, *call)


def look(study: Study, need: Need, *, asking: bool = True, noting: bool = True) -> NeedView:
    """Read how many of the needed tasks are done, and whether others are still to come.

    Parameters
    ----------
    study : Study
    need : Need
    asking : bool, optional
        False: do not ask the queues, which only the files of tasks that are done do not require.
    noting : bool, optional
        False: do not write down what the queues answer.
    """
    status = read_status(study, need.experiment, asking=asking, noting=noting)
    return NeedView(need.experiment, Counter(status.of(key).state for key in need.tasks()), need, status)


def need_stops(status: ExperimentStatus) -> list[str]:
    """Sentences about submissions that were not started because what they needed did not get done.

    One per submission that still has tasks that were not submitted again.
    """
    notes: list[str] = []
    if not any(submission.record.needs for submission in status.submissions):
        return notes
    later: set[TaskKey] = set()
    for submission in reversed(status.submissions):
        keys = {task.key for _, task in submission.planned()}
        left, later = keys - later, later | keys
        stop = read_need_stop(submission.files) if submission.record.needs else None
        waiting = sum(status.of(key).state in NOT_STARTED for key in left)
        if stop and waiting:
            again = command("submit", status.name, backend=submission.runner_option, retry=True)
            notes.append(
                f"{status.name}: {waiting:,} task(s) of {submission.name} were not started: {stop.message}. "
                f"Fix the cause, then run `{again}`, which also repeats what is needed."
            )
    return notes[::-1]


def waits(status: ExperimentStatus) -> list[str]:
    """Sentences 'exp3 waits for it/features (12 of 40 done)', for submissions whose tasks are queued."""
    found = []
    for submission in status.submissions:
        name = submission.name
        if not submission.record.needs or not any(
            status.of(task.key).state is State.QUEUED and status.of(task.key).submission == name
            for _, task in submission.planned()
        ):
            continue
        views = [look(status.files.study, need, asking=False) for need in submission.record.needs]
        if left := [view.progress for view in views if not view.is_done]:
            found.append(f"{status.name} waits for {', '.join(left)}")
    return list(dict.fromkeys(found))
