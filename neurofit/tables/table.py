"""The table of results with one row per task, and what is computed from its rows.

A row is a mapping with the keys listed in docs/architecture.md, section Records. Damaged values leave their own
cells empty and do not affect other cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from neurofit.errors import UsageError, nearest
from neurofit.store.suggestions import SUGGESTION

Values = list[Any] | np.ndarray

_MAIN_FACTS = ("best_epoch", "stop_reason", "neurons_scored", "neurons_silent")
# Facts without a column of their own: they are shown elsewhere, or described in the notes.
_NO_COLUMN = (*_MAIN_FACTS, SUGGESTION, "data_hash", "monitored", "monitored_test", "recipe", "warnings")
_SETS = ("test", "validation", "train")


class NewerAttempt(TypedDict):
    """An attempt after the one that counts."""

    attempt: int
    state: str


class TaskRow(TypedDict, total=False):
    """A row of results: an outcome and what is known of its task without one. A dict, because there may be 10^5."""

    experiment: str
    run: int
    id: str
    architecture: str
    params: dict[str, Any]
    derived: dict[str, Any]
    on_grid: bool | None
    defaults: dict[str, Any]
    repetition: int
    repetitions: int | None
    split_by: str | None
    seeds: dict[str, Any] | None
    attempt: int | None
    state: str
    metrics: dict[str, int | float]
    facts: dict[str, Any]
    progress: int | float | None
    error: dict[str, Any] | None  # an `ErrorRecord` without its nulls
    reason: dict[str, Any] | None
    submission: str | None
    job: int | None
    host: str | None
    pid: int | None
    started: str | None
    ended: str | None
    wall_seconds: int | float | None
    cpu_seconds: int | float | None
    peak_memory_gb: int | float | None
    code: str | None
    commit: str | None
    dirty: bool | None
    versions: dict[str, Any] | None
    environment: dict[str, Any] | None
    scratch: bool
    log: str | None
    newer: NewerAttempt | None


def table(rows: Iterable[TaskRow]) -> pd.DataFrame:
    """Make the table of results, with one row per task: arguments, state, metrics, cost and provenance.

    The value of an argument is the given one, else the derived one, else the default that applied. A default has
    a column only if it differs between rows. The prefixes `arg.`, `metric.` and `fact.` resolve conflicts between
    column names.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of results, in any order.

    Returns
    -------
    pandas.DataFrame
        `attrs["always"]` lists the columns to show even if all their values are equal, `attrs["first"]` those
        to show before others in a narrow terminal, `attrs["axes"]` the arguments that may tell rows apart, and
        `attrs["scores"]` the columns of metrics.
    """
    rows = valid_rows(rows)
    identity, costs, provenance = _identity_columns(rows), _cost_columns(rows), _provenance_columns(rows)
    task = {name: [row.get(name) for row in rows] for name in ("repetition", "state", "attempt")}
    taken = {*identity, *task, *costs, *provenance}
    scores = _with_unique_names("metric.", metric_columns(rows), taken)
    arguments = distinct_arguments(rows)
    given = _with_unique_names("arg.", arguments, taken)
    renamed = dict(zip(arguments, given))
    facts = _with_unique_names("fact.", _other_facts(rows), taken)
    columns = {**identity, **given, **task, **scores, **costs, **facts, **provenance}
    frame = pd.DataFrame({name: to_series(values) for name, values in columns.items()}, copy=False)
    frame.attrs["always"] = ["run", "repetition", "state", *filter(is_model_score, scores)]
    frame.attrs["first"] = ["run", "repetition"]
    frame.attrs["scores"] = list(scores)
    frame.attrs["axes"] = axes_of(rows, {"architecture": "architecture", **renamed})
    if any(state != "done" for state in task["state"]):
        frame.attrs["first"].append("state")
    if False in columns["on_grid"]:
        frame.attrs["first"].append("on_grid")
    return frame


def valid_rows(rows: Iterable[TaskRow]) -> list[TaskRow]:
    """The rows that are mappings, sorted by run and repetition; rows without a number come last."""
    return sorted((row for row in rows if type(row) is dict or isinstance(row, Mapping)), key=_sort_key)


def group_by_run(rows: Iterable[TaskRow]) -> list[list[TaskRow]]:
    """The rows of each run, in their order; rows that name no run are left out."""
    groups: dict[tuple[str, str, str], list[TaskRow]] = {}
    for row in rows:
        run, run_id = row.get("run"), row.get("id")
        if (run, run_id) != (None, None):
            groups.setdefault((str(row.get("experiment")), str(run), str(run_id)), []).append(row)
    return list(groups.values())


def argument_columns(rows: list[TaskRow]) -> dict[str, list[Any]]:
    """The value of each argument in every row, None if a row has none; given arguments first, in grid order."""
    given, derived, defaults = (nested_dicts(rows, key) for key in ("params", "derived", "defaults"))
    names: dict[str, None] = dict.fromkeys(_names(chain(given, derived)))
    for name in _names(defaults):
        values = [part[name] for part in defaults if name in part]
        if name not in names and any(value != values[0] for value in values):
            names[name] = None
    if not names:
        return {}
    known: dict[
        tuple[int, int, int], dict[str, Any]
    ] = {}  # what the repetitions of a run share is merged once
    merged = []
    for first, second, last in zip(given, derived, defaults):
        key = id(first), id(second), id(last)
        if key not in known:
            known[key] = {**last, **second, **first}
        merged.append(known[key])
    return {name: [arguments.get(name) for arguments in merged] for name in names}


def axes_of(rows: list[TaskRow], names: Mapping[str, str]) -> list[str]:
    """The columns of arguments that may tell rows apart: those that are not derived from others.

    Parameters
    ----------
    names : mapping of str to str
        Argument → its column.
    """
    given, derived = (set(_names(nested_dicts(rows, key))) for key in ("params", "derived"))
    return [column for name, column in names.items() if name in given or name not in derived]


def distinct_arguments(rows: list[TaskRow]) -> dict[str, list[Any]]:
    """`argument_columns` without an argument `architecture` that only repeats the architecture of each row."""
    columns = argument_columns(rows)
    if columns.get("architecture") == [row.get("architecture") for row in rows]:
        del columns["architecture"]
    return columns


def metric_columns(rows: list[TaskRow]) -> dict[str, np.ndarray]:
    """The number of each metric in every row, nan if a row has none: test, validation, train, then others."""
    parts = nested_dicts(rows, "metrics")
    names = sorted(_names(parts), key=_set_of)
    return {name: to_floats([part.get(name) for part in parts]) for name in names}


def with_metrics(rows: list[TaskRow], wanted: Sequence[str]) -> list[TaskRow]:
    """Copy the rows, keeping only the given metrics.

    Raises
    ------
    UsageError
        No row has one of these metrics.
    """
    known = metric_columns(rows)
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"No task has a metric '{name}'.{nearest(name, known)} "
                f"Metrics: {', '.join(known) or 'none yet'}."
            )
    return [
        {**row, "metrics": {name: value for name, value in part.items() if name in wanted}}
        for row, part in zip(rows, nested_dicts(rows, "metrics"))
    ]


def is_model_score(metric: str) -> bool:
    """Whether a metric depends on the model, unlike a ceiling, which depends on the data only."""
    return not any(part.endswith("_ceiling") for part in metric.split("/"))


def provenance(row: TaskRow) -> tuple[Any, ...]:
    """What tasks must share to be averaged: code, data, neurons scored, main versions of packages."""
    facts, versions = _nested_dict(row, "facts"), _nested_dict(row, "versions")
    main = tuple(
        (name, _main_version(str(version))) for name, version in versions.items() if version is not None
    )
    return (
        _text_or_none(row.get("code")),
        _text_or_none(facts.get("data_hash")),
        _text_or_none(facts.get("neurons_scored")),
        main,
    )


def describe_differences(done: list[TaskRow]) -> str:
    """How the provenance of finished tasks differs, such as "2 codes, keras 3 and 4"; empty if it does not."""
    by_objects = {(id(row.get("code")), id(row.get("facts")), id(row.get("versions"))): row for row in done}
    known = set(map(provenance, by_objects.values() if len(by_objects) > 1 else ()))
    if len(known) < 2:
        return ""
    codes, data, scored, versions = zip(*known)
    parts = []
    for values, noun in ((codes, "codes"), (data, "data sets")):
        if len(distinct := set(values) - {None}) > 1:
            parts.append(f"{len(distinct)} {noun}")
    if len(counts := set(scored) - {None}) > 1:
        parts.append(f"{join_words(sorted(counts, key=str))} neurons")
    packages: dict[str, set[str]] = {}
    for name, version in set(chain.from_iterable(versions)):
        packages.setdefault(name, set()).add(version)
    parts += [f"{name} {join_words(sorted(of))}" for name, of in sorted(packages.items()) if len(of) > 1]
    return ", ".join(parts)


def changed_defaults(rows: Iterable[TaskRow]) -> list[str]:
    """Arguments whose default differs between finished tasks of one run, because the script was changed."""
    every = list(rows)
    if not any(row.get("defaults") for row in every):
        return []
    changed: dict[str, None] = {}
    for group in group_by_run(every):
        done = [row for row in group if row.get("state") == "done"]
        parts = [part for part in nested_dicts(done, "defaults") if part]
        for name in dict.fromkeys(chain.from_iterable(parts)):
            if any(part.get(name) != parts[0].get(name) for part in parts):
                changed[name] = None
    return list(changed)


def nested_dicts(rows: list[TaskRow], key: str) -> list[Mapping[str, Any]]:
    """The mapping that each row has under a key, such as its metrics; empty if it has none."""
    return [value if type(value := row.get(key)) is dict else _nested_dict(row, key) for row in rows]


def _names(parts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of the mappings, in the order of their first appearance; many rows may share a mapping."""
    return list(dict.fromkeys(chain.from_iterable({id(part): part for part in parts}.values())))


def to_floats(values: list[Any]) -> np.ndarray:
    """Convert values to floats; nan for a value that is missing, infinite or not a number."""
    try:
        floats = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        floats = np.array([_float_or_nan(value) for value in values])
    if floats.ndim != 1:  # every value was a list of the same length
        floats = np.full(len(values), math.nan)
    return np.where(np.isfinite(floats), floats, math.nan)


def to_series(values: Values) -> pd.Series[Any]:
    """Convert values to a column of the simplest type that holds all of them; integers stay integers if some
    values are missing.
    """
    if isinstance(values, np.ndarray):
        return pd.Series(values, copy=False)
    kinds = set(map(type, values))
    known = kinds - {type(None)}
    largest = max((abs(value) for value in values if type(value) is int), default=0) if int in known else 0
    if known == {int} and largest < 2**63:
        return pd.Series(values, dtype="Int64" if known != kinds else "int64")
    if known == {bool}:
        return pd.Series(values, dtype="boolean" if known != kinds else "bool")
    if known in ({float}, {int, float}) and largest <= 2**53:  # a float holds no larger integers exactly
        return pd.Series(values, dtype=float)
    # Text too: the text type of pandas depends on its version and on pyarrow.
    return pd.Series(values, dtype=object)


def join_words(words: Iterable[Any]) -> str:
    """'a', 'a and b', 'a, b and c'"""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


def _identity_columns(rows: list[TaskRow]) -> dict[str, Values]:
    columns: dict[str, Values] = {
        name: [row.get(name) for row in rows] for name in ("experiment", "run", "id", "architecture")
    }
    for name in ("experiment", "architecture"):
        if len({_text_or_none(value) for value in columns[name]} - {None}) < 2:
            del columns[name]
    return columns


def _cost_columns(rows: list[TaskRow]) -> dict[str, Values]:
    facts = nested_dicts(rows, "facts")
    columns: dict[str, Values] = {"error": [_error_line(row.get("error")) for row in rows]}
    for name in _MAIN_FACTS:
        columns[name] = [part.get(name) for part in facts]
    for name in ("wall_seconds", "peak_memory_gb"):
        columns[name] = to_floats([row.get(name) for row in rows])
    return columns


def _provenance_columns(rows: list[TaskRow]) -> dict[str, Values]:
    columns: dict[str, Values] = {
        name: [row.get(name) for row in rows] for name in ("on_grid", "split_by", "code", "commit", "dirty")
    }
    columns["data_hash"] = [part.get("data_hash") for part in nested_dicts(rows, "facts")]
    for family in ("seeds", "versions"):
        parts = nested_dicts(rows, family)
        for name in _names(parts):
            columns[f"{family}.{name}"] = [part.get(name) for part in parts]
    return columns


def _other_facts(rows: list[TaskRow]) -> dict[str, list[Any]]:
    """Facts recorded by the fit whose values fit into a cell."""
    facts = nested_dicts(rows, "facts")
    names = [name for name in _names(facts) if name not in _NO_COLUMN]
    columns = {name: [part.get(name) for part in facts] for name in names}
    return {name: values for name, values in columns.items() if not {dict, list} & set(map(type, values))}


def _with_unique_names(prefix: str, columns: Mapping[str, Values], taken: set[str]) -> dict[str, Values]:
    """Prefix the names that are already taken, and add all names to `taken`."""
    renamed = {}
    for name, values in columns.items():
        while name in taken:
            name = prefix + name
        taken.add(name)
        renamed[name] = values
    return renamed


def _sort_key(row: TaskRow) -> tuple[Any, ...]:
    run, repetition = row.get("run"), row.get("repetition")
    return (
        str(row.get("experiment")),
        run if type(run) is int or isinstance(run, int) else math.inf,
        str(row.get("id")),
        repetition if type(repetition) is int or isinstance(repetition, int) else math.inf,
    )


def _nested_dict(row: TaskRow, key: str) -> Mapping[str, Any]:
    value = row.get(key)
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def _error_line(error: Any) -> str | None:
    """The error on one line of at most 300 characters."""
    if not isinstance(error, Mapping):
        return None if error is None else " ".join(str(error).split())[:300]
    parts = [str(error[key]) for key in ("type", "message") if error.get(key)]
    text = ": ".join(parts or [str(error.get("kind") or "unknown")])
    return " ".join(text[:3000].split())[:300]


def _set_of(metric: str) -> int:
    first = metric.split("/")[0]
    return _SETS.index(first) if "/" in metric and first in _SETS else len(_SETS)


@lru_cache(maxsize=1024)
def _main_version(version: str) -> str:
    """The part of a version within which behaviour is compatible: 3 of 3.5.0, but 0.6 of 0.6.2."""
    first, *rest = version.split(".")
    return f"0.{rest[0]}" if first == "0" and rest else first


def _float_or_nan(value: Any) -> float:
    try:
        return float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return math.nan


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
