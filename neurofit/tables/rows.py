"""Rows of results: one per task, with its outcome, or with its state if it has none."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from neurofit import collector
from neurofit.errors import StoreError
from neurofit.experiments.selector import Selection
from neurofit.overlap import FEW, overlapped
from neurofit.status.experiment_status import ExperimentStatus, TaskStatus
from neurofit.store.journal import journals
from neurofit.store.packed_outcomes import KnownOutcome, OutcomeReader, fields_of, read_journal
from neurofit.store.records import Outcome
from neurofit.store.state import WITH_OUTCOME, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record

if TYPE_CHECKING:
    from neurofit.tables.table import NewerAttempt, TaskRow

Outcomes = dict[tuple[int, int, int], KnownOutcome]  # by run, repetition and attempt


@collector.paused()
def read_rows(status: ExperimentStatus, selection: Selection | None = None) -> list[TaskRow]:
    """Read one row per task, ordered by run and repetition. Damaged files are added to `status.problems`.

    Values that rows share, such as the arguments of a run, may be one object.

    Parameters
    ----------
    selection : Selection, optional
        Default: all tasks.
    """
    keys = status.all_keys()
    part = None if selection is None or selection.is_everything else selection
    if part is not None:
        numbers = list(status.registry.runs)
        keys = [key for key in keys if part.matches(*key, numbers)]
    journalled = _read_journals(status, keys, is_part=part is not None)
    sizes = overlapped(partial(_outcome_size, status), keys)
    rows = (_read_row(status, key, size, journalled) for key, size in zip(keys, sizes))
    return [row for row in rows if row is not None]


def _read_journals(status: ExperimentStatus, keys: Collection[TaskKey], *, is_part: bool) -> Outcomes:
    """Read the outcomes that count of these tasks in the journals; of a part of the tasks, in their own journals."""
    wanted = {(*key, (task.counted or task).attempt) for key in keys if (task := status.of(key))}
    outcomes: Outcomes = {}
    reader, runs = OutcomeReader(), status.registry.runs
    for part in status.submissions:
        entries, of_tasks = journals(part.files), part.facts.tasks
        writers = {of_tasks[key].by for key in keys if key in of_tasks} if is_part else entries.keys()
        paths = [entry.path for by, entry in entries.items() if by in writers]
        for path, content in zip(paths, overlapped(read_journal, paths, FEW)):
            found, is_damaged = reader.read(path, content)
            if is_damaged:
                status.problems.append(f"{path}: damaged; unreadable lines were skipped.")
            for one in found:
                key = one.key
                if key not in wanted:
                    continue
                known = runs.get(key[0])
                if key in outcomes or (known and one.fields.get("id") not in (known.id, None)):
                    # two tasks claim this key: only the outcome's own file can tell which is right
                    one = KnownOutcome(one.fields, None)
                outcomes[key] = one
    return outcomes


def _outcome_path(status: ExperimentStatus, key: TaskKey) -> str:
    """The path of the outcome that counts; empty if the task has none in its state."""
    run, current = status.registry.runs.get(key[0]), status.of(key)
    task = current.counted or current
    if run is None or task.state not in WITH_OUTCOME or not task.attempt:
        return ""
    return status.files.outcome_text(run.number, run.id, key[1], task.attempt)


def _outcome_size(status: ExperimentStatus, key: TaskKey) -> int | None:
    """The size in bytes of the outcome that counts, -1 if its file is missing; None if the task has none."""
    path = _outcome_path(status, key)
    try:
        return os.stat(path).st_size if path else None
    except OSError:
        return -1


def _read_row(
    status: ExperimentStatus, key: TaskKey, size: int | None, journalled: Outcomes
) -> TaskRow | None:
    """The row of a task, whose outcome has this size (see `_outcome_size`)."""
    run, current = status.registry.runs.get(key[0]), status.of(key)
    latest, task = current.latest, current.counted or current
    if run is not None and run.trial is not None and current.counted is None:
        run = status.run(key[0])  # outcomes have all arguments
    if run is None:
        return None  # its line in runs.jsonl is damaged, which is already reported
    state = str(task.state)
    newer: NewerAttempt | None = None
    if latest is not task:
        newer = {"attempt": latest.attempt, "state": str(latest.state)}
    fields: dict[str, Any] | None = {}
    if size is not None and not (task.cause and size < 0):
        fields, known_size = journalled.pop((*key, task.attempt), (None, None))
        if size != known_size:
            fields = _read_outcome(status, Path(_outcome_path(status, key)), fields)
    error = _queue_error(task)
    if fields is None:
        error = {"kind": "damaged", "type": "Damaged", "message": f"{_outcome_path(status, key)} is damaged"}
    row = cast("TaskRow", fields or {})
    row["state"], row["on_grid"], row["newer"] = state, run.on_grid, newer
    row.setdefault("experiment", status.name)
    row.setdefault("run", run.number)
    row.setdefault("id", run.id)
    row.setdefault("architecture", run.architecture)
    row.setdefault("params", run.params)
    row.setdefault("derived", run.derived)
    row.setdefault("defaults", {})
    row.setdefault("repetition", key[1])
    row.setdefault("attempt", task.attempt or None)
    row.setdefault("metrics", {})
    row.setdefault("facts", {})
    row.setdefault("error", error)
    row.setdefault("submission", task.submission)
    row.setdefault("job", task.job)
    return row


def values(outcome: Outcome) -> TaskRow:
    """The fields that an outcome has, as JSON values."""
    return cast("TaskRow", fields_of(outcome))


def _read_outcome(
    status: ExperimentStatus, path: Path, journalled: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Read an outcome from its file; if that fails, report it and use the copy in the journal."""
    try:
        return fields_of(read_record(path, Outcome))
    except (StoreError, OSError) as error:
        problem = "missing" if isinstance(error, OSError) else "damaged"
        instead = "its row is the copy in the journal" if journalled else "its row has no metrics"
        status.problems.append(f"{path}: {problem}; {instead}.")
        return journalled


def _queue_error(task: TaskStatus) -> dict[str, Any] | None:
    if not task.cause or task.state not in (State.FAILED, State.LOST):
        return None
    return {"kind": "queue", "type": "Queue", "message": task.cause}
