"""Repetitions summed up: one row per run, or one row per pair of values of an axis, paired by repetition.

Only tasks that are done count. Every interval is Student's t at 95 % over the numbers at hand; a single one has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from neurofit.errors import UsageError, nearest
from neurofit.experiments.tables.results import (
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

PREFERRED = ("test/correlation", "test/", "validation/correlation", "validation/", "")
_LEVEL = 0.95
_OURS = ("experiment", "run", "id", "architecture", "repetitions", "missing", "varied", "mixed")


def by_run(records: Iterable[Row]) -> pd.DataFrame:
    """One row per run: its arguments, and of every metric `M` the `M mean`, `low`, `high`, `median`, `p10` and `p90`.

    `low` and `high` are the t-interval of the mean. `repetitions` are those done, `missing` those that are not; a
    metric that some of them lack has a column `M n`. `varied` says what differed between repetitions ("initialisation",
    "split"), `mixed` what should not have ("2 codes").
    """
    groups = runs(readable(records))
    rows = [row for group in groups for row in group]
    done = [[row for row in group if row.get("state") == "done"] for group in groups]
    count = np.array([len(group) for group in done], dtype=int)
    missing = np.array([len(group) for group in groups], dtype=int) - count
    spreads = {name: spread(matrix) for name, matrix in _matrices(groups, rows).items()}
    columns: dict[str, Any] = {**_settings(groups, rows), "repetitions": count, "missing": missing}
    for parts in (("n", "mean", "low", "high"), ("median", "p10", "p90")):  # what is read first comes first
        columns |= {f"{name} {part}": numbers[part] for name, numbers in spreads.items() for part in parts}
    for name in spreads:
        if np.array_equal(columns[f"{name} n"], count):
            del columns[f"{name} n"]
    columns |= {"varied": [_varied(group) for group in done], "mixed": [_mixed(group) for group in done]}
    frame = pd.DataFrame({name: column(values) for name, values in columns.items()}, copy=False)
    means = [f"{name} mean" for name in spreads if is_of_a_model(name)]
    frame.attrs["always"] = ["run", "repetitions", "missing", *means]
    frame.attrs["first"] = ["run", *list(spreads)[:1], "repetitions", *(["missing"] if missing.any() else [])]
    return frame


def compare(records: Iterable[Row], axis: str, metric: str | None = None) -> pd.DataFrame:
    """One row per pair of values of an axis: `b` minus `a`, over all pairs of tasks alike in repetition and all else.

    `wins` counts the pairs in which `b` has the larger number, whatever the metric (of a loss, less is better);
    `unpaired` the done tasks of both values without a partner; `mixed` the pairs that differ in code, data or neurons.
    Runs without a value for the axis are one more value, absent. Where two runs differ in nothing but the fit's own
    settings, that with the higher number counts. Architectures have arguments of their own: they pair by the arguments
    that both were given. The interval takes all pairs as independent of each other.
    """
    rows = [row for group in runs(readable(records)) for row in group]
    scores = metrics(rows)
    numbers = scores[metric := _metric(scores, metric)]
    axes = _axes(rows)
    levels = _levels(axes, axis)
    done = [i for i in np.flatnonzero(np.isfinite(numbers)) if rows[i].get("state") == "done"]
    count = Counter(_key(axes[axis][i]) for i in done)
    found = []
    for a, b in combinations(levels, 2):
        pairs = _pairs(rows, axes, axis, {level: [i for i in done if _key(axes[axis][i]) == level] for level in (a, b)})
        named = {"axis": axis, "a": levels[a], "b": levels[b], "metric": metric, "pairs": len(pairs)}
        unpaired = count[a] + count[b] - sum(len(set(side)) for side in zip(*pairs))
        end = {"unpaired": unpaired, "mixed": _unlike_pairs(rows, pairs)}
        found.append({**named, **_difference(numbers, pairs), **end})
    frame = pd.DataFrame({name: column([row[name] for row in found]) for name in found[0]}, copy=False)
    frame.attrs["always"] = [name for name in frame if name != "mixed"]
    frame.attrs["first"] = ["axis", "a", "b", "difference", "pairs", "metric"]
    return frame


def spread(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """What the numbers of each row are like: (run, repetition) in, nan where one is missing; (run,) each out."""
    from scipy.special import stdtrit  # 100 ms, which a table of tasks need not pay

    count = np.isfinite(matrix).sum(axis=1)
    ordered = np.sort(matrix, axis=1)  # puts nan last
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(matrix, axis=1) / count
        deviation = np.sqrt(np.nansum((matrix - mean[:, None]) ** 2, axis=1) / (count - 1))
        half = np.where(count > 1, stdtrit(count - 1, (1 + _LEVEL) / 2) * deviation / np.sqrt(count), np.nan)
    quantiles = {name: _quantile(ordered, count, at) for name, at in (("median", 0.5), ("p10", 0.1), ("p90", 0.9))}
    return {"n": count, "mean": mean, "low": mean - half, "high": mean + half, **quantiles}


def _quantile(ordered: np.ndarray, count: np.ndarray, at: float) -> np.ndarray:
    """NumPy's default, linear between the two nearest, over the first `count` of each row."""
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan)
    place = np.maximum(count - 1, 0) * at
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    row = np.arange(len(ordered))
    return ordered[row, low] + (place - low) * (ordered[row, high] - ordered[row, low])


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
    """Name, architecture (where there are several) and arguments of each run: the first known value among its tasks."""
    ours = {name: [row.get(name) for row in rows] for name in ("experiment", "run", "id", "architecture")}
    for name in ("experiment", "architecture"):
        if len({_key(value) for value in ours[name]} - {None}) < 2:
            del ours[name]
    given = {f"arg.{name}" if name in _OURS else name: values for name, values in other_arguments(rows).items()}
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
    differs = {name: len({_key(of.get(name)) for of in seeds}) > 1 for name in ("init", "split")}
    differs["split"] |= any(row.get("split_by") in ("repetition", "fold") for row in done)
    return ", ".join(word for name, word in (("init", "initialisation"), ("split", "split")) if differs[name]) or None


def _mixed(done: list[Row]) -> str | None:
    return unlike(done) or None


def _pairs(
    rows: list[Row], axes: dict[str, list], axis: str, done: dict[Any, list[int]]
) -> list[tuple[int, int]]:
    """The rows of one value and of another that are alike in repetition and in everything else that runs were given."""
    others = [name for name in axes if name != axis]
    if axis == "architecture":
        others = [name for name in others if all(_is_given(rows, name, chosen) for chosen in done.values())]
    sides = []
    for chosen in done.values():
        cells: dict[tuple, list[int]] = {}
        for i in chosen:
            cell = (_key(rows[i].get("repetition")), *(_key(axes[name][i]) for name in others))
            cells[cell] = [*cells.get(cell, ()), i] if axis == "architecture" else [i]
        sides.append(cells)
    first, second = sides
    return [(a, b) for cell in first if cell in second for a in first[cell] for b in second[cell]]


def _is_given(rows: list[Row], name: str, chosen: list[int]) -> bool:
    return any(name in params for i in chosen if isinstance(params := rows[i].get("params"), Mapping))


def _metric(scores: dict[str, np.ndarray], metric: str | None) -> str:
    """The metric asked for, or else the first of PREFERRED that names exactly one ("test/": any of that set)."""
    listed = f"Metrics: {', '.join(scores) or 'none yet'}."
    if metric is not None:
        if metric not in scores:
            raise UsageError(f"No task has a metric '{metric}'.{nearest(metric, scores)} {listed}")
        return metric
    for wanted in PREFERRED:
        fitting = [name for name in scores if name == wanted or (name.startswith(wanted) and wanted[-1:] in ("", "/"))]
        if len(fitting) == 1:
            return fitting[0]
    raise UsageError(f"Which metric to compare is not clear; name one. {listed}")


def _axes(rows: list[Row]) -> dict[str, list]:
    """What may be compared: architecture and arguments, without derived values, which follow from the others."""
    given = {name for row in rows if isinstance(row.get("params"), Mapping) for name in row["params"]}
    derived = {name for row in rows if isinstance(row.get("derived"), Mapping) for name in row["derived"]}
    known = {name: values for name, values in arguments(rows).items() if name in given or name not in derived}
    return {"architecture": [row.get("architecture") for row in rows], **known}


def _levels(axes: dict[str, list], axis: str) -> dict[Any, Any]:
    """The axis' values by their key: ascending when all are numbers, otherwise in the order of the runs."""
    distinct = {name: {_key(value): value for value in values} for name, values in axes.items()}
    several = {name: levels for name, levels in distinct.items() if len(levels) > 1}
    known = f"Axes with several values: {', '.join(several) or 'none'}."
    if axis not in axes:
        raise UsageError(f"No run has an argument '{axis}'.{nearest(axis, axes)} {known}")
    if axis not in several:
        raise UsageError(f"'{axis}' has the same value in all runs: nothing to compare. {known}")
    levels = several[axis]
    if all(type(value) in (int, float) for value in levels.values()):
        return dict(sorted(levels.items()))
    return levels


def _difference(values: np.ndarray, pairs: list[tuple[int, int]]) -> dict[str, Any]:
    a, b = values[np.array(pairs, dtype=int).reshape(-1, 2)].T
    found = {name: float(number[0]) for name, number in spread((b - a)[None]).items()}
    means = {"a mean": float(a.mean()) if len(a) else None, "b mean": float(b.mean()) if len(b) else None}
    named = {f"difference {what}": found[what] for what in ("mean", "low", "high", "median")}
    return {**means, **named, "wins": int((b > a).sum()), "ties": int((b == a).sum())}


def _unlike_pairs(rows: list[Row], pairs: list[tuple[int, int]]) -> str | None:
    different = [(rows[a], rows[b]) for a, b in pairs if origin(rows[a]) != origin(rows[b])]
    found = Counter(text for pair in different if (text := unlike(list(pair))))
    return "; ".join(f"{text} in {number} of {len(pairs)} pairs" for text, number in found.items()) or None


def _key(value: Any) -> Any:
    """Something to compare and hash values by: 1 equals 1.0, as in a run's id, but not True."""
    if isinstance(value, (list, tuple)):
        return "list", tuple(map(_key, value))
    if isinstance(value, dict):
        return "dict", frozenset((name, _key(inner)) for name, inner in value.items())
    return ("bool", value) if isinstance(value, bool) else value
