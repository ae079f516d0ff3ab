"""What an export says about each task, read from its files; the script is never executed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from neurofit.errors import StoreError
from neurofit.files import to_json
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.history import read_history
from neurofit.store.layout import AttemptFiles
from neurofit.store.records import Claim
from neurofit.structure import read_record
from neurofit.tables.query import TaskQuery
from neurofit.tables.rows import read_rows

if TYPE_CHECKING:
    from neurofit.tables.table import TaskRow

CURVES = "history/"  # before the names of curves, which metrics of a result have too
_LARGEST_STEP = 2**53


@dataclass(frozen=True)
class TaskRecord:
    """One task that ran, as every export describes it.

    Parameters
    ----------
    experiment : str
    run, repetition, attempt : int
        The attempt is the one that counts, as in the table of results.
    id : str
        Of the run.
    state : str
    arguments : dict of str to object
        As JSON: given, derived, and defaults.
    metrics : dict of str to float
        Empty if the task has no result.
    curves : dict of str to list of (int, float)
        Steps and numbers of each column of history.csv, by "history/column".
    facts : dict of str to object
        As JSON.
    origin : dict of str to str
        Experiment, run, repetition, attempt, id, state, hash of the code, commit, submission and error, as text.
    started, ended : float or None
        Seconds since 1970, if they are known.
    """

    experiment: str
    run: int
    repetition: int
    attempt: int
    id: str
    state: str
    arguments: dict[str, Any]
    metrics: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    facts: dict[str, Any]
    origin: dict[str, str]
    started: float | None
    ended: float | None

    @property
    def selector(self) -> str:
        """The task as commands name it."""
        return f"{self.experiment}:{self.run}/{self.repetition}"


def read_tasks(query: TaskQuery, status: ExperimentStatus) -> tuple[list[TaskRecord], int]:
    """Read the selected tasks of one experiment. Damaged files are added to `status.problems`.

    Returns
    -------
    tasks : list of TaskRecord
        By run and repetition.
    not_run : int
        How many of the selected tasks have not started, and are left out.
    """
    keys = set(query.keys(status, of_rows=True))
    rows = [row for row in read_rows(status, query.selection) if (row["run"], row["repetition"]) in keys]
    ran = [_record(row, attempt, status) for row in rows if (attempt := row["attempt"])]
    return ran, len(rows) - len(ran)


def _record(row: TaskRow, attempt: int, status: ExperimentStatus) -> TaskRecord:
    number, run_id = row["run"], row["id"]
    files = status.files.task(number, run_id, row["repetition"]).attempt(attempt)
    architecture = {"architecture": row["architecture"]} if row.get("architecture") else {}
    named = {
        "experiment": row["experiment"],
        **{name: row[name] for name in ("run", "repetition", "attempt", "id", "state")},
        **{name: row.get(name) for name in ("code", "commit", "submission")},
        "error": _error(row),
    }
    return TaskRecord(
        experiment=_clean(row["experiment"]),
        run=number,
        repetition=row["repetition"],
        attempt=attempt,
        id=run_id,
        state=row["state"],
        arguments=_clean({**row["defaults"], **architecture, **row["derived"], **row["params"]}),
        metrics={_clean(name): float(value) for name, value in row["metrics"].items()},
        curves=_curves(files, status),
        facts=_clean(row["facts"]),
        origin={name: _clean(str(value)) for name, value in named.items() if value is not None},
        started=_seconds(row.get("started")) or _claimed(files),
        ended=_seconds(row.get("ended")),
    )


def _curves(files: AttemptFiles, status: ExperimentStatus) -> dict[str, list[tuple[int, float]]]:
    try:
        columns = read_history(files.history)
    except FileNotFoundError:
        return {}
    except (StoreError, OSError) as error:
        status.problems.append(f"{error} It is exported without its curves.")
        return {}
    places = _places({step for steps, _ in columns.values() for step in steps})
    return {
        f"{CURVES}{_clean(name)}": [(places[step], number) for step, number in zip(steps, numbers)]
        for name, (steps, numbers) in columns.items()
    }


def _places(steps: set[float]) -> dict[float, int]:
    """Each step as a whole number from 0; its place among all steps where some are none."""
    if all(0 <= one < _LARGEST_STEP and one == int(one) for one in steps):
        return {one: int(one) for one in steps}
    return {one: place for place, one in enumerate(sorted(steps))}


def _clean(value: Any) -> Any:
    """The value with texts that every encoding has: names of files may hold bytes that are no characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(name): _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value


def _error(row: TaskRow) -> str | None:
    error = row["error"] or {}
    return ": ".join(str(error[name]) for name in ("type", "message") if error.get(name)) or None


def _seconds(text: str | None) -> float | None:
    with contextlib.suppress(ValueError, TypeError):
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    return None


def _claimed(files: AttemptFiles) -> float | None:
    with contextlib.suppress(StoreError, OSError):
        return read_record(files.claim, Claim).t
    return None


def as_text(value: Any) -> str:
    """A value of an argument or a fact as text: JSON, and text itself."""
    return value if isinstance(value, str) else to_json(value)


def by_step(task: TaskRecord) -> list[tuple[int, dict[str, float]]]:
    """The numbers of all curves at each step, in ascending order."""
    found: dict[int, dict[str, float]] = {}
    for name, points in task.curves.items():
        for step, number in points:
            found.setdefault(step, {})[name] = number
    return sorted(found.items())
