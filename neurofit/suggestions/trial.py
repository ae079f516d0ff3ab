"""A trial of a search, as a sampler and a pruner know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["done", "pruned", "failed", "open"]  # open: it has arguments, and no result yet


@dataclass(frozen=True)
class KnownTrial:
    """What is known of a trial that has arguments.

    Parameters
    ----------
    number : int
        Of the trial within its search, from 0.
    state : {"done", "pruned", "failed", "open"}
    values : dict
        The arguments that were suggested, by name.
    value : float or None
        The metric of a trial that is done: the mean over its repetitions.
    steps : mapping of int to float
        The metric at the steps that the fit has logged, of the first repetition; empty if no pruner asks for it.
    """

    number: int
    state: TrialState
    values: dict[str, Any]
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
