"""Repetitions summed up: one row per run, or one row per pair of values of an axis, paired by repetition.

Only tasks that are done count. What an interval is of, `intervals.py` says; it is over repetitions, never
over tasks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from neurofit.errors import UsageError, nearest
from neurofit.tables.intervals import Replication, replication, spread
from neurofit.tables.pairs import Block, block, key, why_nothing_pairs
from neurofit.tables.table import (
    Row,
    arguments,
    column,
    is_of_a_model,
    metrics,
    origin,
    other_arguments,
    readable,
    runs,
    unlike,
)

__all__ = ["by_run", "compare", "lower_by_name", "spread"]
PREFERRED = ("test/correlation", "test/", "validation/correlation", "validation/", "")
_OURS = ("experiment", "run", "id", "architecture", "repetitions", "missing", "interval", "varied", "mixed")
_LOWER = frozenset(
    {  # words of a metric's name by which lower is better
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


def by_run(records: Iterable[Row]) -> pd.DataFrame:
    """One row per run: its arguments, and of every metric `M` the `M mean`, `low`, `high`, `median`, `p10`
    and `p90`.

    `low` and `high` are what `interval` says: of a 95 % t-interval of the mean over repetitions (with the
    corrected variance where splits are resampled), or the lowest and the highest fold. `repetitions` are
    those done, `missing` those that are not; a metric that some of them lack has a column `M n`. `varied`
    says what differed between repetitions ("initialisation", "split"), `mixed` what should not have ("2
    codes"). Repetitions of a run with other defaults, because the script changed between them, have a row of
    their own.
    """
    groups = [part for group in runs(readable(records)) for part in _by_defaults(group)]
    rows = [row for group in groups for row in group]
    done = [[row for row in group if row.get("state") == "done"] for group in groups]
    count = np.array([len(group) for group in done], dtype=int)
    missing = np.array([len(group) for group in groups], dtype=int) - count
    matrices = _matrices(groups, rows)
    how = {name: [replication(group, name) for group in done] for name in matrices}
    spreads = {name: spread(matrix, how[name]) for name, matrix in matrices.items()}
    columns: dict[str, Any] = {**_settings(groups, rows), "repetitions": count, "missing": missing}
    for parts in (("n", "mean", "low", "high"), ("median", "p10", "p90")):  # what is read first comes first
        columns |= {f"{name} {part}": numbers[part] for name, numbers in spreads.items() for part in parts}
    for name in spreads:
        if np.array_equal(columns[f"{name} n"], count):
            del columns[f"{name} n"]
    named = next(iter(how.values()), [])
    columns["interval"] = [one.interval(number) for one, number in zip(named, count.tolist())] or [
        None
    ] * len(groups)
    columns |= {"varied": [_varied(group) for group in done], "mixed": [_mixed(group) for group in done]}
    frame = pd.DataFrame({name: column(values) for name, values in columns.items()}, copy=False)
    means = [f"{name} mean" for name in spreads if is_of_a_model(name)]
    frame.attrs["always"] = ["run", "repetitions", "missing", *means]
    frame.attrs["below"] = ["interval"]
    frame.attrs["first"] = ["run", *list(spreads)[:1], "repetitions", *(["missing"] if missing.any() else [])]
    return frame


def compare(
    records: Iterable[Row],
    axis: str,
    metric: str | None = None,
    *,
    off_grid: bool = False,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """One row per pair of values of an axis: `b` minus `a`, paired by repetition, all else being equal.

    The unit is the repetition: within each, the differences of all pairs of runs are averaged, and the mean,
    the interval, `wins` and `ties` are over `repetitions`. `pairs` counts the differences that were averaged,
    `interval` says what `difference low` and `high` are. All repetitions average the same runs: where one
    lacks a run, the run or the repetition is left out, whichever loses fewer tasks. `unpaired` counts the
    done tasks of both values that do not enter, `why` says it where none does; `mixed` the pairs, and the
    runs over their repetitions, that differ in code, data or neurons. `wins` counts the repetitions in which
    `b` is better, and `better` says which numbers are.

    Runs without a value for the axis are one more value, absent. Where two runs differ in nothing but the
    fit's own settings, the one with more repetitions done counts, whole; of equals, the newest. Architectures
    have arguments of their own: they pair by the arguments that both were given, and runs of one architecture
    that agree in those are averaged.

    Parameters
    ----------
    off_grid : bool
        Whether tasks off the grid (`python jobs/x.py --degree 9`) enter.
    lower_is_better : bool
        Whether lower numbers of the metric are better; without it, its name decides, and `better` says how.

    Raises
    ------
    UsageError : no such axis or metric, or nothing to compare
    """
    known = paired(records, axis, metric, off_grid=off_grid)
    better = "lower" if lower_is_better else _better(known.metric)
    found = []
    for one in known.found:
        found.append(
            {
                "axis": axis,
                "a": one.a,
                "b": one.b,
                "metric": known.metric,
                **_difference(known.numbers, one, better),
                "unpaired": one.unpaired,
                "why": one.why,
                "mixed": _mixed_pairing(known.rows, one.block),
            }
        )
    frame = pd.DataFrame({name: column([row[name] for row in found]) for name in found[0]}, copy=False)
    frame.attrs["always"] = [name for name in frame if name not in ("mixed", "why", "better", "interval")]
    frame.attrs["first"] = ["axis", "a", "b", "difference", "repetitions", "metric"]
    frame.attrs["below"] = ["interval", "better"]
    return frame


@dataclass(frozen=True)
class Pairing:
    """Two values of an axis: their tasks that pair, what the interval is of, and how many are left out."""

    a: Any
    b: Any
    block: Block
    replication: Replication
    unpaired: int
    why: str | None


@dataclass(frozen=True)
class Paired:
    """Rows, their numbers of the metric (task,), and every pair of values of an axis."""

    rows: list[Row]
    numbers: np.ndarray
    metric: str
    found: list[Pairing]


def paired(records: Iterable[Row], axis: str, metric: str | None = None, *, off_grid: bool = False) -> Paired:
    """Which tasks `compare` subtracts from which; parameters and errors are the same."""
    given = [row for group in runs(readable(records)) for row in group]
    rows = [row for row in given if off_grid or row.get("on_grid") is not False]
    scores = metrics(rows)
    numbers = scores[metric := _metric(scores, metric)]
    axes = _axes(rows)
    levels = _levels(axes, axis, off_grid=len(given) - len(rows))
    done = [i for i in np.flatnonzero(np.isfinite(numbers)) if rows[i].get("state") == "done"]
    found = []
    for a, b in combinations(levels, 2):
        sides = {level: [i for i in done if key(axes[axis][i]) == level] for level in (a, b)}
        full = block(rows, axes, axis, sides)
        entered = full.rows()
        why = None if entered else why_nothing_pairs(rows, axes, axis, sides)
        how = replication([rows[i] for i in entered], metric)
        unpaired = sum(map(len, sides.values())) - len(entered)
        found.append(Pairing(levels[a], levels[b], full, how, unpaired, why))
    return Paired(rows, numbers, metric, found)


def lower_by_name(metric: str) -> bool | None:
    """Whether lower numbers of this metric are better, by its name; None where the name does not say."""
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


def _by_defaults(group: list[Row]) -> list[list[Row]]:
    """A run's tasks by the defaults that applied, in the order in which they came to be.

    A task without an outcome has none yet, and will have the newest.
    """
    parts: dict[Any, list[Row]] = {}
    newest: dict[Any, str] = {}
    for row in group:
        defaults = row.get("defaults")
        applied = key(dict(defaults)) if isinstance(defaults, Mapping) and defaults else None
        parts.setdefault(applied, []).append(row)
        newest[applied] = max(newest.get(applied, ""), str(row.get("ended") or ""))
    known = sorted((one for one in parts if one is not None), key=lambda one: newest[one])
    if len(known) < 2:
        return [group]
    parts[known[-1]] += parts.get(None, [])
    return [parts[one] for one in known]


def _matrices(groups: list[list[Row]], rows: list[Row]) -> dict[str, np.ndarray]:
    """Each metric as (run, place in its group), nan where a task is not done or has no such number."""
    done = np.array([row.get("state") == "done" for row in rows], dtype=bool)
    run = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    place = np.array([i for group in groups for i in range(len(group))], dtype=int)
    shape = len(groups), max(map(len, groups), default=0)
    matrices = {}
    for name, numbers in metrics(rows).items():
        matrices[name] = np.full(shape, np.nan)
        matrices[name][run, place] = np.where(done, numbers, np.nan)
    return matrices


def _settings(groups: list[list[Row]], rows: list[Row]) -> dict[str, list]:
    """Name, architecture (where there are several) and arguments of each run: the first known value among its
    tasks.
    """
    ours = {name: [row.get(name) for row in rows] for name in ("experiment", "run", "id", "architecture")}
    for name in ("experiment", "architecture"):
        if len({key(value) for value in ours[name]} - {None}) < 2:
            del ours[name]
    given = {
        f"arg.{name}" if name in _OURS else name: values for name, values in other_arguments(rows).items()
    }
    places = list(pairwise(np.cumsum([0, *map(len, groups)])))
    return {
        name: [next((value for value in values[a:b] if value is not None), None) for a, b in places]
        for name, values in {**ours, **given}.items()
    }


def _varied(done: list[Row]) -> str | None:
    """'initialisation', 'split', both or nothing: what was not the same in all repetitions of a run."""
    if len(done) < 2:
        return None
    seeds = [row["seeds"] for row in done if isinstance(row.get("seeds"), Mapping)]
    differs = {name: len({key(of.get(name)) for of in seeds}) > 1 for name in ("init", "split")}
    differs["split"] |= any(row.get("split_by") in ("repetition", "fold") for row in done)
    return (
        ", ".join(word for name, word in (("init", "initialisation"), ("split", "split")) if differs[name])
        or None
    )


def _mixed(done: list[Row]) -> str | None:
    return unlike(done) or None


def _metric(scores: dict[str, np.ndarray], metric: str | None) -> str:
    """The metric asked for, or else the first of PREFERRED that names exactly one ("test/": any of that
    set).
    """
    listed = f"Metrics: {', '.join(scores) or 'none yet'}."
    if metric is not None:
        if metric not in scores:
            raise UsageError(f"No task has a metric '{metric}'.{nearest(metric, scores)} {listed}")
        return metric
    for wanted in PREFERRED:
        fitting = [
            name
            for name in scores
            if name == wanted or (name.startswith(wanted) and wanted[-1:] in ("", "/"))
        ]
        if len(fitting) == 1:
            return fitting[0]
    raise UsageError(f"Which metric to compare is not clear; name one. {listed}")


def _axes(rows: list[Row]) -> dict[str, list]:
    """What may be compared: architecture and arguments, without derived values, which follow from the
    others.
    """
    given = {name for row in rows if isinstance(row.get("params"), Mapping) for name in row["params"]}
    derived = {name for row in rows if isinstance(row.get("derived"), Mapping) for name in row["derived"]}
    known = {name: values for name, values in arguments(rows).items() if name in given or name not in derived}
    return {"architecture": [row.get("architecture") for row in rows], **known}


def _levels(axes: dict[str, list], axis: str, off_grid: int = 0) -> dict[Any, Any]:
    """The axis' values by their key: ascending when all are numbers, otherwise in the order of the runs."""
    distinct = {name: {key(value): value for value in values} for name, values in axes.items()}
    several = {name: levels for name, levels in distinct.items() if len(levels) > 1}
    known = f"Axes with several values: {', '.join(several) or 'none'}."
    if off_grid:
        are = "1 task off the grid is" if off_grid == 1 else f"{off_grid} tasks off the grid are"
        known += f" {are} left out; --off-grid includes them."
    if axis not in axes:
        raise UsageError(f"No run has an argument '{axis}'.{nearest(axis, axes)} {known}")
    if axis not in several:
        raise UsageError(f"'{axis}' has the same value in all runs: nothing to compare. {known}")
    levels = several[axis]
    if all(type(value) in (int, float) for value in levels.values()):
        return dict(sorted(levels.items()))
    return levels


def _difference(values: np.ndarray, pairing: Pairing, better: str) -> dict[str, Any]:
    how = pairing.replication
    a, b = pairing.block.means(values).T
    difference = b - a
    found = {name: float(number[0]) for name, number in spread(difference[None], [how]).items()}
    sign = -1 if better == "lower" else 1
    return {
        "repetitions": len(difference),
        "pairs": sum(len(of) for of in pairing.block.cells),
        "a mean": float(a.mean()) if len(a) else None,
        "b mean": float(b.mean()) if len(b) else None,
        **{f"difference {what}": found[what] for what in ("mean", "low", "high", "median")},
        "interval": how.interval(len(difference)),
        "wins": int((sign * difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "better": better,
    }


def _mixed_pairing(rows: list[Row], pairing: Block) -> str | None:
    """Pairs whose two tasks are unlike, and runs whose repetitions are."""
    pairs = pairing.pairs()
    different = [(rows[a], rows[b]) for a, b in pairs if origin(rows[a]) != origin(rows[b])]
    found = Counter(text for pair in different if (text := unlike(list(pair))))
    within = Counter(text for group in runs(rows[i] for i in pairing.rows()) if (text := unlike(group)))
    said = [f"{text} in {number} of {len(pairs)} pairs" for text, number in found.items()]
    said += [f"{text} between repetitions in {number} {_noun(number)}" for text, number in within.items()]
    return "; ".join(said) or None


def _noun(number: int) -> str:
    return "run" if number == 1 else "runs"
