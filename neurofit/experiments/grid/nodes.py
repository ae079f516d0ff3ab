"""The nodes of a grid, which yield its rows, and the user's functions that nodes call.

A node extends the row that it is given. A product yields the rows of its right factor for each row of its left
factor, and a function can use every argument to its left.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurofit.errors import GridError, described, nearest
from neurofit.experiments.grid.params import plain, short

LONGEST_AXIS = 1_000_000
MOST_WALKED = 10_000_000  # combinations, including those that conditions remove


@dataclass(frozen=True)
class Function:
    """A user's function, called with the arguments that its parameters name."""

    call: Callable[..., Any]
    role: str
    parameters: tuple[inspect.Parameter, ...] = field(compare=False)

    def __call__(self, known: Mapping[str, Any]) -> Any:
        positional, keywords = self._arguments(known)
        try:
            return self.call(*positional, **keywords)
        except Exception as error:  # a user's function may raise anything
            raise GridError(
                f"{self} raised {described(error)}. It was called with {short(dict(known), 200)}."
            ) from error

    def _arguments(self, known: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        spelt = {_spelt(name): name for name in known} | {name: name for name in known}
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                keywords |= {
                    name: value for name, value in known.items() if not {name, _spelt(name)} & keywords.keys()
                }
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif parameter.name in spelt or parameter.name == "params":
                value = known[spelt[parameter.name]] if parameter.name in spelt else dict(known)
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    positional.append(value)
                else:
                    keywords[parameter.name] = value
            elif parameter.default is parameter.empty:
                raise GridError(
                    f"{self} has a parameter '{parameter.name}', but no argument before it has that name."
                    f"{nearest(parameter.name, spelt)} Arguments before it: {', '.join(known) or 'none'}."
                )
        return positional, keywords

    def __str__(self) -> str:
        code = getattr(self.call, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        return f"The function of {self.role}{place}"


def _spelt(name: str) -> str:
    """The name of the parameter that receives the argument of this name."""
    name = name.replace(".", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def function(call: Any, role: str) -> Function:
    if not callable(call):
        raise GridError(f"{role} must be a function of the arguments before it, got {short(call)}.")
    try:
        return Function(call, role, tuple(inspect.signature(call).parameters.values()))
    except (TypeError, ValueError):
        raise GridError(
            f"{role}: the parameters of {short(call)} cannot be determined. Wrap it: lambda filters: …"
        ) from None


def values_of(values: Any, where: str) -> list[Any]:
    """The values of an axis as a list that JSON can represent.

    Parameters
    ----------
    values : iterable
    where : str
        The axis, for error messages: "axis 'filters'".

    Raises
    ------
    GridError
        `values` is not a list, is empty, or has a value that JSON cannot represent.
    """
    if getattr(values, "ndim", None) is not None and hasattr(values, "tolist"):
        if values.ndim != 1:
            raise GridError(
                f"{where} must have one dimension, got an array of {values.ndim} dimensions. "
                "For an axis of lists, convert the array with .tolist()."
            )
        values = values.tolist()
    if isinstance(values, (set, frozenset)):
        raise GridError(
            f"{where} must be a list, got a set, which has no order for numbering runs. Write sorted({short(values)})."
        )
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        raise GridError(
            f"{where} must be a list, got {short(values)}. For a single value, write [{short(values)}]."
        )
    found = list(itertools.islice(values, LONGEST_AXIS + 1))
    if not found:
        raise GridError(
            f"{where} is empty, which leaves the grid without points. Add a value, or remove the axis."
        )
    if len(found) > LONGEST_AXIS:
        raise GridError(
            f"{where} has more than {LONGEST_AXIS:,} values, the limit. "
            "If it is an infinite iterator, take a part of it."
        )
    return [plain(value, where) for value in found]


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
            return Row({**row.values, self.name: value}, row.derived, rules)
        return Row(row.values, {**row.derived, self.name: value}, rules)


@dataclass(frozen=True)
class Row:
    """A point under construction: its arguments, the derived ones, and the rules that computed them."""

    values: dict[str, Any]
    derived: dict[str, Any]
    rules: tuple[Rule, ...] = ()

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
            yield Row({**row.values, self.name: value}, row.derived, row.rules)

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
            yield self.rule.applied(row)


Node = Axes | Product | Union | Zip | Where | Derive


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
