"""Which run is best: what `exp3:best` means.

A test metric never decides unless the user names it: whoever picks a run by its test scores cannot report them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from neurofit.errors import UsageError, nearest
from neurofit.experiments.selector import Selection
from neurofit.metric_names import deciding
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.tables.comparison import by_run, lower_by_name
from neurofit.tables.query import TaskQuery
from neurofit.tables.rows import read_rows
from neurofit.tables.table import TaskRow, is_model_score, metric_columns
from neurofit.tables.trials import is_counted, searched_for
from neurofit.text import command

_ELSEWHERE = " (--best-by in results, plot and report)"
_DIRECTIONS = {"min": True, "max": False}  # whether lower is better


@dataclass(frozen=True)
class Best:
    """The best run of an experiment, and why it is."""

    experiment: str
    run: int
    metric: str
    mean: float
    lower_is_better: bool
    repetitions: int  # that have the metric
    of: int  # repetitions of this run
    runs: int  # that were compared

    @property
    def sentence(self) -> str:
        """'exp3:best is exp3:17: mean validation/correlation 0.613, the highest of 12 runs.'"""
        extreme = "lowest" if self.lower_is_better else "highest"
        among = f"the {extreme} of {self.runs} runs" if self.runs > 1 else "the only run that has one"
        some = f" over {self.repetitions} of {self.of} repetitions" if self.repetitions < self.of else ""
        return (
            f"{self.experiment}:best is {self.experiment}:{self.run}: mean {self.metric} {self.mean:.4g}{some}, "
            f"{among}."
        )


def resolved(
    query: TaskQuery, status: ExperimentStatus, by: str | None = None
) -> tuple[TaskQuery, Best | None]:
    """The query with the best run in place of `best`, and that run; unchanged if it does not select `best`.

    Parameters
    ----------
    query : TaskQuery
        If it has a condition, the best of the runs that meet it is selected.
    by : str, optional
        The metric that decides; "min:M" or "max:M" also says which numbers are better.

    Raises
    ------
    UsageError
        No run is the best one, or `by` is given and the query does not select `best`.
    """
    selection, best = resolved_selection(query.selection, status, by, query.condition)
    return replace(query, selection=selection), best


def resolved_selection(
    selection: Selection, status: ExperimentStatus, by: str | None = None, condition: str | None = None
) -> tuple[Selection, Best | None]:
    """As `resolved`, of a selection."""
    if not selection.best:
        if by is not None:
            raise UsageError(
                f"The metric '{by}' chooses the best run, and the selector names no run 'best': write "
                f"{selection.experiment}:best."
            )
        return selection, None
    query = TaskQuery(status.name, Selection(status.name), condition=condition)
    matching = {number for number, _ in query.keys(status)} if condition is not None else None
    best = best_run(status, by, matching)
    return selection.of_run(best.run), best


def best_run(
    status: ExperimentStatus, by: str | None = None, matching: Collection[int] | None = None
) -> Best:
    """The best run of an experiment, as `best_of`; of a search by its own metric.

    Parameters
    ----------
    matching : collection of int, optional
        The runs to choose among. Default: all.
    """
    rows = [row for row in read_rows(status) if matching is None or row["run"] in matching]
    if by is None and (target := searched_for(status)) is not None:
        by = target.by
    return best_of(rows, status.name, by)


def best_of(rows: Iterable[TaskRow], name: str, by: str | None = None) -> Best:
    """The best of the runs on the grid: the best mean over repetitions that are done, and of equals the first.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of results, one per task.
    name : str
        The experiment, for messages.
    by : str, optional
        As in `resolved`. Default: a metric of the validation set.

    Raises
    ------
    UsageError
        No task of the grid is done, or the metric is unknown, has no numbers, or cannot be chosen.
    """
    every = list(rows)
    done = [row for row in every if is_counted(row)]
    on_grid = [row for row in done if row.get("on_grid") is not False]
    if not on_grid:
        off = f" on the grid ({len(done)} off the grid)" if done else ""
        raise UsageError(
            f"{name}:best: no task{off} is done yet. `{command('status', name)}` shows their states."
        )
    metric, lower = _metric_and_direction(on_grid, name, by)
    frame = by_run([row for row in every if row.get("on_grid") is not False])
    numbers = frame[f"{metric} mean"].tolist()
    counts = (frame[f"{metric} n"] if f"{metric} n" in frame else frame["repetitions"]).tolist()
    of = (frame["repetitions"] + frame["missing"]).tolist()
    # a run whose defaults have changed has several rows, the newest last
    newest = {run: index for index, run in enumerate(frame["run"].tolist())}
    means = {run: numbers[index] for run, index in sorted(newest.items())}
    known = {run: mean for run, mean in means.items() if mean == mean}
    if not known:
        raise UsageError(
            f"{name}:best: no task that is done has a number for '{metric}'. `{command('results', name)}` shows "
            "what there is."
        )
    run = (min if lower else max)(known, key=lambda one: known[one])  # of equals the first
    place = newest[run]
    return Best(name, run, metric, known[run], lower, counts[place], of[place], len(known))


def _metric_and_direction(rows: list[TaskRow], name: str, by: str | None) -> tuple[str, bool]:
    """The metric that decides, and whether lower numbers of it are better."""
    metrics = [metric for metric in metric_columns(rows) if is_model_score(metric)]
    prefix, colon, rest = (by or "").partition(":")
    lower = _DIRECTIONS.get(prefix) if colon and by not in metrics else None
    wanted = rest if lower is not None else by
    metric = _default(metrics, name) if wanted is None else wanted
    if metric not in metrics:
        raise UsageError(
            f"{name}:best: no task has a metric '{metric}'.{nearest(metric, metrics)} {_listed(metrics)}"
        )
    if lower is None:
        lower = lower_by_name(metric)
    if lower is None:
        raise UsageError(
            f"{name}:best: the name '{metric}' does not say whether lower or higher is better. Add --by "
            f"min:{metric} or --by max:{metric}{_ELSEWHERE}."
        )
    return metric, lower


def _default(metrics: list[str], name: str) -> str:
    """The metric of the validation set, or the only one that is of no known set."""
    found = deciding(metrics)
    if len(found) == 1:
        return found[0]
    problem = (
        f"there are {len(found)} metrics that could decide ({', '.join(found)})"
        if found
        else "no metric of a validation set decides, and test metrics are not used unless you name one"
    )
    raise UsageError(f"{name}:best: {problem}. Add --by METRIC{_ELSEWHERE}. {_listed(metrics)}")


def _listed(metrics: list[str]) -> str:
    return f"Metrics: {', '.join(metrics) or 'none'}."
