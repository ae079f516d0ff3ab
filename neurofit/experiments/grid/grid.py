"""Grids: the combinations of arguments that an experiment runs. Grids can be combined with each other.

    grid(filters=[4, 9], l2=[0, 0.1])           every combination, the last axis fastest
    grid({"training.l2": [0, 0.1]})             names that are not Python names
    A * B                                       every point of A with every point of B
    A + B                                       the points of A, then those of B
    A.zip(B)                                    first with first, second with second, …
    grid(kind=["l1", "l2"], strength=lambda kind: [1, 2] if kind == "l1" else [3])      a conditional axis
    A.where(lambda filters, l2: filters > 4 or l2 > 0)                                  keeps some combinations
    A.derive(epochs=lambda batch_size: …)       a derived argument: passed to the fit, not part of the run's id
    A.derive(epochs=…, in_id=True)              … a derived argument that is part of the id, like an axis
    grid(start=100, filters=[30])               the number of the first run
    search(lr=log_uniform(1e-5, 1e-2), trials=100, metric="validation/correlation")     values that are suggested

The parameters of a function name the arguments that it receives, of those before it. A name that is not a Python
name is written with `_` (`training.l2` as `training_l2`, `lambda` as `lambda_`); a parameter `params`, or
`**anything`, receives the whole dict. A parameter with a default keeps it if there is no argument of its name.

Numbers of runs: a part with `start=` begins a new sequence of numbers, and parts without `start` continue the
current one; the first sequence begins at 0. If a point occurs twice in a sequence, it is the same run and gets no
second number; another sequence numbers it again. In a product, each part of the first factor remains a part,
multiplied by the whole second factor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid import nodes
from neurofit.experiments.grid.functions import function, values_of
from neurofit.experiments.grid.nodes import Node, Row, Rule
from neurofit.experiments.grid.params import canonical, short
from neurofit.experiments.grid.search import Search, searched

MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class Point:
    """One combination: its number, its arguments, and the arguments derived from them."""

    number: int
    values: dict[str, Any]
    derived: dict[str, Any]
    rules: tuple[Rule, ...] = field(default=(), compare=False, repr=False)
    trial: int | None = None  # of a search


@dataclass(frozen=True)
class _Part:
    node: Node
    start: int | None = None


@dataclass(frozen=True, repr=False)
class Grid:
    """An ordered set of points, created with `grid`. The order is that of their numbers."""

    parts: tuple[_Part, ...]

    def points(self) -> list[Point]:
        return list(self._numbered[0])

    @property
    def repeated(self) -> int:
        """The number of points left out because they occur earlier in their sequence."""
        return self._numbered[1]

    @property
    def names(self) -> list[str]:
        """The names of all axes and derived arguments, in order of appearance."""
        return list(dict.fromkeys(name for part in self.parts for name in part.node.names))

    @property
    def search(self) -> Search | None:
        """What is searched for, if the grid has a search."""
        found = [search for part in self.parts for search in nodes.searches(part.node)]
        return found[0] if found else None

    def with_trials(self, trials: int) -> Grid:
        """This grid with another number of trials in its search."""
        return Grid(tuple(replace(part, node=nodes.with_trials(part.node, trials)) for part in self.parts))

    def axes(self) -> dict[str, list[Any]]:
        """The distinct values, over all points, of every argument that is part of the id."""
        seen: dict[str, dict[str, Any]] = {}
        for point in self._numbered[0]:
            for name, value in point.values.items():
                seen.setdefault(name, {}).setdefault(canonical(value), value)
        return {name: list(values.values()) for name, values in seen.items()}

    def __mul__(self, other: Grid) -> Grid:
        """Every point of this grid with every point of the other.

        Functions of the other grid can use the arguments of this one.
        """
        _both_grids(self, "*", other)
        _one_search(self, "*", other)
        _no_common_names(self, other)
        inner = other._node
        if not any(part.start is not None for part in other.parts):
            return Grid(tuple(replace(part, node=nodes.Product(part.node, inner)) for part in self.parts))
        start = _only_start(self, other)
        return Grid((_Part(nodes.Product(self._node, inner), start),))

    def __add__(self, other: Grid) -> Grid:
        """The points of this grid, followed by those of the other."""
        _both_grids(self, "+", other)
        _one_search(self, "+", other)
        return Grid(self.parts + other.parts)

    def zip(self, other: Grid) -> Grid:
        """The first point of this grid with the first point of the other, and so on.

        Raises
        ------
        GridError
            The grids have an axis of the same name. Different numbers of points raise when the points are computed.
        """
        _both_grids(self, ".zip", other)
        if self.search or other.search:
            raise GridError(
                "A search cannot be zipped: its values are not known before. Multiply it with the grid, "
                "grid(…) * search(…), for a search for each point."
            )
        _no_common_names(self, other)
        return Grid((_Part(nodes.Zip(self._node, other._node), _only_start(self, other)),))

    def where(self, keep: Callable[..., bool], /) -> Grid:
        """The points for which a function returns True.

        Parameters
        ----------
        keep : callable
            A function of arguments of the point, by the names of its parameters.
        """
        if self.search:
            raise GridError(
                "A search has no .where: its values are not known before. Make the argument conditional, "
                "search(momentum=lambda optimizer: …), or write grid(…).where(…) * search(…)."
            )
        condition = function(keep, "where")
        return Grid(tuple(replace(part, node=nodes.Where(part.node, condition)) for part in self.parts))

    def derive(
        self,
        mapping: Mapping[str, Callable[..., Any]] | None = None,
        /,
        *,
        in_id: bool = False,
        **functions: Callable[..., Any],
    ) -> Grid:
        """This grid with additional arguments, computed from the others.

        Parameters
        ----------
        mapping : dict, optional
            Functions of arguments whose names are not Python names.
        in_id : bool, default False
            Whether the derived arguments are part of the run's id, like an axis.
        **functions : callable
            For each derived argument, a function of the arguments before it.

        Raises
        ------
        GridError
            The grid already has an argument of this name.
        """
        grown = self
        for name, call in _named(mapping, functions):
            if name in grown.names:
                raise GridError(
                    f"derive cannot add '{name}': the grid already has an argument of that name. Choose another name."
                )
            rule = Rule(name, function(call, f"derived argument '{name}'"), in_id)
            grown = Grid(tuple(replace(part, node=nodes.Derive(part.node, rule)) for part in grown.parts))
        return grown

    @property
    def _node(self) -> Node:
        """All parts as one node, without their starts."""
        first, *rest = (part.node for part in self.parts)
        return reduce(nodes.Union, rest, first)

    @cached_property
    def _numbered(self) -> tuple[tuple[Point, ...], int]:
        return _number(self.parts)

    def __repr__(self) -> str:
        return f"Grid({', '.join(self.names)})"


def grid(mapping: Mapping[str, Any] | None = None, /, *, start: int | None = None, **axes: Any) -> Grid:
    """Every combination of the axes' values, the last axis fastest; `grid()` is one point without arguments.

    Parameters
    ----------
    mapping : dict, optional
        Axes whose names are not Python names. They come before those given by keyword.
    start : int, optional
        The number of the first run, 0 or greater.
    **axes : list, or callable
        The values of each axis, or a function of the axes before it that returns such a list.

    Returns
    -------
    Grid

    Raises
    ------
    GridError
        An axis is empty or not a list, JSON cannot represent a value, or two axes have the same name.
    """
    if start is not None and (isinstance(start, bool) or not isinstance(start, int) or start < 0):
        raise GridError(
            f"start must be an integer of at least 0 (the number of the grid's first run), got {short(start)}. "
            "For an axis called 'start', write grid({'start': […]})."
        )
    return Grid((_Part(nodes.Axes(tuple(_axis(*item) for item in _named(mapping, axes))), start),))


def search(
    mapping: Mapping[str, Any] | None = None,
    /,
    *,
    trials: int | None = None,
    metric: str | None = None,
    direction: str = "maximize",
    sampler: str = "tpe",
    pruner: str | None = None,
    at_once: int = 10,
    **arguments: Any,
) -> Grid:
    """A search in place of a grid: values are suggested one trial after the other.

    Parameters
    ----------
    mapping : dict, optional
        Arguments whose names are not Python names, or are those of an option below.
    trials : int, required
        The number of trials, 1 to 100,000; of each point of a grid that the search is multiplied with.
    metric : str, required
        The metric that decides, of those that the fit returns; never one of the test set.
    direction : {"maximize", "minimize"}, default "maximize"
    sampler : {"tpe", "random", "qmc", "cmaes", "gp", "grid"}, default "tpe"
        What suggests values. The first six of "tpe" are spread evenly over the ranges, as all of "qmc" are.
    pruner : {None, "median", "hyperband"}, default None
        What ends trials early that look poor while they run.
    at_once : int, default 10
        The most trials that run at a time. More learn less from each other.
    **arguments : uniform, log_uniform, integers, list or callable
        The range of each argument, a list of values, or a function of the arguments before it that returns one
        of these.

    Returns
    -------
    Grid
        To be used as a grid, or multiplied with one: `grid(architecture=[…]) * search(…)`.

    Raises
    ------
    GridError
        A range or an option is invalid, or the metric is of the test set.
    """
    options = {
        "trials": trials,
        "metric": metric,
        "direction": direction,
        "sampler": sampler,
        "pruner": pruner,
        "at_once": at_once,
    }
    return Grid((_Part(nodes.Trials(searched(_named(mapping, arguments), **options))),))


def _axis(name: str, values: Any) -> nodes.Axis:
    if callable(values) and not isinstance(values, type):
        return nodes.Axis(name, (), function(values, f"axis '{name}'"))
    return nodes.Axis(name, tuple(values_of(values, f"axis '{name}'")))


def _named(mapping: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if mapping is not None and not isinstance(mapping, Mapping):
        raise GridError(
            f"Expected axes by keyword, as in grid(filters=[4, 9]), or a dict of axes, got {short(mapping)}."
        )
    for name, value in itertools.chain((mapping or {}).items(), keywords.items()):
        if not isinstance(name, str) or not all(piece.isidentifier() for piece in name.split(".")):
            raise GridError(
                f"{short(name)!r} is not a valid name for an axis. "
                "Use letters, digits, _ and dots, as in 'training.l2'."
            )
        if name in (mapping or {}) and name in keywords:
            raise GridError(
                f"Two axes are called '{name}', one in the dict and one by keyword. Remove one of them."
            )
        yield name, value


def _both_grids(left: Grid, operator: str, right: Any) -> None:
    if not isinstance(right, Grid):
        raise GridError(
            f"{left} {operator} {short(right)}: the right operand must be a Grid. Write grid(name=[values])."
        )


def _one_search(left: Grid, operator: str, right: Grid) -> None:
    if left.search and right.search:
        advice = (
            "Write all arguments into one search"
            if operator == "*"
            else "Make them two experiments, or one search for each point of a grid: grid(…) * search(…)"
        )
        raise GridError(f"{left} {operator} {right}: an experiment has one search. {advice}.")


def _no_common_names(left: Grid, right: Grid) -> None:
    for name in right.names:
        if name in left.names:
            raise GridError(
                f"Two axes are called '{name}', one in {left} and one in {right}. "
                "Remove one of them, or join the grids with + if their points are alternatives."
            )


def _only_start(left: Grid, right: Grid) -> int | None:
    """The start of two grids that become one sequence.

    At most one of them may have a start, and only for its first part.
    """
    starts = [part.start for part in left.parts + right.parts if part.start is not None]
    misplaced = [part.start for part in left.parts[1:] + right.parts[1:] if part.start is not None]
    if len(starts) > 1 or misplaced:
        given = ", ".join(f"start={start}" for start in starts)
        raise GridError(
            f"{left} and {right} form one sequence of numbers, which has a single start, got {given}. "
            "Combine the parts first, each with its own start, and add them last."
        )
    return starts[0] if starts else None


def _number(parts: tuple[_Part, ...]) -> tuple[tuple[Point, ...], int]:
    points: dict[int, Point] = {}
    derived_of: dict[str, dict[str, Any]] = {}
    sequence: set[str] = set()
    number, start, repeated = 0, 0, 0
    _must_be_manageable(parts)
    for part in parts:
        if part.start is not None:
            number = start = part.start
            sequence = set()
        for row in part.node.rows(Row({}, {})):
            key = canonical(row.values) + ("" if row.trial is None else f" {row.trial}")
            _same_derived(row, derived_of.setdefault(key, row.derived))
            if len(points) + repeated == MOST_POINTS:
                raise GridError(f"The grid has more than {MOST_POINTS:,} points. Shorten an axis.")
            if key in sequence:
                repeated += 1
                continue
            _free(number, start, points)
            sequence.add(key)
            points[number] = Point(number, row.values, row.derived, row.rules, row.trial)
            number += 1
    return tuple(points.values()), repeated


def _must_be_manageable(parts: tuple[_Part, ...]) -> None:
    """Check the size of the grid from the lengths of its axes, before computing the points."""
    sizes = [nodes.least_size(part.node) for part in parts]
    if sum(size.points for size in sizes) > MOST_POINTS:
        raise GridError(f"The grid has more than {MOST_POINTS:,} points. Shorten an axis.")
    if sum(size.walked for size in sizes) > nodes.MOST_WALKED:
        raise GridError(
            f"The grid's conditions would be evaluated for more than {nodes.MOST_WALKED:,} combinations. "
            "Shorten an axis, or make it conditional: strength=lambda kind: […]."
        )


def _same_derived(row: Row, before: dict[str, Any]) -> None:
    if (row.derived or before) and canonical(row.derived) != canonical(before):
        raise GridError(
            f"The point {short(row.values, 200)} occurs twice, with different derived arguments: "
            f"{short(before, 100)} and {short(row.derived, 100)}. Both would be the same run. "
            "Write derive(…, in_id=True) to make them different runs."
        )


def _free(number: int, start: int, points: dict[int, Point]) -> None:
    if number in points:
        free = max(points) + 1
        raise GridError(
            f"Run number {number} is assigned twice: first to {short(points[number].values, 100)}, and again by the "
            f"part that starts at {start}. Numbers from {free} upwards are free: write start={free}."
        )
