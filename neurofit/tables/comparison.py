"""Repetitions summarised: one row per run, or one row per pair of values of an axis, paired by repetition.

Only finished tasks count. Intervals are over repetitions, never over tasks; `intervals.py` describes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from neurofit.errors import UsageError, nearest
from neurofit.tables.intervals import Replication, replication, spread
from neurofit.tables.pairs import Block, defaults_key, explain_no_pairs, key, paired_block, run_key
from neurofit.tables.table import (
    TaskRow,
    argument_columns,
    axes_of,
    describe_differences,
    distinct_arguments,
    group_by_run,
    is_model_score,
    metric_columns,
    provenance,
    to_series,
    valid_rows,
)
from neurofit.tables.trials import is_counted, is_pruned

PREFERRED = ("test/correlation", "test/", "validation/correlation", "validation/", "")
EVERY = object()  # of an axis: all pairs of its values
_OWN_COLUMNS = (
    "experiment",
    "run",
    "id",
    "architecture",
    "repetitions",
    "missing",
    "pruned",
    "on_grid",
    "interval",
    "varied",
    "mixed",
)
# Words in the name of a metric that say whether lower or higher numbers are better.
_LOWER = frozenset(
    {
        "loss",
        "mse",
        "rmse",
        "mae",
        "mape",
        "error",
        "err",
        "nll",
        "deviance",
        "distance",
        "divergence",
        "kl",
        "crossentropy",
        "entropy",
        "perplexity",
        "residual",
        "aic",
        "bic",
        "bce",
        "rss",
        "sse",
        "seconds",
    }
)
_HIGHER = frozenset(
    {
        "correlation",
        "correlations",
        "likelihood",
        "feve",
        "fev",
        "fve",
        "r2",
        "r",
        "accuracy",
        "acc",
        "auc",
        "f1",
        "precision",
        "recall",
        "explained",
        "consistency",
        "similarity",
        "score",
        "cc",
        "oracle",
        "squared",
    }
)


def by_run(rows: Iterable[TaskRow]) -> pd.DataFrame:
    """Make the table of results with one row per run.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of results, one per task.

    Returns
    -------
    pandas.DataFrame
        The arguments of each run, and for each metric `M` the columns `M mean`, `M low`, `M high`, `M median`,
        `M p10` and `M p90`.

        - `interval` says what `low` and `high` are: a 95 % t-interval of the mean over repetitions (with the
          corrected variance if splits are resampled), or the lowest and the highest fold.
        - `on_grid` is there if some run is off the grid.
        - `repetitions` counts the finished tasks, `pruned` those that a search ended early, which no mean
          includes, `missing` the others. If some of the finished tasks lack a
          metric, `M n` counts those that have it.
        - `varied` says what differed between repetitions ("initialisation", "split"); `mixed` says what
          differed although it should not ("2 codes").

        If the script's defaults changed between repetitions of a run, it has one row for each.
    """
    groups = [part for group in group_by_run(valid_rows(rows)) for part in _split_by_defaults(group)]
    ordered = [row for group in groups for row in group]
    done = [[row for row in group if is_counted(row)] for group in groups]
    pruned = np.array([sum(map(is_pruned, group)) for group in groups], dtype=int)
    count = np.array([len(group) for group in done], dtype=int)
    missing = np.array([len(group) for group in groups], dtype=int) - count - pruned
    matrices = _metric_matrices(groups, ordered)
    replications = {name: [replication(group, name) for group in done] for name in matrices}
    spreads = {name: spread(matrix, replications[name]) for name, matrix in matrices.items()}
    arguments = distinct_arguments(ordered)
    columns: dict[str, Any] = {
        **_settings(groups, ordered, arguments),
        "repetitions": count,
        "missing": missing,
    }
    if pruned.any():
        columns["pruned"] = pruned
    on_grid = [group[0].get("on_grid") is not False for group in groups]
    if not all(on_grid):
        columns["on_grid"] = on_grid
    for parts in (("n", "mean", "low", "high"), ("median", "p10", "p90")):  # the most important come first
        columns |= {f"{name} {part}": numbers[part] for name, numbers in spreads.items() for part in parts}
    for name in spreads:
        if np.array_equal(columns[f"{name} n"], count):
            del columns[f"{name} n"]
    of_first_metric = next(iter(replications.values()), [])
    intervals = [one.interval(number) for one, number in zip(of_first_metric, count.tolist())]
    columns["interval"] = intervals or [None] * len(groups)
    columns["varied"] = [_varied(group) for group in done]
    columns["mixed"] = [describe_differences(group) or None for group in done]
    frame = pd.DataFrame({name: to_series(values) for name, values in columns.items()}, copy=False)
    means = [f"{name} mean" for name in spreads if is_model_score(name)]
    frame.attrs["always"] = ["run", "repetitions", "missing", *means]
    frame.attrs["below"] = ["interval"]
    names = {name: f"arg.{name}" if name in _OWN_COLUMNS else name for name in arguments}
    frame.attrs["axes"] = axes_of(ordered, {"architecture": "architecture", **names})
    frame.attrs["scores"] = [f"{name} mean" for name in spreads]
    frame.attrs["first"] = ["run", *list(spreads)[:1], "repetitions", *(["missing"] if missing.any() else [])]
    frame.attrs["first"] += ["pruned"] if pruned.any() else []
    frame.attrs["first"] += [] if all(on_grid) else ["on_grid"]
    return frame


def compare(
    rows: Iterable[TaskRow],
    axis: str,
    metric: str | None = None,
    *,
    off_grid: bool = False,
    lower_is_better: bool = False,
    only_with: Any = EVERY,
) -> pd.DataFrame:
    """Compare the values of an axis pairwise: `b` minus `a`, paired by repetition, all other arguments equal.

    The unit is the repetition: within each, the differences of all pairs of runs are averaged. All repetitions
    average the same runs; if one lacks a run, the run or the repetition is left out, whichever loses fewer
    tasks. Runs without a value for the axis count as one more value, None. Of two runs that were given the same
    arguments, the one with more repetitions counts, and of equals the newer one. Architectures have different
    arguments: they are paired by the arguments given to both, and runs of one architecture that agree in those
    are averaged.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of results, one per task.
    axis : str
        Name of an argument, or "architecture".
    metric : str, optional
        Default: the only metric, or the correlation on the test set.
    off_grid : bool
        Whether to include tasks off the grid (`python jobs/x.py --degree 9`).
    lower_is_better : bool
        Whether lower numbers of the metric are better. Default: decided by its name, see the column `better`.
    only_with : object, optional
        A value of the axis: compare only the others with it. Default: all pairs.

    Returns
    -------
    pandas.DataFrame
        One row per pair of values. The mean, the interval, `wins` and `ties` are over `repetitions`.

        - `pairs` counts the differences that were averaged; `interval` says what `difference low` and `high`
          are.
        - `wins` counts the repetitions in which `b` is better; `better` says whether that is higher or lower.
        - `unpaired` counts the finished tasks of both values that are left out; `why` gives the reason if no
          task is left.
        - `mixed` describes pairs, and repetitions of a run, that differ in code, data or neurons.

    Raises
    ------
    UsageError
        There is no such axis or metric, or nothing to compare.
    """
    known = pair_values(rows, axis, metric, off_grid=off_grid, only_with=only_with)
    better = "lower" if lower_is_better else _better(known.metric)
    records = [
        {
            "axis": axis,
            "a": pairing.a,
            "b": pairing.b,
            "metric": known.metric,
            **_difference(known.numbers, pairing, better),
            "unpaired": pairing.unpaired,
            "why": pairing.why,
            "mixed": _mixed_pairs(known.rows, pairing.block),
        }
        for pairing in known.pairings
    ]
    frame = pd.DataFrame({name: to_series([one[name] for one in records]) for name in records[0]}, copy=False)
    frame.attrs["always"] = [name for name in frame if name not in ("mixed", "why", "better", "interval")]
    frame.attrs["first"] = ["axis", "a", "b", "difference", "repetitions", "metric"]
    frame.attrs["below"] = ["interval", "better"]
    return frame


@dataclass(frozen=True)
class Pairing:
    """Two values of an axis: their tasks that pair, what the interval is of, and how many tasks are left out."""

    a: Any
    b: Any
    block: Block
    replication: Replication
    unpaired: int
    why: str | None


@dataclass(frozen=True)
class Comparison:
    """Rows, their numbers of the metric (task,), and all pairs of values of an axis."""

    rows: list[TaskRow]
    numbers: np.ndarray
    metric: str
    pairings: list[Pairing]


def pair_values(
    rows: Iterable[TaskRow],
    axis: str,
    metric: str | None = None,
    *,
    off_grid: bool = False,
    only_with: Any = EVERY,
) -> Comparison:
    """Find which tasks `compare` subtracts from which; parameters and errors are the same."""
    every = [row for group in group_by_run(valid_rows(rows)) for row in group]
    kept = [row for row in every if off_grid or row.get("on_grid") is not False]
    scores = metric_columns(kept)
    chosen = _choose_metric(scores, metric)
    numbers = scores[chosen]
    axes = _axes(kept)
    levels = _levels(axes, axis, off_grid=len(every) - len(kept))
    finite = np.flatnonzero(np.isfinite(numbers)).tolist()
    done = [i for i in finite if is_counted(kept[i])]
    keys = {name: list(map(key, values)) for name, values in axes.items()}
    runs = list(map(run_key, kept))
    pairings = []
    at_level: dict[Hashable, list[int]] = {level: [] for level in levels}
    for i in done:
        at_level[keys[axis][i]].append(i)
    for a, b in combinations(levels, 2):
        if only_with is not EVERY and key(only_with) not in (a, b):
            continue
        sides = {level: at_level[level] for level in (a, b)}
        block = paired_block(kept, axes, axis, sides, keys, runs)
        entered = block.rows()
        why = None if entered else explain_no_pairs(kept, axes, axis, sides)
        varied = replication([kept[i] for i in entered], chosen)
        unpaired = sum(map(len, sides.values())) - len(entered)
        pairings.append(Pairing(levels[a], levels[b], block, varied, unpaired, why))
    return Comparison(kept, numbers, chosen, pairings)


def preferred_metric(names: Iterable[str]) -> str | None:
    """The first of PREFERRED that matches exactly one of these metrics ("test/": any of that set), or None."""
    names = list(names)
    for wanted in PREFERRED:
        matching = [
            name for name in names if name == wanted or (name.startswith(wanted) and wanted[-1:] in ("", "/"))
        ]
        if len(matching) == 1:
            return matching[0]
    return None


def compared_axes(rows: Iterable[TaskRow]) -> dict[str, list[Any]]:
    """The axes that `compare` can compare, with their values: those with several among the tasks on the grid."""
    kept = [row for row in valid_rows(rows) if row.get("on_grid") is not False]
    distinct = {name: {key(value): value for value in values} for name, values in _axes(kept).items()}
    return {name: list(values.values()) for name, values in distinct.items() if len(values) > 1}


def lower_by_name(metric: str) -> bool | None:
    """Whether lower numbers of a metric are better, judged by its name; None if the name does not tell."""
    name = metric.rpartition("/")[2].lower()
    words = [word for word in re.split(r"[^a-z0-9]+", name) if word]
    if "negative" in words or "neg" in words:
        return "likelihood" in words or "ll" in words or None
    if _LOWER.intersection(words) or name.endswith("loss"):
        return True
    return False if _HIGHER.intersection(words) else None


def _better(metric: str) -> str:
    known = lower_by_name(metric)
    return "higher (assumed)" if known is None else "lower" if known else "higher"


def _split_by_defaults(group: list[TaskRow]) -> list[list[TaskRow]]:
    """Split the tasks of a run by the defaults that applied, oldest first.

    Tasks without an outcome have no defaults yet; they are counted with the newest.
    """
    parts: dict[Hashable, list[TaskRow]] = {}
    newest: dict[Hashable, str] = {}
    for row in group:
        applied = defaults_key(row) if row.get("defaults") else None
        parts.setdefault(applied, []).append(row)
        newest[applied] = max(newest.get(applied, ""), str(row.get("ended") or ""))
    known = sorted((one for one in parts if one is not None), key=lambda one: newest[one])
    if len(known) < 2:
        return [group]
    parts[known[-1]] += parts.get(None, [])
    return [parts[one] for one in known]


def _metric_matrices(groups: list[list[TaskRow]], rows: list[TaskRow]) -> dict[str, np.ndarray]:
    """Each metric as (run, place in its group); nan where a task is not done or has no such number."""
    done = np.array([is_counted(row) for row in rows], dtype=bool)
    run = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    place = np.array([i for group in groups for i in range(len(group))], dtype=int)
    shape = len(groups), max(map(len, groups), default=0)
    matrices = {}
    for name, numbers in metric_columns(rows).items():
        matrices[name] = np.full(shape, np.nan)
        matrices[name][run, place] = np.where(done, numbers, np.nan)
    return matrices


def _settings(
    groups: list[list[TaskRow]], rows: list[TaskRow], arguments: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """Experiment, architecture (if there are several) and arguments of each run: the first known value of its
    tasks.
    """
    own = {name: [row.get(name) for row in rows] for name in ("experiment", "run", "id", "architecture")}
    for name in ("experiment", "architecture"):
        if len({key(value) for value in own[name]} - {None}) < 2:
            del own[name]
    given = {f"arg.{name}" if name in _OWN_COLUMNS else name: values for name, values in arguments.items()}
    places = list(pairwise(np.cumsum([0, *map(len, groups)])))
    return {
        name: [next((value for value in values[a:b] if value is not None), None) for a, b in places]
        for name, values in {**own, **given}.items()
    }


def _varied(done: list[TaskRow]) -> str | None:
    """Which seeds differed between the repetitions of a run: 'initialisation', 'split', both, or None."""
    if len(done) < 2:
        return None
    seeds = [of for row in done if isinstance(of := row.get("seeds"), Mapping)]
    differs = {name: len({key(of.get(name)) for of in seeds}) > 1 for name in ("init", "split")}
    differs["split"] |= any(row.get("split_by") in ("repetition", "fold") for row in done)
    words = {"init": "initialisation", "split": "split"}
    return ", ".join(word for name, word in words.items() if differs[name]) or None


def _choose_metric(scores: dict[str, np.ndarray], metric: str | None) -> str:
    """The given metric, or else the preferred one."""
    listed = f"Metrics: {', '.join(scores) or 'none yet'}."
    if metric is not None:
        if metric not in scores:
            raise UsageError(f"No task has a metric '{metric}'.{nearest(metric, scores)} {listed}")
        return metric
    if preferred := preferred_metric(scores):
        return preferred
    raise UsageError(f"There are several metrics to compare: choose one with --metric. {listed}")


def _axes(rows: list[TaskRow]) -> dict[str, list[Any]]:
    """The columns that can be compared: architecture and arguments, but not values derived from others."""
    given = {name for row in rows if isinstance(row.get("params"), Mapping) for name in row["params"]}
    derived = {name for row in rows if isinstance(row.get("derived"), Mapping) for name in row["derived"]}
    columns = argument_columns(rows)
    known = {name: values for name, values in columns.items() if name in given or name not in derived}
    return {"architecture": [row.get("architecture") for row in rows], **known}


def _levels(axes: dict[str, list[Any]], axis: str, off_grid: int = 0) -> dict[Hashable, Any]:
    """The values of an axis by their key: ascending if all are numbers, otherwise in the order of the runs."""
    distinct = {name: {key(value): value for value in values} for name, values in axes.items()}
    several = {name: levels for name, levels in distinct.items() if len(levels) > 1}
    known = f"Axes with several values: {', '.join(several) or 'none'}."
    if off_grid:
        tasks = "1 task off the grid is" if off_grid == 1 else f"{off_grid} tasks off the grid are"
        known += f" {tasks} left out; --off-grid includes them."
    if axis not in axes:
        raise UsageError(f"No run has an argument '{axis}'.{nearest(axis, axes)} {known}")
    if axis not in several:
        raise UsageError(f"'{axis}' has the same value in all runs: nothing to compare. {known}")
    levels = several[axis]
    if all(type(value) in (int, float) for value in levels.values()):
        return {level: levels[level] for level in sorted(levels, key=lambda level: levels[level])}
    return levels


def _difference(values: np.ndarray, pairing: Pairing, better: str) -> dict[str, Any]:
    a, b = pairing.block.means(values).T
    difference = b - a
    numbers = {
        name: float(number[0]) for name, number in spread(difference[None], [pairing.replication]).items()
    }
    sign = -1 if better == "lower" else 1
    return {
        "repetitions": len(difference),
        "pairs": sum(len(cells) for cells in pairing.block.cells),
        "a mean": float(a.mean()) if len(a) else None,
        "b mean": float(b.mean()) if len(b) else None,
        **{f"difference {name}": numbers[name] for name in ("mean", "low", "high", "median")},
        "interval": pairing.replication.interval(len(difference)),
        "wins": int((sign * difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "better": better,
    }


def _mixed_pairs(rows: list[TaskRow], block: Block) -> str | None:
    """Describe pairs whose two tasks differ, and runs whose repetitions differ, in code, data or neurons."""
    if len({provenance(rows[i]) for i in block.rows()}) < 2:
        return None
    pairs = block.pairs()
    unequal = [(rows[a], rows[b]) for a, b in pairs if provenance(rows[a]) != provenance(rows[b])]
    groups = group_by_run(rows[i] for i in block.rows())
    between = Counter(text for pair in unequal if (text := describe_differences(list(pair))))
    within = Counter(text for group in groups if (text := describe_differences(group)))
    parts = [f"{text} in {number} of {len(pairs)} pairs" for text, number in between.items()]
    for text, number in within.items():
        parts.append(f"{text} between repetitions in {number} {'run' if number == 1 else 'runs'}")
    return "; ".join(parts) or None
