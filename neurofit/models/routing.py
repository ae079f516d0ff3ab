"""Route each argument to the architecture, the training or the data, whichever declares its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from neurofit.errors import GridError, nearest

PLACES = ("architecture", "training", "data")
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Routed:
    """The arguments of one run, sorted by the place they belong to."""

    architecture: str
    build: dict[str, Any]
    training: Any
    data: dict[str, Any]


@dataclass(frozen=True)
class Router:
    """What each place declares, name → default.

    Parameters
    ----------
    architectures : mapping of str to mapping
        Architecture → its arguments.
    architecture : str or None
        The name of the only architecture, or None if the axis `architecture` selects one.
    training : dataclass
        Its fields are arguments.
    data : mapping of str to object
    """

    architectures: Mapping[str, Mapping[str, Any]]
    architecture: str | None
    training: Any
    data: Mapping[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Every argument that can be set, with its default or REQUIRED.

        A name that two places declare is PLACE.NAME.
        """
        declared = {place: self._declared(place, None) for place in PLACES}
        known: dict[str, Any] = {} if self.architecture else {"architecture": REQUIRED}
        for place, names in declared.items():
            for name, default in names.items():
                lone = sum(name in others for others in declared.values()) == 1
                known[name if lone else f"{place}.{name}"] = default
        return known

    def route(self, params: Mapping[str, Any]) -> Routed:
        """Send each argument to its place.

        Raises
        ------
        GridError
            If an argument is declared by no place or by two, is given twice, has no value, or has a value
            that is not valid.
        """
        chosen = self._chosen(params)
        sent: dict[str, dict[str, Any]] = {place: {} for place in PLACES}
        for name, value in params.items():
            if name == "architecture" and not self.architecture:
                continue
            place, bare = self._place(name, chosen)
            if bare in sent[place]:
                raise GridError(f"'{bare}' is given twice: as '{bare}' and as '{place}.{bare}'.")
            sent[place][bare] = value
        self._complete("data", chosen, sent["data"])
        training = replace(self.training, **sent["training"])
        self._check_path(training, chosen, sent["architecture"])
        return Routed(chosen, sent["architecture"], training, sent["data"])

    def _check_path(self, training: Any, chosen: str, given: Mapping[str, Any]) -> None:
        """Check that the argument of a regularisation path is the architecture's and is not set twice."""
        name, known = getattr(training, "path", None), self._declared("architecture", chosen)
        if name is None:
            return self._complete("architecture", chosen, given)
        if name not in known:
            has = ", ".join(known) or "none"
            raise GridError(
                f"path={name!r}: no argument of architecture '{chosen}'.{nearest(name, known)} It has: {has}."
            )
        if name in given:
            raise GridError(f"'{name}' is given twice: as an argument and as what the path goes along.")
        return self._complete("architecture", chosen, {**given, name: None})

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that apply because `params` leaves them out."""
        chosen = self._chosen(params)
        given = {self._place(name, chosen) for name in params if name != "architecture" or self.architecture}
        declared = {place: self._declared(place, chosen) for place in PLACES}
        left: dict[str, Any] = {}
        for place, names in declared.items():
            for name, default in names.items():
                if (place, name) not in given:
                    lone = sum(name in others for others in declared.values()) == 1
                    left[name if lone else f"{place}.{name}"] = default
        return left

    def _chosen(self, params: Mapping[str, Any]) -> str:
        if self.architecture:
            return self.architecture
        known = ", ".join(self.architectures)
        if "architecture" not in params:
            raise GridError(
                f"Which architecture? Give the grid an axis 'architecture' with some of: {known}."
            )
        name = params["architecture"]
        if name not in self.architectures:
            raise GridError(
                f"No architecture {name!r}.{nearest(str(name), self.architectures)} Known: {known}."
            )
        return name

    def _declared(self, place: str, chosen: str | None) -> dict[str, Any]:
        if place == "training":
            return {field.name: getattr(self.training, field.name) for field in fields(self.training)}
        if place == "data":
            return dict(self.data)
        if chosen is not None:
            return dict(self.architectures[chosen])
        union: dict[str, Any] = {}
        for declared in self.architectures.values():
            union = {**declared, **union}
        return union

    def _place(self, name: str, chosen: str) -> tuple[str, str]:
        place, dot, bare = name.partition(".")
        if dot and place in PLACES:
            if bare not in self._declared(place, chosen):
                raise GridError(
                    self._unknown(f"{place}.", bare, {place: self._declared(place, chosen)}, chosen)
                )
            return place, bare
        declared = {place: self._declared(place, chosen) for place in PLACES}
        places = [place for place in PLACES if name in declared[place]]
        if len(places) > 1:
            ways = " or ".join(f"'{place}.{name}'" for place in places)
            raise GridError(f"'{name}' is an argument of {' and of '.join(places)}. Say which: {ways}.")
        if not places:
            raise GridError(self._unknown("", name, declared, chosen))
        return places[0], name

    def _unknown(self, prefix: str, name: str, declared: dict[str, dict[str, Any]], chosen: str) -> str:
        every = [known for names in declared.values() for known in names]
        lines = [
            f"Nothing takes an argument '{prefix}{name}' (architecture '{chosen}').{nearest(name, every)}"
        ]
        return " ".join(
            [*lines, *(f"{place}: {', '.join(names) or 'none'}." for place, names in declared.items())]
        )

    def _complete(self, place: str, chosen: str, given: Mapping[str, Any]) -> None:
        declared = self._declared(place, chosen)
        missing = [name for name, default in declared.items() if default is REQUIRED and name not in given]
        if missing:
            raise GridError(f"{place} '{chosen}' needs a value for {', '.join(missing)}: it has no default.")


def declared(function: Callable[..., Any], after: int) -> dict[str, Any]:
    """The arguments of a function after its first `after`, name → default; REQUIRED if there is no default.

    Raises
    ------
    GridError
        If the function has *args or **kwargs, which hide what can be set.
    """
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise GridError(
                f"{name_of(function)}({parameter}): write out its arguments, so that they can be checked."
            )
    if len(parameters) < after:
        raise GridError(f"{name_of(function)}() takes no arguments; its first must be `shapes`.")
    return {parameter.name: parameter.default for parameter in parameters[after:]}


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, as settings and ids have it."""
    return getattr(function, "__name__", type(function).__name__)
