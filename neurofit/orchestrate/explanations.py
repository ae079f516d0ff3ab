"""Failures explained: alike ones together, what sets them apart from what is done, and what helps.

What helps against a failure: a command, and what to do before it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.orchestrate.common_factors import CommonFactor, common_factors
from neurofit.orchestrate.failures import QUEUE, Failure, failures
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.logs import tail
from neurofit.status.suggestions import runner_option, submit_again
from neurofit.store.error_fingerprint import EXCEPTIONS
from neurofit.store.records import ErrorRecord, ResourcesRecord
from neurofit.store.state import UNFINISHED, State
from neurofit.store.submissions import HERE, TaskKey
from neurofit.tables.rows import read_rows
from neurofit.text import command

LAST_LINES = 6
_LINES_READ = 40


@dataclass(frozen=True)
class Explanation:
    """One failure, and what can be said of it."""

    failure: Failure
    state: State
    kind: str
    common_factors: list[CommonFactor]
    remedy: Remedy
    last_lines: list[str]  # of the example's log

    def record(self, name: str) -> dict[str, Any]:
        """For programs."""
        failure = self.failure
        return {
            "experiment": name,
            "state": str(self.state),
            "kind": self.kind,
            "message": failure.message,
            "where": failure.where,
            "tasks": [{"run": run, "repetition": repetition} for run, repetition in failure.tasks],
            "shares": [vars(factor) for factor in self.common_factors],
            "log": None if failure.log is None else str(failure.log),
            "last_lines": self.last_lines,
            "first": self.remedy.first,
            "command": self.remedy.command,
        }


def explained(status: ExperimentStatus, keys: Collection[TaskKey]) -> list[Explanation]:
    """The failures among these tasks, the most frequent first, compared with every task that is done."""
    kinds = failures(status, keys)
    if not kinds:
        return []
    rows = {(row["run"], row["repetition"]): row for row in read_rows(status)}
    done = [_traits(row) for row in rows.values() if row["state"] == str(State.DONE)]
    all_failed = sum(status.of(key).state in UNFINISHED for key in status.all_keys())
    return [_explanation(status, failure, rows, done, all_failed) for failure in kinds]


def _explanation(
    status: ExperimentStatus,
    failure: Failure,
    rows: dict[TaskKey, dict[str, Any]],
    done: list[dict[str, Any]],
    all_failed: int,
) -> Explanation:
    task = status.of(failure.example)
    own = [rows[key] for key in failure.tasks if key in rows]
    known_by_queue = failure.error.kind == QUEUE
    part = next((part for part in status.submissions if part.files.name == task.submission), None)
    what = remedy(
        status.name,
        failure.error,
        task.state,
        failure.tasks,
        all_failed=all_failed,
        repetitions=status.repetitions,
        runner=part.record.runner if part else None,
        resources=part.record.resources if part else ResourcesRecord(),
        peak_gb=0.0 if known_by_queue else _peak_gb(own),
    )
    hosts = {key: _host(status, key) for key in failure.tasks} if known_by_queue else {}
    traits = [
        _traits({**row, "host": hosts.get((row["run"], row["repetition"]), row.get("host"))}) for row in own
    ]
    lines = _last_lines(failure.log) if failure.log else []
    return Explanation(failure, task.state, kind_of(failure.error), common_factors(traits, done), what, lines)


def _last_lines(log: Path) -> list[str]:
    """The end of a log, each line once: what is started again and again says the same."""
    lines = tail(log, _LINES_READ).decode("utf-8", "replace").splitlines()
    return list(dict.fromkeys(line for line in reversed(lines) if line.strip()))[:LAST_LINES][::-1]


def _peak_gb(rows: list[dict[str, Any]]) -> float:
    return max((row.get("peak_memory_gb") or 0.0 for row in rows), default=0.0)


def _host(status: ExperimentStatus, key: TaskKey) -> str | None:
    """Where a task without an outcome was begun."""
    facts = next(
        (part.facts for part in status.submissions if part.files.name == status.of(key).submission), None
    )
    claimed = facts.tasks.get(key) if facts else None
    return facts.workers.get(claimed.by, {}).get("host") if claimed and claimed.by else None


def _traits(row: dict[str, Any]) -> dict[str, Any]:
    """What a task may share with others: its arguments, its architecture, and where it ran."""
    traits = {"architecture": row["architecture"], **row["params"], **row["derived"]}
    return {**traits, "host": row["host"]} if row.get("host") else traits


MORE_MEMORY, MORE_TIME = 1.5, 2.0  # times what was used


@dataclass(frozen=True)
class Remedy:
    """What to do first, where there is something, and the command after it."""

    first: str
    command: str


def kind_of(error: ErrorRecord) -> str:
    """The error's kind; of one that only the queue knows: `memory`, `walltime`, `disk`, or `queue`."""
    kind, message = error.kind or "", error.message or ""
    if kind != "queue":
        return kind
    if "memory" in message:
        return "memory"
    if "neurofit clean" in message:
        return "disk"
    return "walltime" if "walltime_minutes" in message else kind


def remedy(
    name: str,
    error: ErrorRecord,
    state: State,
    tasks: Collection[TaskKey],
    *,
    all_failed: int,
    repetitions: int,
    runner: str | None,
    resources: ResourcesRecord,
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

    minutes = resources.walltime_minutes if kind == "walltime" else None
    longer = math.ceil(MORE_TIME * minutes) if minutes else None
    if state is State.STOPPED:
        return Remedy("", submit(minutes=longer))
    if kind == "memory":
        used = max(peak_gb, resources.memory_gb or 0.0)
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
