"""The groups of tasks that a job runs at a time, each in a child of its own, all watched by this one process.

So the job has one writer of its journal and one claimant, whatever ends first. A lane is a generator that yields
what it waits for (`supervisor.Wait`), and ends with how its group ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass

from neurofit.store.submissions import Planned
from neurofit.worker.supervisor import POLL_SECONDS, Signals, Wait

Group = list[Planned]
Work = Generator[Wait, list[int], str]


@dataclass
class _Lane:
    group: Group
    work: Work
    wait: Wait


class Lanes:
    """What runs at a time. Empty lanes are false."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        self._lanes: list[_Lane] = []
        self._ended: list[tuple[Group, str]] = []  # without a wait
        self._is_enforcing = False

    def __len__(self) -> int:
        return len(self._lanes) + len(self._ended)

    def pids(self) -> list[int]:
        """Process numbers of the children."""
        return [lane.wait.pid for lane in self._lanes]

    def groups(self) -> list[Group]:
        return [lane.group for lane in self._lanes]

    def start(self, group: Group, work: Work) -> None:
        """Begin with a group of tasks, up to its first wait."""
        try:
            wait = next(work)
        except StopIteration as end:
            self._ended.append((group, end.value))
        else:
            self._lanes.append(_Lane(group, work, wait))

    def step(self) -> list[tuple[Group, str]]:
        """Wait until something happens, go on with every lane, and return the groups that ended, and how.

        A lane that raises an exception is gone; the others go on with the next step.
        """
        if not self._ended:
            self._go_on(self._wait())
        ended, self._ended = self._ended, []
        return ended

    def _wait(self) -> set[int]:
        """Wait until something happens; return the descriptors that have input."""
        seconds = min((lane.wait.seconds for lane in self._lanes), default=0.0)
        return set(self.signals.wait(seconds, [one for lane in self._lanes for one in lane.wait.descriptors]))

    def _go_on(self, ready: set[int]) -> None:
        for lane in list(self._lanes):
            try:
                lane.wait = lane.work.send([one for one in lane.wait.descriptors if one in ready])
            except StopIteration as end:
                self._lanes.remove(lane)
                self._ended.append((lane.group, end.value))
            except BaseException:
                self._lanes.remove(lane)
                raise

    def enforce(self) -> None:
        """Stop or kill what has to end, while this process waits for its storage."""
        if self._is_enforcing:
            return
        self._is_enforcing = True
        try:
            for lane in self._lanes:
                lane.wait.enforce()
        finally:
            self._is_enforcing = False

    def finish(self) -> None:
        """Wait until every lane has ended, whatever becomes of its outcome: the job ends because of an error."""
        self._ended.clear()
        while self._lanes:
            try:
                ready = self._wait()
            except Exception:  # it would raise again at once: the lanes go on without their input
                time.sleep(POLL_SECONDS)
                ready = set()
            with contextlib.suppress(Exception):  # of the same kind; the first one is reported
                self._go_on(ready)
        self._ended.clear()

    def close(self) -> None:
        """Kill what still runs, all of it, whatever error one meets."""
        with contextlib.ExitStack() as closes:
            for lane in self._lanes:
                closes.callback(lane.work.close)
            self._lanes.clear()
