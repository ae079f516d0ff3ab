"""Failures explained: alike ones together, what sets them apart from what is done, and what helps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.experiments.store.state import State
from neurofit.experiments.store.submissions import TaskKey
from neurofit.orchestrate.causes.failures import QUEUE, UNFINISHED, Failure, failures
from neurofit.orchestrate.causes.remedies import Remedy, kind_of, remedy
from neurofit.orchestrate.causes.shares import Share, shares
from neurofit.orchestrate.status.logs import tail
from neurofit.orchestrate.status.standing import Standing
from neurofit.orchestrate.tables import records

LAST_LINES = 6
_LINES_READ = 40


@dataclass(frozen=True)
class Explanation:
    """One failure, and what can be said of it."""

    failure: Failure
    state: State
    kind: str
    shares: list[Share]
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
            "shares": [vars(share) for share in self.shares],
            "log": None if failure.log is None else str(failure.log),
            "last_lines": self.last_lines,
            "first": self.remedy.first,
            "command": self.remedy.command,
        }


def explained(found: Standing, keys: Collection[TaskKey]) -> list[Explanation]:
    """The failures among these tasks, the most frequent first, compared with every task that is done."""
    kinds = failures(found, keys)
    if not kinds:
        return []
    rows = {(row["run"], row["repetition"]): row for row in records(found)}
    done = [_traits(row) for row in rows.values() if row["state"] == str(State.DONE)]
    all_failed = sum(found.of(key).state in UNFINISHED for key in found.all_keys())
    return [_explanation(found, failure, rows, done, all_failed) for failure in kinds]


def _explanation(
    found: Standing,
    failure: Failure,
    rows: dict[TaskKey, dict[str, Any]],
    done: list[dict[str, Any]],
    all_failed: int,
) -> Explanation:
    task = found.of(failure.example)
    own = [rows[key] for key in failure.tasks if key in rows]
    known_by_queue = failure.error.get("kind") == QUEUE
    part = next((part for part in found.parts if part.files.name == task.submission), None)
    record = part.record if part else {}
    what = remedy(
        found.name,
        failure.error,
        task.state,
        failure.tasks,
        all_failed=all_failed,
        repetitions=found.repetitions,
        runner=record.get("runner"),
        resources=record.get("resources") or {},
        peak_gb=0.0 if known_by_queue else _peak_gb(own),
    )
    hosts = {key: _host(found, key) for key in failure.tasks} if known_by_queue else {}
    traits = [
        _traits({**row, "host": hosts.get((row["run"], row["repetition"]), row.get("host"))}) for row in own
    ]
    lines = _last_lines(failure.log) if failure.log else []
    return Explanation(failure, task.state, kind_of(failure.error), shares(traits, done), what, lines)


def _last_lines(log: Path) -> list[str]:
    """The end of a log, each line once: what is started again and again says the same."""
    lines = tail(log, _LINES_READ).decode("utf-8", "replace").splitlines()
    return list(dict.fromkeys(line for line in reversed(lines) if line.strip()))[:LAST_LINES][::-1]


def _peak_gb(rows: list[dict[str, Any]]) -> float:
    return max((row.get("peak_memory_gb") or 0.0 for row in rows), default=0.0)


def _host(found: Standing, key: TaskKey) -> str | None:
    """Where a task without an outcome was begun."""
    facts = next((part.facts for part in found.parts if part.files.name == found.of(key).submission), None)
    claimed = facts.tasks.get(key) if facts else None
    return facts.workers.get(claimed.by, {}).get("host") if claimed and claimed.by else None


def _traits(row: dict[str, Any]) -> dict[str, Any]:
    """What a task may share with others: its arguments, its architecture, and where it ran."""
    traits = {"architecture": row["architecture"], **row["params"], **row["derived"]}
    return {**traits, "host": row["host"]} if row.get("host") else traits
