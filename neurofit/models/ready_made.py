"""What a ready-made fit declares to its experiment: architectures, arguments, settings.

docs/architecture.md, "The contract between an experiment and its fit", describes these attributes. Cheap to
import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from neurofit.errors import GridError, nearest
from neurofit.models.routing import Router, declared, name_of

if TYPE_CHECKING:
    from neurofit.models.training import Training

PLAIN_SCORES = ("correlation", "fraction_of_variance_explained", "poisson_log_likelihood")
SCORES = (*PLAIN_SCORES, "correlation_ceiling", "normalised_correlation", "feve")
KNOWN_SCORES = (*SCORES, "explained_variance", "r_squared", "truth_correlation")
NOT_IN_ID = ("checkpoint_minutes",)  # settings that change nothing in a result


class FitSettings(Protocol):
    """What the steps of a fit read of it. `models.Fit` has all of it."""

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
    """Base of fits that call one or several functions of arguments, on data, with settings.

    A subclass names the field that holds the functions and the field that holds the settings, and can have
    more fields for the preparation of data. `data`, `split` and `scores` are described in `models.Fit`.
    """

    public_name: ClassVar[str]
    functions: ClassVar[str]  # the field with the function, or a dict of several
    recipe: ClassVar[str]  # the field whose settings are arguments too, a dataclass
    preparation: ClassVar[tuple[str, ...]] = ()  # fields beside the split that are arguments of the data

    data: str | Callable = "simulated"
    split: Any = None
    scores: tuple[str, ...] = SCORES

    def __post_init__(self) -> None:
        kind, recipe = type(self).__name__, self._recipe_type()
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
                raise GridError(f"{kind}: no score '{name}'.{nearest(name, KNOWN_SCORES)} Known: {known}.")
        self.router.arguments()  # a function whose arguments cannot be settings is an error here, not in a task

    def _recipe_type(self) -> type:
        """The dataclass of the settings: what makes their default."""
        return cast(type, type(self).__dataclass_fields__[self.recipe].default_factory)

    @property
    def built(self) -> dict[str, Callable]:
        """Name → function that builds the model."""
        given = getattr(self, self.functions)
        return dict(given) if isinstance(given, Mapping) else {name_of(given): given}

    @cached_property
    def router(self) -> Router:
        """The router that sends each argument to the place that declares it."""
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
        """Names of the architectures."""
        return list(self.built)

    def arguments(self) -> dict[str, Any]:
        """Every argument that a grid or a command line may set, name → default."""
        return self.router.arguments()

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise GridError if these arguments do not go together."""
        self.router.route(params)

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that apply because `params` leaves them out, as JSON."""
        return {name: plain(value) for name, value in self.router.defaults(params).items()}

    def settings(self) -> dict[str, Any]:
        """What is part of every run's id, as JSON.

        Only values that differ from neurofit's defaults are included, so that a new setting changes no
        existing id.
        """
        settings: dict[str, Any] = {
            "fit": self.public_name,
            self.recipe: _changed(getattr(self, self.recipe)),
        }
        settings["data"] = self.data if isinstance(self.data, str) else name_of(self.data)
        if self.router.architecture:
            settings["architecture"] = self.router.architecture
        return {
            **settings,
            **{
                name: plain(getattr(self, name))
                for name in ("split", *self.preparation)
                if getattr(self, name) != _default(self, name)
            },
        }


def plain(value: Any) -> Any:
    """The value as JSON carries it: dataclasses and mappings as dicts, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        hidden = {one.name for one in fields(value) if one.metadata.get("in_settings") == "if changed"}
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
    now = {one.name: getattr(recipe, one.name) for one in fields(recipe) if one.name not in NOT_IN_ID}
    return {name: value for name, value in now.items() if value != _default(recipe, name)}


def _default(value: Any, name: str) -> Any:
    return next(one.default for one in fields(value) if one.name == name)
