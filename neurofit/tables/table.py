"""Records of tasks as a table with one row per task, and the sentences that its reader needs.

A record is the JSON object of docs/architecture.md, section Records. A damaged one costs its own cells, never
the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from neurofit.errors import UsageError, nearest

Row = Mapping[str, Any]

_FACTS = ("best_epoch", "stop_reason", "neurons_scored", "neurons_silent")
# Facts that are no result of a task, have a place of their own, or belong into the notes.
_NO_COLUMN = (*_FACTS, "data_hash", "monitored", "monitored_test", "recipe", "warnings")
_SETS = ("test", "validation", "train")


def table(records: Iterable[Row]) -> pd.DataFrame:
    """One row per task: what it was, what came out, and what it came out of.

    An argument's value is the given one, else the derived one, else the default that applied; a default has a
    column when it differs between rows. `arg.`, `metric.` and `fact.` mark names that are already taken.
    `attrs["always"]` names the columns that a person wants to see even when all their values are the same,
    `attrs["first"]` those that find room in a narrow terminal before others.
    """
    rows = readable(records)
    front, costs, provenance = _front(rows), _costs(rows), _provenance(rows)
    task = {name: [row.get(name) for row in rows] for name in ("repetition", "state", "attempt")}
    taken = {*front, *task, *costs, *provenance}
    scores = _named_apart("metric.", metrics(rows), taken)
    given = _named_apart("arg.", other_arguments(rows), taken)
    facts = _named_apart("fact.", _other_facts(rows), taken)
    columns = {**front, **given, **task, **scores, **costs, **facts, **provenance}
    frame = pd.DataFrame({name: column(values) for name, values in columns.items()}, copy=False)
    frame.attrs["always"] = ["run", "repetition", "state", *filter(is_of_a_model, scores)]
    frame.attrs["first"] = [
        "run",
        "repetition",
        *(["state"] if any(one != "done" for one in task["state"]) else []),
    ]
    return frame


def readable(records: Iterable[Row]) -> list[Row]:
    """The records that are objects, by run and repetition; those without a number come last."""
    return sorted((record for record in records if isinstance(record, Mapping)), key=_place)


def runs(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each run together, in order; a row that names no run belongs to none and is left out."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        key = row.get("run"), row.get("id")
        if key != (None, None):
            groups.setdefault((str(row.get("experiment")), *map(str, key)), []).append(row)
    return list(groups.values())


def arguments(rows: list[Row]) -> dict[str, list]:
    """Each argument's value in every row (None where it has none), given ones first, in the order of the
    grid.
    """
    given, derived, defaults = (parts_of(rows, key) for key in ("params", "derived", "defaults"))
    names = dict.fromkeys(chain.from_iterable(chain(given, derived)))
    for name in dict.fromkeys(chain.from_iterable(defaults)):
        values = [part[name] for part in defaults if name in part]
        if name not in names and any(value != values[0] for value in values):
            names[name] = None
    merged = [{**last, **second, **first} for first, second, last in zip(given, derived, defaults)]
    return {name: [row.get(name) for row in merged] for name in names}


def other_arguments(rows: list[Row]) -> dict[str, list]:
    """All but an axis `architecture` that says the same as the column of that name."""
    known = [row.get("architecture") for row in rows]
    return {
        name: given for name, given in arguments(rows).items() if name != "architecture" or given != known
    }


def metrics(rows: list[Row]) -> dict[str, np.ndarray]:
    """Each metric's number in every row (nan where it has none): test, validation, train, then those of no
    set.
    """
    parts = parts_of(rows, "metrics")
    names = sorted(dict.fromkeys(chain.from_iterable(parts)), key=_set_of)
    return {name: numbers([part.get(name) for part in parts]) for name in names}


def with_metrics(rows: list[Row], wanted: Sequence[str]) -> list[Row]:
    """The rows with these metrics alone.

    Raises
    ------
    UsageError : no row has such a metric
    """
    known = metrics(rows)
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"No metric '{name}'.{nearest(name, known)} There are: {', '.join(known) or 'none yet'}."
            )
    return [
        {**row, "metrics": {name: value for name, value in part.items() if name in wanted}}
        for row, part in zip(rows, parts_of(rows, "metrics"))
    ]


def is_of_a_model(metric: str) -> bool:
    """False of a ceiling, which is a matter of the data: where it is the same in every row, once is
    enough.
    """
    return not any(part.endswith("_ceiling") for part in metric.split("/"))


def unlike(done: list[Row]) -> str:
    """In what these done tasks differ though they should not, as in "2 codes, keras 3 and 4"; empty when
    alike.
    """
    codes, data, scored, versions = zip(*map(origin, done)) if done else ((), (), (), ())
    several = [(codes, "codes"), (data, "data sets")]
    found = [f"{len(known)} {noun}" for values, noun in several if len(known := set(values) - {None}) > 1]
    if len(counts := set(scored) - {None}) > 1:
        found.append(f"{spoken(sorted(counts, key=str))} neurons")
    packages: dict[str, set] = {}
    for name, major in set(chain.from_iterable(versions)):
        packages.setdefault(name, set()).add(major)
    found += [f"{name} {spoken(sorted(of))}" for name, of in sorted(packages.items()) if len(of) > 1]
    return ", ".join(found)


def changed_defaults(rows: Iterable[Row]) -> list[str]:
    """Arguments whose default is not the same in all done tasks of a run, because the script changed in
    between.
    """
    found: dict[str, None] = {}
    for group in runs(rows):
        parts = [
            part
            for part, row in zip(parts_of(group, "defaults"), group)
            if part and row.get("state") == "done"
        ]
        for name in dict.fromkeys(chain.from_iterable(parts)):
            if any(part.get(name) != parts[0].get(name) for part in parts):
                found[name] = None
    return list(found)


def origin(row: Row) -> tuple:
    """What two tasks must share to be averaged: code, data, neurons scored, main versions of what was
    installed.
    """
    facts, versions = _part(row, "facts"), _part(row, "versions")
    majors = tuple((name, _major(str(version))) for name, version in versions.items() if version is not None)
    return _text(row.get("code")), _text(facts.get("data_hash")), _text(facts.get("neurons_scored")), majors


def numbers(values: list) -> np.ndarray:
    """The values as floats; nan where one is absent, infinite or no number."""
    try:
        found = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = np.array([_number(value) for value in values])
    if found.ndim != 1:  # every value was a list of the same length
        found = np.full(len(values), math.nan)
    return np.where(np.isfinite(found), found, math.nan)


def column(values: list | np.ndarray) -> pd.Series:
    """The values under the plainest type that holds them all; whole numbers stay whole when some are
    absent.
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
    if known in ({float}, {int, float}) and largest <= 2**53:  # beyond, a float is another number
        return pd.Series(values, dtype=float)
    return pd.Series(
        values, dtype=object
    )  # text too: pandas' own text type depends on its version and on pyarrow


def _front(rows: list[Row]) -> dict[str, list]:
    found = {name: [row.get(name) for row in rows] for name in ("experiment", "run", "id", "architecture")}
    for name in ("experiment", "architecture"):
        if len({_text(value) for value in found[name]} - {None}) < 2:
            del found[name]
    return found


def _costs(rows: list[Row]) -> dict[str, list | np.ndarray]:
    facts = parts_of(rows, "facts")
    errors = [_error(row.get("error")) for row in rows]
    used = {name: numbers([row.get(name) for row in rows]) for name in ("wall_seconds", "peak_memory_gb")}
    return {"error": errors, **{name: [part.get(name) for part in facts] for name in _FACTS}, **used}


def _provenance(rows: list[Row]) -> dict[str, list]:
    data = [part.get("data_hash") for part in parts_of(rows, "facts")]
    plain = {
        name: [row.get(name) for row in rows] for name in ("on_grid", "split_by", "code", "commit", "dirty")
    }
    families = {}
    for family in ("seeds", "versions"):
        parts = parts_of(rows, family)
        for name in dict.fromkeys(chain.from_iterable(parts)):
            families[f"{family}.{name}"] = [part.get(name) for part in parts]
    return {**plain, "data_hash": data, **families}


def _other_facts(rows: list[Row]) -> dict[str, list]:
    """What a fit recorded of its own accord, as far as it fits into a cell."""
    facts = parts_of(rows, "facts")
    names = [name for name in dict.fromkeys(chain.from_iterable(facts)) if name not in _NO_COLUMN]
    columns = {name: [part.get(name) for part in facts] for name in names}
    return {name: values for name, values in columns.items() if not {dict, list} & set(map(type, values))}


def _named_apart(prefix: str, columns: dict, taken: set[str]) -> dict:
    """The columns, their names unlike all that are taken; takes them."""
    apart = {}
    for name, values in columns.items():
        while name in taken:
            name = prefix + name
        taken.add(name)
        apart[name] = values
    return apart


def _place(row: Row) -> tuple:
    run, repetition = row.get("run"), row.get("repetition")
    run = run if isinstance(run, int) else math.inf
    return (
        str(row.get("experiment")),
        run,
        str(row.get("id")),
        repetition if isinstance(repetition, int) else math.inf,
    )


def _part(row: Row, key: str) -> Mapping:
    found = row.get(key)
    return found if type(found) is dict or isinstance(found, Mapping) else {}


def parts_of(rows: list[Row], key: str) -> list[Mapping]:
    return [_part(row, key) for row in rows]


def _error(error: Any) -> str | None:
    """The error on one line, cut where it gets longer than anybody reads in a table."""
    if not isinstance(error, Mapping):
        return None if error is None else " ".join(str(error).split())[:300]
    said = [str(error[key]) for key in ("type", "message") if error.get(key)] or [
        str(error.get("kind") or "unknown")
    ]
    return " ".join(": ".join(said)[:3000].split())[:300]


def _set_of(metric: str) -> int:
    first = metric.split("/")[0]
    return _SETS.index(first) if "/" in metric and first in _SETS else len(_SETS)


@lru_cache(maxsize=1024)
def _major(version: str) -> str:
    """The part of a version that promises the same behaviour: 3 of 3.5.0, but 0.6 of 0.6.2."""
    first, *rest = version.split(".")
    return f"0.{rest[0]}" if first == "0" and rest else first


def _number(value: Any) -> float:
    try:
        return float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return math.nan


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def spoken(words: Iterable) -> str:
    """'a', 'a and b', 'a, b and c'"""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last
