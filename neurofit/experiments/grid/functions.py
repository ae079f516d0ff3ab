"""The user's functions that a grid calls, and the values of its axes."""

from __future__ import annotations

import inspect
import itertools
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurofit.errors import GridError, described, nearest
from neurofit.experiments.grid.params import plain, short

LONGEST_AXIS = 1_000_000


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
