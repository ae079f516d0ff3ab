"""What helps against a failure: a command, and what to do before it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from neurofit.commands import command
from neurofit.experiments.store.state import State
from neurofit.experiments.store.submissions import HERE, TaskKey
from neurofit.experiments.tasks.alike import EXCEPTIONS
from neurofit.orchestrate.suggestions import runner_option, submit_again

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
    name: str,
    error: dict[str, Any],
    state: State,
    tasks: Collection[TaskKey],
    *,
    all_failed: int,
    repetitions: int,
    runner: str | None,
    resources: dict[str, Any],
    peak_gb: float,
) -> Remedy:
    """What helps these tasks.

    Parameters
    ----------
    all_failed : tasks of the experiment that failed or were lost, of whatever cause
    repetitions : of each run
    runner, resources : what they were queued with
    peak_gb : the most memory that one of them was seen to use; 0 where nobody saw it
    """
    kind = kind_of(error)
    run, repetition = min(tasks)
    one = f"{name}:{run}/{repetition}"
    log = command("logs", one)
    if runner == HERE and state is not State.STOPPED:
        return Remedy(f"{log}, and fix it", command("run", one))

    def submit(**options: Any) -> str:
        options |= {"whole": len(tasks) == all_failed, "of": repetitions}
        return submit_again(name, tasks, backend=runner_option(runner), **options)

    minutes = resources.get("walltime_minutes") if kind == "walltime" else None
    longer = math.ceil(MORE_TIME * minutes) if minutes else None
    if state is State.STOPPED:
        return Remedy("", submit(minutes=longer))
    if kind == "memory":
        used = max(peak_gb, resources.get("memory_gb") or 0.0)
        return Remedy("", submit(retry=True, memory=rounded_up(MORE_MEMORY * used) if used else None))
    if kind == "walltime":
        return Remedy("", submit(retry=True, minutes=longer))
    if kind == "timeout":
        return Remedy(f"raise task_minutes in runners/{runner or 'local'}.yaml", submit(retry=True))
    if kind == "disk":
        return Remedy("neurofit clean, or make room otherwise", submit(retry=True))
    if state is State.LOST:
        return Remedy("", submit())
    if kind in EXCEPTIONS:
        return Remedy(f"{log}, and fix it", submit(retry=True))
    return Remedy(f"{log}, for what was said last", submit(retry=True))


def rounded_up(memory_gb: float) -> str:
    """'24'; below 2 GB to a tenth."""
    return f"{math.ceil(memory_gb)}" if memory_gb > 2 else f"{math.ceil(10 * memory_gb) / 10:g}"
