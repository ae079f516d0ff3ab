"""Why tasks failed, were lost or stopped before they were done, alike ones together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.experiments.store.records import OUTCOME, read_record
from neurofit.experiments.store.state import FAILED, State
from neurofit.experiments.store.submissions import TaskKey
from neurofit.experiments.tasks.alike import Signature, in_words, signature
from neurofit.orchestrate.causes.stops import JobEnds, why_stopped
from neurofit.orchestrate.status.logs import ended_before_it_began, task_logs
from neurofit.orchestrate.status.standing import Standing

UNFINISHED = FAILED | {State.STOPPED}  # what ended without being done, and nobody wanted that
VERBS = {State.FAILED: "failed", State.LOST: "failed", State.STOPPED: "stopped"}
QUEUE = "queue"  # the kind of an error that only the queue, or nobody, knows of


@dataclass(frozen=True)
class Failure:
    """Tasks that failed for one reason, the first of them as an example."""

    message: str  # of the example: "ValueError: …"
    where: str | None  # in the user's code: "jobs/exp3.py, line 17, in fit: total / 0"
    log: Path | None
    tasks: list[TaskKey]
    error: dict[str, Any] = field(default_factory=dict)  # of the example, as its outcome has it
    verb: str = "failed"

    @property
    def example(self) -> TaskKey:
        return self.tasks[0]


def failures(
    found: Standing, keys: Collection[TaskKey], states: frozenset[State] = UNFINISHED
) -> list[Failure]:
    """The failures among these tasks, the most frequent first; of those that stopped, why."""
    groups: dict[tuple[State, Signature], Failure] = {}
    ends = JobEnds(found)
    for key in keys:
        state = found.of(key).state
        if state in states:
            error = _error(found, key, ends)
            kind = state, signature(error)
            if kind not in groups:
                groups[kind] = Failure(
                    in_words(error), _where(error), _log(found, key), [], error, VERBS[state]
                )
            groups[kind].tasks.append(key)
    return sorted(groups.values(), key=lambda failure: -len(failure.tasks))


def cause(found: Standing, key: TaskKey) -> str:
    """Why this one failed, was lost or stopped, on a line."""
    return " ".join(in_words(_error(found, key, JobEnds(found))).split())[:300]


def _error(found: Standing, key: TaskKey, ends: JobEnds) -> dict[str, Any]:
    """What its outcome says; where its job ended without one, what the queue says of that."""
    task, run = found.of(key).latest, found.registry.runs.get(key[0])
    if run is not None and task.attempt and not ended_before_it_began(found, key, task.attempt):
        outcome = found.files.task(run.number, run.id, key[1]).attempt(task.attempt).outcome
        try:
            record = read_record(outcome, OUTCOME)
            if task.state is State.STOPPED:
                return why_stopped(record.get("reason"), ends.of(task.submission, task.job))
            if record.get("error"):
                return record["error"]
        except FileNotFoundError:
            pass
        except (StoreError, OSError) as error:
            return {"kind": "damaged", "message": str(error)}
    if task.state is State.STOPPED:
        return why_stopped(None, ends.of(task.submission, task.job))
    lost = "its worker vanished, and no queue says why" if task.state is State.LOST else "it left no outcome"
    return {"kind": QUEUE, "message": task.cause or lost}


def _where(error: dict[str, Any]) -> str | None:
    frames = error.get("frames") or []
    if not frames:
        return None
    last = frames[-1]
    return f"{last['file']}, line {last['line']}, in {last['function']}: {last['code']}".rstrip(": ")


def _log(found: Standing, key: TaskKey) -> Path | None:
    logs = [log for log in task_logs(found, key).logs if log.path.exists()]
    return logs[-1].path if logs else None
