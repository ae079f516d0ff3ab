"""The trials of a search as studies of Optuna in an SQLite file, for its dashboard and its plots.

The file is a copy that nothing of neurofit reads back. It is written beside its place and then renamed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neurofit.errors import (
    MissingExtra,
    NeurofitError,
    StoreError,
    UsageError,
    described,
    install,
    is_installed,
)
from neurofit.experiments.selector import Selection
from neurofit.exports.records import CURVES, TaskRecord, read_tasks
from neurofit.files import check_place, explain_os_errors
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.state import State
from neurofit.store.suggestions import read_suggestion
from neurofit.study import Study
from neurofit.suggestions.axes import Axis, axes
from neurofit.suggestions.optuna_trials import json_arguments, quiet, shown_trial
from neurofit.suggestions.point_searches import PointSearch, SearchedTrial, point_searches
from neurofit.tables.query import TaskQuery

if TYPE_CHECKING:
    import optuna

    from neurofit.experiments.experiment import Experiment

MARK = "neurofit"  # the user attribute of a study that is an export
_NEEDED = ("optuna", "sqlalchemy", "alembic")


def require() -> None:
    """Raise MissingExtra if Optuna is not installed."""
    for name in _NEEDED:
        if not is_installed(name):
            raise MissingExtra(
                f"An export of a search needs {name}, which is not installed: {install('search')}.", name=name
            )


def check(path: Path, study: Study, *, replace: bool) -> None:
    """Check that an export can be written to a file.

    Raises
    ------
    UsageError
        Its folder is missing, it lies among the records, it is another file, or it is an earlier export that is not to
        be replaced.
    """
    check_place(path, "study.db")
    if path.resolve().is_relative_to(study.training_data.resolve()):
        raise UsageError(f"{path} is in training_data/, which is for records alone. Choose another file.")
    if not os.path.lexists(path):
        return
    if not _is_export(path):
        raise UsageError(
            f"{path} is a file that is not an export of a search, and is not replaced. Choose another name."
        )
    if not replace:
        raise UsageError(
            f"{path} is an earlier export. Add --replace to write it again, or choose another name."
        )


def _is_export(path: Path) -> bool:
    """Whether every study in a file is an export."""
    marked = (
        "SELECT COUNT(*), COUNT(marks.study_id) FROM studies LEFT JOIN study_user_attributes AS marks "
        "ON marks.study_id = studies.study_id AND marks.key = ?"
    )
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            studies, exports = file.execute(marked, (MARK,)).fetchone()
            return bool(studies) and studies == exports
    except sqlite3.Error:
        return False


def export(experiment: Experiment, status: ExperimentStatus, path: Path) -> dict[str, int]:
    """Write every trial of an experiment's searches into a file, whole or not at all.

    Parameters
    ----------
    experiment : Experiment
        It has a search.
    path : Path
        As `check` accepted it.

    Returns
    -------
    dict of str to int
        The name of each study, and how many trials it has.

    Raises
    ------
    UsageError
        The search has no trials yet.
    StoreError
        The file cannot be written, or Optuna fails.
    """
    repetitions = status.repetitions or experiment.repetitions
    points = point_searches(experiment, status.files, status.registry, repetitions)
    if not any(point.runs for point in points):
        raise UsageError(f"The search of {experiment.name} has no trials yet, so there is nothing to export.")
    tasks, _ = read_tasks(TaskQuery(experiment.name, Selection(experiment.name)), status)
    ran = {(one.run, one.repetition): one for one in tasks}
    with _written(path) as partial, quiet():
        try:
            return _write(partial, experiment, status, points, ran, repetitions)
        except (NeurofitError, OSError):
            raise
        except Exception as error:  # of another project's library
            raise StoreError(
                f"{path}: the installed Optuna cannot write it: {described(error)}. Nothing was kept."
            ) from error


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A file to write into, which takes the place of `path` when all is written, and is removed if that fails."""
    whole = path.resolve()
    partial = whole.with_name(f".{whole.name}.partial-{os.getpid()}")
    with explain_os_errors(path, "write the export"):
        try:
            with open(partial, "wb"):  # a folder that cannot be written into is found here
                pass
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            partial.replace(whole)
        finally:
            for name in (
                partial,
                *(partial.with_name(f"{partial.name}-{end}") for end in ("journal", "wal", "shm")),
            ):
                name.unlink(missing_ok=True)


def _write(
    path: Path,
    experiment: Experiment,
    status: ExperimentStatus,
    points: list[PointSearch],
    ran: Mapping[tuple[int, int], TaskRecord],
    repetitions: int,
) -> dict[str, int]:
    import optuna
    from optuna.study import StudyDirection

    def connect() -> sqlite3.Connection:
        """Without waiting for the disk after each trial: the file is not in its place yet."""
        connection = sqlite3.connect(path, check_same_thread=False)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    # a path may have characters that mean something in the address of a database
    storage = optuna.storages.RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect})
    counts = {}
    try:
        for point in points:
            name = f"{experiment.name} {point.label}".rstrip()
            direction = StudyDirection[point.search.direction.upper()]
            study = optuna.create_study(storage=storage, study_name=name, direction=direction)
            study.set_metric_names([point.search.metric])
            study.set_user_attr(MARK, "a copy of a search, which neurofit does not read")
            study.set_user_attr("experiment", experiment.name)
            study.set_user_attr("point", json_arguments(point.given))
            study.set_user_attr("sampler", point.search.sampler)
            study.set_user_attr("pruner", point.search.pruner)
            trials = list(_trials(status, point, ran, repetitions))
            study.add_trials(trials)
            counts[name] = len(trials)
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return counts


def _trials(
    status: ExperimentStatus,
    point: PointSearch,
    ran: Mapping[tuple[int, int], TaskRecord],
    repetitions: int,
) -> Iterator[optuna.trial.FrozenTrial]:
    """A trial of Optuna for every number from 0: Optuna numbers trials in the order in which it gets them."""
    from optuna.trial import TrialState, create_trial

    known = {one.number: one for one in point.trials}
    all_axes = axes(point.search, point.given, [one.known for one in point.trials])
    for number in range(max(point.runs, default=-1) + 1):
        run = point.runs.get(number)
        if (trial := known.get(number)) is not None:
            tasks = [ran[trial.run, one] for one in range(repetitions) if (trial.run, one) in ran]
            yield _trial(status, point, trial, all_axes, tasks)
        elif run is not None and status.of((run, 0)).state is not State.FAILED:
            yield create_trial(state=TrialState.WAITING, user_attrs={"run": run})
        else:  # it failed before it had arguments, or is missing in a damaged list of runs
            yield create_trial(state=TrialState.FAIL, user_attrs={"run": run})


def _trial(
    status: ExperimentStatus,
    point: PointSearch,
    trial: SearchedTrial,
    all_axes: list[Axis],
    tasks: list[TaskRecord],
) -> optuna.trial.FrozenTrial:
    metric = point.search.metric
    entry = status.registry.runs[trial.run]
    started = min((one.started for one in tasks if one.started is not None), default=None)
    ended = max((one.ended for one in tasks if one.ended is not None), default=None)
    if started is None:
        with contextlib.suppress(StoreError, OSError):
            suggestion = read_suggestion(status.files, entry)
            started = suggestion.t if suggestion else None
    is_over = trial.known.state != "open"
    start = _time(started if started is not None else ended)
    user_attrs = {
        "run": trial.run,
        "state": trial.known.state,
        "arguments": json_arguments(trial.arguments),
        "values": [one.metrics.get(metric) for one in tasks],
        "started": start.isoformat(timespec="seconds"),
    }
    if is_over and ended is not None:
        user_attrs["ended"] = _time(ended).isoformat(timespec="seconds")
    points = tasks[0].curves.get(f"{CURVES}{metric}", []) if tasks else []
    return shown_trial(
        trial,
        all_axes,
        datetime_start=start,
        datetime_complete=(_time(ended) if ended is not None else start) if is_over else None,
        user_attrs=user_attrs,
        intermediate_values={step: float(value) for step, value in points},
    )


def _time(seconds: float | None) -> datetime:
    """As Optuna writes times: of this host's clock, without a time zone."""
    return datetime.now() if seconds is None else datetime.fromtimestamp(seconds)
