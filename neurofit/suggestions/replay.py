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
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from neurofit.experiments.grid.params import canonical
from neurofit.experiments.grid.search import Choices, Integers, Range, Search, SearchedArgument
from neurofit.suggestions.trial import KnownTrial

if TYPE_CHECKING:
    import optuna


class Replay:
    """What Optuna is told of a search.

    Parameters
    ----------
    search : Search
    given : mapping
        The arguments of the grid's point.
    """

    def __init__(self, search: Search, given: Mapping[str, Any]) -> None:
        self.search = search
        self.given = given
        self._fixed = {
            one.name: _distribution(one, one.range) for one in search.arguments if one.range is not None
        }

    def ask(
        self,
        known: Sequence[KnownTrial],
        seed: int,
        sampler: Literal["tpe", "gp"],
        candidates: int = 24,
    ) -> dict[str, Any]:
        """What a sampler suggests next.

        Parameters
        ----------
        known : sequence of KnownTrial
            By number.
        seed : int
        sampler : {"tpe", "gp"}
            GP imports torch.
        candidates : int
            Of which TPE takes the most promising.
        """
        import optuna
        from optuna.study import StudyDirection

        with _quiet():
            study = optuna.create_study(
                direction=StudyDirection[self.search.direction.upper()],
                sampler=self._sampler(seed, sampler, candidates),
            )
            study.add_trials([told for one in known if (told := self.trial(_brief(one))) is not None])
            trial = study.ask()
            arguments = {one.name: one for one in self.search.arguments}
            return self.search.chosen(
                lambda name, range: self._value(trial, arguments[name], range), self.given
            )

    def trial(self, known: KnownTrial) -> optuna.trial.FrozenTrial | None:
        """A trial as Optuna knows it; None where its arguments lie outside the search's ranges.

        One that is done without a number counts as failed.
        """
        from optuna.trial import TrialState

        ranges = self.search.ranges(known.values, self.given)
        if ranges is None:
            return None
        value = known.value if known.state == "done" and known.value is not None else math.nan
        state = {
            "done": TrialState.FAIL if math.isnan(value) else TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
            "open": TrialState.RUNNING,
        }[known.state]
        told = [(one, ranges[one.name], _parameter(one, ranges[one.name])) for one in self.search.arguments]
        now = datetime.now()
        return _trial_class()(
            number=known.number,
            trial_id=known.number,
            state=state,
            value=value if state is TrialState.COMPLETE else None,
            datetime_start=now,
            datetime_complete=now if state.is_finished() else None,
            params={name: _told(one, range, known.values[one.name]) for one, range, name in told},
            distributions={name: self._distribution(one, range) for one, range, name in told},
            user_attrs={},
            system_attrs={},
            intermediate_values={step: float(value) for step, value in known.steps.items()},
        )

    def _sampler(self, seed: int, name: str, candidates: int) -> optuna.samplers.BaseSampler:
        from optuna.samplers import GPSampler, TPESampler

        if name == "gp":
            return GPSampler(seed=seed, n_startup_trials=1)
        return TPESampler(
            seed=seed,
            n_startup_trials=1,
            n_ei_candidates=candidates,
            multivariate=True,
            group=self.search.is_conditional,
            constant_liar=True,  # what is running counts as bad, so that parallel trials do not try the same
        )

    def _distribution(
        self, argument: SearchedArgument, range: Range
    ) -> optuna.distributions.BaseDistribution:
        return self._fixed.get(argument.name) or _distribution(argument, range)

    def _value(self, trial: optuna.Trial, argument: SearchedArgument, range: Range) -> Any:
        """What Optuna suggests for an argument, as its fit knows it."""
        name = _parameter(argument, range)
        if isinstance(range, Choices):
            return range.values[range.texts.index(trial.suggest_categorical(name, range.texts))]
        if _is_share(argument):
            return range.at(trial.suggest_float(name, 0, 1))
        if isinstance(range, Integers):
            return trial.suggest_int(name, range.low, range.high, log=range.log)
        return min(
            max(trial.suggest_float(name, range.low, range.high, log=range.log), range.low), range.high
        )


def _brief(known: KnownTrial) -> KnownTrial:
    """With the last step alone, which is all that a sampler looks at, and only of pruned trials."""
    if known.state != "pruned" or not known.steps:
        return replace(known, steps={})
    last = max(known.steps)
    return replace(known, steps={last: known.steps[last]})


@cache
def _trial_class() -> type[optuna.trial.FrozenTrial]:
    from optuna.trial import FrozenTrial

    class Replayed(FrozenTrial):
        """A trial of a single study, which need not copy it: with 2,000 trials, that takes half of the time."""

        def __deepcopy__(self, memo: dict[int, Any]) -> Replayed:
            return self

    return Replayed


def _parameter(argument: SearchedArgument, range: Range) -> str:
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
    from optuna import distributions

    if isinstance(range, Choices):
        return distributions.CategoricalDistribution(range.texts)
    if _is_share(argument):
        return distributions.FloatDistribution(0.0, 1.0)
    if isinstance(range, Integers):
        return distributions.IntDistribution(range.low, range.high, log=range.log)
    return distributions.FloatDistribution(range.low, range.high, log=range.log)


def _told(argument: SearchedArgument, range: Range, value: Any) -> Any:
    """A value as Optuna knows it."""
    if isinstance(range, Choices):
        return canonical(value)
    if _is_share(argument):
        return range.share(value)
    return int(value) if isinstance(range, Integers) else float(value)


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


def preload() -> None:
    """Import Optuna and its sampler. Raises ImportError."""
    import optuna

    with _quiet():
        optuna.samplers.TPESampler(multivariate=True)  # the name alone loads it
