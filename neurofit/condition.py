"""Conditions on arguments and on columns of a table: `lr < 1e-3 and model == "ln"`.

`--where` selects runs with them, and `Dataset.select_neurons` selects neurons.

The text is parsed with Python's grammar and evaluated in this module, node by node, never with `eval`. Allowed are
comparisons, `and`, `or`, `not`, `in`, + - * / // % **, parentheses, constants, lists, and names of arguments
(`training.l2`). As in pandas, `&`, `|` and `~` mean `and`, `or` and `not`.

As in SQL, values that cannot be compared are not selected: an argument that a run does not have is None, arithmetic
on anything but numbers gives None, and ordering values of different types gives False. True is not 1.

Columns of a table follow pandas instead: True is 1, `area == ["V1", "IT"]` means `in`, a division by zero is infinite,
and ordering text and numbers is an error.
"""

from __future__ import annotations

import ast
import io
import math
import operator
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurofit.errors import UsageError, nearest
from neurofit.text import one_line

ALLOWED = {
    "argument": 'Write comparisons of arguments, joined by and, or, not: lr < 1e-3 and model == "ln".',
    "column": 'Write comparisons of columns, joined by and, or, not: reliability > 0.15 and recording == "r1".',
}
_LABELS = {"argument": "--where", "column": "condition"}
_WORDS = {"&": "and", "|": "or"}
_LONGEST = 4_000
_DEEPEST = 60
_CONSTANTS = {"true": True, "false": False, "null": None}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda left, right: float(left) ** right,  # of integers, the result could fill the memory
}
_ORDERS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_COMPARISONS = (*_ORDERS, ast.Eq, ast.NotEq, ast.In, ast.NotIn)


@dataclass(frozen=True)
class Where:
    """A condition, to be called with the arguments of a run.

    Parameters
    ----------
    text : str
        The condition.
    known : tuple of str, optional
        The arguments of all runs. A run that lacks one of them has None for it. If `known` is None, an argument
        that a run lacks is an error.
    noun : {"argument", "column"}, default "argument"
        What the names in the condition are, for errors.

    Raises
    ------
    UsageError
        The text is not a condition, or it names an unknown argument.
    """

    text: str
    known: tuple[str, ...] | None = None
    noun: str = "argument"
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tree", self._parsed())
        if self.known is not None:
            for name in self.names:
                self._must_be(name, self.known)

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments that the condition uses."""
        return tuple(dict.fromkeys(_names(self._tree)))

    def __call__(self, values: Mapping[str, Any]) -> bool:
        evaluation = _Evaluation(lambda name: self._look_up(name, values), self.noun == "column")
        try:
            return bool(evaluation.value(self._tree))
        except _NotOrdered as error:
            raise UsageError(f"{self._label}: {error}.") from None

    def _look_up(self, name: str, values: Mapping[str, Any]) -> Any:
        if name not in values:
            self._must_be(name, values if self.known is None else self.known)
        return values.get(name, _CONSTANTS.get(name))

    def _must_be(self, name: str, known: Iterable[str]) -> None:
        if name not in known and name not in _CONSTANTS:
            quoted = "" if "." in name else f' If it is a value, put it in quotes: "{name}".'
            raise UsageError(
                f"{self._label}: there is no {self.noun} '{name}'."
                f"{nearest(name, known)} {self.noun.capitalize()}s: {', '.join(known) or 'none'}.{quoted}"
            )

    @property
    def _label(self) -> str:
        return f"{_LABELS[self.noun]} '{one_line(self.text, 80)}'"

    def _parsed(self) -> ast.expr:
        label, allowed = self._label, ALLOWED[self.noun]
        if len(self.text) > _LONGEST:
            raise UsageError(f"{label} is longer than {_LONGEST} characters. {allowed}")
        try:
            tree = ast.parse(_with_words(self.text.strip()), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = getattr(error, "msg", None) or type(error).__name__
            raise UsageError(
                f"{label} is not a valid condition: {reason}. {allowed} Equality is ==."
            ) from None
        for depth, part in _parts(tree, 0):
            if depth > _DEEPEST:
                raise UsageError(f"{label} is nested more than {_DEEPEST} levels deep. {allowed}")
            if not _is_allowed(part):
                raise UsageError(f"{label}: {_kind(part)} is not allowed here. {allowed}")
        return tree


def where(text: str, known: Iterable[str] | None = None) -> Where:
    """Parse a condition.

    Parameters
    ----------
    text : str
        The condition, as in `lr < 1e-3 and model == "ln"`.
    known : iterable of str, optional
        The arguments of all runs, see `Where`.

    Returns
    -------
    Where

    Raises
    ------
    UsageError
        The text is not a condition, or it names an unknown argument.
    """
    return Where(text, None if known is None else tuple(known))


def _with_words(text: str) -> str:
    """The text with `&` and `|` as `and` and `or`, which bind weaker than comparisons, as pandas reads them."""
    if not any(sign in text for sign in _WORDS):
        return text
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return text  # parsing it names the fault
    return tokenize.untokenize(
        (tokenize.NAME, _WORDS[token.string])
        if token.type == tokenize.OP and token.string in _WORDS
        else token[:2]
        for token in tokens
    )


def _parts(node: ast.AST, depth: int) -> Iterator[tuple[int, ast.AST]]:
    """Every node of the tree with its depth; a dotted name counts as one node."""
    yield depth, node
    if _dotted(node) is None:
        for inner in ast.iter_child_nodes(node):
            yield from _parts(inner, depth + 1)


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None or isinstance(node.value, (bool, int, float, str))
    if _dotted(node) is not None:
        return True
    allowed = (
        ast.BoolOp,
        ast.boolop,
        ast.UnaryOp,
        ast.Not,
        ast.Invert,
        ast.USub,
        ast.UAdd,
        ast.BinOp,
        ast.Compare,
        ast.List,
        ast.Tuple,
        ast.Load,
    )
    return isinstance(node, (*allowed, *_ARITHMETIC, *_COMPARISONS))


def _kind(node: ast.AST) -> str:
    return (
        f"'{one_line(ast.unparse(node))}'"
        if isinstance(node, ast.expr)
        else f"the operator {type(node).__name__}"
    )


def _dotted(node: ast.AST) -> str | None:
    """The dotted name (`training.l2`) that a node spells, or None if it is not a name."""
    if isinstance(node, ast.Name):
        return node.id
    if not isinstance(node, ast.Attribute):
        return None
    above = _dotted(node.value)
    return above and f"{above}.{node.attr}"


def _names(node: ast.AST) -> Iterator[str]:
    name = _dotted(node)
    if name is not None:
        yield name
        return
    for inner in ast.iter_child_nodes(node):
        yield from _names(inner)


@dataclass(frozen=True)
class _Evaluation:
    """The value of a condition, with names looked up by a function; `of_table` applies the rules of tables."""

    look_up: Callable[[str], Any]
    of_table: bool

    def value(self, node: ast.expr) -> Any:
        name = _dotted(node)
        if name is not None:
            return self._plain(self.look_up(name))
        if isinstance(node, ast.Constant):
            return self._plain(node.value)
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(inner) for inner in node.elts]
        if isinstance(node, ast.BoolOp):
            every = all if isinstance(node.op, ast.And) else any
            return every(self.value(inner) for inner in node.values)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node.op, self.value(node.operand))
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node.op, self.value(node.left), self.value(node.right))
        assert isinstance(node, ast.Compare)  # `_is_allowed` rejects everything else
        values = [self.value(inner) for inner in (node.left, *node.comparators)]
        return all(self._compared(*three) for three in zip(node.ops, values, values[1:]))

    def _plain(self, value: Any) -> Any:
        return int(value) if self.of_table and isinstance(value, bool) else value

    def _unary(self, sign: ast.unaryop, value: Any) -> Any:
        if isinstance(sign, (ast.Not, ast.Invert)):
            return not value
        return self._arithmetic(ast.Sub() if isinstance(sign, ast.USub) else ast.Add(), 0, value)

    def _arithmetic(self, sign: ast.operator, left: Any, right: Any) -> Any:
        left, right = self._plain(left), self._plain(right)
        if not (_is_number(left) and _is_number(right)):
            return None
        try:
            value = _ARITHMETIC[type(sign)](left, right)
        except ZeroDivisionError:
            return _over_zero(sign, left) if self.of_table else None
        except ArithmeticError:
            return None
        return None if isinstance(value, complex) else value

    def _compared(self, sign: ast.cmpop, left: Any, right: Any) -> bool:
        left, right = self._plain(left), self._plain(right)
        if isinstance(sign, (ast.Eq, ast.NotEq)):
            if self.of_table and isinstance(right, list) and not isinstance(left, list):
                return _contains(right, left) == isinstance(sign, ast.Eq)
            return _same(left, right) == isinstance(sign, ast.Eq)
        if isinstance(sign, (ast.In, ast.NotIn)):
            return _contains(right, left) == isinstance(sign, ast.In)
        try:
            comparable = isinstance(left, bool) == isinstance(right, bool)
            return comparable and bool(_ORDERS[type(sign)](left, right))
        except TypeError:
            if self.of_table and left is not None and right is not None:
                raise _NotOrdered(
                    f"{type(left).__name__} and {type(right).__name__} have no order, as in "
                    f"{one_line(repr(left))} and {one_line(repr(right))}"
                ) from None
            return False


class _NotOrdered(Exception):
    """Values of a table were compared that have no order."""


def _over_zero(sign: ast.operator, left: float) -> float:
    """What tables hold for a division by zero."""
    if isinstance(sign, (ast.Mod, ast.Pow)) or left == 0 or math.isnan(left):
        return math.inf if isinstance(sign, ast.Pow) else math.nan
    return math.copysign(math.inf, left)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, list):
        return any(_same(part, one) for one in whole)
    return isinstance(part, str) and isinstance(whole, (str, dict)) and part in whole


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(*pair) for pair in zip(left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
