"""Rows of results: one per task, with its outcome, or with its state if it has none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from neurofit.errors import StoreError
from neurofit.experiments.selector import Selection
from neurofit.status.experiment_status import ExperimentStatus, TaskStatus
from neurofit.store.journal import Journalled, journals, read_outcomes
from neurofit.store.records import Outcome
from neurofit.store.state import WITH_OUTCOME, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record

if TYPE_CHECKING:
    from neurofit.tables.table import NewerAttempt, TaskRow

Outcomes = dict[tuple[int, int, int], Journalled]  # by run, repetition and attempt


def read_rows(status: ExperimentStatus, selection: Selection | None = None) -> list[TaskRow]:
    """Read one row per task, ordered by run and repetition. Damaged files are added to `status.problems`.

    Parameters
    ----------
    selection : Selection, optional
        Default: all tasks.
    """
    journalled = _read_journals(status)
    numbers = list(status.registry.runs)
    rows = []
    for key in status.all_keys():
        if selection is None or selection.matches(*key, numbers):
            row = _read_row(status, key, journalled)
            if row is not None:
                rows.append(row)
    return rows


def _read_journals(status: ExperimentStatus) -> Outcomes:
    """Read the outcomes in the journals. A size of None means that the outcome's own file must be read."""
    outcomes: Outcomes = {}
    for part in status.submissions:
        for entry in journals(part.files).values():
            found, is_damaged = read_outcomes(entry.path)
            if is_damaged:
                status.problems.append(f"{entry.path}: damaged; unreadable lines were skipped.")
            for one in found:
                key = (*one.outcome.key, one.outcome.attempt)
                known = status.registry.runs.get(key[0])
                if key in outcomes or (known and one.outcome.id not in (known.id, None)):
                    # two tasks claim this key: only the outcome's own file can tell which is right
                    one = Journalled(one.outcome, None)
                outcomes[key] = one
    return outcomes


def _read_row(status: ExperimentStatus, key: TaskKey, journalled: Outcomes) -> TaskRow | None:
    run = status.registry.runs.get(key[0])
    if run is not None and run.trial is not None and status.of(key).counted is None:
        run = status.run(key[0])  # outcomes have all arguments
    if run is None:
        return None  # its line in runs.jsonl is damaged, which is already reported
    current = status.of(key)
    latest, task = current.latest, current.counted or current
    newer: NewerAttempt = {"attempt": latest.attempt, "state": latest.state.value}
    row: TaskRow = {
        "experiment": status.name,
        "run": run.number,
        "id": run.id,
        "architecture": run.architecture,
        "params": run.params,
        "derived": run.derived,
        "on_grid": run.on_grid,
        "defaults": {},
        "repetition": key[1],
        "attempt": task.attempt or None,
        "state": task.state.value,
        "metrics": {},
        "facts": {},
        "error": _queue_error(task),
        "submission": task.submission,
        "job": task.job,
        "newer": None if latest is task else newer,
    }
    if task.state not in WITH_OUTCOME or not task.attempt:
        return row
    path = status.files.outcome_text(run.number, run.id, key[1], task.attempt)
    size = _size(path)
    if task.cause and size < 0:
        return row
    in_journal, known_size = journalled.get((*key, task.attempt), (None, None))
    outcome: Outcome | None = in_journal
    if size != known_size:
        outcome = _read_outcome(status, Path(path), in_journal)
    if outcome is None:
        return {**row, "error": {"kind": "damaged", "type": "Damaged", "message": f"{path} is damaged"}}
    return {
        **row,
        **values(outcome),
        "state": task.state.value,
        "on_grid": run.on_grid,
        "newer": row["newer"],
        "error": _without_nulls(outcome.error.as_object()) if outcome.error else row["error"],
    }


def values(outcome: Outcome) -> TaskRow:
    """The fields that an outcome has, as JSON values."""
    fields = _without_nulls(msgspec.structs.asdict(outcome))
    for name in ("error", "reason"):
        if name in fields:
            fields[name] = _without_nulls(fields[name].as_object())
    return cast("TaskRow", fields)


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _read_outcome(status: ExperimentStatus, path: Path, journalled: Outcome | None) -> Outcome | None:
    """Read an outcome from its file; if that fails, report it and use the copy in the journal."""
    try:
        return read_record(path, Outcome)
    except (StoreError, OSError) as error:
        problem = "missing" if isinstance(error, OSError) else "damaged"
        instead = "its row is the copy in the journal" if journalled else "its row has no metrics"
        status.problems.append(f"{path}: {problem}; {instead}.")
        return journalled


def _queue_error(task: TaskStatus) -> dict[str, Any] | None:
    if not task.cause or task.state not in (State.FAILED, State.LOST):
        return None
    return {"kind": "queue", "type": "Queue", "message": task.cause}
