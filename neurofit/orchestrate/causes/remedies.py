"""What helps against a failure: a command, and what to do before it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from neurofit.experiments.grids.selection import naming
from neurofit.experiments.store.state import State
from neurofit.experiments.store.submissions import HERE, TaskKey
from neurofit.experiments.tasks.alike import EXCEPTIONS

MORE_MEMORY, MORE_TIME = 1.5, 2.0  # times what was used


@dataclass(frozen=True)
class Remedy:
    """What to do first, where there is something, and the command after it."""

    first: str
    command: str


def kind_of(error: dict[str, Any]) -> str:
    """The error's kind; of one that only the queue knows: `memory`, `walltime`, `disk`, or `queue`."""
    kind, message = str(error.get("kind") or ""), str(error.get("message") or "")
    if kind != "queue":
        return kind
    if "memory" in message:
        return "memory"
    if "neurofit clean" in message:
        return "disk"
    return "walltime" if "walltime_minutes" in message else kind


def remedy(
    name: str, error: dict[str, Any], state: State, tasks: Collection[TaskKey], *,
    all_failed: int, runner: str | None, resources: dict[str, Any], peak_gb: float,
) -> Remedy:  # fmt: skip
    """What helps these tasks.

    Parameters
    ----------
    all_failed : tasks of the experiment that failed or were lost, of whatever cause
    runner, resources : what they were queued with
    peak_gb : the most memory that one of them was seen to use; 0 where nobody saw it
    """
    kind = kind_of(error)
    if runner == HERE and state is State.STOPPED:
        runner = None
    if runner == HERE:
        run, repetition = min(tasks)
        return Remedy(f"neurofit logs {name}:{run}/{repetition}, and fix it", f"neurofit run {name}:{run}/{repetition}")
    queue = f" --backend {runner}" if runner and runner != "local" else ""
    submit = f"neurofit submit {name if len(tasks) == all_failed else naming(name, tasks)}{queue}"
    one = f"neurofit logs {name}:{min(tasks)[0]}/{min(tasks)[1]}"
    if state is State.STOPPED:
        minutes = (resources.get("walltime_minutes") if kind == "walltime" else None) or 0
        return Remedy("", submit + (f" --minutes {math.ceil(MORE_TIME * minutes)}" if minutes else ""))
    if kind == "memory":
        used = max(peak_gb, resources.get("memory_gb") or 0.0)
        return Remedy("", f"{submit} --retry" + (f" --memory {rounded_up(MORE_MEMORY * used)}" if used else ""))
    if kind == "walltime":
        minutes = resources.get("walltime_minutes")
        return Remedy("", f"{submit} --retry" + (f" --minutes {math.ceil(MORE_TIME * minutes)}" if minutes else ""))
    if kind == "timeout":
        return Remedy(f"raise task_minutes in runners/{runner or 'local'}.yaml", f"{submit} --retry")
    if kind == "disk":
        return Remedy("neurofit clean, or make room otherwise", f"{submit} --retry")
    if state is State.LOST:
        return Remedy("", submit)
    if kind in EXCEPTIONS:
        return Remedy(f"{one}, and fix it", f"{submit} --retry")
    return Remedy(f"{one}, for what was said last", f"{submit} --retry")


def rounded_up(memory_gb: float) -> str:
    """'24'; below 2 GB to a tenth."""
    return f"{math.ceil(memory_gb)}" if memory_gb > 2 else f"{math.ceil(10 * memory_gb) / 10:g}"
