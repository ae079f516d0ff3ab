"""What a reader of results has to know beside the numbers: newer attempts than those that count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from neurofit.experiments.store.state import AT_WORK, State
from neurofit.experiments.store.submissions import TaskKey
from neurofit.orchestrate.status.standing import Standing, TaskStanding

BECAME = {
    State.FAILED: "failed",
    State.LOST: "was lost",
    State.STOPPED: "was stopped",
    State.CANCELLED: "was cancelled",
    State.DONE: "is done as well; an earlier one was chosen",
}


def label(task: TaskStanding) -> str:
    """The state of a task, and what became of a newer attempt than the one that counts."""
    return f"{task.state}, newer attempt {_became(task.newer.state)}" if task.newer else str(task.state)


def newer_attempts(found: Standing, keys: Collection[TaskKey] | None = None) -> list[str]:
    """A sentence for each thing that became of newer attempts than those that count, of these tasks or all."""
    tasks = [found.of(key) for key in (found.tasks if keys is None else keys)]
    again = sum(task.result is not None and task.state in AT_WORK for task in tasks)
    displaced = Counter(task.newer.state for task in tasks if task.newer)
    said = [f"{_tasks(number)} done, and a newer attempt {_became(state)}." for state, number in displaced.items()]
    if again:
        said.append(f"{_tasks(again)} being run again; results are of the attempt that was done before.")
    return said


def _became(state: State) -> str:
    return BECAME.get(state, f"is {state}")


def _tasks(number: int) -> str:
    return "1 task is" if number == 1 else f"{number:,} tasks are"
