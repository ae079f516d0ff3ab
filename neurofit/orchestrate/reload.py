"""A finished task again: its model, rebuilt by the code as it was submitted, what that shows, and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurofit import study as studies
from neurofit.errors import NameUnknown, UsageError, nearest
from neurofit.experiments import script
from neurofit.experiments.selection import parse
from neurofit.experiments.store.layout import code_store
from neurofit.experiments.store.state import State
from neurofit.experiments.store.submissions import read_submission
from neurofit.orchestrate.standing import standing
from neurofit.orchestrate.tables import experiment_name


def load(selector: str, *, study: Path | str | None = None) -> Any:
    """The model of one finished task, e.g. `neurofit.load("exp3:17/3")`: what the fit's own `load(folder)` gives back.

    Parameters
    ----------
    selector : of a single task
    study : a folder in the study; the current folder without

    Raises
    ------
    UsageError : the selector means several tasks, or the fit saves nothing that it can load
    NameUnknown : there is no such task, or it is not done
    """
    fit, where = _finished(selector, study)
    if not hasattr(fit, "load"):
        raise UsageError(f"The fit of '{selector}' has no load(folder). What it saved is in {where}.")
    return fit.load(where)


def folder(selector: str, *, study: Path | str | None = None) -> Path:
    """Where one finished task's files are; parameters and errors as for `load`."""
    return _finished(selector, study)[1]


def view(selector: str, name: str, *, neurons: Any = None, study: Path | str | None = None) -> list[dict[str, Any]]:
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
    home = studies.find(Path(study) if study else Path.cwd())
    selection = parse(selector)
    found = standing(home, experiment_name(home, selection.experiment))
    numbers = list(found.registry.runs)
    keys = [key for key in found.all_keys() if selection.matches(*key, numbers)]
    if len(keys) > 1:
        raise UsageError(f"'{selector}' means {len(keys)} tasks; one is loaded at a time: {found.name}:{keys[0][0]}/0.")
    if not keys or found.of(keys[0]).state is not State.DONE:
        state = f"it is {found.of(keys[0]).state}" if keys else "there is no such task"
        raise NameUnknown(f"'{selector}' cannot be loaded: {state}. `neurofit status {selector}` shows what is done.")
    task, run = found.of(keys[0]), found.registry.runs[keys[0][0]]
    attempt = found.files.task(run.number, run.id, keys[0][1]).attempt(task.attempt)
    record = read_submission(found.files.submission(task.submission))
    code = code_store(home) / record["code"]
    return script.load(code, code / record["script"], found.name).fit, attempt.folder
