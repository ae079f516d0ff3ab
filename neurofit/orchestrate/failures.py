"""Why tasks failed or were lost, alike ones together."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.experiments.store.state import State
from neurofit.experiments.store.submissions import TaskKey
from neurofit.files import read_json
from neurofit.orchestrate.logs import task_logs
from neurofit.orchestrate.standing import Standing

FAILED = frozenset({State.FAILED, State.LOST})
_VARYING = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[-+]?\d+)?|'[^']*'|/\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Failure:
    """Tasks that failed for one reason, the first of them as an example."""

    message: str  # of the example: "ValueError: …"
    where: str | None  # in the user's code: "jobs/exp3.py, line 17, in fit: total / 0"
    log: Path | None
    tasks: list[TaskKey]

    @property
    def example(self) -> TaskKey:
        return self.tasks[0]


def failures(found: Standing, keys: Collection[TaskKey]) -> list[Failure]:
    """The failures among these tasks, the most frequent first."""
    groups: dict[tuple, Failure] = {}
    for key in keys:
        if found.of(key).state in FAILED:
            error = _error(found, key)
            message = _message(error)
            where = _where(error)
            kind = _VARYING.sub("#", message), where
            if kind not in groups:
                groups[kind] = Failure(message, where, _log(found, key), [])
            groups[kind].tasks.append(key)
    return sorted(groups.values(), key=lambda failure: -len(failure.tasks))


def cause(found: Standing, key: TaskKey) -> str:
    """Why this one failed or was lost, on a line."""
    error = _error(found, key)
    return " ".join(_message(error).split())[:300]


def _error(found: Standing, key: TaskKey) -> dict[str, Any]:
    task, run = found.of(key), found.registry.runs.get(key[0])
    if run is not None and task.attempt and not task.cause:
        outcome = found.files.task(run.number, run.id, key[1]).attempt(task.attempt).outcome
        try:
            return read_json(outcome).get("error") or {}
        except FileNotFoundError:
            pass
        except (StoreError, OSError) as error:
            return {"message": str(error)}
    lost = "its worker vanished, and no queue says why" if task.state is State.LOST else "it left no outcome"
    return {"message": task.cause or lost}


def _message(error: dict[str, Any]) -> str:
    kind, message = error.get("type"), str(error.get("message") or "unknown")
    return f"{kind}: {message}" if kind and error.get("kind") == "exception" and kind != message else message


def _where(error: dict[str, Any]) -> str | None:
    frames = error.get("frames") or []
    if not frames:
        return None
    last = frames[-1]
    return f"{last['file']}, line {last['line']}, in {last['function']}: {last['code']}".rstrip(": ")


def _log(found: Standing, key: TaskKey) -> Path | None:
    logs = [log for log in task_logs(found, key).logs if log.path.exists()]
    return logs[-1].path if logs else None
