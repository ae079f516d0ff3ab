"""What a reader of results has to know beside the numbers: what is missing, unlike, or not what it seems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain

from neurofit.tables.table import Row, changed_defaults, parts_of, readable, runs, spoken, unlike

_STATES = ("failed", "lost", "cancelled", "stopped", "running", "queued", "new")


def notes(records: Iterable[Row], *, grid_only: bool = False) -> list[str]:
    """What a reader of these results has to know, each a sentence; an empty list when there is nothing.

    grid_only : whether what is off the grid was left out
    """
    records = list(records)
    rows = readable(records)
    done = [row for row in rows if row.get("state") == "done"]
    sentences = [
        _damaged(records, rows),
        _missing(rows),
        _other_code(done),
        _mixed_runs(done),
        _changed_defaults(done),
        _neuron_counts(done),
        _monitored(done),
        _off_grid(rows, grid_only),
        _warnings(done),
    ]
    return [sentence for sentence in sentences if sentence]


def _damaged(records: list, rows: list[Row]) -> str:
    unreadable = len(records) - sum(map(len, runs(rows)))
    return f"{_count(unreadable, 'record')} could not be read or named no run." if unreadable else ""


def _missing(rows: list[Row]) -> str:
    states = Counter(str(row.get("state") or "unknown") for row in rows if row.get("state") != "done")
    if not states:
        return ""
    known = [state for state in _STATES if state in states] + sorted(set(states) - set(_STATES))
    missing, listed = sum(states.values()), ", ".join(f"{states[state]} {state}" for state in known)
    return f"{missing} of {_count(len(rows), 'task')} {'is' if missing == 1 else 'are'} missing ({listed})."


def _other_code(done: list[Row]) -> str:
    known = [row for row in done if row.get("code") is not None]
    newest = max(known, key=lambda row: str(row.get("ended") or ""), default={}).get("code")
    other = sum(row.get("code") != newest for row in known)
    return f"{other} of {len(done)} done with other code than the newest." if other else ""


def _mixed_runs(done: list[Row]) -> str:
    found = {group[0].get("run"): text for group in runs(done) if (text := unlike(group))}
    listed = "; ".join(f"run {run}: {text}" for run, text in list(found.items())[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    verb = "averages" if len(found) == 1 else "average"
    return f"{_count(len(found), 'run')} {verb} unlike repetitions ({listed}{more})." if found else ""


def _changed_defaults(done: list[Row]) -> str:
    names = changed_defaults(done)
    number = sum(bool(changed_defaults(group)) for group in runs(done)) if names else 0
    mixed = "has repetitions" if number == 1 else "have repetitions"
    return f"{_count(number, 'run')} {mixed} with another default of {spoken(names)}." if names else ""


def _neuron_counts(done: list[Row]) -> str:
    counts = dict.fromkeys(
        n for part in parts_of(done, "facts") if type(n := part.get("neurons_scored")) is int
    )
    return f"Neuron counts differ between tasks: {spoken(counts)} scored." if len(counts) > 1 else ""


def _monitored(done: list[Row]) -> str:
    """Early stopping that read the set whose score is reported; without a test set that is any set it
    read.
    """
    sets = [{name.split("/")[0] for name in part if "/" in name} for part in parts_of(done, "metrics")]
    monitored = [str(part.get("monitored")) for part in parts_of(done, "facts")]
    found = {name for name, of in zip(monitored, sets) if name in of and (name == "test" or "test" not in of)}
    return f"The monitored set is the reported one: {spoken(sorted(found))}." if found else ""


def _warnings(done: list[Row]) -> str:
    """What fits recorded as `warnings`, a list of sentences."""
    lists = (
        warnings for part in parts_of(done, "facts") if isinstance(warnings := part.get("warnings"), list)
    )
    return " ".join(
        f"{text} (in {_count(n, 'task')})" for text, n in Counter(map(str, chain(*lists))).items()
    )


def _off_grid(rows: list[Row], grid_only: bool) -> str:
    off = sum(row.get("on_grid") is False for row in rows)
    left_out = " left out: --off-grid includes them" if grid_only else ""
    return f"{_count(off, 'task')} off the grid{left_out}." if off else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
