"""A search: arguments whose values are suggested one trial after the other, from ranges in place of lists.

    search(learning_rate=log_uniform(1e-5, 1e-2), units=integers(8, 256, log=True), optimizer=["adam", "sgd"],
           dropout=uniform(0, 0.5), trials=100, metric="validation/correlation")
    search(optimizer=["adam", "sgd"], momentum=lambda optimizer: uniform(0, 0.99) if optimizer == "sgd" else [0], …)
    grid(architecture=["cnn", "mlp"]) * search(…)       a search for each point of the grid

Trials have numbers before they have arguments: trial n of a search is a run, and its arguments are suggested when
it starts, from what the trials before it have achieved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from neurofit.errors import GridError, nearest
from neurofit.experiments.grid.functions import Function, function, values_of
from neurofit.experiments.grid.params import canonical, identity, short
from neurofit.metric_names import is_of_test

DIRECTIONS = ("maximize", "minimize")
SAMPLERS = ("tpe", "random", "qmc", "cmaes", "gp", "grid")
UNCONDITIONAL = ("cmaes", "gp", "grid")  # samplers for ranges that depend on no other argument
PRUNERS = ("median", "hyperband")
MOST_TRIALS = 100_000
LARGEST_INTEGER = 2**53  # beyond, samplers would round
_MOST_EXAMPLES = 200


@dataclass(frozen=True)
class Uniform:
    """Numbers from `low` to `high`; with `log`, their logarithms are spread evenly."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return type(value) in (int, float) and self.low <= float(value) <= self.high  # type: ignore[arg-type]

    def at(self, share: float) -> float:
        """The number below which this share of the range lies, from 0 to 1."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + share * (high - low)), self.low), self.high)
        return min(max(self.low + share * (self.high - self.low), self.low), self.high)

    def share(self, value: float) -> float:
        """The share of the range that lies below a value of it: the inverse of `at`."""
        return _share(value, self.low, self.high, self.log)

    def ends(self) -> list[Any]:
        return [self.low, self.high]

    def __str__(self) -> str:
        return f"{'log_uniform' if self.log else 'uniform'}({self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class Integers:
    """Integers from `low` to `high`, both included; with `log`, their logarithms are spread evenly."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        whole = type(value) is int or (type(value) is float and value.is_integer())
        return whole and self.low <= value <= self.high  # type: ignore[operator]

    def at(self, share: float) -> int:
        """The integer below which this share of the range lies, from 0 to 1."""
        low, high = self.low - 0.5, self.high + 0.5
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        return min(max(round(value), self.low), self.high)

    def share(self, value: float) -> float:
        """The share of the range that lies below a value of it: the inverse of `at`."""
        return _share(value, self.low - 0.5, self.high + 0.5, self.log)

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def item(self, index: int) -> int:
        return self.low + index

    def ends(self) -> list[Any]:
        return [self.low, self.high]

    def __str__(self) -> str:
        return f"integers({self.low}, {self.high}{', log=True' if self.log else ''})"


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return canonical(value) in self.texts

    @property
    def size(self) -> int:
        return len(self.values)

    def item(self, index: int) -> Any:
        return self.values[index]

    @cached_property
    def texts(self) -> list[str]:
        """The values as JSON in a unique form, which samplers know them by."""
        return [canonical(value) for value in self.values]

    def at(self, share: float) -> Any:
        """The value at this share of the list, from 0 to 1."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def ends(self) -> list[Any]:
        return list(self.values)

    def __str__(self) -> str:
        return short(list(self.values), 60)


Range = Uniform | Integers | Choices


def _share(value: float, low: float, high: float, log: bool) -> float:
    low, value, high = (math.log(one) for one in (low, value, high)) if log else (low, value, high)
    return min(max((value - low) / (high - low), 0.0), 1.0)


def uniform(low: float, high: float) -> Uniform:
    """Numbers from `low` to `high`, spread evenly, for an argument of `search`.

    Parameters
    ----------
    low, high : float
        The ends, which are included; `low` is below `high`.

    Raises
    ------
    GridError
        An end is not a finite number, or the ends are the wrong way round.
    """
    return Uniform(*_ends("uniform", low, high))


def log_uniform(low: float, high: float) -> Uniform:
    """Numbers from `low` to `high` whose logarithms are spread evenly, for an argument of `search`.

    Parameters
    ----------
    low, high : float
        The ends, which are included; `low` is above 0 and below `high`.

    Raises
    ------
    GridError
        An end is not a finite number above 0, or the ends are the wrong way round.
    """
    low, high = _ends("log_uniform", low, high)
    _above_zero("log_uniform", low, high)
    return Uniform(low, high, log=True)


def integers(low: int, high: int, *, log: bool = False) -> Integers:
    """Integers from `low` to `high`, both included, for an argument of `search`.

    Parameters
    ----------
    low, high : int
        The ends; `low` is below `high`.
    log : bool, default False
        Whether their logarithms are spread evenly; then `low` is at least 1.

    Raises
    ------
    GridError
        An end is not an integer, or the ends are the wrong way round.
    """
    for end in (low, high):
        if isinstance(end, bool) or int(_number("integers", end)) != end or abs(end) > LARGEST_INTEGER:
            raise GridError(
                f"integers({short(low)}, {short(high)}): {short(end)} is not an integer between ±2⁵³. For numbers "
                "with a fraction, write uniform(low, high)."
            )
    low, high = (int(end) for end in _ends("integers", low, high))
    if log:
        _above_zero("integers", low, high)
    return Integers(low, high, bool(log))


def _number(name: str, value: Any) -> float:
    value = value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise GridError(f"{name}: an end of the range is {short(value)}, expected a finite number.")
    return value


def _ends(name: str, low: Any, high: Any) -> tuple[float, float]:
    low, high = _number(name, low), _number(name, high)
    if low == high:
        raise GridError(f"{name}({low:g}, {high:g}) has a single value. Write a list instead: [{low:g}].")
    if low > high:
        raise GridError(
            f"{name}({low:g}, {high:g}): the lower end comes first. Write {name}({high:g}, {low:g})."
        )
    return (low, high) if name == "integers" else (float(low), float(high))


def _above_zero(name: str, low: float, high: float) -> None:
    if low <= 0:
        evenly = "uniform" if name == "log_uniform" else "integers"
        raise GridError(
            f"{name}({low:g}, {high:g}): a logarithm needs numbers above 0. Choose a low end above 0, or write "
            f"{evenly}({low:g}, {high:g})."
        )


@dataclass(frozen=True)
class SearchedArgument:
    """An argument of a search: its range, or a function of the arguments before it that returns one."""

    name: str
    range: Range | None
    function: Function | None = field(default=None, compare=False)

    def given(self, known: Mapping[str, Any]) -> Range:
        """The range where the arguments before it have these values."""
        if self.range is not None:
            return self.range
        assert self.function is not None  # an argument without a range has a function
        return _range(self.function(known), self.name)


@dataclass(frozen=True)
class Search:
    """What a search varies, and what it looks for.

    Parameters
    ----------
    arguments : tuple of SearchedArgument
        In the order in which functions see them.
    trials : int
        Of each search: of each point of a grid that it is combined with.
    metric : str
        What the fit returns and the search improves.
    direction : {"maximize", "minimize"}
    sampler : str
        One of `SAMPLERS`.
    pruner : str or None
        One of `PRUNERS`; None: every trial runs to its end.
    at_once : int
        The most trials that run at a time.
    """

    arguments: tuple[SearchedArgument, ...]
    trials: int
    metric: str
    direction: str = "maximize"
    sampler: str = "tpe"
    pruner: str | None = None
    at_once: int = 10

    def __post_init__(self) -> None:
        if self.sampler in UNCONDITIONAL and (argument := self._conditional()) is not None:
            raise GridError(
                f"search: the range of '{argument.name}' depends on other arguments, which the sampler "
                f"'{self.sampler}' cannot search. Write sampler=\"tpe\"."
            )
        if self.sampler == "grid" and self.trials > (most := self._combinations()):
            raise GridError(
                f"search: {self.trials:,} trials, but the grid has {most:,} combination"
                f"{'s' if most > 1 else ''}. Write trials={most}."
            )

    def _conditional(self) -> SearchedArgument | None:
        return next((one for one in self.arguments if one.function is not None), None)

    def _combinations(self) -> int:
        """How many combinations there are of lists and integers."""
        number = 1
        for one in self.arguments:
            if one.range is None or isinstance(one.range, Uniform):
                raise GridError(
                    f"search: {one.name}={one.range} has no end of values, and the sampler 'grid' tries each. "
                    f'Write a list, {one.name}=[…], or another sampler, such as sampler="qmc".'
                )
            number *= one.range.size
        return number

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(argument.name for argument in self.arguments)

    @property
    def maximizes(self) -> bool:
        return self.direction == "maximize"

    @property
    def is_conditional(self) -> bool:
        """Whether the range of an argument depends on other arguments."""
        return self._conditional() is not None

    def chosen(
        self, choose: Callable[[str, Range], Any], given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Values for all arguments.

        Parameters
        ----------
        choose : callable
            Called with the name and the range of each argument, in order; returns a value.
        given : mapping, optional
            The arguments of the grid's point, which functions may use.
        """
        known, values = dict(given or {}), {}
        for argument in self.arguments:
            values[argument.name] = known[argument.name] = choose(argument.name, argument.given(known))
        return values

    def ranges(self, values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Range] | None:
        """The range of every argument at these values; None if they lie outside, or an argument has none."""
        if values.keys() != set(self.names):
            return None
        found: dict[str, Range] = {}
        known = dict(given)
        for argument in self.arguments:
            found[argument.name] = argument.given(known)
            if values[argument.name] not in found[argument.name]:
                return None
            known[argument.name] = values[argument.name]
        return found

    def examples(self, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Values at the ends of the ranges, one argument after the other: what a fit can be asked about before."""
        centre = self.chosen(lambda name, range: range.at(0.5), given)
        yield centre
        left = _MOST_EXAMPLES
        for argument in self.arguments:
            for end in argument.given({**given, **centre}).ends():
                left -= 1
                if left < 0:
                    return
                yield self.chosen(_at(argument.name, end), given)

    def described(self) -> dict[str, str]:
        """Argument → its range as it would be written in a script, or that it depends on others."""
        return {
            one.name: "depends on others" if one.range is None else str(one.range) for one in self.arguments
        }

    @cached_property
    def identity(self) -> str:
        """A hash of what is searched for and how, but not of the number of trials."""
        ranges = [[name, text] for name, text in self.described().items()]
        return identity([ranges, self.metric, self.direction, self.sampler])


def _at(changed: str, end: Any) -> Callable[[str, Range], Any]:
    return lambda name, range: end if name == changed else range.at(0.5)


def searched(items: Iterator[tuple[str, Any]], **options: Any) -> Search:
    """The search of these arguments, checked. Raises GridError."""
    arguments = tuple(_argument(name, value) for name, value in items)
    if not arguments:
        raise GridError(
            "A search needs an argument to search for, as in search(learning_rate=log_uniform(1e-5, 1e-2), …)."
        )
    _check(**options)
    return Search(arguments, **options)


def _check(*, trials: Any, metric: Any, direction: Any, sampler: Any, pruner: Any, at_once: Any) -> None:
    for name, value, most in (("trials", trials, MOST_TRIALS), ("at_once", at_once, MOST_TRIALS)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise GridError(
                f"search: {name} must be an integer from 1 to {most:,}, got {short(value)}. Write {name}=10."
            )
    if not isinstance(metric, str) or not metric.strip():
        raise GridError(
            f"search: metric must be the name of a metric that the fit returns, got {short(metric)}. Write "
            'metric="validation/correlation".'
        )
    if is_of_test(metric):
        raise GridError(
            f"search: the metric '{metric}' is of the test set. A search that improves it would leave no unseen "
            "data to report. Use one of the validation set, such as validation/correlation."
        )
    for name, value, allowed in (
        ("direction", direction, DIRECTIONS),
        ("sampler", sampler, SAMPLERS),
        ("pruner", pruner, (None, *PRUNERS)),
    ):
        if value not in allowed:
            words = ", ".join("None" if one is None else repr(one) for one in allowed)
            hint = nearest(value, [one for one in allowed if one]) if isinstance(value, str) else ""
            raise GridError(f"search: {name} must be one of {words}, got {short(value)}.{hint}")


def _argument(name: str, value: Any) -> SearchedArgument:
    if callable(value) and not isinstance(value, (type, Uniform, Integers, Choices)):
        return SearchedArgument(name, None, function(value, f"argument '{name}' of the search"))
    return SearchedArgument(name, _range(value, name))


def _range(value: Any, name: str) -> Range:
    if isinstance(value, (Uniform, Integers, Choices)):
        return value
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise GridError(
            f"search: '{name}' is {short(value)}, expected a range or a list. Write {name}=uniform(0, 1), "
            f"{name}=[…], or {name}=[{short(value)}] for a single value."
        )
    values: dict[str, Any] = {}
    for one in values_of(value, f"argument '{name}' of the search"):
        values.setdefault(canonical(one), one)
    return Choices(tuple(values.values()))
