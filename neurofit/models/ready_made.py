"""What a ready-made fit tells an experiment of itself (docs/architecture.md, "The joint between an experiment
and its fit"): its architectures, its arguments and where each goes, and what of it is part of a run's id.
Cheap to import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from neurofit.errors import GridError, nearest
from neurofit.models.routing import Router, declared, name_of

if TYPE_CHECKING:
    from neurofit.models.training import Training

PLAIN_SCORES = ("correlation", "fraction_of_variance_explained", "poisson_log_likelihood")
SCORES = (*PLAIN_SCORES, "correlation_ceiling", "normalised_correlation", "feve")
KNOWN_SCORES = (*SCORES, "explained_variance", "r_squared", "truth_correlation")
UNTOLD = ("checkpoint_minutes",)  # settings that change nothing in a result


class FitSettings(Protocol):
    """What the steps of a fit read of it: `models.Fit` has all of it."""

    @property
    def data(self) -> str | Callable: ...
    @property
    def split(self) -> Any: ...
    @property
    def scores(self) -> tuple[str, ...]: ...
    @property
    def training(self) -> Training: ...
    @property
    def standardise(self) -> str | Mapping[str, str]: ...
    @property
    def initialise(self) -> Callable | None: ...
    @property
    def built(self) -> dict[str, Callable]: ...
    @property
    def router(self) -> Router: ...


@dataclass(frozen=True, kw_only=True)
class ReadyMade:
    """A fit of one or several functions of arguments, on data, with settings.

    A subclass names its fields for the functions and the settings, and may have more fields that say how data
    is prepared. `models.Fit` describes `data`, `split` and `scores`.
    """

    public_name: ClassVar[str]
    functions: ClassVar[str]  # the field with the function, or a dict of several
    recipe: ClassVar[str]  # the field whose settings are arguments too, a dataclass
    preparation: ClassVar[tuple[str, ...]] = ()  # fields beside the split that are arguments of the data

    data: str | Callable = "simulated"
    split: Any = None
    scores: tuple[str, ...] = SCORES

    def __post_init__(self) -> None:
        kind, recipe = type(self).__name__, type(self).__dataclass_fields__[self.recipe].default_factory
        if not isinstance(getattr(self, self.recipe), recipe):
            found = getattr(self, self.recipe)
            raise GridError(f"{kind}({self.recipe}={found!r}): expected {recipe.__name__}(…).")
        for name, function in self.built.items():
            if not callable(function):
                what = type(function).__name__
                raise GridError(f"{kind}: {self.functions} '{name}' is a {what}, expected a function.")
        if not self.built:
            raise GridError(f"{kind}: no {self.functions}.")
        for name in self.scores:
            if name not in KNOWN_SCORES:
                known = ", ".join(KNOWN_SCORES)
                raise GridError(
                    f"{kind}: no score '{name}'.{nearest(name, KNOWN_SCORES)} There are: {known}."
                )
        self.router.arguments()  # a function whose arguments cannot be told is an error here, not in a task

    @property
    def built(self) -> dict[str, Callable]:
        """name → function."""
        given = getattr(self, self.functions)
        return dict(given) if isinstance(given, Mapping) else {name_of(given): given}

    @cached_property
    def router(self) -> Router:
        named = {"data": self.data} if isinstance(self.data, str) else declared(self.data, after=0)
        named.pop("study", None)
        prepared = {name: plain(getattr(self, name)) for name in ("split", *self.preparation)}
        return Router(
            architectures={name: declared(function, after=1) for name, function in self.built.items()},
            architecture=None
            if isinstance(getattr(self, self.functions), Mapping)
            else next(iter(self.built)),
            training=getattr(self, self.recipe),
            data={**named, **prepared},
        )

    @property
    def architectures(self) -> list[str]:
        return list(self.built)

    def arguments(self) -> dict[str, Any]:
        return self.router.arguments()

    def check(self, params: Mapping[str, Any]) -> None:
        self.router.route(params)

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {name: plain(value) for name, value in self.router.defaults(params).items()}

    def settings(self) -> dict[str, Any]:
        """The settings that differ from neurofit's defaults: a new setting leaves every run's id as it was."""
        told: dict[str, Any] = {"fit": self.public_name, self.recipe: _changed(getattr(self, self.recipe))}
        told["data"] = self.data if isinstance(self.data, str) else name_of(self.data)
        if self.router.architecture:
            told["architecture"] = self.router.architecture
        return {
            **told,
            **{
                name: plain(getattr(self, name))
                for name in ("split", *self.preparation)
                if getattr(self, name) != _default(self, name)
            },
        }


def plain(value: Any) -> Any:
    """As JSON carries it."""
    if is_dataclass(value) and not isinstance(value, type):
        hidden = {one.name for one in fields(value) if one.metadata.get("told") == "if changed"}
        return {
            name: one
            for name, one in asdict(value).items()
            if name not in hidden or one != _default(value, name)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def _changed(recipe: Any) -> dict[str, Any]:
    now = {one.name: getattr(recipe, one.name) for one in fields(recipe) if one.name not in UNTOLD}
    return {name: value for name, value in now.items() if value != _default(recipe, name)}


def _default(value: Any, name: str) -> Any:
    return next(one.default for one in fields(value) if one.name == name)
