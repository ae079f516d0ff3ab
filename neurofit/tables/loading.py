"""Finished tasks again, by the code as it was submitted: a model, what it shows, its folder; repetitions as
one.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from neurofit import study as studies
from neurofit.errors import NameUnknown, UsageError, nearest
from neurofit.experiments import scripts
from neurofit.experiments.selector import parse
from neurofit.files import read_json, to_json
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.layout import AttemptFiles, code_store
from neurofit.store.submissions import TaskKey, read_submission
from neurofit.tables.query import experiment_name
from neurofit.text import command


def load(selector: str, *, study: Path | str | None = None) -> Any:
    """The model of one finished task, rebuilt by the code as it was submitted: `neurofit.load("exp3:17/3")`.

    It is what the fit's own `load(folder)` returns.

    Parameters
    ----------
    selector : str
        Of a single task.
    study : Path or str, optional
        A folder in the study. By default, the current folder.

    Raises
    ------
    UsageError
        The selector means several tasks, or the fit saves nothing that it can load.
    NameUnknown
        There is no such task, or it is not done.
    """
    fit, where = _finished(selector, study)
    if not hasattr(fit, "load"):
        raise UsageError(
            f"The fit of {parse(selector).experiment} has no load(folder). What it saved is in {where}."
        )
    return fit.load(where)


def folder(selector: str, *, study: Path | str | None = None) -> Path:
    """Where one finished task's files are.

    Parameters
    ----------
    selector : str
        Of a single task.
    study : Path or str, optional
        A folder in the study. By default, the current folder.

    Raises
    ------
    UsageError
        The selector means several tasks.
    NameUnknown
        There is no such task, or it is not done.
    """
    return _finished(selector, study)[1]


def view(
    selector: str, name: str, *, neurons: Any = None, study: Path | str | None = None
) -> list[dict[str, Any]]:
    """What one finished task's model shows: the panels of its fit's `view(folder, name, neurons)`.

    Raises
    ------
    UsageError : as for `load`; or the fit has no such view
    """
    fit, where = _finished(selector, study)
    known = tuple(getattr(fit, "views", ()))
    if name not in known:
        there = f"It has: {', '.join(known)}." if known else "It has no views of its models."
        raise UsageError(f"The fit of '{selector}' cannot show '{name}'.{nearest(name, known)} {there}")
    return fit.view(where, name, neurons)


def _finished(selector: str, study: Path | str | None) -> tuple[Any, Path]:
    """The fit of one finished task, by the code as it was submitted, and the folder of its attempt."""
    home, found, keys = _selected(selector, study)
    if len(keys) > 1:
        raise UsageError(
            f"'{selector}' means {len(keys)} tasks; one is loaded at a time: {found.name}:{keys[0][0]}/0."
        )
    if not keys or found.of(keys[0]).counted is None:
        state = f"it is {found.of(keys[0]).state}" if keys else "there is no such task"
        shown = command("status", selector)
        raise NameUnknown(f"'{selector}' cannot be loaded: {state}. `{shown}` shows what is done.")
    return _submitted_fit(home, found, keys[0]), _attempt(found, keys[0]).folder


def ensemble(selector: str, *, study: Path | str | None = None) -> Any:
    """The mean prediction of a run's repetitions as one model: `neurofit.ensemble("exp3:17")`, or "exp3:17/0-4".

    It is what the fit's own `ensemble(folders)` makes of the repetitions that are done; for `nf.models.Fit`,
    an `Ensemble`.

    Parameters
    ----------
    selector : str
        Of one run, perhaps of some of its repetitions. Those that are not done are left out.
    study : Path or str, optional
        A folder in the study. By default, the current folder.

    Raises
    ------
    UsageError
        Several runs are meant; fewer than two repetitions are done; they had different defaults, or were split
        differently; or the fit has no `ensemble`.

    Warns
    -----
    UserWarning
        Some repetitions were done with other code or data than others.
    """
    home, found, keys = _selected(selector, study)
    runs = list(dict.fromkeys(number for number, _ in keys))
    if len(runs) > 1:
        raise UsageError(
            f"'{selector}' means {len(runs)} runs; an ensemble is of one run: {found.name}:{runs[0]}."
        )
    done = [key for key in keys if found.of(key).counted]
    if len(done) < 2:
        raise UsageError(
            f"'{selector}': {len(done)} repetitions are done, and an ensemble needs two. "
            f"`{command('status', selector)}` shows them."
        )
    fit = _submitted_fit(home, found, done[-1])
    if not hasattr(fit, "ensemble"):
        raise UsageError(
            f"The fit of {found.name} has no ensemble(folders), which would know what its files mean."
        )
    _must_be_alike(selector, {key: read_json(_attempt(found, key).outcome) for key in done})
    return fit.ensemble([_attempt(found, key).folder for key in done])


def _must_be_alike(selector: str, outcomes: dict[TaskKey, dict[str, Any]]) -> None:
    """Repetitions that differ in more than their seeds are never averaged in silence."""
    from neurofit.tables.table import unlike  # pandas

    parts: dict[str, list[int]] = {}
    for (_, repetition), outcome in outcomes.items():
        parts.setdefault(to_json(outcome.get("defaults") or {}), []).append(repetition)
    if len(parts) > 1:
        listed = "; ".join(f"repetitions {', '.join(map(str, of))}: {text}" for text, of in parts.items())
        raise UsageError(
            f"'{selector}': its repetitions were done with different defaults ({listed}). Select those of "
            "one kind, "
            f"e.g. {selector.partition('/')[0]}/{','.join(map(str, max(parts.values(), key=len)))}."
        )
    if differ := unlike(list(outcomes.values())):
        warnings.warn(f"The ensemble of '{selector}' is of repetitions that differ: {differ}.", stacklevel=3)


def _selected(
    selector: str, study: Path | str | None
) -> tuple[studies.Study, ExperimentStatus, list[TaskKey]]:
    home = studies.find(Path(study) if study else Path.cwd())
    selection = parse(selector)
    status = read_status(home, experiment_name(home, selection.experiment))
    numbers = list(status.registry.runs)
    return home, status, [key for key in status.all_keys() if selection.matches(*key, numbers)]


def _attempt(status: ExperimentStatus, key: TaskKey) -> AttemptFiles:
    run = status.registry.runs[key[0]]
    return status.files.task(run.number, run.id, key[1]).attempt(status.of(key).counted.attempt)


def _submitted_fit(home: studies.Study, status: ExperimentStatus, key: TaskKey) -> Any:
    record = read_submission(status.files.submission(status.of(key).counted.submission))
    code = code_store(home) / record.code
    return scripts.load(code, code / record.script, status.name).fit
