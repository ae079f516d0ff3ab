"""Rows of results: one per task, with its outcome, or with its state if it has none; `nf.results`, `nf.neurons`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurofit import study as studies
from neurofit.errors import StoreError
from neurofit.experiments.selector import Selection
from neurofit.files import parse_lines
from neurofit.status.experiment_status import ExperimentStatus, TaskStatus, read_status
from neurofit.store.journal import journals
from neurofit.store.schemas import JOURNAL_LINE, fault, read_record
from neurofit.store.schemas import OUTCOME as OUTCOME_SCHEMA
from neurofit.store.state import WITH_OUTCOME, State
from neurofit.store.submissions import TaskKey
from neurofit.tables.query import parse_query
from neurofit.transient import retry

if TYPE_CHECKING:
    import pandas

Journalled = dict[tuple[int, int, int], tuple[dict[str, Any], int | None]]

_OUTCOME_PREFIX = b'{"outcome":'


def results(name: str, *, study: Path | str | None = None) -> pandas.DataFrame:
    """Read the table of results of an experiment, with one row per task, as `neurofit results` shows it.

    Parameters
    ----------
    name : str
        Experiment or selector, such as "exp3" or "exp3:17".
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    UsageError, NameUnknown
        The selector is invalid, or there is no such experiment or task.
    """
    from neurofit.tables.table import table

    return table(read_rows(*_select(name, study)))


def neurons(name: str, *, study: Path | str | None = None) -> pandas.DataFrame:
    """Read the scores per neuron of all finished tasks that saved `neurons.csv`.

    Parameters
    ----------
    name : str
        Experiment or selector, such as "exp3" or "exp3:17".
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pandas.DataFrame
        One row per neuron and task, with columns `run` and `repetition`, those of `neurons.csv`, and the
        arguments of the run.

    Raises
    ------
    UsageError, NameUnknown
        The selector is invalid, or there is no such experiment or task.
    """
    import pandas

    status, selection = _select(name, study)
    frames = []
    for row in read_rows(status, selection):
        if row["state"] != "done":
            continue
        task = status.files.task(row["run"], row["id"], row["repetition"])
        path = task.attempt(row["attempt"]).folder / "neurons.csv"
        if not path.exists():
            continue
        frame = pandas.read_csv(path)
        for place, column in enumerate(("run", "repetition")):
            frame.insert(place, column, row[column])
        arguments = {name: value for name, value in row["params"].items() if name not in frame}
        frames.append(frame.assign(**{name: [value] * len(frame) for name, value in arguments.items()}))
    if not frames:
        return pandas.DataFrame(columns=["run", "repetition", "neuron"])
    return pandas.concat(frames, ignore_index=True)


def _select(name: str, folder: Path | str | None) -> tuple[ExperimentStatus, Selection]:
    study = studies.find(Path(folder) if folder else Path.cwd())
    query = parse_query(study, name)
    status = read_status(study, query.name)
    query.keys(status)  # raises an error if the selector matches nothing
    return status, query.selection


def read_rows(status: ExperimentStatus, selection: Selection | None = None) -> list[dict[str, Any]]:
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


def _read_journals(status: ExperimentStatus) -> Journalled:
    """Read (run, repetition, attempt) → outcome in the journals, and the size its own file must then have.

    The size is None if the journal does not prove the outcome: the file must then be read.
    """
    outcomes: Journalled = {}
    for part in status.submissions:
        for entry in journals(part.files).values():
            lines = retry(Path(entry.path).read_bytes).split(b"\n")
            damage = f"{entry.path}: damaged; unreadable lines were skipped."
            if any(line and not (line.startswith(b'{"') and line.endswith(b"}")) for line in lines[:-1]):
                status.problems.append(damage)
            lines = [line for line in lines if line.startswith(_OUTCOME_PREFIX)]
            parsed, damaged = parse_lines(b"\n".join(lines))
            sizes: list[int | None] = [None] * len(parsed)
            if not damaged:
                sizes = [len(line) - len(_OUTCOME_PREFIX) for line in lines]
            for line, size in zip(parsed, sizes):
                if fault(line, JOURNAL_LINE):
                    status.problems.append(damage)
                    continue
                outcome = line["outcome"]
                key = outcome["run"], outcome["repetition"], outcome["attempt"]
                known = status.registry.runs.get(key[0])
                if key in outcomes or (known and outcome.get("id", known.id) != known.id):
                    size = (
                        None  # two tasks claim this key: only the outcome's own file can tell which is right
                    )
                outcomes[key] = outcome, size
    return outcomes


def _read_row(status: ExperimentStatus, key: TaskKey, journalled: Journalled) -> dict[str, Any] | None:
    run = status.registry.runs.get(key[0])
    if run is None:
        return None  # its line in runs.jsonl is damaged, which is already reported
    current = status.of(key)
    latest, task = current.latest, current.counted or current
    row = {
        "experiment": status.name,
        **run.record(),
        "defaults": {},
        "repetition": key[1],
        "attempt": task.attempt or None,
        "state": task.state.value,
        "metrics": {},
        "facts": {},
        "error": _queue_error(task),
        "submission": task.submission,
        "job": task.job,
        "newer": None if latest is task else {"attempt": latest.attempt, "state": latest.state.value},
    }
    if task.state not in WITH_OUTCOME or not task.attempt:
        return row
    path = status.files.outcome_text(run.number, run.id, key[1], task.attempt)
    size = _size(path)
    if task.cause and size < 0:
        return row
    outcome, known_size = journalled.get((*key, task.attempt), (None, None))
    if size != known_size:
        outcome = _read_outcome(status, Path(path), outcome)
    if outcome is None:
        return {**row, "error": {"kind": "damaged", "type": "Damaged", "message": f"{path} is damaged"}}
    return {
        **row,
        **outcome,
        "state": task.state.value,
        "on_grid": run.on_grid,
        "newer": row["newer"],
        "error": outcome.get("error") or row["error"],
    }


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _read_outcome(
    status: ExperimentStatus, path: Path, journalled: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Read an outcome from its file; if that fails, report it and use the copy in the journal."""
    try:
        return read_record(path, OUTCOME_SCHEMA)
    except (StoreError, OSError) as error:
        problem = "missing" if isinstance(error, OSError) else "damaged"
        instead = "its row is the copy in the journal" if journalled else "its row has no metrics"
        status.problems.append(f"{path}: {problem}; {instead}.")
        return journalled


def _queue_error(task: TaskStatus) -> dict[str, Any] | None:
    if not task.cause or task.state not in (State.FAILED, State.LOST):
        return None
    return {"kind": "queue", "type": "Queue", "message": task.cause}
