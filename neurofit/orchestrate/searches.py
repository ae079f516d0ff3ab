"""What a submit asks of a search: how many trials there are, and what suggests their arguments."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

from neurofit.errors import MissingExtra, UsageError, install
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import RegisteredRun
from neurofit.store.registry import Registry
from neurofit.store.suggestions import read_suggestion
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment, Run
    from neurofit.experiments.grid.search import Search

_NEEDED = {"tpe": ("optuna",), "cmaes": ("optuna", "cmaes"), "gp": ("optuna", "torch")}  # sampler → packages


def with_trials(experiment: Experiment, registry: Registry, asked: int | None) -> Experiment:
    """The experiment with as many trials as are asked for, and never fewer than are registered.

    Parameters
    ----------
    asked : int or None
        From `submit --trials`. None: what the script says.

    Raises
    ------
    UsageError
        A number is asked for, and the experiment has no search, or already more trials.
    """
    search = experiment.search
    if search is None:
        if asked is not None:
            raise UsageError(
                f"--trials {asked} is for a search, and the grid of {experiment.name} has none: "
                "grid=nf.search(…) in its script makes it one."
            )
        return experiment
    groups = {run.group for run in experiment.runs() if run.group is not None}
    registered = [
        run.trial for run in registry.runs.values() if run.trial is not None and run.group in groups
    ]
    before = max(registered, default=-1) + 1
    if asked is not None and asked < before:
        raise UsageError(
            f"--trials {asked}: {experiment.name} has {before} trials already, and a trial keeps its number. Give "
            f"{before} or more; `{command('cancel', experiment.name)}` ends those that wait."
        )
    trials = max(before, asked if asked is not None else search.trials)
    return experiment if trials == search.trials else experiment.with_trials(trials)


def with_suggested(experiment: Experiment, files: ExperimentFiles, run: Run) -> Run:
    """A trial as an ordinary run with all its arguments, without a number; any other run as it is.

    Raises
    ------
    UsageError
        The trial has no arguments yet.
    GridError
        The fit does not take them any more.
    """
    if run.trial is None:
        return run
    registered = RegisteredRun(run.registered_number, run.id, run.architecture, run.params, run.derived)
    suggestion = read_suggestion(files, registered)
    if suggestion is None:
        raise UsageError(
            f"Run {run.number} of {experiment.name} is a trial of a search that has not started, so it has no "
            f"arguments to change. `{command('submit', experiment.name)}` starts it."
        )
    return replace(experiment.suggested(run, suggestion.values), number=None, trial=None, group=None)


def check_sampler(search: Search) -> None:
    """Raise MissingExtra if nodes would lack what suggests arguments, as far as this host tells."""
    needed = [*_NEEDED.get(search.sampler, ()), *(["optuna"] if search.pruner else [])]
    for name in needed:
        if importlib.util.find_spec(name) is None:
            what = (
                f"The pruner '{search.pruner}'"
                if search.sampler not in _NEEDED
                else f"The sampler '{search.sampler}'"
            )
            raise MissingExtra(
                f"{what} of a search needs {name}, which is not installed: {install('search')}. Or search with "
                'sampler="random" or "qmc", which need nothing more.',
                name=name,
            )
