"""The arguments of a search over its trials: one axis each, with a single range for all of them.

A conditional argument may be a number in one trial and one of a list in another: it then has an axis for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid.params import canonical
from neurofit.experiments.grid.search import Choices, Integers, Range, Search, SearchedArgument, Uniform
from neurofit.suggestions.trial import KnownTrial

_KINDS = ("numbers", "numbers, logarithmic", "list")


@dataclass(frozen=True)
class Axis:
    """An argument of a search over trials.

    Parameters
    ----------
    name : str
        The argument's, with what kind it is where it has several.
    range : Range
        Holds the ranges and the values of all trials, also of those outside of what the script says now.
    values : dict of int to value
        By the number of the trial.
    """

    name: str
    range: Range
    values: dict[int, Any]

    @property
    def is_list(self) -> bool:
        return isinstance(self.range, Choices)

    @property
    def is_log(self) -> bool:
        return not isinstance(self.range, Choices) and self.range.log


def axes(search: Search, given: Mapping[str, Any], trials: Iterable[KnownTrial]) -> list[Axis]:
    """The axes of a search, in the order of its arguments.

    Parameters
    ----------
    given : mapping
        The arguments of the grid's point.
    trials : iterable of KnownTrial
        At least the values of one are needed for a conditional argument; arguments that trials lack are left out.
    """
    trials = list(trials)
    found = []
    for argument in search.arguments:
        kinds: dict[str, tuple[list[Range], dict[int, Any]]] = {}
        if argument.range is not None:
            kinds[_kind(argument.range)] = [argument.range], {}
        for trial in trials:
            if argument.name in trial.values:
                value = trial.values[argument.name]
                range = _range(argument, {**given, **trial.values}, value)
                ranges, values = kinds.setdefault(_kind(range), ([], {}))
                ranges.append(range)
                values[trial.number] = value
        kinds = {kind: one for kind, one in kinds.items() if one[1] or len(kinds) == 1}
        for kind in sorted(kinds, key=_KINDS.index):
            ranges, values = kinds[kind]
            name = argument.name if len(kinds) == 1 else f"{argument.name} ({kind})"
            found.append(Axis(name, _joined(ranges, values.values()), values))
    return found


def _range(argument: SearchedArgument, known: Mapping[str, Any], value: Any) -> Range:
    """The range of an argument in a trial; what its value suggests if the script has none for it any more."""
    try:
        range = argument.given(known)
    except GridError:
        return Uniform(value, value) if _is_number(value) else Choices((value,))
    if isinstance(range, Choices) or (_is_number(value) and (value > 0 or not range.log)):
        return range
    return Uniform(value, value) if _is_number(value) else Choices((value,))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(range: Range) -> str:
    return _KINDS[2] if isinstance(range, Choices) else _KINDS[1] if range.log else _KINDS[0]


def _joined(ranges: list[Range], values: Iterable[Any]) -> Range:
    """A range that holds these ranges, which are of one kind, and these values."""
    if isinstance(ranges[0], Choices):
        items: dict[str, Any] = {}
        for value in [one for range in ranges if isinstance(range, Choices) for one in range.values]:
            items.setdefault(canonical(value), value)
        for value in values:
            items.setdefault(canonical(value), value)
        return Choices(tuple(items.values()))
    numeric = [one for one in ranges if not isinstance(one, Choices)]
    numbers = list(values)
    low = min([one.low for one in numeric] + numbers)
    high = max([one.high for one in numeric] + numbers)
    is_whole = all(isinstance(one, Integers) for one in numeric) and all(n == int(n) for n in numbers)
    if is_whole:
        return Integers(int(low), int(high), numeric[0].log)
    return Uniform(float(low), float(high), numeric[0].log)
