"""The output of `status`, `list`, `show` and `runners` as JSON records."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from neurofit.backends import BUILT_IN, runner
from neurofit.errors import NeurofitError
from neurofit.experiments import scripts
from neurofit.orchestrate import failures, plan, searches
from neurofit.orchestrate.outdated import Outdated, outdated_now
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.status.queues import JobsView, silent_seconds
from neurofit.status.submission_status import SubmissionStatus
from neurofit.store.state import UNFINISHED, State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment, Run


def of_experiment(status: ExperimentStatus) -> dict[str, Any]:
    """Number of tasks by state and in total, and what could not be read."""
    counts = status.counts()
    return {
        "name": status.name,
        **{str(state): counts[state] for state in State},
        "total": sum(counts.values()),
        "newer": {str(state): number for state, number in status.newer_states().items()},
        "problems": status.problems,
    }


def of_queues(status: ExperimentStatus) -> list[dict[str, Any]]:
    """What the queue reported about each unfinished submission."""
    parts = {part.files.name: part for part in status.submissions}
    return [_of_queue(status, parts[name], view) for name, view in status.queues.items()]


def _of_queue(status: ExperimentStatus, part: SubmissionStatus, view: JobsView) -> dict[str, Any]:
    phases = Counter(view.live.values())
    return {
        "experiment": status.name,
        "submission": part.files.name,
        "runner": view.runner or part.record.runner,
        "backend": part.record.backend,
        "answered": view.answered,
        "waiting": phases["pending"],
        "running": phases["running"],
        "reasons": dict(Counter(view.reasons.values())),
        "causes": dict(Counter(view.causes.values())),
        "in_grace": len(view.in_grace),
        "grace_until": None if view.grace_until is None else _timestamp(view.grace_until),
        "problem": view.problem,
        "seconds_since_a_sign": _rounded(silent_seconds(part)) if view.problem else None,
    }


def _timestamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="seconds")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def of_tasks(status: ExperimentStatus, keys: Collection[TaskKey]) -> list[dict[str, Any]]:
    """The states of tasks, and why they failed or wait."""
    records = []
    for key in keys:
        task = status.of(key)
        records.append(
            {
                "experiment": status.name,
                "run": key[0],
                "repetition": key[1],
                "state": str(task.state),
                "attempt": task.attempt or None,
                "submission": task.submission,
                "job": task.job,
                "cause": failures.cause(status, key) if task.state in UNFINISHED else task.cause,
                "result": task.counted.attempt if task.counted else None,
                "newer": _newer(status, key),
            }
        )
    return records


def _newer(status: ExperimentStatus, key: TaskKey) -> dict[str, Any] | None:
    """The attempt after the one that counts."""
    newer = status.of(key).newer
    if newer is None:
        return None
    cause = failures.cause(status, key) if newer.state in UNFINISHED else newer.cause
    state, submission = str(newer.state), newer.submission
    return {
        "state": state,
        "attempt": newer.attempt,
        "submission": submission,
        "job": newer.job,
        "cause": cause,
    }


def of_stopped(status: ExperimentStatus, keys: Collection[TaskKey]) -> list[dict[str, Any]]:
    """Why tasks stopped, one record per reason."""
    return [
        {"experiment": status.name, "tasks": len(one.tasks), "message": one.message}
        for one in failures.failures(status, keys, frozenset({State.STOPPED}))
    ]


def of_script(study: Study, entry: scripts.Entry) -> dict[str, Any]:
    """What a script defines and how much of it is done, or why it cannot be loaded."""
    record = {"name": entry.name, "title": scripts.head(entry.path), "path": str(entry.path)}
    nothing = {"done_other_code": None, "done_other_data": None, "outdated": None}
    empty = {"runs": None, "repetitions": None, "done": None, "total": None, **nothing}
    try:
        experiment = scripts.load(study, entry.path, entry.name)
    except NeurofitError as error:
        return {**record, **empty, "error": str(error), "hint": None}
    status = read_status(study, entry.name, asking=False)
    runs = plan.runs_of(experiment, status.registry)
    keys = [
        (run.registered_number, repetition) for run in runs for repetition in range(experiment.repetitions)
    ]
    done = sum(status.of(key).counted is not None for key in keys) if status.tasks else 0
    counts: dict[str, Any] = {
        "runs": len(runs),
        "repetitions": experiment.repetitions,
        "done": done,
        "total": len(keys),
    }
    old = outdated_now(study, status, keys) if done else Outdated()
    counts |= {"done_other_code": old.code, "done_other_data": old.data, "outdated": old.sentence(entry.name)}
    return {**record, **counts, "error": None, "hint": experiment.hint}


def of_grid(experiment: Experiment, runs: Collection[Run]) -> dict[str, Any]:
    """An experiment's axes, what it searches for, and some of its runs."""
    search = searches.summary(experiment)
    found = {} if search is None else {"search": search}
    return {
        "name": experiment.name,
        "architectures": experiment.architectures(),
        "axes": experiment.grid.axes(),
        **found,
        "repetitions": experiment.repetitions,
        "needs": experiment.needed(),
        "runs": [
            {
                "run": run.number,
                "id": run.id,
                "params": run.params,
                "derived": run.derived,
                **({} if run.trial is None else {"trial": run.trial}),
            }
            for run in runs
        ],
    }


def of_runners(study: Study) -> list[dict[str, Any]]:
    """Every profile, and every backend that has no profile of its name; for a damaged profile, the error."""
    names = runner.names(study.runners)
    return [_of_runner(study, name) for name in (*names, *(name for name in BUILT_IN if name not in names))]


def _of_runner(study: Study, name: str) -> dict[str, Any]:
    path = study.runners / f"{name}.yaml"
    try:
        found = runner.load(study.runners, name)
    except NeurofitError as error:
        return {"name": name, "backend": None, "path": str(path), "settings": {}, "error": str(error)}
    settings = {
        field.name: _settled(getattr(found.backend, field.name))
        for field in dataclasses.fields(found.backend)
        if getattr(found.backend, field.name) != _default(field)
    }
    return {
        "name": name,
        "backend": found.kind,
        "path": found.path and str(found.path),
        "settings": settings,
        "error": None,
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _settled(value: Any) -> Any:
    """A setting as a profile has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: part for name, part in dataclasses.asdict(value).items() if part is not None}
    return list(value) if isinstance(value, tuple) else value
