"""What a reader of results has to know beside the numbers: newer attempts than those that count, and which
tasks were done with other code or data than the study has now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import NeurofitError
from neurofit.experiments import snapshot
from neurofit.status.experiment_status import ExperimentStatus, TaskStatus
from neurofit.store import inputs
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study
from neurofit.text import command

BECAME = {
    State.FAILED: "failed",
    State.LOST: "was lost",
    State.STOPPED: "was stopped",
    State.CANCELLED: "was cancelled",
    State.DONE: "is done as well; an earlier one was chosen",
}


def label(task: TaskStatus) -> str:
    """The state of a task, and what became of a newer attempt than the one that counts."""
    return f"{task.state}, newer attempt {_became(task.newer.state)}" if task.newer else str(task.state)


def newer_attempts(status: ExperimentStatus, keys: Collection[TaskKey] | None = None) -> list[str]:
    """A sentence for each thing that became of newer attempts than those that count, of these tasks or
    all.
    """
    tasks = [status.of(key) for key in (status.tasks if keys is None else keys)]
    again = sum(task.result is not None and task.state in ACTIVE for task in tasks)
    displaced = Counter(task.newer.state for task in tasks if task.newer)
    said = [
        f"{_tasks(number)} done, and a newer attempt {_became(state)}." for state, number in displaced.items()
    ]
    if again:
        said.append(f"{_tasks(again)} being run again; results are of the attempt that was done before.")
    return said


def _became(state: State) -> str:
    return BECAME.get(state, f"is {state}")


def _tasks(number: int) -> str:
    return "1 task is" if number == 1 else f"{number:,} tasks are"


@dataclass(frozen=True)
class Outdated:
    """How many of the tasks that are done were done with something else than the study has now."""

    done: int = 0
    code: int = 0
    data: int = 0
    either: int = 0
    changed: tuple[str, ...] = ()  # files of data

    @property
    def what(self) -> str:
        """'other code or data'"""
        kinds = [kind for kind, number in (("code", self.code), ("data", self.data)) if number]
        return f"other {' or '.join(kinds)}"

    def sentence(self, selector: str) -> str | None:
        """What to say of it, if there is anything; `selector` names these tasks."""
        if not self.either:
            return None
        more = f" and {len(self.changed) - 1} more" if len(self.changed) > 1 else ""
        files = f" ({self.changed[0]}{more})" if self.changed else ""
        return (
            f"{self.either:,} of {self.done:,} were done with {self.what} than now{files}; "
            f"`{command('submit', selector, rerun=True)}` does them again."
        )


def outdated(study: Study, tasks: Iterable[TaskStatus], code: str | None) -> Outdated:
    """Compare what counts of these tasks with the study as it is. Each file of data is looked at once; one
    that is not there now says nothing.

    Parameters
    ----------
    code : the hash of the experiment's code now (`code_now`); None: not known, and not compared
    """
    counted = [task.counted for task in tasks if task.counted]
    now: dict[str, str | None] = {}
    with_code = with_data = either = 0
    changed: dict[str, None] = {}
    for task in counted:
        other_code = code is not None and task.code not in (None, code)
        others = [
            name
            for name, digest in (task.inputs or {}).items()
            if _now(study, name, now) not in (None, digest)
        ]
        changed.update(dict.fromkeys(others))
        with_code, with_data = with_code + other_code, with_data + bool(others)
        either += other_code or bool(others)
    return Outdated(len(counted), with_code, with_data, either, tuple(changed))


def _now(study: Study, name: str, now: dict[str, str | None]) -> str | None:
    if name not in now:
        try:
            now[name] = inputs.digest(study.root / name)
        except (OSError, ValueError):
            now[name] = None
    return now[name]


def code_now(study: Study, name: str) -> str | None:
    """The hash of an experiment's code as it is, without loading it; None where its script is gone or
    unreadable.
    """
    path = Path(study.jobs) / f"{name}.py"
    try:
        return snapshot.code_hash(study.root, path) if path.is_file() else None
    except (NeurofitError, OSError):
        return None


def outdated_now(study: Study, status: ExperimentStatus, keys: Collection[TaskKey]) -> Outdated:
    """The same, of tasks of an experiment of which no script was loaded."""
    tasks = [status.of(key) for key in keys]
    return outdated(
        study, tasks, code_now(study, status.name) if any(task.counted for task in tasks) else None
    )
