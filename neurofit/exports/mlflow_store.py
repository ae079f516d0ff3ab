"""Tasks as runs of an MLflow store: one SQLite file, written by the package mlflow-skinny without a server.

MLflow asks for a database since it has stopped developing its store of plain files.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neurofit.errors import UsageError
from neurofit.exports.quiet import without_traces
from neurofit.exports.records import TaskRecord, as_text
from neurofit.store.state import State

FILE = "mlflow.db"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
OWN = "neurofit."  # before the names of tags
_AT_ONCE = 100  # parameters, tags or metrics that MLflow takes in one call
_LONGEST = 5000  # characters of a value
_STATES = {
    State.DONE: "FINISHED",
    State.RUNNING: "RUNNING",
    State.QUEUED: "SCHEDULED",
    State.CANCELLED: "KILLED",
    State.STOPPED: "KILLED",
}


def write(folder: Path, tasks: Sequence[TaskRecord], final: Path, progress: Callable[[int], None]) -> None:
    """Write a run per task into `mlflow.db`, in an experiment of MLflow per experiment.

    Parameters
    ----------
    folder : Path
    tasks : sequence of TaskRecord
    final : Path
        Where the folder will be, and with it the artifacts of these experiments, of which there are none.
    progress : callable
        Called with the number of tasks that are written.

    Raises
    ------
    UsageError
        The path cannot be part of the address of a database.
    """
    if wrong := sorted(set("?#%") & set(str(final))):
        raise UsageError(
            f"{final}: MLflow opens no database in a folder whose path has {' or '.join(wrong)}. Choose "
            "another one with -o."
        )
    with without_traces("MLFLOW_", QUIET, folder):
        logging.getLogger("alembic").setLevel(logging.ERROR)
        from mlflow import MlflowClient

        client: Any = MlflowClient(tracking_uri=f"sqlite:///{folder / FILE}")
        known: dict[str, str] = {}
        for done, task in enumerate(tasks, start=1):
            if task.experiment not in known:
                place = (final / "artifacts" / task.experiment).as_uri()
                known[task.experiment] = client.create_experiment(task.experiment, artifact_location=place)
            _write_task(client, known[task.experiment], task)
            progress(done)


def _write_task(client: Any, experiment: str, task: TaskRecord) -> None:
    from mlflow.entities import Metric, Param, RunTag

    when = round(1000 * (task.started or task.ended or time.time()))
    run = client.create_run(experiment, start_time=when, run_name=task.selector).info.run_id
    params = [Param(name, _cut(as_text(value))) for name, value in _named(task.arguments).items()]
    tags = {f"{OWN}{name}": value for name, value in task.origin.items()}
    tags |= {f"{OWN}fact.{name}": as_text(value) for name, value in task.facts.items()}
    noted = [RunTag(name, _cut(value)) for name, value in _named(tags).items() if value]
    last = max((points[-1][0] for points in task.curves.values() if points), default=0)
    metrics = [Metric(name, value, when, last) for name, value in _named(task.metrics).items()]
    for name, points in _named(task.curves).items():
        metrics += [Metric(name, number, when, step) for step, number in points]
    for some in _parts(params):
        client.log_batch(run, params=some)
    for some in _parts(noted):
        client.log_batch(run, tags=some)
    for some in _parts(metrics):
        client.log_batch(run, metrics=some)
    status, ended = _STATES.get(State(task.state), "FAILED"), task.ended and round(1000 * task.ended)
    if status in ("RUNNING", "SCHEDULED"):
        client.update_run(run, status=status)
    else:
        client.set_terminated(run, status=status, end_time=ended or when)


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Names as MLflow takes them: characters that it refuses are underscores, and equal names get a number."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        plain = re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:200].strip("/. ") or "_"
        plain, tries = re.sub(r"/(\.*/)+", "/", plain), 1
        while (known := plain if tries == 1 else f"{plain}_{tries}") in found:
            tries += 1
        found[known] = value
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
