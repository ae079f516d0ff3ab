"""Trials of a search as Optuna shows them: with plain values, the same ranges in all trials, and their own numbers.

Samplers are told of trials in another way (`replay.py`), by which a conditional range may change from trial to trial.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from neurofit.experiments.grid.params import plain
from neurofit.experiments.grid.search import Choices, Integers
from neurofit.suggestions.axes import Axis
from neurofit.suggestions.point_searches import SearchedTrial

if TYPE_CHECKING:
    import optuna
    from optuna.trial import TrialState

_SIMPLE = (str, int, float, bool, type(None))  # what Optuna keeps as a choice


def shown_trial(
    trial: SearchedTrial, axes: Sequence[Axis], state: TrialState | None = None, **details: Any
) -> optuna.trial.FrozenTrial:
    """A trial with its value and its steps; one that is done without a finite number has failed.

    Parameters
    ----------
    axes : sequence of Axis
        Of all trials of the search.
    state : TrialState, optional
        In place of what is known of the trial.
    **details
        More arguments of `optuna.trial.FrozenTrial`, such as the times.
    """
    from datetime import datetime

    from optuna.trial import FrozenTrial, TrialState

    known = trial.known
    states = {
        "done": TrialState.FAIL if trial.score is None else TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
        "open": TrialState.RUNNING,
    }
    state = state or states[known.state]
    own = [axis for axis in axes if known.number in axis.values]
    now = datetime.now()
    given: dict[str, Any] = {
        "datetime_start": now,
        "datetime_complete": now if state.is_finished() else None,
        "user_attrs": {},
        "system_attrs": {},
        "intermediate_values": {step: float(value) for step, value in known.steps.items()},
        **details,
    }
    value = None
    if state is TrialState.PRUNED and (steps := given["intermediate_values"]):
        last = steps[max(steps)]  # as Optuna itself notes it
        value = None if math.isnan(last) else last
    return FrozenTrial(
        number=known.number,
        trial_id=known.number,
        state=state,
        value=trial.score if state is TrialState.COMPLETE else value,
        params={axis.name: _told(axis, axis.values[known.number]) for axis in own},
        distributions={axis.name: distribution(axis) for axis in own},
        **given,
    )


def distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    """The range of an axis as Optuna knows it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    range = axis.range
    if isinstance(range, Choices):
        return CategoricalDistribution([_told(axis, value) for value in range.values])
    if isinstance(range, Integers):
        return IntDistribution(range.low, range.high, log=range.log)
    return FloatDistribution(range.low, range.high, log=range.log)


def _told(axis: Axis, value: Any) -> Any:
    """A value as Optuna knows it; where a list has other than simple values, each is its JSON text."""
    if not isinstance(axis.range, Choices):
        return int(value) if isinstance(axis.range, Integers) else float(value)
    is_simple = all(isinstance(one, _SIMPLE) for one in axis.range.values)
    # 1, 1.0 and True are equal to Optuna
    is_simple = is_simple and len({*axis.range.values}) == len(axis.range.values)
    place = axis.range.texts.index(_text(value))
    return axis.range.values[place] if is_simple else axis.range.texts[place]


def _text(value: Any) -> str:
    return Choices((plain(value, "a value"),)).texts[0]


def json_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON values."""
    return {name: plain(value, f"argument '{name}'") for name, value in arguments.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log and its warnings that a feature is new."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
