"""Selectors of tasks, with one grammar for all commands.

    exp3               every task of the experiment            exp3:17        every repetition of run 17
    exp3:17-40,last    runs 17 to 40, and the highest          exp3:17/3      repetition 3 of run 17
    exp3:all/0-4       repetitions 0 to 4 of every run         group/exp3:17/3
    exp3:best          the run with the best scores            exp3:best/3    repetition 3 of it

`best` is only a word here: `tables/best.py` finds the run.
Conditions of `--where` are parsed by `condition.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from neurofit.condition import Where, where
from neurofit.errors import UsageError
from neurofit.spans import spans
from neurofit.text import one_line

__all__ = ["Range", "Selection", "Where", "naming", "naming_all", "parse", "where"]
BEST = "best"
_MOST_PARTS = 6  # ranges in a selector that is shown
GRAMMAR = "A selector is exp3, exp3:17, exp3:17-40,last, exp3:17/3 (repetition 3), exp3:all/0-4 or exp3:best."
_PIECE = re.compile(r"([0-9]{1,18}|last)(?:-([0-9]{1,18}|last))?")


@dataclass(frozen=True)
class Range:
    """Numbers from `first` to `last`, both included. None stands for the highest existing number."""

    first: int | None
    last: int | None

    def holds(self, number: int, highest: int) -> bool:
        first, last = (highest if end is None else end for end in (self.first, self.last))
        return first <= number <= last

    def holds_any(self, numbers: Collection[int]) -> bool:
        """Whether one of these numbers, all that there are, is in the range."""
        highest = max(numbers, default=-1)
        return any(self.holds(number, highest) for number in numbers)

    def __str__(self) -> str:
        first, last = ("last" if end is None else str(end) for end in (self.first, self.last))
        return first if first == last else f"{first}-{last}"


@dataclass(frozen=True)
class Selection:
    """The name of an experiment and ranges of its runs and repetitions, None for all of them.

    If `best` is set, the run is not known yet; `of_run` makes the selection of it.
    """

    experiment: str
    runs: tuple[Range, ...] | None = None
    repetitions: tuple[Range, ...] | None = None
    best: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether every task of the experiment is selected."""
        return self.runs is None and self.repetitions is None and not self.best

    def of_run(self, number: int) -> Selection:
        """This selection with one run in place of `best`."""
        return replace(self, runs=(Range(number, number),), best=False)

    def matches(self, number: int, repetition: int, numbers: Collection[int]) -> bool:
        """Whether a task is selected.

        Parameters
        ----------
        number, repetition : int
            The run and the repetition of the task.
        numbers : collection of int
            The numbers of all runs; `last` is the highest of them.

        Raises
        ------
        ValueError
            The best run is selected, and nobody has looked which one it is.
        """
        if self.best:
            raise ValueError(f"the best run of {self.experiment} is not known yet")
        return _holds(self.runs, number, numbers) and _holds(self.repetitions, repetition, ())

    def absent(
        self, name: str, runs: Collection[int], repetitions: Callable[[], Collection[int]]
    ) -> list[str]:
        """Sentences about the parts that mean nothing, if others mean something: 'exp3 has no run 99.'

        Parameters
        ----------
        name : str
            The full name of the experiment.
        runs : collection of int
            The numbers of its runs.
        repetitions : callable
            Returns the numbers of its repetitions; called only if several are selected.
        """
        found = []
        if self.runs is not None and len(self.runs) > 1:
            found.append(_absent(name, "run", self.runs, runs))
        if self.repetitions is not None and len(self.repetitions) > 1:
            found.append(_absent(name, "repetition", self.repetitions, repetitions()))
        return list(filter(None, found))


def parse(text: str) -> Selection:
    """Parse a selector.

    Raises
    ------
    UsageError
        The text does not follow the grammar of selectors.
    """
    experiment, colon, rest = text.strip().rpartition(":")
    if not colon:
        experiment, rest = rest, "all"
    runs, slash, repetitions = rest.partition("/")
    if not experiment.strip():
        raise UsageError(f"'{one_line(text)}' has no name of an experiment. {GRAMMAR}")
    for word in ("last", BEST):
        if word in repetitions:
            raise UsageError(
                f"'{one_line(text)}': '{word}' is only for runs. Write repetitions as numbers, as in 0-4. {GRAMMAR}"
            )
    of_repetitions = _ranges(repetitions, text, "repetitions") if slash else None
    if runs.strip() == BEST:
        return Selection(experiment.strip(), None, of_repetitions, best=True)
    if BEST in (piece.strip() for piece in re.split("[,-]", runs)):
        raise UsageError(
            f"'{one_line(text)}': '{BEST}' is a single run and stands alone, as in exp3:best or exp3:best/3. {GRAMMAR}"
        )
    return Selection(experiment.strip(), _ranges(runs, text, "runs"), of_repetitions)


def _absent(name: str, noun: str, ranges: tuple[Range, ...], numbers: Collection[int]) -> str:
    absent = [one for one in ranges if not one.holds_any(numbers)]
    if not absent or len(absent) == len(ranges):
        return ""
    is_one = len(absent) == 1 and absent[0].first == absent[0].last
    return f"{name} has no {noun if is_one else noun + 's'} {', '.join(map(str, absent))}."


def _holds(ranges: tuple[Range, ...] | None, number: int, numbers: Collection[int]) -> bool:
    if ranges is None:
        return True
    asks_for_last = any(one.last is None for one in ranges)
    highest = max(numbers, default=-1) if asks_for_last else -1
    return any(one.holds(number, highest) for one in ranges)


def _ranges(text: str, selector: str, what: str) -> tuple[Range, ...] | None:
    """The ranges in a part of a selector, or None for `all`."""
    if text.strip() == "all":
        return None
    return tuple(_range(piece.strip(), selector, what) for piece in text.split(","))


def _range(piece: str, selector: str, what: str) -> Range:
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise UsageError(
            f"'{one_line(selector)}': expected numbers of {what}, got '{one_line(piece)}'. {GRAMMAR}"
        )
    first, last = (None if end == "last" else int(end) for end in (match[1], match[2] or match[1]))
    if last is not None and (first is None or first > last):
        raise UsageError(
            f"'{one_line(selector)}': the range '{one_line(piece)}' ends before it begins. {GRAMMAR}"
        )
    return Range(first, last)


def naming_all(name: str) -> str:
    """A selector of all tasks of an experiment: its name, with ":all" if the name has a colon."""
    return f"{name}:all" if ":" in name else name


def naming(name: str, tasks: Collection[tuple[int, int]], repetitions: int | None = None) -> str:
    """A selector of the runs of these tasks, 'exp3:1,4-7', or of the whole experiment if that would be long.

    Parameters
    ----------
    name : str
        The name of the experiment.
    tasks : collection of (int, int)
        Run and repetition of each task.
    repetitions : int, optional
        The number of repetitions of each run. If the tasks are fewer, and the same repetitions of every run, the
        selector names them: 'exp3:1,4-7/0'.
    """
    runs = spans({run for run, _ in tasks})
    chosen = {repetition for _, repetition in tasks}
    some = repetitions is not None and len(chosen) < repetitions and len(tasks) == len(chosen) * _length(runs)
    words = [*map(_words, runs)]
    if len(words) > _MOST_PARTS:
        return naming_all(name)
    of_runs = f"/{','.join(map(_words, spans(chosen)))}" if some else ""
    return f"{name}:{','.join(words)}{of_runs}"


def _length(spans: Collection[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in spans)


def _words(span: tuple[int, int]) -> str:
    first, last = span
    return f"{first}" if first == last else f"{first}-{last}"
