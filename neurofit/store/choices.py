"""`chosen.jsonl`: which attempt at a task its user wants to count.

A line per choice, the last one of a task holds: {"run", "repetition", "attempt", "newest", "by", "t"}.
`newest` is the newest attempt that was done at the time; one that is done later counts again. `attempt` null
takes a choice back. Lines are appended under the experiment's lock.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

from neurofit.files import append_lines, read_lines, told_apart
from neurofit.store.layout import ExperimentFiles
from neurofit.store.submissions import TaskKey


class Chosen(NamedTuple):
    """A choice that holds until an attempt after `newest` is done."""

    attempt: int
    newest: int


def read_choices(files: ExperimentFiles) -> tuple[dict[TaskKey, Chosen], int]:
    """The choices that hold, and how many lines could not be read."""
    records, damaged = read_lines(files.chosen)
    choices: dict[TaskKey, Chosen] = {}
    for record in records:
        key, chosen = (
            (record.get("run"), record.get("repetition")),
            (record.get("attempt"), record.get("newest")),
        )
        if not all(type(number) is int for number in (*key, chosen[1])) or type(chosen[0]) not in (
            int,
            type(None),
        ):
            damaged += 1
        elif chosen[0] is None:
            choices.pop(key, None)
        else:
            choices[key] = Chosen(*chosen)
    return choices, damaged


def choose(files: ExperimentFiles, key: TaskKey, attempt: int | None, newest: int, by: str) -> None:
    """Note that `attempt` counts, or, with None, that the newest one does; called under the experiment's
    lock.
    """
    record = {"run": key[0], "repetition": key[1], "attempt": attempt, "newest": newest, "by": by}
    with told_apart(files.chosen, "note the choice"):
        append_lines(files.chosen, [{**record, "t": round(time.time(), 3)}])


def counting(done: Collection[int], chosen: Chosen | None) -> int:
    """Which of the attempts that are done counts: the newest, or the chosen one until a newer one than then
    is done.
    """
    newest = max(done)
    return chosen.attempt if chosen and newest <= chosen.newest and chosen.attempt in done else newest
