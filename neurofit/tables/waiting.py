"""Wait in Python until tasks have ended, with a progress bar on a terminal or in a notebook."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import TextIO

from neurofit.errors import UsageError
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.watch import Watch, WatchedStatus, until_over
from neurofit.store.state import State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study
from neurofit.text import roughly

_BREADTH = 24


def wait_for(
    study: Study,
    name: str,
    pick: Callable[[ExperimentStatus], list[TaskKey]],
    limit_seconds: float | None = None,
) -> None:
    """Return once no selected task is queued or running, or after this time.

    Parameters
    ----------
    name : str
        The experiment.
    pick : callable
        Selects the tasks.
    limit_seconds : float, optional
        None: no limit.

    Raises
    ------
    UsageError
        The time is not a number of seconds.
    """
    if limit_seconds is not None and not (isinstance(limit_seconds, int | float) and limit_seconds >= 0):
        raise UsageError(f"wait must be True, False or a number of seconds, got {limit_seconds!r}.")
    stream = _stream()
    rounds = until_over([Watch(study, name, pick, details=stream is not None)], limit_seconds)
    show((watched for (watched,) in rounds), stream)


def show(rounds: Iterable[WatchedStatus], stream: TextIO | None) -> None:
    """Go through the rounds, and draw each that is not the last as one line, which is cleared at the end.

    Parameters
    ----------
    stream : text file or None
        None: draw nothing.
    """
    drawn = 0
    try:
        for watched in rounds:
            if stream is None or watched.is_over:
                continue
            line = bar(watched)[: shutil.get_terminal_size().columns - 1]
            stream.write(f"\r{line}{' ' * (drawn - len(line))}")
            stream.flush()
            drawn = len(line)
    finally:
        if stream is not None and drawn:
            stream.write(f"\r{' ' * drawn}\r")
            stream.flush()


def bar(watched: WatchedStatus) -> str:
    """'exp3 ██████░░░░░░ 20 of 40 tasks, 2 running, about 3 min left'"""
    full = _BREADTH * watched.ended // max(1, watched.total)
    number = watched.counts[State.RUNNING]
    running = f", {number:,} running" if number else ""
    left = f", about {roughly(watched.left_seconds)} left" if watched.left_seconds else ""
    drawn = "█" * full + "░" * (_BREADTH - full)
    return f"{watched.status.name} {drawn} {watched.ended:,} of {watched.total:,} tasks{running}{left}"


def _stream() -> TextIO | None:
    """Where somebody sees a line that is drawn again: a notebook's output, or a terminal."""
    if _is_notebook():
        return sys.stdout
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return sys.stderr if is_terminal else None


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
