"""Rows of results: every task's outcome, or what its state is without one; and the tables made of them."""

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

OUTCOME = b'{"outcome":'


def read_rows(status: ExperimentStatus, selection: Selection | None = None) -> list[dict[str, Any]]:
    """One record per task, in the order of runs and repetitions; damaged files are named in
    `found.problems`.
    """
    outcomes = _journalled(status)
    numbers = list(status.registry.runs)
    rows = []
    for key in status.all_keys():
        if selection is None or selection.matches(*key, numbers):
            row = _row(status, key, status.of(key), outcomes)
            if row is not None:
                rows.append(row)
    return rows


def _journalled(status: ExperimentStatus) -> dict[tuple[int, int, int], dict[str, Any]]:
    """(run, repetition, attempt) → outcome as the journals have it, and the size that its file then has."""
    outcomes = {}
    for part in status.submissions:
        for entry in journals(part.files).values():
            lines = retry(Path(entry.path).read_bytes).split(b"\n")
            if any(line and not (line.startswith(b'{"') and line.endswith(b"}")) for line in lines[:-1]):
                status.problems.append(f"{entry.path}: damaged, some of it was passed over.")
            lines = [line for line in lines if line.startswith(OUTCOME)]
            parsed, damaged = parse_lines(b"\n".join(lines))
            sizes = [len(line) - len(OUTCOME) for line in lines] if not damaged else [None] * len(parsed)
            for line, size in zip(parsed, sizes):
                if fault(line, JOURNAL_LINE):
                    status.problems.append(f"{entry.path}: damaged, some of it was passed over.")
                    continue
                outcome = line["outcome"]
                key = outcome["run"], outcome["repetition"], outcome["attempt"]
                known = status.registry.runs.get(key[0])
                if key in outcomes or (known and outcome.get("id", known.id) != known.id):
                    size = None  # one of two is another task's: the outcome's own file says which
                outcomes[key] = outcome, size
    return outcomes


def _row(
    status: ExperimentStatus, key: TaskKey, task: TaskStatus, outcomes: dict[Any, Any]
) -> dict[str, Any] | None:
    run = status.registry.runs.get(key[0])
    if run is None:
        return None  # its line in runs.jsonl is damaged, which is said already
    latest, task = task.latest, task.counted or task
    newer = None if latest is task else {"attempt": latest.attempt, "state": latest.state.value}
    blank = {
        "experiment": status.name,
        **run.record(),
        "defaults": {},
        "repetition": key[1],
        "attempt": task.attempt or None,
        "state": task.state.value,
        "metrics": {},
        "facts": {},
        "error": None,
        "submission": task.submission,
        "job": task.job,
        "newer": newer,
    }
    if task.state not in WITH_OUTCOME or not task.attempt:
        return {**blank, "error": _cause(task)}
    path = status.files.outcome_text(run.number, run.id, key[1], task.attempt)
    there = _size(path)
    if task.cause and there < 0:
        return {**blank, "error": _cause(task)}
    journalled, size = outcomes.get((*key, task.attempt), (None, None))
    outcome = journalled if there == size else _read(status, Path(path), journalled)
    if outcome is None:
        return {**blank, "error": {"kind": "damaged", "type": "Damaged", "message": f"{path} is damaged"}}
    return {
        **blank,
        **outcome,
        "state": task.state.value,
        "on_grid": run.on_grid,
        "newer": newer,
        "error": outcome.get("error") or _cause(task),
    }


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _read(status: ExperimentStatus, path: Path, journalled: dict[str, Any] | None) -> dict[str, Any] | None:
    """The outcome's own file; where that is damaged, what its worker's journal has of it, and the file is
    named.
    """
    try:
        return read_record(path, OUTCOME_SCHEMA)
    except (StoreError, OSError) as error:
        what = "gone" if isinstance(error, OSError) else "damaged"
        instead = "its row is the journal's copy" if journalled else "its row has no metrics"
        status.problems.append(f"{path}: {what}; {instead}.")
        return journalled


def _cause(task: TaskStatus) -> dict[str, Any] | None:
    if not task.cause or task.state not in (State.FAILED, State.LOST):
        return None
    return {"kind": "queue", "type": "Queue", "message": task.cause}


def _found(name: str, folder: Path | str | None) -> tuple[ExperimentStatus, Selection]:
    study = studies.find(Path(folder) if folder else Path.cwd())
    choice = parse_query(study, name)
    status = read_status(study, choice.name)
    choice.keys(status)  # a selector that means nothing is an error
    return status, choice.selection


def results(name: str, *, study: Path | str | None = None) -> pandas.DataFrame:
    """One row per task of an experiment, as `neurofit results` shows it.

    Parameters
    ----------
    name : str
        An experiment or a selection: "exp3", "exp3:17".
    study : Path or str, optional
        A folder in the study. By default, the current folder.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    UsageError, NameUnknown
        The selector means nothing.
    """
    from neurofit.tables.table import table

    return table(read_rows(*_found(name, study)))


def neurons(name: str, *, study: Path | str | None = None) -> pandas.DataFrame:
    """One row per neuron and task, of every task that is done and saved `neurons.csv`.

    Parameters
    ----------
    name : str
        An experiment or a selection: "exp3", "exp3:17".
    study : Path or str, optional
        A folder in the study. By default, the current folder.

    Returns
    -------
    pandas.DataFrame
        The columns of `neurons.csv`, with the task's run, repetition and arguments.
    """
    import pandas

    found, selection = _found(name, study)
    parts = []
    for row in read_rows(found, selection):
        if row["state"] != "done":
            continue
        path = (
            found.files.task(row["run"], row["id"], row["repetition"]).attempt(row["attempt"]).folder
            / "neurons.csv"
        )
        if path.exists():
            frame = pandas.read_csv(path)
            for place, column in enumerate(("run", "repetition")):
                frame.insert(place, column, row[column])
            parts.append(
                frame.assign(**{k: [v] * len(frame) for k, v in row["params"].items() if k not in frame})
            )
    return (
        pandas.concat(parts, ignore_index=True)
        if parts
        else pandas.DataFrame(columns=["run", "repetition", "neuron"])
    )
