"""What a submit asks of a search: how many trials there are, what suggests their arguments, and which of the
trials that are finished its ranges no longer have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neurofit.errors import MissingExtra, UsageError, is_installed
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import RegisteredRun
from neurofit.store.registry import Registry
from neurofit.store.suggestions import read_suggestion, with_suggestion
from neurofit.suggestions.known import Memory
from neurofit.suggestions.suggesting import REMEDIES, inside
from neurofit.text import command, count

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
    registered = [
        run.trial
        for run in registry.runs.values()
        if run.trial is not None and run.group in experiment.searches
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


def with_suggestions(files: ExperimentFiles, registry: Registry, runs: Iterable[Run]) -> list[Run]:
    """The runs; trials with the arguments that were suggested for them, where they were."""
    found = []
    for run in runs:
        entry = registry.runs.get(run.registered_number) if run.trial is not None else None
        if entry is not None:
            entry = with_suggestion(files, entry)
            run = replace(run, architecture=entry.architecture, params=entry.params, derived=entry.derived)
        found.append(run)
    return found


def check_sampler(search: Search) -> None:
    """Raise MissingExtra if nodes would lack what suggests arguments, as far as this host tells."""
    for name in _NEEDED.get(search.sampler, ()):
        if not is_installed(name):
            raise MissingExtra(
                f"The sampler '{search.sampler}' of a search needs {name}, which is not installed: "
                f'{REMEDIES[name]()}. Or search with sampler="random" or "qmc", which need nothing more.',
                name=name,
            )


def outside(files: ExperimentFiles, experiment: Experiment) -> int:
    """How many finished trials lie outside the ranges that the script has now, so that no suggestion uses them."""
    if experiment.search is None:
        return 0
    search = replace(experiment.search, pruner=None)  # histories are not needed
    memory, found = Memory(files), 0
    for group, base in experiment.searches.items():
        trials = memory.trials(search, group, experiment.repetitions)
        finished = [trial for trial in trials if trial.state != "open"]
        found += len(finished) - len(inside(search, base.params, finished))
    return found


def outside_sentence(number: int) -> str:
    """What becomes of finished trials outside the ranges; empty if there are none."""
    if not number:
        return ""
    verb = "lies" if number == 1 else "lie"
    return (
        f"{count(number, 'finished trial')} {verb} outside the ranges that the script has now: kept, shown, not used "
        "for suggestions."
    )


def sentence(record: Mapping[str, Any]) -> str:
    """What is searched for and how: 'Search for the highest validation/correlation: sampler tpe, …'.

    Parameters
    ----------
    record : mapping
        From `summary`.
    """
    what = "Search" if record["searches"] == 1 else f"{record['searches']:,} searches"
    most = "highest" if record["direction"] == "maximize" else "lowest"
    pruner = f", pruner {record['pruner']}" if record["pruner"] else ""
    return (
        f"{what} for the {most} {record['metric']}: sampler {record['sampler']}{pruner}, at most "
        f"{record['at_once']:,} at a time (at_once)."
    )


def summary(experiment: Experiment) -> dict[str, Any] | None:
    """What is searched for and how, as `show --json` and `submit --dry-run --json` print it."""
    search = experiment.search
    if search is None:
        return None
    return {
        "arguments": search.described(),
        "trials": search.trials,
        "searches": len(experiment.searches),
        "metric": search.metric,
        "direction": search.direction,
        "sampler": search.sampler,
        "pruner": search.pruner,
        "at_once": search.at_once,
    }
