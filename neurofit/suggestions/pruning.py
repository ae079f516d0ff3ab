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
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from neurofit.experiments.grid.search import Search
from neurofit.suggestions.trial import KnownTrial

FEWEST_DONE = 5  # trials, before the median rule ends one
REDUCTION = 3  # one trial of so many goes on at each rung
BRACKETS = 4  # at most: the first rung is at most_steps / 3³
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
        self._sign = 1.0 if search.maximizes else -1.0  # from here on, more is better
        rules = {"median": _Median, "hyperband": _Hyperband}
        self._rule: _Median | _Hyperband | None = None
        if search.pruner is not None:
            ordered = sorted(known, key=lambda one: one.number)
            self._rule = rules[search.pruner](ordered, self._sign, group, most_steps)

    def should_prune(self, number: int, steps: Steps) -> bool:
        """Whether the trial ends now.

        Parameters
        ----------
        number : int
            Of the trial within its search.
        steps : mapping of int to float
            The metric at every step so far; nan counts as worst.
        """
        if self._rule is None or not steps:
            return False
        return self._rule.ends(number, {step: self._sign * steps[step] for step in sorted(steps)})
