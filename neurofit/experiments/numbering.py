"""Numbers of runs: a registered run keeps its number, however the grid changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Run


def numbered(wanted: Iterable[Run], registered: Iterable[tuple[int, str]]) -> list[Run]:
    """Assign numbers to runs without changing the numbers of registered runs.

    If several runs have the same id, those that want one of its registered numbers get that number; the others get
    its remaining numbers in the order of registration. A new run gets the number that it wants if that is free,
    otherwise the next free number that no other new run wants.

    Parameters
    ----------
    wanted : iterable of Run
        Runs with the numbers that the grid gives them.
    registered : iterable of (int, str)
        Numbers and ids, in the order of registration.

    Raises
    ------
    ValueError
        A run has no number: it is not on the grid.
    """
    runs, known = [(run.registered_number, run) for run in wanted], list(registered)
    numbers = _registered_numbers(runs, known)
    new = [number for number, _ in runs if number not in numbers]
    next_free = _NextFree({number for number, _ in known})
    numbers |= {number: number for number in new if next_free.take(number)}
    for number in new:
        if number not in numbers:
            numbers[number] = next_free.after(number)
    return [replace(run, number=numbers[number]) for number, run in runs]


def _registered_numbers(wanted: list[tuple[int, Run]], registered: list[tuple[int, str]]) -> dict[int, int]:
    """Wanted number → registered number, for the runs that have one."""
    left: dict[str, list[int]] = {}
    for number, identifier in registered:
        left.setdefault(identifier, []).append(number)
    numbers: dict[int, int] = {}
    for number, run in wanted:
        if number in left.get(run.id, ()):
            numbers[number] = number
            left[run.id].remove(number)
    for number, run in wanted:
        if number not in numbers and left.get(run.id):
            numbers[number] = left[run.id].pop(0)
    return numbers


class _NextFree:
    """The numbers that are taken, each with the number at which to continue the search for a free one.

    Long stretches of taken numbers are traversed only once.
    """

    def __init__(self, taken: set[int]) -> None:
        self._later = {number: number + 1 for number in taken}

    def take(self, number: int) -> bool:
        if number in self._later:
            return False
        self._later[number] = number + 1
        return True

    def after(self, number: int) -> int:
        """Take the smallest free number above this one."""
        passed = []
        while number in self._later:
            passed.append(number)
            number = self._later[number]
        for one in passed:
            self._later[one] = number + 1
        self._later[number] = number + 1
        return number
