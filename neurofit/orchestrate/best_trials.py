"""The best trials of a search, and their confirmation: the same arguments with seeds that the search has not used.

A confirmation is a run off the grid, with an id of the ordinary kind: it is known by its arguments, so that a trial
that is confirmed once keeps its run whatever the search finds later.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from neurofit import t_interval
from neurofit.errors import GridError, StoreError, UsageError
from neurofit.experiments import scripts
from neurofit.experiments.selector import Range, Selection
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.layout import ExperimentFiles
from neurofit.store.registry import read_registry
from neurofit.store.state import ACTIVE, State
from neurofit.study import Study
from neurofit.suggestions.point_searches import PointSearch, SearchedTrial, point_searches
from neurofit.tables.intervals import FOLDS, replication
from neurofit.tables.rows import read_rows
from neurofit.tables.trials import searched_for
from neurofit.text import command, count

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment, Run

REPETITIONS = 10  # of a confirmation
Condition = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Confirmed:
    """What the confirmation of a trial has found.

    Parameters
    ----------
    run : int
    states : Counter of State
        Of its tasks.
    done : int
        Tasks that have the metric.
    mean : float or None
        Of the search's metric over these.
    half_width : float or None
        Of the interval of the mean, at 95 %; None if there is none.
    """

    run: int
    states: Counter[State]
    done: int
    mean: float | None
    half_width: float | None


@dataclass(frozen=True)
class BestTrial:
    """A trial among the best of its search, from rank 1."""

    rank: int
    trial: SearchedTrial
    value: float
    repetitions: int
    confirmed: Confirmed | None


@dataclass(frozen=True)
class BestOfSearch:
    """The best trials of the search of one point of the grid; none if none is finished."""

    point: PointSearch
    best: list[BestTrial]


@dataclass(frozen=True)
class Confirmation:
    """What `submit --best` covers: the runs, and the repetitions of each."""

    runs: list[Run]
    first: int
    repetitions: int

    def keys(self) -> list[tuple[int, int]]:
        numbers = range(self.first, self.first + self.repetitions)
        return [(run.registered_number, repetition) for run in self.runs for repetition in numbers]


def best_trials(
    experiment: Experiment, status: ExperimentStatus, top: int, condition: Condition | None = None
) -> list[BestOfSearch]:
    """The best trials of each search of an experiment, and what their confirmations have found.

    Raises
    ------
    UsageError
        The experiment has no search, or no trial meets the condition.
    """
    points = _points(experiment, status, condition)
    known = {run.id: run.number for run in status.registry.runs.values() if run.trial is None}
    ranked = [(point, point.best_first()[:top]) for point in points]
    numbers: dict[tuple[str | None, int], int] = {}  # group and trial → run
    for point, trials in ranked:
        for trial in trials:
            number = known.get(_id_of_repeated(experiment, point, trial) or "")
            if number is not None:
                numbers[point.base.group, trial.number] = number
    confirmed = _confirmed(experiment, status, sorted(set(numbers.values())))
    repetitions = _searched_repetitions(experiment, status)
    found = []
    for point, trials in ranked:
        best = []
        for rank, trial in enumerate(trials, start=1):
            assert trial.score is not None  # it is finished
            run = numbers.get((point.base.group, trial.number))
            best.append(
                BestTrial(rank, trial, trial.score, repetitions, None if run is None else confirmed.get(run))
            )
        found.append(BestOfSearch(point, best))
    return found


def confirmation(
    experiment: Experiment,
    status: ExperimentStatus,
    best: int,
    repetitions: int | None,
    grid: Sequence[Run],
    condition: Condition | None = None,
) -> Confirmation:
    """The best trials of each search as runs off the grid, with repetitions that the search has not used.

    Parameters
    ----------
    best : int
        How many trials of each search; trials with identical arguments are one.
    repetitions : int, optional
        Of each; by default, 10.
    grid : sequence of Run
        All runs of the grid, with their registered numbers.

    Raises
    ------
    UsageError
        There is no search, fewer trials are finished, or there are no other seeds.
    """
    if experiment.split_by == "fold" and experiment.search is not None:
        raise UsageError(
            f"--best {best}: each repetition of {experiment.name} is a fold of the data (split_by='fold'), and the "
            "search has used all folds, so none is left to confirm its best trials with."
        )
    registry = status.registry
    known = {run.id: run.number for run in reversed(registry.runs.values()) if run.trial is None}
    free = max([run.registered_number for run in grid] + list(registry.runs)) + 1
    found: dict[str, Run] = {}
    for point in _points(experiment, status, condition):
        trials = point.best_first()
        of_point: dict[str, Run] = {}
        for trial in trials:
            if len(of_point) == best:
                break
            run = _repeated(experiment, point, trial)
            of_point.setdefault(run.id, run)
        if len(of_point) < best:
            raise UsageError(_too_few(experiment.name, point, best, len(of_point)))
        for run in of_point.values():
            if run.id not in found:
                found[run.id] = replace(run, number=known.get(run.id, free))
                free += run.id not in known
    runs = sorted(found.values(), key=lambda run: run.registered_number)
    return Confirmation(runs, _first_unused(experiment, status), repetitions or REPETITIONS)


def searches(study: Study) -> list[dict[str, Any]]:
    """The experiments whose submitted runs are trials of a search, as JSON records; no script is loaded."""
    found = []
    for entry in scripts.discover(study):
        files = ExperimentFiles(study, entry.name)
        try:
            trials = [run for run in read_registry(files.registry).runs.values() if run.trial is not None]
        except StoreError:
            continue  # `status` names the damaged file
        if not trials:
            continue
        status = read_status(study, entry.name, asking=False)
        target = searched_for(status)
        over = (State.DONE, State.FAILED)
        ended = {run for (run, _), task in status.tasks.items() if task.state in over}
        found.append(
            {
                "experiment": entry.name,
                "searches": len({run.group for run in trials}),
                "trials": len(trials),
                "ended": sum(run.number in ended for run in trials),
                "metric": target.metric if target else None,
                "direction": None if target is None else "maximize" if target.maximizes else "minimize",
            }
        )
    return found


def must_have_search(experiment: Experiment) -> None:
    """Raise UsageError if the grid of an experiment has no search."""
    if experiment.search is None:
        raise UsageError(
            f"{experiment.name} has no search: grid=nf.search(…) in its script makes one. "
            f"`{command('results', f'{experiment.name}:best')}` shows the best run of a grid."
        )


def _points(
    experiment: Experiment, status: ExperimentStatus, condition: Condition | None
) -> list[PointSearch]:
    must_have_search(experiment)
    repetitions = _searched_repetitions(experiment, status)
    points = point_searches(experiment, status.files, status.registry, repetitions)
    if condition is None:
        return points
    points = [kept for point in points if (kept := point.that_meet(condition)).trials]
    if not points:
        raise UsageError(f"No trial of {experiment.name} that has its arguments meets --where.")
    return points


def _too_few(name: str, point: PointSearch, best: int, distinct: int) -> str:
    of_point = f" at {point.label}" if point.label else ""
    if not distinct:
        return (
            f"--best {best}: no trial of {name}{of_point} is finished. `{command('status', name)}` shows what "
            f"they wait for; `{command('submit', name)}` queues what is missing."
        )
    finished = count(distinct, "trial")
    if len(point.best_first()) > distinct:
        finished += " with different arguments"
    return (
        f"--best {best}: only {finished} of {name}{of_point} {'is' if distinct == 1 else 'are'} finished. Write "
        f"--best {distinct}, or wait for more."
    )


def _searched_repetitions(experiment: Experiment, status: ExperimentStatus) -> int:
    """Over how many repetitions the value of a trial is a mean: as the newest submit of the search asked for."""
    return status.repetitions or experiment.repetitions


def _first_unused(experiment: Experiment, status: ExperimentStatus) -> int:
    """The first repetition that no trial has ever been given."""
    trials = {number for number, run in status.registry.runs.items() if run.trial is not None}
    used = max((repetition for run, repetition in status.tasks if run in trials), default=-1) + 1
    return max(used, _searched_repetitions(experiment, status))


def _repeated(experiment: Experiment, point: PointSearch, trial: SearchedTrial) -> Run:
    """A trial as an ordinary run, without a number.

    Raises
    ------
    GridError
        The fit does not take these arguments any more.
    """
    full = experiment.suggested(point.base, trial.known.values)
    return replace(experiment.restored(trial.run, full.params, full.derived), number=None)


def _id_of_repeated(experiment: Experiment, point: PointSearch, trial: SearchedTrial) -> str | None:
    try:
        return _repeated(experiment, point, trial).id
    except GridError:
        return None


def _confirmed(experiment: Experiment, status: ExperimentStatus, runs: Sequence[int]) -> dict[int, Confirmed]:
    """Run → what its repetitions have found that the search has not used."""
    if not runs:
        return {}
    assert experiment.search is not None  # the caller has looked
    metric, first = experiment.search.metric, _first_unused(experiment, status)
    selection = Selection(experiment.name, tuple(Range(run, run) for run in runs))
    rows = [row for row in read_rows(status, selection) if row["repetition"] >= first]
    found = {}
    for run in runs:
        own = [row for row in rows if row["run"] == run]
        if not own:
            continue
        done = [row for row in own if metric in row["metrics"]]
        numbers = [float(row["metrics"][metric]) for row in done]
        states = Counter(State(row["state"]) for row in own)
        mean, half = _interval(numbers, done, metric)
        found[run] = Confirmed(run, states, len(numbers), mean, half)
    return found


def _interval(numbers: list[float], rows: Sequence[Any], metric: str) -> tuple[float | None, float | None]:
    import numpy as np  # not on the way to --help

    if not numbers:
        return None, None
    mean = float(np.mean(numbers))
    varies = replication(rows, metric)
    if len(numbers) < 2 or varies.kind == FOLDS:
        return mean, None
    half = float(t_interval.half_width(np.std(numbers, ddof=1), len(numbers), varies.ratio))
    return mean, half if math.isfinite(half) else None


def waits(confirmed: Confirmed) -> int:
    """How many tasks of a confirmation are queued or running."""
    return sum(confirmed.states[state] for state in ACTIVE)
