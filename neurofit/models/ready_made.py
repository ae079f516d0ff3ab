"""What a ready-made fit declares to its experiment: architectures, arguments, settings.

docs/architecture.md, "The contract between an experiment and its fit", describes these attributes. A `Router` sends
each argument to the architecture, the training or the data, whichever declares its name. Cheap to import.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

from neurofit.errors import GridError, StoreError, nearest
from neurofit.models.training import Training
from neurofit.protocols import DeclaresArguments

PLAIN_SCORES = ("correlation", "fraction_of_variance_explained", "poisson_log_likelihood")
SCORES = (*PLAIN_SCORES, "correlation_ceiling", "normalised_correlation", "feve")
KNOWN_SCORES = (*SCORES, "explained_variance", "r_squared", "truth_correlation")
NOT_IN_ID = ("checkpoint_minutes",)  # settings that change nothing in a result


@runtime_checkable
class Initialises(Protocol):
    """An architecture that sets weights from the training set before the first epoch."""

    def initialise(self, model: Any, train: Any, /) -> None: ...


@runtime_checkable
class ComputesInputs(Protocol):
    """A data function that computes the model's inputs from images, which may need TensorFlow.

    It computes those of other images in the same way: `inputs_of` is called with a stimulus set, the study, and the
    arguments of the data function. What it returns has `shape`, `ids` and `read(rows)`, as a stimulus set has.
    """

    def inputs_of(self, images: Any, /, *, study: Path, **arguments: Any) -> Any: ...


class FitSettings(Protocol):
    """What the steps of a fit read of it. `models.Fit` has all of it."""

    @property
    def data(self) -> str | Callable[..., Any]: ...
    @property
    def split(self) -> Any: ...
    @property
    def scores(self) -> tuple[str, ...]: ...
    @property
    def label(self) -> str | None: ...
    @property
    def training(self) -> Training: ...
    @property
    def standardise(self) -> str | Mapping[str, str]: ...
    @property
    def initialise(self) -> Callable[..., Any] | None: ...
    @property
    def built(self) -> dict[str, Callable[..., Any]]: ...
    @property
    def router(self) -> Router: ...
    def scored(self, task: Any, metrics: dict[str, float]) -> dict[str, float]: ...


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

    data: str | Callable[..., Any] = "simulated"
    split: Any = None
    scores: tuple[str, ...] = SCORES

    def __post_init__(self) -> None:
        kind, recipe = type(self).__name__, self._recipe_type()
        if not isinstance(getattr(self, self.recipe), recipe):
            found = getattr(self, self.recipe)
            raise GridError(f"{kind}({self.recipe}={found!r}): expected {recipe.__name__}(…).")
        for name, function in self.built.items():
            if not callable(function) and not isinstance(function, DeclaresArguments):
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
    def built(self) -> dict[str, Callable[..., Any]]:
        """Name → function that builds the model."""
        given = getattr(self, self.functions)
        return dict(given) if isinstance(given, Mapping) else {name_of(given): given}

    def built_as(self, name: str, folder: Path) -> Callable[..., Any]:
        """The function of this name, with which the attempt in a folder was made.

        Raises
        ------
        StoreError
            If the fit has no function of this name any more.
        """
        if name not in self.built:
            known = ", ".join(self.built)
            raise StoreError(f"{folder}: made with {self.functions} '{name}'; this fit has {known}.")
        return self.built[name]

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

    def check_data(self, study: Path, runs: Sequence[Mapping[str, Any]]) -> None:
        """Check that these runs find their data sets, if they are named.

        Raises
        ------
        NameUnknown
            There is no such data set.
        DataError
            A file is missing, or the script in data/ that makes the data set fails.
        """
        if not isinstance(self.data, str):
            return
        routed = (self.router.route(params).data for params in runs)
        names = dict.fromkeys(str({**self.router.data, **given}["data"]) for given in routed)
        names.pop("simulated", None)  # always there
        if names:
            from neurofit.datasets import check  # slow to import

            for name in names:
                check(name, study / "data")

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
    changed = {}
    for one in fields(recipe):
        value = getattr(recipe, one.name)
        defaults = [one.default, *one.metadata.get("also_default", ())]
        if one.name not in NOT_IN_ID and value not in defaults:
            changed[one.name] = value
    return changed


def _default(value: Any, name: str) -> Any:
    return next(one.default for one in fields(value) if one.name == name)


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
        name = training.path if isinstance(training, Training) else None
        known = self._declared("architecture", chosen)
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
        name: str = params["architecture"]
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


def declared(function: Callable[..., Any] | DeclaresArguments, after: int) -> dict[str, Any]:
    """The arguments of a function after its first `after`, name → default; REQUIRED if there is no default.

    An object with a method `arguments` declares them itself.

    Raises
    ------
    GridError
        If the function has *args or **kwargs, which hide what can be set.
    """
    if isinstance(function, DeclaresArguments):
        return dict(function.arguments())
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise GridError(
                f"{name_of(function)}({parameter}): write out its arguments, so that they can be checked."
            )
    if len(parameters) < after:
        raise GridError(f"{name_of(function)}() takes no arguments; its first must be `shapes`.")
    return {parameter.name: parameter.default for parameter in parameters[after:]}


def name_of(function: Callable[..., Any] | DeclaresArguments) -> str:
    """The name of a function, as settings and ids have it."""
    return getattr(function, "__name__", type(function).__name__)
