"""`chosen.jsonl`: the attempts that users have chosen to count.

One line per choice: {"run", "repetition", "attempt", "newest", "by", "t"}; the last line of a task is valid.
`newest` is the newest attempt that was done when the choice was made; an attempt that is done later counts
instead. A null `attempt` withdraws the choice. Lines are appended under the experiment's lock.
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
    """A choice that is valid until an attempt after `newest` is done."""

    attempt: int
    newest: int


def read_choices(files: ExperimentFiles) -> tuple[dict[TaskKey, Chosen], int]:
    """The valid choices, and the number of lines that could not be read."""
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
    """Record which attempt counts. The caller holds the experiment's lock.

    Parameters
    ----------
    files : ExperimentFiles
        The experiment.
    key : tuple of int
        The run number and the repetition.
    attempt : int or None
        The attempt that counts; None means the newest one.
    newest : int
        The newest attempt that is done now.
    by : str
        The user who made the choice.
    """
    choice = ChoiceRecord(
        run=key[0], repetition=key[1], attempt=attempt, newest=newest, by=by, t=round(time.time(), 3)
    )
    with explain_os_errors(files.chosen, "record the choice"):
        append_lines(files.chosen, [choice.as_object()])


def counting(done: Collection[int], chosen: Chosen | None) -> int:
    """The number of the attempt that counts.

    It is the newest attempt in `done`, or the chosen one, unless a newer attempt has been done since the choice.
    """
    newest = max(done)
    return chosen.attempt if chosen and newest <= chosen.newest and chosen.attempt in done else newest
