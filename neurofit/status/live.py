"""A task while it runs: how far it is, its newest numbers, and how long it will take."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.metric_names import deciding
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.logs import last_line
from neurofit.store.layout import AttemptFiles
from neurofit.store.records import STEP_ARGUMENTS, Claim
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record

_UNITS = {"epochs": "epoch", "max_epochs": "epoch", "n_epochs": "epoch", "num_epochs": "epoch"}


@dataclass(frozen=True)
class AtWork:
    """A running task and its newest numbers, the one that decides first."""

    key: TaskKey
    attempt: int
    seconds: float  # since the attempt began
    step: float | None = None
    total: float | None = None  # steps of a whole task, if an argument says so
    unit: str = "step"
    numbers: tuple[tuple[str, str], ...] = ()
    printed: str = ""  # its last line of output, if it has logged no numbers

    @property
    def said(self) -> str:
        """'epoch 12/200  validation/loss 0.43  train/loss 0.4', or what it printed last."""
        if self.step is None:
            return self.printed
        of = f"/{self.total:g}" if self.total is not None else ""
        numbers = (f"{name} {text}" for name, text in self.numbers)
        return "  ".join([f"{self.unit} {self.step:g}{of}", *numbers])


def at_work(status: ExperimentStatus, keys: Sequence[TaskKey]) -> Iterator[AtWork]:
    """Look at tasks that are running."""
    for key in keys:
        run = status.run(key[0])
        if run is None:
            continue
        task = status.of(key)
        attempt = status.files.task(run.number, run.id, key[1]).attempt(task.attempt)
        submission = status.submission(task.submission)
        defaults = submission.record.steps if submission else {}
        yield look(key, attempt, {**defaults, **run.params, **run.derived})


def look(key: TaskKey, attempt: AttemptFiles, arguments: Mapping[str, Any]) -> AtWork:
    """Look at one attempt that is running.

    Parameters
    ----------
    arguments : mapping
        All arguments of the task, with those that say how many steps it makes.
    """
    step, numbers = _newest_row(attempt.history)
    argument, total = _steps(arguments)
    if step is None:
        return AtWork(key, attempt.number, _age(attempt), total=total, printed=last_line(attempt.stdout))
    if total is not None and step > total:  # the fit counts something else
        argument, total = None, None
    unit = _UNITS.get(argument or "", "step")
    return AtWork(key, attempt.number, _age(attempt), step, total, unit, numbers)


class Pace:
    """How fast tasks advance, from what was seen of them since the watch began."""

    def __init__(self) -> None:
        self._first: dict[tuple[TaskKey, int], tuple[float, float]] = {}  # of an attempt: step, and when

    def left_seconds(self, tasks: Sequence[AtWork], running: int, queued: int, now: float) -> float | None:
        """The time until all tasks have ended, if each takes as many steps as its argument says.

        Parameters
        ----------
        tasks : sequence of AtWork
            Tasks that are running, perhaps not all.
        running, queued : int
            The numbers of all tasks that run or wait.
        now : float
            In seconds, from any beginning.

        Returns
        -------
        float or None
            None if no task says how far it is.
        """
        whole, left = [], []
        for task in tasks:
            if task.step is None or not task.total or task.total < task.step:
                continue
            step, seen = self._first.setdefault((task.key, task.attempt), (task.step, now))
            if task.step > step and now > seen:
                seconds_per_step = (now - seen) / (task.step - step)
            elif task.attempt == 1 and task.step > 0:  # a later attempt may have begun in the middle
                seconds_per_step = task.seconds / task.step
            else:
                continue
            whole.append(seconds_per_step * task.total)
            left.append(seconds_per_step * (task.total - task.step))
        if not whole:
            return None
        typical, remaining = sum(whole) / len(whole), sum(left) / len(left)
        return max(*left, 0.0, (remaining * running + typical * queued) / max(1, running))


def _steps(arguments: Mapping[str, Any]) -> tuple[str | None, float | None]:
    """The argument that says how many steps a task makes, and how many."""
    for name in STEP_ARGUMENTS:
        number = arguments.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool) and number > 0:
            return name, number
    return None, None


def _age(attempt: AttemptFiles) -> float:
    try:
        begun = read_record(attempt.claim, Claim).t
    except (OSError, StoreError):
        return 0.0
    return 0.0 if begun is None else max(0.0, time.time() - begun)


def _newest_row(history: Path) -> tuple[float | None, tuple[tuple[str, str], ...]]:
    """The newest step in a history, and its numbers as text: the metric that decides comes first."""
    try:
        with open(history, newline="", encoding="utf-8") as file:
            names = next(csv.reader(file), [])
        line = last_line(history)
        cells = next(csv.reader([line]), []) if line else []
        step = float(cells[0]) if cells and cells != names else None
    except (OSError, UnicodeDecodeError, csv.Error, ValueError):
        return None, ()
    if step is None:
        return None, ()
    numbers = {name: _rounded(cell) for name, cell in zip(names[1:], cells[1:]) if cell}
    first = [name for name in deciding(names[1:])[:1] if name in numbers]
    return step, tuple((name, numbers[name]) for name in dict.fromkeys([*first, *numbers]))


def _rounded(cell: str) -> str:
    try:
        return f"{float(cell):.4g}" if "." in cell or "e" in cell else cell
    except ValueError:
        return cell
