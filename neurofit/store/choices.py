"""`chosen.jsonl`: which attempt at a task its user wants to count.

A line per choice, the last one of a task holds: {"run", "repetition", "attempt", "newest", "by", "t"}.
`newest` is the newest attempt that was done at the time; one that is done later counts again. `attempt` null
takes a choice back. Lines are appended under the experiment's lock.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

from neurofit.files import append_lines, explain_os_errors, read_file
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import ChoiceRecord
from neurofit.store.submissions import TaskKey
from neurofit.structure import structured_lines


class Chosen(NamedTuple):
    """A choice that holds until an attempt after `newest` is done."""

    attempt: int
    newest: int


def read_choices(files: ExperimentFiles) -> tuple[dict[TaskKey, Chosen], int]:
    """The choices that hold, and how many lines could not be read."""
    try:
        lines, damaged = structured_lines(read_file(files.chosen), ChoiceRecord)
    except FileNotFoundError:
        return {}, 0
    choices: dict[TaskKey, Chosen] = {}
    for line in lines:
        key = line.run, line.repetition
        if line.attempt is None:
            choices.pop(key, None)
        else:
            choices[key] = Chosen(line.attempt, line.newest)
    return choices, damaged


def choose(files: ExperimentFiles, key: TaskKey, attempt: int | None, newest: int, by: str) -> None:
    """Note that `attempt` counts, or, with None, that the newest one does; called under the experiment's
    lock.
    """
    choice = ChoiceRecord(
        run=key[0], repetition=key[1], attempt=attempt, newest=newest, by=by, t=round(time.time(), 3)
    )
    with explain_os_errors(files.chosen, "note the choice"):
        append_lines(files.chosen, [choice.as_object()])


def counting(done: Collection[int], chosen: Chosen | None) -> int:
    """Which of the attempts that are done counts: the newest, or the chosen one until a newer one than then
    is done.
    """
    newest = max(done)
    return chosen.attempt if chosen and newest <= chosen.newest and chosen.attempt in done else newest
