"""The tables of a report: one row per run, paired comparisons, and the tasks as CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neurofit.errors import UsageError, nearest
from neurofit.experiments.grid.params import short
from neurofit.report.pictures import RunScore, difference_pictures
from neurofit.report.svg import Svg
from neurofit.tables.formats import SPREAD, Sheet, render, sheet
from neurofit.tables.trials import is_counted
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.tables.table import TaskRow

Frame = Any  # a pandas.DataFrame, which only `tables/` may name

MOST_ROWS = 2000  # of the table by run
MOST_CELLS = 40_000  # of the table by run; columns that are not shown initially are left out
ALL_PAIRS = 6  # values of an axis of which all pairs are compared; of more, those with the best value
MOST_LEVELS = 40
MOST_SCORES = 2  # beside the metric that decides, shown initially
MOST_MISSING = 6  # seeds of a run, listed
MISSING = "missing seeds"
_OWN = (
    "experiment",
    "run",
    "id",
    "repetitions",
    "missing",
    MISSING,
    "on_grid",
    "interval",
    "varied",
    "mixed",
)


@dataclass(frozen=True)
class DecisiveMetric:
    """The metric by which runs are ordered and compared."""

    name: str
    lower_is_better: bool
    assumed: bool  # the name does not tell whether lower is better

    @property
    def better(self) -> str:
        word = "lower" if self.lower_is_better else "higher"
        return f"{word} is better, which its name does not tell" if self.assumed else f"{word} is better"


def decisive_metric(rows: list[TaskRow], wanted: str | None) -> DecisiveMetric | None:
    """The given metric, or the one that `results --compare` takes, or the first score; None if nothing is done.

    Raises
    ------
    UsageError
        No task has the given metric.
    """
    from neurofit.tables.comparison import lower_by_name, preferred_metric
    from neurofit.tables.table import is_model_score, metric_columns

    known = metric_columns([row for row in rows if row.get("state") == "done"])
    if wanted is not None and known and wanted not in known:
        raise UsageError(
            f"No task has a metric '{wanted}'.{nearest(wanted, known)} Metrics: {', '.join(known)}."
        )
    scores = list(filter(is_model_score, known)) or list(known)
    if not scores:
        return None
    name = wanted or preferred_metric(scores) or scores[0]
    lower = lower_by_name(name)
    return DecisiveMetric(name, bool(lower), lower is None)


@dataclass(frozen=True)
class TableColumn:
    """A column of the table by run."""

    name: str
    numeric: bool
    shown: bool  # initially


@dataclass(frozen=True)
class RunTable:
    """The table by run, best runs first.

    Parameters
    ----------
    columns : list of TableColumn
    rows : list of sequence of str
        The first MOST_ROWS.
    columns_left_out : int
        How many columns would make the table too large.
    constant : dict of str to str
        Columns that are the same in every row.
    runs : list of int or None
        Number of the run of each row, of all rows.
    scores : list of RunScore
        Of the decisive metric, of all rows; the mean is nan if no repetition is done.
    frame : pandas.DataFrame
        The numbers, of all rows.
    csv : str
        All rows and columns.
    """

    columns: list[TableColumn]
    rows: Sequence[Sequence[str]]
    columns_left_out: int
    constant: dict[str, str]
    runs: list[Any]
    scores: list[RunScore]
    varied: list[str]  # arguments with several values
    frame: Frame = field(repr=False)
    csv: str = field(repr=False)

    @property
    def total(self) -> int:
        return len(self.runs)

    @property
    def scored(self) -> list[int]:
        """Places of the rows with a score, best first."""
        return [place for place, one in enumerate(self.scores) if math.isfinite(one.mean)]

    def best_runs(self, most: int) -> list[Any]:
        """Numbers of the best runs, each once."""
        return list(dict.fromkeys(self.runs[place] for place in self.scored))[:most]


def run_table(rows: list[TaskRow], metric: DecisiveMetric | None) -> RunTable:
    """One row per run, the best first by the decisive metric."""
    from neurofit.tables.arrangement import arranged
    from neurofit.tables.comparison import by_run

    frame = by_run(rows)
    if metric is not None:
        frame = arranged(frame, sort=metric.name, lower_is_better=metric.lower_is_better)
    if "missing" in frame and frame["missing"].sum() and MISSING not in frame:
        frame.insert(list(frame).index("missing") + 1, MISSING, _missing_seeds(frame["run"].tolist(), rows))
    csv = render(frame, "csv")
    page = sheet(frame)
    settings = [name for name in _settings(frame) if name in {column.name for column in page.columns}]
    columns = _ordered(frame, page, settings, metric)
    hidden = [column for column in columns if not column.shown]
    room = MOST_CELLS // max(1, min(len(frame), MOST_ROWS)) - (len(columns) - len(hidden))
    left_out = {column.name for column in hidden[max(0, room) :]}
    columns = [column for column in columns if column.name not in left_out]
    cells = {column.name: column.cells for column in page.columns}
    varied = [name for name in settings if _differs(frame[name].tolist())]
    return RunTable(
        columns,
        list(zip(*(cells[column.name] for column in columns)))[:MOST_ROWS],
        len(left_out),
        {name: value for name, value in page.constant.items() if not _is_spread(name, frame)},
        frame["run"].tolist() if "run" in frame else [],
        _scores(frame, metric, varied),
        varied,
        frame,
        csv,
    )


def _settings(frame: Frame) -> list[str]:
    """The columns with arguments: those before the first metric, except the table's own."""
    names = [str(name) for name in frame]
    first = next((place for place, name in enumerate(names) if name in frame.attrs["scores"]), len(names))
    return [name for name in names[:first] if name not in _OWN]


def _ordered(
    frame: Frame, page: Sheet, settings: Sequence[str], metric: DecisiveMetric | None
) -> list[TableColumn]:
    """The columns, the decisive metric before the others, and which of them are shown initially."""
    scores = [one.name for one in page.columns if f"{one.name} mean" in frame.attrs["always"]]
    main = [metric.name] if metric else []
    others = [name for name in scores if name not in main][:MOST_SCORES]
    shown = {"run", "repetitions", MISSING, "mixed", *main, *others, *(settings if len(frame) > 1 else ())}
    before = {"experiment", "run", "id", "on_grid", *settings, "repetitions", "missing", MISSING}
    columns = [TableColumn(one.name, one.numeric, one.name in shown) for one in page.columns]
    return sorted(columns, key=lambda one: 0 if one.name in before else 1 if one.name in main else 2)


def _is_spread(name: str, frame: Frame) -> bool:
    """Whether a column is a part of a metric other than its mean."""
    stem, _, part = name.rpartition(" ")
    return part in SPREAD[1:] and f"{stem} mean" in frame


def _missing_seeds(runs: list[Any], rows: list[TaskRow]) -> list[str | None]:
    missing: dict[Any, list[int]] = {}
    for row in rows:
        if row.get("state") != "done":
            missing.setdefault(row["run"], []).append(row["repetition"])
    return [_listed(sorted(missing[run])) if run in missing else None for run in runs]


def _listed(seeds: list[int]) -> str:
    more = f" and {len(seeds) - MOST_MISSING} more" if len(seeds) > MOST_MISSING else ""
    return ", ".join(map(str, seeds[:MOST_MISSING])) + more


def _scores(frame: Frame, metric: DecisiveMetric | None, varied: list[str]) -> list[RunScore]:
    if metric is None or f"{metric.name} mean" not in frame:
        return [RunScore("", math.nan, math.nan, math.nan)] * len(frame)
    numbers = [frame[f"{metric.name} {part}"].astype(float).tolist() for part in ("mean", "low", "high")]
    settings = [frame[name].tolist() for name in varied]
    labels = [
        ", ".join(_setting(name, value) for name, value in zip(varied, values) if not _is_missing(value))
        for values in zip(*settings)
    ] or [""] * len(frame)
    return [
        RunScore(f"{run}: {label}" if label else f"run {run}", *of)
        for run, label, of in zip(frame["run"].tolist(), labels, zip(*numbers))
    ]


def _setting(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{name}={value:.4g}"
    return str(value) if name == "architecture" else f"{name}={short(value, 24)}"


def _is_missing(value: Any) -> bool:
    return value is None or str(value) in ("nan", "<NA>")


def _differs(values: list[Any]) -> bool:
    """Whether runs have several values, beside having none."""
    return len({str(value) for value in values if not _is_missing(value)}) > 1


@dataclass(frozen=True)
class Difference:
    """A row of a comparison: its cells, and a picture of the difference."""

    cells: Sequence[str]
    picture: Svg


@dataclass(frozen=True)
class AxisComparison:
    """Pairs of values of an axis: all, or those with the best value."""

    axis: str
    only_with: str
    columns: list[TableColumn]
    rows: list[Difference]
    constant: dict[str, str]


_COMPARED = (
    "a",
    "b",
    "a mean",
    "b mean",
    "difference",
    "repetitions",
    "pairs",
    "wins",
    "ties",
    "unpaired",
    "why",
    "mixed",
)


def comparisons(
    name: str, rows: list[TaskRow], metric: DecisiveMetric | None
) -> tuple[list[AxisComparison], list[str]]:
    """Compare the values of every axis, and sentences about axes that are not compared."""
    from neurofit.tables.comparison import EVERY, compare, compared_axes

    if metric is None:
        return [], []
    found, left_out = [], []
    for axis, values in compared_axes(rows).items():
        if len(values) > MOST_LEVELS:
            left_out.append(
                f"{axis} has {len(values)} values, too many for a table of pairs: "
                f"`{command('results', name, compare=axis, metric=metric.name)}` prints it."
            )
            continue
        best = _best_value(rows, axis, metric) if len(values) > ALL_PAIRS else None
        try:
            frame = compare(
                rows,
                axis,
                metric.name,
                lower_is_better=metric.lower_is_better,
                only_with=EVERY if best is None else best,
            )
        except UsageError:  # no two values have a task that is done
            continue
        if frame["repetitions"].sum():
            found.append(_comparison(axis, frame, best))
    return found, left_out


def _best_value(rows: list[TaskRow], axis: str, metric: DecisiveMetric) -> Any:
    """The value of the axis whose finished tasks have the best mean."""
    numbers: dict[str, list[float]] = {}
    values: dict[str, Any] = {}
    for row in rows:
        score = (row.get("metrics") or {}).get(metric.name)
        value = {"architecture": row.get("architecture"), **(row.get("params") or {})}.get(axis)
        if is_counted(row) and row.get("on_grid") is not False and score is not None:
            numbers.setdefault(repr(value), []).append(score)
            values[repr(value)] = value
    if not numbers:
        return None
    means = {name: sum(of) / len(of) for name, of in numbers.items()}
    return values[(min if metric.lower_is_better else max)(means, key=lambda name: means[name])]


def _comparison(axis: str, frame: Frame, best: Any) -> AxisComparison:
    page = sheet(frame)
    shown = [column for column in page.columns if column.name in _COMPARED]
    parts = [frame[f"difference {part}"].astype(float).tolist() for part in ("mean", "low", "high")]
    pictures = difference_pictures(list(zip(*parts)))
    levels = {name: [short(value, 40) for value in frame[name].tolist()] for name in ("a", "b")}
    cells = list(zip(*(levels.get(column.name, column.cells) for column in shown)))
    hidden = ("axis", "metric")
    return AxisComparison(
        axis,
        "" if best is None else short(best),
        [TableColumn(column.name, column.numeric, True) for column in shown],
        [Difference(row, picture) for row, picture in zip(cells, pictures)],
        {key: value for key, value in page.constant.items() if key not in hidden},
    )


def tasks_csv(rows: list[TaskRow]) -> str:
    """Every task with every column, as `neurofit results --format csv` prints it."""
    from neurofit.tables.table import table

    return render(table(rows), "csv") + "\n"
