"""Finished tasks as Python objects, loaded by the code as it was submitted: models, views, ensembles, folders."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit import study as studies, unpacked
from neurofit.errors import NameUnknown, UsageError, nearest
from neurofit.experiments import scripts
from neurofit.experiments.fits import FitAdapter
from neurofit.experiments.selector import parse
from neurofit.files import to_json
from neurofit.protocols import PredictedResponses
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.layout import AttemptFiles, code_store
from neurofit.store.records import Outcome
from neurofit.store.submissions import TaskKey, read_submission
from neurofit.structure import read_record
from neurofit.tables.query import experiment_name
from neurofit.text import command


@dataclass(frozen=True)
class Result:
    """The attempt of a finished task whose result counts."""

    repetition: int
    files: AttemptFiles
    submission: str


def load(selector: str, *, best_by: str | None = None, study: Path | str | None = None) -> Any:
    """Load the model of one finished task, such as `neurofit.load("exp3:17/3")`.

    Parameters
    ----------
    selector : str
        Selector of a single task, such as "exp3:17/3" or "exp3:best/0".
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    object
        For `neurofit.models.Fit`, `LinearFit` and `MapFit` a `models.loaded.LoadedModel`: its `predict` takes raw
        images, and its `model` is the Keras model, the `Ridge` or the `SavedMap`. For other fits, what their
        `load(folder)` returns.

    Raises
    ------
    UsageError
        The selector means several tasks, or the fit has no `load`.
    NameUnknown
        There is no such task, or it is not done.
    """
    home, fit, folder = _finished(selector, study, best_by)
    if fit.loaded is None:
        raise UsageError(
            f"The fit of {parse(selector).experiment} has no method load(folder). Its files are in {folder}."
        )
    return fit.loaded(folder, home.root)


def predict(
    selector: str, data: Any, *, best_by: str | None = None, study: Path | str | None = None
) -> PredictedResponses:
    """Predict the responses of one finished task's model to other images.

    The images are scaled with the numbers of the training set of that task, and the model is rebuilt by the code
    as it was submitted.

    Parameters
    ----------
    selector : str
        Selector of a single task, such as "exp3:17/3" or "exp3:best/0".
    data : str, Dataset, StimulusSet, ndarray, or mapping of str to ndarray
        The name of a data set, with "/train" or "/test" for a part of an official split; the path of a .npy or
        .npz file with images, relative to the study; a data set; or arrays, (image, …), by input.
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    Predictions
        `values` (image, neuron) in the units of the recordings, `image_id` (image,) and `neurons`, a name of
        each neuron.

    Raises
    ------
    UsageError
        The selector means several tasks, or the fit has no `predict`.
    NameUnknown
        There is no such task, it is not done, or there is no such data set.
    DataError
        The images cannot be read, or do not have the shape that the model takes.
    """
    home, fit, folder = _finished(selector, study, best_by)
    if fit.predict is None:
        raise UsageError(
            f"The fit of {parse(selector).experiment} has no method predict(folder, data, study). "
            f"Its files are in {folder}."
        )
    return fit.predict(folder, data, home.root)


def folder(selector: str, *, best_by: str | None = None, study: Path | str | None = None) -> Path:
    """Find the folder with the files of one finished task: a copy, for reading, if `neurofit pack` packed them.

    Parameters
    ----------
    selector : str
        Selector of a single task, such as "exp3:17/3" or "exp3:best/0".
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    UsageError
        The selector means several tasks.
    NameUnknown
        There is no such task, or it is not done.
    """
    return _finished(selector, study, best_by)[2]


def view(
    selector: str,
    name: str,
    *,
    neurons: Any = None,
    best_by: str | None = None,
    study: Path | str | None = None,
) -> list[dict[str, Any]]:
    """Compute the panels of one view of a finished task's model.

    Parameters
    ----------
    selector : str
        Selector of a single task, such as "exp3:17/3" or "exp3:best/0".
    name : str
        One of the `views` of the fit.
    neurons : sequence of int, optional
        Indices of the neurons to show. Default: chosen by the fit.
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    list of dict
        What `view(folder, name, neurons)` of the fit returns.

    Raises
    ------
    UsageError
        The selector means several tasks, or the fit has no such view.
    NameUnknown
        There is no such task, or it is not done.
    """
    _, fit, folder = _finished(selector, study, best_by)
    known = fit.views
    if name not in known or fit.view is None:
        there = f"Its views are: {', '.join(known)}." if known else "It has no views of its models."
        raise UsageError(f"The fit of '{selector}' has no view '{name}'.{nearest(name, known)} {there}")
    return fit.view(folder, name, neurons)


def ensemble(selector: str, *, best_by: str | None = None, study: Path | str | None = None) -> Any:
    """Load the finished repetitions of one run as one model that predicts their mean.

    Parameters
    ----------
    selector : str
        Selector of one run, such as "exp3:17", or of some of its repetitions, such as "exp3:17/0-4".
        Repetitions that are not done are left out.
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    object
        What `ensemble(folders)` of the fit returns; for `nf.models.Fit`, see `models.ensembles`.

    Raises
    ------
    UsageError
        The selector means several runs, fewer than two repetitions are done, they were done with different
        defaults or splits, or the fit has no `ensemble`.

    Warns
    -----
    UserWarning
        Repetitions were done with different code or data.
    """
    home, status, keys = _select(selector, study, best_by)
    runs = list(dict.fromkeys(number for number, _ in keys))
    if len(runs) > 1:
        raise UsageError(
            f"'{selector}' means {len(runs)} runs; an ensemble needs a single run, such as "
            f"{status.name}:{runs[0]}."
        )
    if not keys:
        raise UsageError(
            f"'{selector}': there are no such tasks; an ensemble needs at least two that are done. "
            f"`{command('status', status.name)}` shows which there are."
        )
    done = [result for key in keys if (result := _result(status, key))]
    if len(done) < 2:
        raise UsageError(
            f"'{selector}': {len(done)} repetitions are done; an ensemble needs at least two. "
            f"`{command('status', selector)}` shows their states."
        )
    fit = _submitted_fit(home, status, done[-1])
    if fit.ensemble is None:
        raise UsageError(f"The fit of {status.name} has no method ensemble(folders).")
    _check_comparable(
        selector, {result.repetition: read_record(result.files.outcome, Outcome) for result in done}
    )
    return fit.ensemble([unpacked.folder(result.files.folder) for result in done])


def _check_comparable(selector: str, outcomes: dict[int, Outcome]) -> None:
    """Raise UsageError if defaults differ between repetitions; warn if code or data differ."""
    from neurofit.tables.rows import values
    from neurofit.tables.table import describe_differences  # loads pandas

    by_defaults: dict[str, list[int]] = {}
    for repetition, outcome in outcomes.items():
        by_defaults.setdefault(to_json(outcome.defaults or {}), []).append(repetition)
    if len(by_defaults) > 1:
        listed = "; ".join(
            f"repetitions {', '.join(map(str, repetitions))}: {defaults}"
            for defaults, repetitions in by_defaults.items()
        )
        largest = max(by_defaults.values(), key=len)
        raise UsageError(
            f"'{selector}': its repetitions were done with different defaults ({listed}). Select repetitions "
            f"with the same defaults, such as {selector.partition('/')[0]}/{','.join(map(str, largest))}."
        )
    if differences := describe_differences([values(outcome) for outcome in outcomes.values()]):
        warnings.warn(f"The repetitions in the ensemble of '{selector}' differ: {differences}.", stacklevel=3)


def _finished(
    selector: str, study: Path | str | None, best_by: str | None
) -> tuple[studies.Study, FitAdapter, Path]:
    """The study, the fit of one finished task by the code as it was submitted, and the folder of its attempt."""
    home, status, keys = _select(selector, study, best_by)
    if len(keys) > 1:
        single = "{}/{}".format(*keys[0])
        raise UsageError(
            f"'{selector}' means {len(keys)} tasks; select a single one, such as {status.name}:{single}."
        )
    result = _result(status, keys[0]) if keys else None
    if result is None:
        problem = f"the task is {status.of(keys[0]).state}" if keys else "there is no such task"
        shown = command("status", selector if keys else status.name)
        raise NameUnknown(f"'{selector}' cannot be loaded: {problem}. `{shown}` shows which tasks are done.")
    return home, _submitted_fit(home, status, result), unpacked.folder(result.files.folder)


def _select(
    selector: str, study: Path | str | None, best_by: str | None
) -> tuple[studies.Study, ExperimentStatus, list[TaskKey]]:
    home = studies.find(Path(study) if study else Path.cwd())
    selection = parse(selector)
    status = read_status(home, experiment_name(home, selection.experiment))
    if selection.best or best_by is not None:
        from neurofit.tables.best import resolved_selection  # loads pandas

        selection, _ = resolved_selection(selection, status, best_by)
    numbers = list(status.registry.runs)
    return home, status, [key for key in status.all_keys() if selection.matches(*key, numbers)]


def _result(status: ExperimentStatus, key: TaskKey) -> Result | None:
    counted = status.of(key).counted
    if counted is None or counted.submission is None:
        return None
    run = status.registry.runs[key[0]]
    files = status.files.task(run.number, run.id, key[1]).attempt(counted.attempt)
    return Result(key[1], files, counted.submission)


def _submitted_fit(home: studies.Study, status: ExperimentStatus, result: Result) -> FitAdapter:
    record = read_submission(status.files.submission(result.submission))
    code = code_store(home) / record.code
    return scripts.load(code, code / record.script, status.name).adapter
