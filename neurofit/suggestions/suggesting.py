"""The arguments of a trial, suggested from what is known of the others.

    request = Request(search, given={"architecture": "cnn"}, number=17, experiment="exp3", group="8c1f…")
    suggest(request, known)          {"learning_rate": 3.1e-4, "units": 64, "optimizer": "adam"}

There is no state: the same request and the same known trials give the same arguments, so that a suggestion can be
made again afterwards. The samplers that learn begin with points that are spread evenly, and go on with them until
enough trials are finished to learn from.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurofit.errors import GridError, MissingExtra, install
from neurofit.experiments.grid.search import Choices, Integers, Range, Search
from neurofit.suggestions.trial import KnownTrial

SPREAD_TRIALS = 6  # whose arguments are spread evenly before a sampler learns from them
FEWEST_FINISHED = 4  # trials from which a sampler learns
# Of which TPE takes the most promising, in even and in odd trials: the more, the nearer to the best known. Chosen with
# SPREAD_TRIALS by scripts/bench-search, where four workers know less than one and have to go the same way.
CANDIDATES = (192, 24)
REMEDIES: dict[str, Callable[[], str]] = {
    "optuna": lambda: install("search"),
    "cmaes": lambda: install("search"),
    "torch": lambda: (
        "pip install torch, or choose sampler='tpe'"
    ),  # too large for an extra that most use without
}
CMAES_STEP = 0.3  # of all ranges as 0 to 1: about the standard deviation of points that are spread evenly


@dataclass(frozen=True)
class Request:
    """A trial whose arguments are asked for.

    Parameters
    ----------
    search : Search
    given : mapping
        The arguments of the grid's point, which conditional ranges may depend on.
    number : int
        Of the trial within its search, from 0.
    experiment : str
        The experiment's name.
    group : str
        What the trials of this search have in common.
    """

    search: Search
    given: Mapping[str, Any]
    number: int
    experiment: str
    group: str

    @property
    def seed(self) -> int:
        """Of this trial."""
        return seed_of(self.experiment, self.group, self.number)

    @property
    def common_seed(self) -> int:
        """Of what all trials of the search share: the points that are spread evenly, and a grid's order."""
        return seed_of(self.experiment, self.group)


def seed_of(experiment: str, group: str, number: int | None = None) -> int:
    """The seed of a trial, or of its search: a hash below 2³²."""
    text = "\0".join(["neurofit search", experiment, group, "" if number is None else str(number)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def suggest(request: Request, known: Sequence[KnownTrial]) -> dict[str, Any]:
    """The arguments of a trial.

    Parameters
    ----------
    request : Request
    known : sequence of KnownTrial
        Other trials of the search, in any order. Those outside its ranges are not used.

    Returns
    -------
    dict
        The value of every argument of the search, by name.

    Raises
    ------
    GridError
        The function of a conditional argument fails, or a grid has no combination left for this trial.
    MissingExtra
        The sampler's library is not installed.
    """
    learns = _LEARNING.get(request.search.sampler)
    if learns is None:
        return _NOT_LEARNING[request.search.sampler](request)
    others = [one for one in inside(request.search, request.given, known) if one.number != request.number]
    finished = sum(one.state in ("done", "pruned") for one in others)
    if request.number < SPREAD_TRIALS or finished < FEWEST_FINISHED:
        return _spread(request)
    try:
        return learns(request, others)
    except ModuleNotFoundError as error:
        if error.name not in REMEDIES:
            raise
        raise MissingExtra(
            f"The sampler '{request.search.sampler}' needs {error.name}, which is not installed: "
            f"{REMEDIES[error.name]()}.",
            name=error.name,
        ) from error


def preload(search: Search) -> None:
    """Import what suggests arguments, in a process whose children would each import it. Raises nothing."""
    with contextlib.suppress(ImportError):
        import scipy.stats.qmc  # noqa: F401
    if search.sampler in ("tpe", "cmaes"):
        with contextlib.suppress(ImportError):
            from neurofit.suggestions import replay

            replay.preload()


def inside(search: Search, given: Mapping[str, Any], known: Sequence[KnownTrial]) -> list[KnownTrial]:
    """The trials whose arguments lie inside the search's ranges, which may have changed since; by number."""
    return [
        one
        for one in sorted(known, key=lambda one: one.number)
        if _ranges(search, one.values, given) is not None
    ]


def _ranges(search: Search, values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Range] | None:
    try:
        return search.ranges(values, given)
    except GridError:  # a function that was edited since has no range for these values
        return None


def _spread(request: Request) -> dict[str, Any]:
    """Point `number` of a scrambled Sobol' sequence, of which each argument is a dimension."""
    from numpy.random import PCG64, Generator
    from scipy.stats.qmc import Sobol  # takes most of a second

    names = request.search.names
    sequence = Sobol(len(names), seed=Generator(PCG64(request.common_seed)))
    if request.number:
        sequence.fast_forward(request.number)
    shares = dict(zip(names, sequence.random(1)[0].tolist(), strict=True))
    return request.search.chosen(lambda name, range: range.at(shares[name]), request.given)


def _random(request: Request) -> dict[str, Any]:
    from numpy.random import PCG64, Generator

    generator = Generator(PCG64(request.seed))
    return request.search.chosen(lambda name, range: range.at(generator.random()), request.given)


def _combination(request: Request) -> dict[str, Any]:
    """Combination `number` of all, in a random order that the trials share."""
    ranges = {one.name: one.range for one in request.search.arguments}
    most = math.prod(range.size for range in ranges.values() if isinstance(range, (Integers, Choices)))
    if request.number >= most:
        raise GridError(f"search: a grid of {most:,} combinations has none for trial {request.number}.")
    left = _shuffled(most, request.number, request.common_seed)
    values: dict[str, Any] = {}
    for name, range in ranges.items():
        assert isinstance(range, (Integers, Choices))  # a search with the sampler 'grid' has no others
        left, index = divmod(left, range.size)
        values[name] = range.item(index)
    return values


def _shuffled(size: int, position: int, seed: int) -> int:
    """What lies at a position of the numbers below `size` in random order, of which only the first are drawn."""
    draw = random.Random(seed)
    moved: dict[int, int] = {}
    for place in range(position + 1):  # Fisher-Yates
        other = draw.randrange(place, size)
        moved[place], moved[other] = moved.get(other, other), moved.get(place, place)
    return moved[position]


def _tpe(request: Request, known: list[KnownTrial]) -> dict[str, Any]:
    from neurofit.suggestions.replay import Replay

    return Replay(request.search, request.given).ask(
        known, request.seed, "tpe", CANDIDATES[request.number % 2]
    )


def _gp(request: Request, known: list[KnownTrial]) -> dict[str, Any]:
    from neurofit.suggestions.gaussian_process import ask

    return ask(request.search, request.given, known, request.seed)


def _cmaes(request: Request, known: list[KnownTrial]) -> dict[str, Any]:
    """CMA-ES over the numbers; lists are TPE's.

    Optuna's sampler keeps its state in the trials that it has suggested; told of trials by others it would begin
    anew each time. So the finished trials are told to `cmaes` here, in generations by number.
    """
    import numpy as np
    from cmaes import CMA

    search = request.search
    ranges = {one.name: one.given(request.given) for one in search.arguments}
    numbers = {name: range for name, range in ranges.items() if not isinstance(range, Choices)}
    lists = {} if len(numbers) == len(ranges) else _tpe(request, known)
    if not numbers:
        return lists
    box = np.array([[0.0, 1.0]] * len(numbers))
    state = CMA(np.full(len(numbers), 0.5), CMAES_STEP, bounds=box, seed=request.seed)
    sign = -1.0 if search.maximizes else 1.0
    told = [
        (np.array([numbers[name].share(one.values[name]) for name in numbers]), sign * one.value)
        for one in known
        if one.state == "done" and one.value is not None and math.isfinite(one.value)
    ]
    for generation in _full(told, state.population_size):
        state.tell(generation)
    shares = dict(zip(numbers, np.clip(state.ask(), 0, 1).tolist(), strict=True))
    return {name: range.at(shares[name]) if name in shares else lists[name] for name, range in ranges.items()}


def _full(items: list[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of this size, without the last ones that fill none."""
    for start in range(0, len(items) - size + 1, size):
        yield items[start : start + size]


_NOT_LEARNING: dict[str, Callable[[Request], dict[str, Any]]] = {
    "random": _random,
    "qmc": _spread,
    "grid": _combination,
}
_LEARNING: dict[str, Callable[[Request, list[KnownTrial]], dict[str, Any]]] = {
    "tpe": _tpe,
    "cmaes": _cmaes,
    "gp": _gp,
}
