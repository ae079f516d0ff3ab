"""Whether a trial is ended early, from what it and the others have logged.

    pruner = Pruner(search, known, group, most_steps=1000)
    pruner.should_prune(17, {100: 0.21, 200: 0.24})

The rules are those of Optuna's MedianPruner and HyperbandPruner, whose decisions they share, without its study: a
fit asks at every step, and need not import Optuna for it. There is no state: where Optuna remembers at which steps it
has compared a trial, these rules read it from the trial's steps.

Hyperband: L. Li et al. (2018), J. Mach. Learn. Res. 18(185). Its brackets as asynchronous successive halving:
L. Li et al. (2020), doi:10.48550/arXiv.1810.05934.
"""

from __future__ import annotations

import binascii
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from neurofit.experiments.grid.search import Search
from neurofit.suggestions.trial import KnownTrial

FEWEST_DONE = 5  # trials, before the median rule ends one
REDUCTION = 3  # one trial of so many goes on at each rung
BRACKETS = 4  # at most
SMALLEST = 27  # 3³: the first rung of the first bracket lies at this part of the steps
Steps = Mapping[int, float]


class Pruner:
    """Decides for the trials of a search, from a snapshot of what is known of them.

    Parameters
    ----------
    search : Search
    known : sequence of KnownTrial
        In any order. Those that are open count as well.
    group : str
        What the trials of this search have in common; with a trial's number, it chooses the bracket of Hyperband.
    most_steps : int, optional
        The step at which a fit ends by itself. Default: the last step of the trials that are done, and until one is,
        Hyperband ends none.
    """

    def __init__(
        self, search: Search, known: Sequence[KnownTrial], group: str, *, most_steps: int | None = None
    ) -> None:
        self._most_steps = most_steps
        self._sign = 1.0 if search.maximizes else -1.0  # from here on, more is better
        signed = [(one, self._signed(one.steps)) for one in sorted(known, key=lambda one: one.number)]
        self._rule: _Median | _Hyperband | None = None
        if search.pruner == "median":
            self._rule = _Median(signed)
        elif search.pruner == "hyperband":
            self._rule = _Hyperband(signed, group, most_steps)

    def should_prune(self, number: int, steps: Steps, asked: int | None = None) -> bool:
        """Whether the trial ends now.

        Parameters
        ----------
        number : int
            Of the trial within its search.
        steps : mapping of int to float
            The metric at every step so far; nan counts as worst.
        asked : int, optional
            The last step about which this was asked before, -1 for none. Default: the step before the last one.
        """
        if self._rule is None or not steps:
            return False
        *before, last = sorted(steps)
        if self._most_steps is not None and last >= self._most_steps:
            return False  # there is nothing left to save
        if asked is None:
            asked = before[-1] if before else -1
        return self._rule.ends(number, self._signed(steps), asked)

    def _signed(self, steps: Steps) -> dict[int, float]:
        return {step: self._sign * steps[step] for step in sorted(steps)}


class _Median:
    """Ends a trial whose best value so far is below the median, at this step, of the trials that are done."""

    def __init__(self, known: Sequence[tuple[KnownTrial, Steps]]) -> None:
        self._done = [steps for one, steps in known if _has_ended(one)]
        self._medians: dict[int, float] = {}

    def ends(self, number: int, steps: Steps, asked: int) -> bool:
        if len(self._done) < FEWEST_DONE:
            return False
        best = max((value for value in steps.values() if not math.isnan(value)), default=None)
        return best is None or best < self._median(max(steps))

    def _median(self, step: int) -> float:
        """-inf where no trial has a value at this step."""
        if step not in self._medians:
            values = [steps[step] for steps in self._done if not math.isnan(steps.get(step, math.nan))]
            self._medians[step] = _median(values) if values else -math.inf
        return self._medians[step]


class _Hyperband:
    """Ends a trial that is not among the best third of those of its bracket that have reached a rung.

    Rung 0 of bracket 0 lies at 1/27 of the steps, and each rung and each bracket three times as far as the one before.
    """

    def __init__(self, known: Sequence[tuple[KnownTrial, Steps]], group: str, most_steps: int | None) -> None:
        self._group = group
        lasts = [max(steps) + 1 for one, steps in known if steps and _has_ended(one)]
        self._most = max(1, most_steps or max(lasts, default=0))
        self._is_known = most_steps is not None or bool(lasts)
        self._budgets = _budgets(self._most)
        # Of each bracket and rung: the number of each trial that has reached it, and its value there.
        self._rungs: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        for one, steps in known:
            bracket = self._bracket(one.number)
            for rung, value in enumerate(self._reached(bracket, steps)):
                self._rungs[bracket, rung][one.number] = value

    def ends(self, number: int, steps: Steps, asked: int) -> bool:
        if not self._is_known:
            return False
        last = max(steps)
        bracket = self._bracket(number)
        rung = len(self._reached(bracket, {step: value for step, value in steps.items() if step <= asked}))
        while self._is_at(bracket, rung, last):
            if math.isnan(steps[last]):
                return True
            others = [value for one, value in self._rungs[bracket, rung].items() if one != number]
            better = sum(value > steps[last] for value in others)
            if better >= max((len(others) + 1) // REDUCTION, 1):
                return True
            rung += 1
        return False

    def _reached(self, bracket: int, steps: Steps) -> list[float]:
        """The values at the rungs that a trial has reached."""
        values: list[float] = []
        for step, value in steps.items():
            while self._is_at(bracket, len(values), step) and not math.isnan(value):
                values.append(value)
        return values

    def _is_at(self, bracket: int, rung: int, step: int) -> bool:
        first = max(self._most, SMALLEST)  # rung 0 lies at 1 / 27 of it
        return step * SMALLEST >= first * int(REDUCTION ** (bracket + rung))

    def _bracket(self, number: int) -> int:
        """By a hash, as in Optuna: the trials of a bracket need not be counted."""
        ends = list(accumulate(self._budgets))
        return bisect_right(ends, binascii.crc32(f"{self._group}_{number}".encode()) % ends[-1])


def _median(values: list[float]) -> float:
    # not by `statistics`: a script that is started by `python` may have a helper of that name
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _budgets(most_steps: int) -> list[int]:
    """The shares of the trials that belong to each bracket."""
    brackets = 1
    while brackets < BRACKETS and REDUCTION**brackets <= most_steps:
        brackets += 1
    return [math.ceil(brackets * REDUCTION**left / (left + 1)) for left in reversed(range(brackets))]


def _has_ended(known: KnownTrial) -> bool:
    return known.state == "done" and known.value is not None and not math.isnan(known.value)
