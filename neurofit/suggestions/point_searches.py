"""The searches of an experiment, one for each point of its grid, with what is known of their trials."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.experiment import Experiment, Run
from neurofit.experiments.grid.params import short
from neurofit.experiments.grid.search import Search
from neurofit.store.layout import ExperimentFiles
from neurofit.store.registry import Registry
from neurofit.suggestions.known import Memory
from neurofit.suggestions.trial import KnownTrial


@dataclass(frozen=True)
class SearchedTrial:
    """A trial that has arguments, and the number of its run.

    Parameters
    ----------
    run : int
    known : KnownTrial
    arguments : dict
        All arguments: the grid point's, the suggested ones, and those derived from them.
    """

    run: int
    known: KnownTrial
    arguments: dict[str, Any]

    @property
    def number(self) -> int:
        return self.known.number

    @property
    def score(self) -> float | None:
        """The value of a trial that is done and has a finite one."""
        value = self.known.value if self.known.state == "done" else None
        return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class PointSearch:
    """The search of one point of the grid.

    Parameters
    ----------
    search : Search
    label : str
        The arguments that tell the point from the others, 'kind=a'; empty if the grid has a single point.
    base : Run
        A trial of the script.
    runs : dict of int to int
        The number of a trial → that of its run, of all registered trials.
    trials : tuple of SearchedTrial
        Those that have arguments, by number.
    """

    search: Search
    label: str
    base: Run
    runs: dict[int, int]
    trials: tuple[SearchedTrial, ...]

    @property
    def given(self) -> dict[str, Any]:
        """The arguments of the grid's point."""
        return self.base.params

    def best_first(self) -> list[SearchedTrial]:
        """The finished trials with a value; of equals, the first trial comes first."""
        finished = [one for one in self.trials if one.score is not None]
        sign = -1.0 if self.search.maximizes else 1.0
        return sorted(finished, key=lambda one: (sign * (one.score or 0.0), one.number))

    def counts(self) -> Counter[str]:
        """How many trials are finished, pruned, failed, open or new; one that is done without a number failed."""
        counts = Counter({"new": len(self.runs) - len(self.trials)})
        for one in self.trials:
            is_void = one.known.state == "done" and one.score is None
            counts["failed" if is_void else "finished" if one.known.state == "done" else one.known.state] += 1
        return counts

    def that_meet(self, condition: Callable[[dict[str, Any]], bool]) -> PointSearch:
        """With the trials alone whose arguments meet a condition."""
        kept = tuple(
            one for one in self.trials if condition({"architecture": self.base.architecture, **one.arguments})
        )
        numbers = {one.number for one in kept}
        return replace(self, trials=kept, runs={n: run for n, run in self.runs.items() if n in numbers})


def point_searches(
    experiment: Experiment,
    files: ExperimentFiles,
    registry: Registry,
    repetitions: int,
    *,
    histories: bool = False,
) -> list[PointSearch]:
    """The searches of an experiment, in the order of its grid.

    Parameters
    ----------
    experiment : Experiment
        As loaded from its script; it has a search.
    repetitions : int
        Over which the value of a trial is a mean.
    histories : bool
        Whether to read the metric at each step that the fits have logged, also if nothing is pruned.
    """
    search = experiment.search
    assert search is not None  # the caller has looked
    told = replace(search, pruner=search.pruner or "median") if histories else search
    memory = Memory(files)
    bases = experiment.searches
    runs: dict[str, dict[int, int]] = {}
    for entry in registry.runs.values():
        if entry.group in bases and entry.trial is not None:
            runs.setdefault(entry.group, {})[entry.trial] = entry.number
    labels = _labels({group: run.params for group, run in bases.items()})
    found = []
    for group, base in bases.items():
        numbers = dict(sorted(runs.get(group, {}).items()))
        trials = tuple(
            SearchedTrial(numbers[one.number], one, _arguments(experiment, base, one.values))
            for one in memory.trials(told, group, repetitions)
            if one.number in numbers
        )
        found.append(PointSearch(search, labels[group], base, numbers, trials))
    return found


def _arguments(experiment: Experiment, base: Run, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return experiment.suggested(base, values).arguments
    except GridError:  # the fit was edited since, and takes them no more
        return {**base.params, **values}


def _labels(points: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Group → the arguments in which its point differs from others."""
    names = dict.fromkeys(name for params in points.values() for name in params)
    differing = [
        name for name in names if len({repr(params.get(name, ...)) for params in points.values()}) > 1
    ]
    return {
        group: ", ".join(f"{name}={short(params[name])}" for name in differing if name in params)
        for group, params in points.items()
    }
