"""Notes printed with the results: what is missing, and what differs although it should be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

from neurofit.tables.table import (
    TaskRow,
    changed_defaults,
    describe_differences,
    group_by_run,
    join_words,
    nested_dicts,
    valid_rows,
)
from neurofit.tables.trials import is_counted, is_pruned

_STATES = ("failed", "lost", "cancelled", "stopped", "running", "queued", "new")
_SHOWN_RUNS = 3


def notes(rows: Iterable[TaskRow], *, grid_only: bool = False) -> list[str]:
    """List what a reader of these results must know, one sentence each.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of results; damaged ones are counted.
    grid_only : bool
        Whether tasks off the grid were left out.
    """
    every = list(rows)
    valid = valid_rows(every)
    done = [row for row in valid if is_counted(row)]
    sentences = [
        _damaged(every, valid),
        _missing(valid),
        _pruned(valid),
        _other_code(done),
        _mixed_runs(done),
        _other_defaults(done),
        _neuron_counts(done),
        _monitored_set(done),
        _off_grid(valid, grid_only),
        _warnings(done),
    ]
    return [sentence for sentence in sentences if sentence]


def _damaged(every: list[Any], valid: list[TaskRow]) -> str:
    unreadable = len(every) - sum(map(len, group_by_run(valid)))
    return f"{_count(unreadable, 'record')} could not be read or named no run." if unreadable else ""


def _missing(rows: list[TaskRow]) -> str:
    states = Counter(str(row.get("state") or "unknown") for row in rows if row.get("state") != "done")
    if not states:
        return ""
    known = [state for state in _STATES if state in states] + sorted(set(states) - set(_STATES))
    missing, listed = sum(states.values()), ", ".join(f"{states[state]} {state}" for state in known)
    return f"{missing} of {_count(len(rows), 'task')} {'is' if missing == 1 else 'are'} missing ({listed})."


def _pruned(rows: list[TaskRow]) -> str:
    pruned = sum(map(is_pruned, rows))
    if not pruned:
        return ""
    verb = "was" if pruned == 1 else "were"
    of = _count(len(rows), "task")
    return f"{pruned} of {of} {verb} ended early by the search (pruned_at) and left out of means."


def _other_code(done: list[TaskRow]) -> str:
    known = [row for row in done if row.get("code") is not None]
    newest = max(known, key=lambda row: str(row.get("ended") or "")).get("code") if known else None
    other = sum(row.get("code") != newest for row in known)
    verb = "was" if other == 1 else "were"
    return (
        f"{other} of {_count(len(done), 'task')} {verb} done with code other than the newest."
        if other
        else ""
    )


def _mixed_runs(done: list[TaskRow]) -> str:
    found = {
        group[0].get("run"): differences
        for group in group_by_run(done)
        if (differences := describe_differences(group))
    }
    if not found:
        return ""
    listed = "; ".join(f"run {run}: {differences}" for run, differences in list(found.items())[:_SHOWN_RUNS])
    more = f"; and {len(found) - _SHOWN_RUNS} more" if len(found) > _SHOWN_RUNS else ""
    verb = "averages" if len(found) == 1 else "average"
    return f"{_count(len(found), 'run')} {verb} repetitions that differ ({listed}{more})."


def _other_defaults(done: list[TaskRow]) -> str:
    names = changed_defaults(done)
    if not names:
        return ""
    number = sum(bool(changed_defaults(group)) for group in group_by_run(done))
    verb = "has" if number == 1 else "have"
    return f"{_count(number, 'run')} {verb} repetitions with different defaults of {join_words(names)}."


def _neuron_counts(done: list[TaskRow]) -> str:
    counts = dict.fromkeys(
        n for facts in nested_dicts(done, "facts") if type(n := facts.get("neurons_scored")) is int
    )
    return f"Neuron counts differ between tasks: {join_words(counts)} scored." if len(counts) > 1 else ""


def _monitored_set(done: list[TaskRow]) -> str:
    """Whether early stopping used the set whose score is reported: "test", or any set if there is no test set."""
    sets = [{name.split("/")[0] for name in part if "/" in name} for part in nested_dicts(done, "metrics")]
    monitored = [str(facts.get("monitored")) for facts in nested_dicts(done, "facts")]
    found = {
        name
        for name, known in zip(monitored, sets)
        if name in known and (name == "test" or "test" not in known)
    }
    if not found:
        return ""
    return f"Early stopping monitored the set whose scores are reported: {join_words(sorted(found))}."


def _off_grid(rows: list[TaskRow], grid_only: bool) -> str:
    off = sum(row.get("on_grid") is False for row in rows)
    if not off:
        return ""
    verb = "is" if off == 1 else "are"
    left_out = " and left out; --off-grid includes them" if grid_only else ""
    return f"{_count(off, 'task')} {verb} off the grid{left_out}."


def _warnings(done: list[TaskRow]) -> str:
    """The sentences that fits recorded in the fact `warnings`."""
    lists = [
        warnings
        for facts in nested_dicts(done, "facts")
        if isinstance(warnings := facts.get("warnings"), list)
    ]
    counts = Counter(map(str, chain(*lists)))
    return " ".join(f"{text} (in {_count(number, 'task')})" for text, number in counts.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
