"""The numbers in the picture of a search: values by trial, the best so far, importances, and where trials lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.errors import UsageError
from neurofit.experiments import scripts
from neurofit.experiments.grid.params import canonical
from neurofit.experiments.grid.search import Choices
from neurofit.experiments.selector import parse, where as condition
from neurofit.status.experiment_status import read_status
from neurofit.study import Study
from neurofit.suggestions.axes import Axis, axes
from neurofit.suggestions.importances import NoImportances, importances
from neurofit.suggestions.point_searches import PointSearch, SearchedTrial, point_searches
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment

MOST_SEARCHES = 4  # in one picture
_FAR = (
    4.0  # times the distance from the best value to the upper quartile: values beyond are drawn at the edge
)


@dataclass(frozen=True)
class SearchNumbers:
    """What is drawn of the search of one point of the grid.

    Parameters
    ----------
    point : PointSearch
    axes : list of Axis
        The arguments, over all trials that have some.
    importances : dict of str to float
        By the name of the axis; empty if there are none.
    no_importances : str
        Why there are none.
    """

    point: PointSearch
    axes: list[Axis]
    importances: dict[str, float] = field(default_factory=dict)
    no_importances: str = ""

    @property
    def label(self) -> str:
        return self.point.label

    @property
    def metric(self) -> str:
        return self.point.search.metric

    @property
    def maximizes(self) -> bool:
        return self.point.search.maximizes

    def finished(self) -> list[SearchedTrial]:
        """The trials with a value, by number."""
        return [one for one in self.point.trials if one.score is not None]

    def numbers(self, state: str) -> list[int]:
        """The trials in a state; one that is done without a finite value has failed."""
        return [
            one.number
            for one in self.point.trials
            if one.known.state == state
            or (state == "failed" and one.known.state == "done" and one.score is None)
        ]

    def values(self) -> np.ndarray:
        """The value of each finished trial, by number."""
        return np.array([one.score for one in self.finished()], float)

    def best(self) -> SearchedTrial | None:
        ordered = self.point.best_first()
        return ordered[0] if ordered else None

    def best_so_far(self) -> np.ndarray:
        """The best value of the finished trials up to each."""
        accumulate = np.maximum if self.maximizes else np.minimum
        return accumulate.accumulate(self.values())

    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value to draw: the worst ones may lie far away, and would squeeze the others."""
        values = self.values()
        best, worst = (values.max(), values.min()) if self.maximizes else (values.min(), values.max())
        quartile = np.percentile(values, 25 if self.maximizes else 75)
        if abs(worst - best) > _FAR * abs(quartile - best) > 0:
            far = best + _FAR / 2 * (quartile - best)
            inside = values[(values >= far) if self.maximizes else (values <= far)]
            worst = inside.min() if self.maximizes else inside.max()
        return (float(worst), float(best)) if self.maximizes else (float(best), float(worst))


def share(axis: Axis, value: Any) -> float:
    """Where a value lies on its axis, from 0 to 1."""
    if isinstance(axis.range, Choices):
        last = len(axis.range.values) - 1
        return place(axis, value) / last if last else 0.5
    low, high, value = (float(one) for one in (axis.range.low, axis.range.high, value))
    if low == high:
        return 0.5
    if axis.is_log:
        low, high, value = np.log([low, high, value])
    return float((value - low) / (high - low))


def place(axis: Axis, value: Any) -> int:
    """The place of a value in the list of its axis."""
    assert isinstance(axis.range, Choices)  # callers have looked
    return axis.range.texts.index(canonical(value))


def search_numbers(study: Study, selector: str, where: str | None = None) -> list[SearchNumbers]:
    """The numbers of each search of an experiment, whose script is loaded.

    Parameters
    ----------
    where : str, optional
        A condition on arguments: trials that do not meet it are left out.

    Raises
    ------
    UsageError
        The selector names tasks, the experiment has no search, no trial is finished, or there are too many searches.
    """
    selection = parse(selector)
    if selection.runs or selection.repetitions or selection.best:
        raise UsageError(
            f"--what search draws a search as a whole: write {selection.experiment} instead of {selector}. --where "
            "selects among its trials."
        )
    entry = scripts.find(study, selection.experiment)
    experiment = scripts.load(study, entry.path, entry.name)
    if experiment.search is None:
        raise UsageError(
            f"--what search: {experiment.name} has no search; grid=nf.search(…) in its script makes one. Other "
            f"pictures of a grid are listed by `{command('plot', help=True)}`."
        )
    status = read_status(study, experiment.name)
    repetitions = status.repetitions or experiment.repetitions
    points = point_searches(experiment, status.files, status.registry, repetitions)
    if where is not None:
        meets = condition(where, _names(experiment))
        points = [point.that_meet(meets) for point in points]
    found = [point for point in points if point.best_first()]
    if not found:
        narrowed = " that meets --where" if where is not None else ""
        raise UsageError(
            f"No trial of {experiment.name}{narrowed} is finished. `{command('status', experiment.name)}` shows their "
            "states."
        )
    if len(found) > MOST_SEARCHES:
        name, value = next(iter(found[0].given.items()))
        one = command("plot", experiment.name, what="search", where=f"{name} == {value!r}")
        raise UsageError(
            f"{experiment.name} has {len(found)} searches, one for each point of its grid, and one picture shows at "
            f"most {MOST_SEARCHES}. Choose some of them with --where: `{one}`."
        )
    return [_numbers(point) for point in found]


def _names(experiment: Experiment) -> dict[str, None]:
    names = [name for run in experiment.runs() for name in run.arguments]
    return dict.fromkeys(["architecture", *names, *experiment.grid.names])


def _numbers(point: PointSearch) -> SearchNumbers:
    found = axes(point.search, point.given, [one.known for one in point.trials])
    try:
        return SearchNumbers(point, found, importances(point, found))
    except NoImportances as reason:
        return SearchNumbers(point, found, no_importances=str(reason))


def facts(searches: Sequence[SearchNumbers]) -> dict[str, Any]:
    """All numbers, as JSON."""
    return {
        "what": "search",
        "metric": searches[0].metric,
        "direction": searches[0].point.search.direction,
        "searches": [_facts(one) for one in searches],
    }


def _facts(one: SearchNumbers) -> dict[str, Any]:
    best = one.best()
    so_far = dict(zip((trial.number for trial in one.finished()), one.best_so_far().tolist()))
    return {
        "point": one.point.given,
        "trials": [
            {
                "trial": trial.number,
                "run": trial.run,
                "state": trial.known.state,
                "value": trial.score,
                "best_so_far": so_far.get(trial.number),
                "arguments": trial.known.values,
            }
            for trial in one.point.trials
        ],
        "best_run": best.run if best else None,
        "importances": one.importances or None,
        "no_importances": one.no_importances or None,
    }
