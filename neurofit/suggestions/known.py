"""What is known of the trials of a search: read from the journals, from suggestions and from histories."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from neurofit import packed
from neurofit.errors import StoreError
from neurofit.experiments.grid.search import Search
from neurofit.store.history import read_history
from neurofit.store.journal import CLAIM, OUTCOME, journals
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import JournalLine, RegisteredRun, Values
from neurofit.store.registry import read_registry
from neurofit.store.suggestions import PRUNED_AT, read_suggestion
from neurofit.structure import structured_lines
from neurofit.suggestions.trial import KnownTrial
from neurofit.transient import retry

_TOLD = (CLAIM, OUTCOME)
Asked = tuple[str, tuple[str, ...], bool, int]  # metric, arguments, whether steps are asked for, repetitions


class _End(NamedTuple):
    """How an attempt ended, as far as a search needs it."""

    attempt: int
    state: str
    metrics: dict[str, float]
    params: Values
    is_pruned: bool


@dataclass
class _Repetition:
    """What the journals say of one repetition of a trial."""

    attempt: int = 0  # the newest
    ends: dict[int, _End] = field(default_factory=dict)  # by attempt

    @property
    def counted(self) -> _End | None:
        """The newest attempt that is done, or else the newest one, if it has ended."""
        done = [end for end in self.ends.values() if end.state == "done"]
        return max(done, default=None) or self.ends.get(self.attempt)


@dataclass
class Memory:
    """The trials of an experiment. What was read once is kept: later calls read what was written since."""

    files: ExperimentFiles
    _read: dict[str, int] = field(default_factory=dict)  # journal → bytes
    _tasks: dict[tuple[int, int], _Repetition] = field(default_factory=dict)  # run and repetition
    _runs: dict[int, RegisteredRun] = field(default_factory=dict)
    # run → what was asked about it, and the answer, until a journal has more about it
    _settled: dict[int, tuple[Asked, KnownTrial]] = field(default_factory=dict)
    _suggested: dict[int, Values] = field(default_factory=dict)
    _final: dict[str, bool] = field(default_factory=dict)  # history → nothing more comes
    _steps: dict[str, tuple[int, dict[int, float]]] = field(default_factory=dict)  # history → size, numbers

    def trials(
        self, search: Search, group: str, repetitions: int, *, without: int | None = None
    ) -> list[KnownTrial]:
        """The trials of one search that have arguments, in order.

        Parameters
        ----------
        group : str
            What the trials of the search have in common, see `Run.group`.
        repetitions : int
            How many of each trial are asked for: the value of a trial is their mean.
        without : int, optional
            A trial to leave out.

        Returns
        -------
        list of KnownTrial
            Their `steps` are read only if the search has a pruner.
        """
        self._look()
        found = []
        for number in sorted({run for run, _ in self._tasks}):
            run = self._run(number)
            if run is not None and run.group == group and run.trial not in (None, without):
                asked = (search.metric, search.names, search.pruner is not None, repetitions)
                before = self._settled.get(number)
                if before is not None and before[0] == asked:
                    found.append(before[1])
                elif (trial := self._trial(run, search, repetitions)) is not None:
                    found.append(trial)
                    if trial.state != "open":
                        self._settled[number] = asked, trial
        return sorted(found, key=lambda trial: trial.number)

    def _trial(self, run: RegisteredRun, search: Search, repetitions: int) -> KnownTrial | None:
        assert run.trial is not None  # only trials come here
        tasks = [self._tasks.get((run.number, repetition)) for repetition in range(repetitions)]
        ends = [task.counted if task else None for task in tasks]
        values = self._values(run, search, [end for end in ends if end is not None])
        if values is None:
            return None
        steps = self._steps_of(run, tasks[0], search.metric) if search.pruner and tasks[0] else {}
        known = [end for end in ends if end is not None]
        if any(end.is_pruned for end in known):
            return KnownTrial(run.trial, "pruned", values, None, steps)
        if any(end.state == "failed" for end in known):
            return KnownTrial(run.trial, "failed", values, None, steps)
        scores = [end.metrics.get(search.metric) for end in known if end.state == "done"]
        numbers = [score for score in scores if score is not None]
        if len(numbers) == repetitions:
            return KnownTrial(run.trial, "done", values, sum(numbers) / repetitions, steps)
        return KnownTrial(run.trial, "open", values, None, steps)

    def _values(self, run: RegisteredRun, search: Search, ends: Iterable[_End]) -> Values | None:
        """The arguments that were suggested, from an outcome if there is one: it saves reading a file."""
        for end in ends:
            if all(name in end.params for name in search.names):
                return {name: end.params[name] for name in search.names}
        if run.number not in self._suggested:
            try:
                suggestion = retry(lambda: read_suggestion(self.files, run))
            except StoreError:
                return None  # `status` names the damaged file
            if suggestion is None:
                return None
            self._suggested[run.number] = suggestion.values
        return self._suggested[run.number]

    def _run(self, number: int) -> RegisteredRun | None:
        if number not in self._runs:
            self._runs = read_registry(self.files.registry).runs
        return self._runs.get(number)

    def _look(self) -> None:
        """Read what the journals have got since."""
        for submission in self.files.submissions():
            for entry in journals(submission).values():
                size = retry(partial(os.stat, entry.path)).st_size
                if size > self._read.get(entry.path, 0):
                    self._read_journal(entry.path)

    def _read_journal(self, path: str) -> None:
        data = retry(lambda: _rest_of(path, self._read.get(path, 0)))
        whole = data[: data.rfind(b"\n") + 1]
        lines = b"\n".join(line for line in whole.split(b"\n") if line.startswith(_TOLD))
        records, _ = structured_lines(lines, JournalLine)
        for record in records:
            self._note(record)
        self._read[path] = self._read.get(path, 0) + len(whole)

    def _note(self, line: JournalLine) -> None:
        if line.claim is not None and line.attempt is not None:
            self._settled.pop(line.claim[0], None)
            task = self._tasks.setdefault(line.claim, _Repetition())
            task.attempt = max(task.attempt, line.attempt)
        if (outcome := line.outcome) is not None:
            self._settled.pop(outcome.run, None)
            task = self._tasks.setdefault(outcome.key, _Repetition())
            task.attempt = max(task.attempt, outcome.attempt)
            task.ends[outcome.attempt] = _End(
                outcome.attempt,
                outcome.state,
                outcome.metrics or {},
                outcome.params or {},
                PRUNED_AT in (outcome.facts or {}),
            )

    def _steps_of(self, run: RegisteredRun, task: _Repetition, metric: str) -> dict[int, float]:
        """The metric by step, of the attempt that counts or is running."""
        end = task.counted
        is_over = end is not None and end.state == "done"
        attempt = end.attempt if end is not None and is_over else task.attempt
        history = self.files.task(run.number, run.id, 0).attempt(attempt).history
        return self._history(history, metric, is_over)

    def _history(self, path: Path, metric: str, is_over: bool) -> dict[int, float]:
        key = f"{metric} {path}"
        if is_over and self._final.get(key):
            return self._steps[key][1]
        try:
            size = packed.size(path)
            if self._steps.get(key, (-1, {}))[0] != size:
                columns = read_history(path)
                steps, numbers = columns.get(metric, ([], []))
                self._steps[key] = size, {int(step): number for step, number in zip(steps, numbers)}
            self._final[key] = is_over
        except (OSError, StoreError):
            return {}  # nothing was logged yet, or the file is just being written
        return self._steps[key][1]


def by_state(trials: Collection[KnownTrial]) -> dict[str, list[int]]:
    """State → numbers of trials."""
    found: dict[str, list[int]] = {}
    for trial in trials:
        found.setdefault(trial.state, []).append(trial.number)
    return {state: sorted(numbers) for state, numbers in sorted(found.items())}


def _rest_of(path: str, start: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read()
