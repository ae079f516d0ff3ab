"""Notes printed with the results: what is missing, and what differs although it should be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
    groups = group_by_run(valid)
    of_done = groups if len(done) == len(valid) else group_by_run(done)
    facts = nested_dicts(done, "facts")
    sentences = [
        _damaged(every, groups),
        _missing(valid),
        _pruned(valid),
        _other_code(done),
        _mixed_runs(of_done),
        _other_defaults(done),
        _neuron_counts(facts),
        _monitored_set(done, facts),
        _off_grid(valid, grid_only),
        _warnings(facts),
    ]
    return [sentence for sentence in sentences if sentence]


def _damaged(every: list[Any], groups: list[list[TaskRow]]) -> str:
    unreadable = len(every) - sum(map(len, groups))
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
    codes = [row.get("code") for row in known]
    if codes.count(codes[0] if codes else None) == len(codes):
        return ""
    newest = max(known, key=lambda row: str(row.get("ended") or "")).get("code")
    other = sum(code != newest for code in codes)
    verb = "was" if other == 1 else "were"
    return f"{other} of {_count(len(done), 'task')} {verb} done with code other than the newest."


def _mixed_runs(groups: list[list[TaskRow]]) -> str:
    found = {
        group[0].get("run"): differences for group in groups if (differences := describe_differences(group))
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


def _neuron_counts(facts: list[Mapping[str, Any]]) -> str:
    counts = dict.fromkeys(n for of in facts if of and type(n := of.get("neurons_scored")) is int)
    return f"Neuron counts differ between tasks: {join_words(counts)} scored." if len(counts) > 1 else ""


def _monitored_set(done: list[TaskRow], facts: list[Mapping[str, Any]]) -> str:
    """Whether early stopping used the set whose score is reported: "test", or any set if there is no test set."""
    kinds = {(str(of.get("monitored")), *part) for of, part in zip(facts, nested_dicts(done, "metrics"))}
    found = set()
    for name, *metrics in kinds:
        known = {metric.split("/")[0] for metric in metrics if "/" in metric}
        if name in known and (name == "test" or "test" not in known):
            found.add(name)
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


def _warnings(facts: list[Mapping[str, Any]]) -> str:
    """The sentences that fits recorded in the fact `warnings`."""
    lists = [warnings for of in facts if of and isinstance(warnings := of.get("warnings"), list)]
    counts = Counter(map(str, chain(*lists)))
    return " ".join(f"{text} (in {_count(number, 'task')})" for text, number in counts.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
