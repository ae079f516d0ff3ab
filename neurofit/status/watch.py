"""Watch tasks while they run: counts, rate, time left, and the newest output of those that are running."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.status.live import AtWork, Pace, at_work
from neurofit.store.state import ACTIVE, ENDED, State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study

_SHOWN = 8
_ENOUGH = 3  # tasks that ended during the watch, for their rate to say more than the pace of those that run
_FIRST_PAUSE, _PAUSE = 0.05, 0.5  # short at first, so that tasks that end soon are seen soon
_SHARE = 4.0  # pause at least four times as long as reading took


@dataclass(frozen=True)
class WatchedStatus:
    """The status of the watched tasks of one experiment at one moment."""

    status: ExperimentStatus
    keys: list[TaskKey]
    counts: Counter[State]
    seconds: float  # since the watch began
    rate: float | None  # tasks that ended, per second
    left_seconds: float | None  # estimated
    at_work: list[AtWork]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        return sum(number for state, number in self.counts.items() if state in ENDED)

    @property
    def is_over(self) -> bool:
        return not any(self.counts[state] for state in ACTIVE)


class Watch:
    """Reads the status of tasks of an experiment repeatedly: of those that `pick` selects, or of all."""

    def __init__(
        self,
        study: Study,
        name: str,
        pick: Callable[[ExperimentStatus], list[TaskKey]] = ExperimentStatus.all_keys,
        *,
        details: bool = False,
    ) -> None:
        self.study, self.name, self.pick, self.details = study, name, pick, details
        self._began = time.monotonic()
        self._ended_before: int | None = None
        self._pace = Pace()

    def read(self) -> WatchedStatus:
        status = read_status(self.study, self.name)
        keys = self.pick(status)
        states = [task.state for task in status.of_each(keys)]
        counts = Counter(states)
        ended = sum(counts[state] for state in ENDED)
        if self._ended_before is None:
            self._ended_before = ended
        seconds = time.monotonic() - self._began
        finished = ended - self._ended_before
        rate = finished / seconds if finished > 0 and seconds > 0 else None
        running = [key for key, state in zip(keys, states) if state is State.RUNNING] if self.details else []
        tasks = list(at_work(status, running[:_SHOWN]))
        left = self._pace.left_seconds(tasks, len(running), counts[State.QUEUED], seconds)
        if rate and (left is None or finished >= max(_ENOUGH, len(running))):
            left = sum(counts[state] for state in ACTIVE) / rate
        return WatchedStatus(status, keys, counts, seconds, rate, left, tasks)


def until_over(watches: Sequence[Watch], limit_seconds: float | None = None) -> Iterator[list[WatchedStatus]]:
    """Yield the status of each watch now, and again until no task is queued or running.

    Parameters
    ----------
    limit_seconds : float or None
        Stop after this time. None: no limit.
    """
    began, least = time.monotonic(), _FIRST_PAUSE
    while True:
        before = time.monotonic()
        looks = [watch.read() for watch in watches]
        yield looks
        now = time.monotonic()
        pause, least = max(least, _SHARE * (now - before)), min(2 * least, _PAUSE)
        if limit_seconds is not None:
            pause = min(pause, began + limit_seconds - now)
        if pause <= 0 or all(look.is_over for look in looks):
            return
        time.sleep(pause)
