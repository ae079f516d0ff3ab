"""The nodes of a grid, which yield its rows.

A node extends the row that it is given. A product yields the rows of its right factor for each row of its left
factor, and a function can use every argument to its left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid.functions import Function, values_of
from neurofit.experiments.grid.params import plain, short
from neurofit.experiments.grid.search import Search

MOST_WALKED = 10_000_000  # combinations, including those that conditions remove


@dataclass(frozen=True)
class Rule:
    """A derived argument. With `in_id`, it is part of the run's id, like an axis."""

    name: str
    function: Function
    in_id: bool

    def applied(self, row: Row) -> Row:
        value = plain(self.function(row.known), f"derived argument '{self.name}'")
        rules = (*row.rules, self)
        if self.in_id:
            return replace(row, values={**row.values, self.name: value}, rules=rules)
        return replace(row, derived={**row.derived, self.name: value}, rules=rules)


@dataclass(frozen=True)
class Row:
    """A point under construction: its arguments, the derived ones, and the rules that computed them."""

    values: dict[str, Any]
    derived: dict[str, Any]
    rules: tuple[Rule, ...] = ()
    trial: int | None = None  # of a search: its other arguments are suggested when it starts

    @property
    def known(self) -> dict[str, Any]:
        return {**self.values, **self.derived}


@dataclass(frozen=True)
class Axis:
    name: str
    values: tuple[Any, ...]
    function: Function | None = None

    def extended(self, row: Row) -> Iterator[Row]:
        values = self.values if self.function is None else self._conditional(self.function, row)
        for value in values:
            yield replace(row, values={**row.values, self.name: value})

    def _conditional(self, function: Function, row: Row) -> list[Any]:
        try:
            return values_of(function(row.known), f"axis '{self.name}'")
        except GridError as error:
            if str(function) in str(error):
                raise
            raise GridError(
                f"{function}, called with {short(row.known, 200)}: {error} "
                "(To remove a combination, use .where.)"
            ) from error


@dataclass(frozen=True)
class Axes:
    axes: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    def rows(self, before: Row) -> Iterator[Row]:
        return self._from(0, before)

    def _from(self, index: int, row: Row) -> Iterator[Row]:
        if index == len(self.axes):
            yield row
            return
        for longer in self.axes[index].extended(row):
            yield from self._from(index + 1, longer)


@dataclass(frozen=True)
class Trials:
    """The trials of a search, of which only the numbers are known before they start."""

    search: Search

    @property
    def names(self) -> tuple[str, ...]:
        return self.search.names

    def rows(self, before: Row) -> Iterator[Row]:
        for number in range(self.search.trials):
            yield replace(before, trial=number)


@dataclass(frozen=True)
class Product:
    left: Node
    right: Node

    @property
    def names(self) -> tuple[str, ...]:
        return self.left.names + self.right.names

    def rows(self, before: Row) -> Iterator[Row]:
        for row in self.left.rows(before):
            yield from self.right.rows(row)


@dataclass(frozen=True)
class Union:
    first: Node
    second: Node

    @property
    def names(self) -> tuple[str, ...]:
        return self.first.names + self.second.names

    def rows(self, before: Row) -> Iterator[Row]:
        yield from self.first.rows(before)
        yield from self.second.rows(before)


@dataclass(frozen=True)
class Zip:
    left: Node
    right: Node

    @property
    def names(self) -> tuple[str, ...]:
        return self.left.names + self.right.names

    def rows(self, before: Row) -> Iterator[Row]:
        left, right = list(self.left.rows(before)), list(self.right.rows(before))
        if len(left) != len(right):
            sizes = " and ".join(
                f"the grid of {', '.join(node.names) or 'nothing'} has {len(rows)}"
                for node, rows in ((self.left, left), (self.right, right))
            )
            raise GridError(
                f"zip needs grids with equal numbers of points, but {sizes}. Make them equally long."
            )
        for one, other in zip(left, right):
            rules = one.rules + other.rules[len(before.rules) :]
            yield Row({**one.values, **other.values}, {**one.derived, **other.derived}, rules)


@dataclass(frozen=True)
class Where:
    node: Node
    keep: Function

    @property
    def names(self) -> tuple[str, ...]:
        return self.node.names

    def rows(self, before: Row) -> Iterator[Row]:
        for number, row in enumerate(self.node.rows(before)):
            if number == MOST_WALKED:
                raise GridError(
                    f"{self.keep} was called for {MOST_WALKED:,} combinations, the limit. Shorten an axis."
                )
            kept = self.keep(row.known)
            if kept is None:
                raise GridError(
                    f"{self.keep} returned None for {short(row.known, 200)}. "
                    "Return True to keep a point, False to remove it."
                )
            if bool(kept):
                yield row


@dataclass(frozen=True)
class Derive:
    node: Node
    rule: Rule

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.node.names, self.rule.name)

    def rows(self, before: Row) -> Iterator[Row]:
        for row in self.node.rows(before):
            if row.trial is None:
                yield self.rule.applied(row)
            else:  # computed when the trial's other arguments are known
                yield replace(row, rules=(*row.rules, self.rule))


Node = Axes | Trials | Product | Union | Zip | Where | Derive


@dataclass(frozen=True)
class Size:
    """The least number of points of a node, and of combinations that are evaluated to find them."""

    points: int
    walked: int


def least_size(node: Node) -> Size:
    """The size of a node as far as it is known without calling functions.

    A conditional axis counts as one value, and a condition may remove every point.
    """
    if isinstance(node, Axes):
        number = math.prod(1 if axis.function else len(axis.values) for axis in node.axes)
        return Size(number, number)
    if isinstance(node, Trials):
        return Size(node.search.trials, node.search.trials)
    if isinstance(node, Where):
        return Size(0, least_size(node.node).walked)
    if isinstance(node, Derive):
        return least_size(node.node)
    one, other = (least_size(part) for part in _parts(node))
    if isinstance(node, Product):
        return Size(one.points * other.points, one.walked + one.points * other.walked)
    if isinstance(node, Zip):
        return Size(max(one.points, other.points), one.walked + other.walked)
    return Size(one.points + other.points, one.walked + other.walked)


def _parts(node: Product | Zip | Union) -> tuple[Node, Node]:
    return (node.first, node.second) if isinstance(node, Union) else (node.left, node.right)


def searches(node: Node) -> list[Search]:
    """The searches in a node, from left to right."""
    if isinstance(node, Trials):
        return [node.search]
    if isinstance(node, Axes):
        return []
    if isinstance(node, (Where, Derive)):
        return searches(node.node)
    return [search for part in _parts(node) for search in searches(part)]


def with_trials(node: Node, trials: int) -> Node:
    """The node with another number of trials in its search."""
    if isinstance(node, Trials):
        return Trials(replace(node.search, trials=trials))
    if isinstance(node, Axes):
        return node
    if isinstance(node, (Where, Derive)):
        return replace(node, node=with_trials(node.node, trials))
    one, other = (with_trials(part, trials) for part in _parts(node))
    return Union(one, other) if isinstance(node, Union) else type(node)(one, other)
