"""Whether a running trial of a search ends early: its process decides, from what its worker tells it of the others.

The worker reads the journals and histories of the other trials, and appends what is new to a file in memory that the
task's process has inherited. So a fit that asks after every epoch reads no file of another trial.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from neurofit.experiments.grid.search import Search
from neurofit.files import file_in_memory
from neurofit.suggestions.pruning import Pruner
from neurofit.suggestions.trial import KnownTrial, TrialState

LEAST_SECONDS = 3.0  # between two looks at the other trials
SHARE = 20  # a look that takes longer is made less often: at most this part of the time


class _Update(msgspec.Struct, array_like=True):
    """What is new of a trial: its state, and the numbers it has logged since."""

    number: int
    state: TrialState
    value: float | None
    steps: list[tuple[int, float]]


class Feed:
    """What a worker knows of the other trials, in memory that it shares with the process of its task."""

    def __init__(self, known: Sequence[KnownTrial]) -> None:
        self._descriptor = file_in_memory("neurofit-trials")
        self._told = {trial.number: trial for trial in known}
        self._read = 0
        self._encoder, self._decoder = msgspec.json.Encoder(), msgspec.json.Decoder(_Update)

    def tell(self, known: Sequence[KnownTrial]) -> None:
        """Append what is new. The worker calls this."""
        lines = []
        for trial in known:
            before = self._told.get(trial.number)
            if before is None or before.state != trial.state or len(before.steps) != len(trial.steps):
                old = {} if before is None else before.steps
                steps = [(step, value) for step, value in trial.steps.items() if step not in old]
                lines.append(
                    self._encoder.encode(_Update(trial.number, trial.state, trial.value, steps)) + b"\n"
                )
                self._told[trial.number] = trial
        if lines:
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            os.pwrite(self._descriptor, b"".join(lines), end)

    def news(self) -> list[_Update]:
        """What was appended since the last call. The task's process calls this."""
        size = os.fstat(self._descriptor).st_size
        if size == self._read:
            return []
        data = os.pread(self._descriptor, size - self._read, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [self._decoder.decode(line) for line in whole.splitlines()]

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass
class Pruning:
    """The look of one trial at the others.

    Parameters
    ----------
    search : Search
    group : str
        What the trials of the search have in common.
    number : int
        Of this trial.
    known : sequence of KnownTrial
        The others, as they were when it started.
    feed : Feed
        What has become known of them since.
    most_steps : int or None
        The last step of the fit, as far as its arguments say it.
    """

    search: Search
    group: str
    number: int
    known: Sequence[KnownTrial]
    feed: Feed
    most_steps: int | None = None
    pruned_at: int | None = None
    _steps: dict[int, float] = field(default_factory=dict)
    _others: dict[int, KnownTrial] = field(init=False)
    _pruner: Pruner | None = None
    _asked: int | None = None  # the last step that was decided about

    def __post_init__(self) -> None:
        self._others = {trial.number: trial for trial in self.known}

    def note(self, step: int | float, numbers: Mapping[str, float]) -> None:
        """Take into account what the trial has logged."""
        if self.search.metric in numbers:
            self._steps[int(step)] = float(numbers[self.search.metric])

    def go_on_after(self, steps: Mapping[int, float]) -> None:
        """Take into account what an earlier attempt has logged, at which it was not ended."""
        self._steps.update(steps)
        self._asked = max(steps, default=None)

    def should_prune(self) -> bool:
        """Whether the trial ends now. Once it does, it does."""
        if self.pruned_at is not None:
            return True
        if not self._steps or (last := max(self._steps)) == self._asked:
            return False
        asked, self._asked = self._asked, last
        self._hear()
        if self._pruner is None:
            others = list(self._others.values())
            self._pruner = Pruner(self.search, others, self.group, most_steps=self.most_steps)
        if self._pruner.should_prune(self.number, self._steps, -1 if asked is None else asked):
            self.pruned_at = last
        return self.pruned_at is not None

    @property
    def last(self) -> float | None:
        """The metric at the last step."""
        return self._steps[max(self._steps)] if self._steps else None

    def _hear(self) -> None:
        for news in self.feed.news():
            before = self._others.get(news.number)
            steps = {**(before.steps if before else {}), **dict(news.steps)}
            self._others[news.number] = KnownTrial(news.number, news.state, {}, news.value, steps)
            self._pruner = None


class Teller:
    """Tells the process of a trial what becomes known of the others, while it runs."""

    def __init__(self, feed: Feed, look: Callable[[], Sequence[KnownTrial]]) -> None:
        self._feed, self._look = feed, look
        self._next = time.monotonic() + LEAST_SECONDS

    def tell_if_due(self) -> None:
        """Look at the other trials, unless that was just done. Raises nothing: the next look may succeed."""
        started = time.monotonic()
        if started < self._next:
            return
        with contextlib.suppress(OSError):
            self._feed.tell(self._look())
        now = time.monotonic()
        self._next = now + max(LEAST_SECONDS, SHARE * (now - started))
