"""The trials of a search as a study of Optuna, and what Optuna suggests from it.

Optuna is imported here alone, and when it is used: importing it takes half a second. Its study lives in memory, for
one question.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from neurofit.experiments.grid.params import canonical
from neurofit.experiments.grid.search import Choices, Integers, Range, Search, SearchedArgument
from neurofit.suggestions.trial import KnownTrial

if TYPE_CHECKING:
    import optuna


def asked(
    search: Search,
    given: Mapping[str, Any],
    known: Sequence[KnownTrial],
    seed: int,
    sampler: Literal["tpe", "gp"] = "tpe",
) -> dict[str, Any]:
    """What a sampler of Optuna suggests next.

    Parameters
    ----------
    search : Search
    given : mapping
        The arguments of the grid's point.
    known : sequence of KnownTrial
        By number; all inside the search's ranges.
    seed : int
    sampler : {"tpe", "gp"}
        GP imports torch.
    """
    import optuna
    from optuna.study import StudyDirection

    with _quiet():
        study = optuna.create_study(
            direction=StudyDirection[search.direction.upper()], sampler=_sampler(search, seed, sampler)
        )
        study.add_trials([frozen for one in known if (frozen := frozen_trial(search, given, _brief(one)))])
        trial = study.ask()
        arguments = {one.name: one for one in search.arguments}
        return search.chosen(lambda name, range: _value(trial, arguments[name], range), given)


def _sampler(search: Search, seed: int, name: str) -> optuna.samplers.BaseSampler:
    from optuna.samplers import GPSampler, TPESampler

    if name == "gp":
        return GPSampler(seed=seed, n_startup_trials=1)
    # constant_liar: the trials that are running count as bad, so that parallel ones do not all try the same.
    return TPESampler(
        seed=seed, n_startup_trials=1, multivariate=True, group=search.is_conditional, constant_liar=True
    )


def _brief(known: KnownTrial) -> KnownTrial:
    """With the last step alone, which is all that a sampler looks at, and only of pruned trials."""
    if known.state != "pruned" or not known.steps:
        return replace(known, steps={})
    last = max(known.steps)
    return replace(known, steps={last: known.steps[last]})


def frozen_trial(
    search: Search, given: Mapping[str, Any], known: KnownTrial
) -> optuna.trial.FrozenTrial | None:
    """A trial as Optuna knows it; None where its arguments lie outside the search's ranges."""
    from optuna.trial import TrialState, create_trial

    ranges = search.ranges(known.values, given)
    if ranges is None:
        return None
    value = known.value if known.state == "done" else None
    state = {
        "done": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
        "open": TrialState.RUNNING,
    }[known.state]
    if state is TrialState.COMPLETE and (value is None or math.isnan(value)):
        state, value = TrialState.FAIL, None
    names = {one.name: parameter(one, ranges[one.name]) for one in search.arguments}
    return create_trial(
        state=state,
        value=value,
        params={
            names[one.name]: _told(one, ranges[one.name], known.values[one.name]) for one in search.arguments
        },
        distributions={names[one.name]: _distribution(one, ranges[one.name]) for one in search.arguments},
        intermediate_values={step: float(value) for step, value in known.steps.items()},
    )


def parameter(argument: SearchedArgument, range: Range) -> str:
    """The name by which Optuna knows an argument.

    That of a conditional one tells a list from another and from numbers, between which a name must not change.
    """
    if argument.range is not None:
        return argument.name
    if isinstance(range, Choices):
        return f"{argument.name} ({hashlib.sha256(chr(0).join(range.texts).encode()).hexdigest()[:8]})"
    return f"{argument.name} (share)"


def _is_share(argument: SearchedArgument) -> bool:
    """Whether Optuna is told where in its range a number lies: the ends of a conditional range may change from trial
    to trial, and those that belong to a name must not.
    """
    return argument.range is None


def _distribution(argument: SearchedArgument, range: Range) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(range, Choices):
        return CategoricalDistribution(range.texts)
    if _is_share(argument):
        return FloatDistribution(0.0, 1.0)
    if isinstance(range, Integers):
        return IntDistribution(range.low, range.high, log=range.log)
    return FloatDistribution(range.low, range.high, log=range.log)


def _told(argument: SearchedArgument, range: Range, value: Any) -> Any:
    """A value as Optuna knows it."""
    if isinstance(range, Choices):
        return canonical(value)
    if _is_share(argument):
        return range.share(value)
    return int(value) if isinstance(range, Integers) else float(value)


def _value(trial: optuna.Trial, argument: SearchedArgument, range: Range) -> Any:
    """What Optuna suggests for an argument, as its fit knows it."""
    name = parameter(argument, range)
    if isinstance(range, Choices):
        return range.values[range.texts.index(trial.suggest_categorical(name, range.texts))]
    if _is_share(argument):
        return range.at(trial.suggest_float(name, 0, 1))
    if isinstance(range, Integers):
        return trial.suggest_int(name, range.low, range.high, log=range.log)
    return min(max(trial.suggest_float(name, range.low, range.high, log=range.log), range.low), range.high)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log and its warnings that a feature is new."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
