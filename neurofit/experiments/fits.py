"""A user's fit as an object with known types: the only place that looks for a fit's optional attributes.

`neurofit/protocols.py` defines their types. The arguments of a plain function are its parameters after the task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from neurofit.errors import GridError
from neurofit.experiments.grid.params import plain, short
from neurofit.protocols import (
    ChecksArguments,
    ChecksData,
    DeclaresArguments,
    DeclaresCode,
    HasArchitectures,
    HasDefaults,
    HasSettings,
    HasViews,
    LoadsForUse,
    LoadsTasks,
    MakesEnsembles,
    PredictedResponses,
    Predicts,
    Prepares,
    TrainsGroups,
    TrainsTogether,
)

REQUIRED = inspect.Parameter.empty  # the default of an argument that has none
_ANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


@dataclass(frozen=True)
class FitAdapter:
    """A fit, with a default for every optional attribute that it does not define.

    Parameters
    ----------
    fit : callable
        The function or object that the user passed to `Experiment`.

    Raises
    ------
    GridError
        The fit cannot be called with a task.
    """

    fit: Callable[..., Any]

    def __post_init__(self) -> None:
        if isinstance(self.fit, type):
            raise GridError(
                f"fit must be a function or an object, got the class {self.fit.__name__}. "
                f"Pass an instance, {self.fit.__name__}(…)."
            )
        if not callable(self.fit):
            raise GridError(
                f"fit must be a function, got {short(self.fit)}. "
                "Pass a function fit(task) that returns a dict of numbers."
            )
        if not self.declares_arguments and not self._parameters():
            raise GridError(
                f"The fit '{self.name}' has no parameters, expected the task as the first one. "
                "Write def fit(task) and return a dict of numbers."
            )

    @property
    def name(self) -> str:
        inner = getattr(self.fit, "func", self.fit)  # functools.partial
        return str(getattr(inner, "__name__", type(inner).__name__))

    @property
    def declares_arguments(self) -> bool:
        """Whether the fit defines `arguments()`; if not, its arguments are its parameters after the task."""
        return hasattr(self.fit, "arguments")

    def arguments(self) -> dict[str, Any]:
        """Every declared argument, with its default or REQUIRED."""
        if self.declares_arguments:
            return dict(cast(DeclaresArguments, self.fit).arguments())
        rest = self._parameters()[1:]
        return {parameter.name: parameter.default for parameter in rest if parameter.kind not in _ANY}

    @property
    def accepts_any(self) -> bool:
        """Whether the fit reads `task.params` itself: it takes only a task, or has `**anything`."""
        if self.declares_arguments:
            return False
        rest = self._parameters()[1:]
        return not rest or any(parameter.kind is parameter.VAR_KEYWORD for parameter in rest)

    def settings(self) -> dict[str, Any]:
        """Settings of the fit other than its arguments, as JSON."""
        settings = cast(HasSettings, self.fit).settings() if self._has("settings") else {"fit": self.name}
        settings = plain(dict(settings), "the fit's settings")
        return dict(settings)

    @property
    def code(self) -> tuple[str, ...]:
        """Paths and patterns of files that are the fit's code, beside the modules that the script imports."""
        return (
            tuple(cast(DeclaresCode, self.fit).code) if self.declares_arguments and self._has("code") else ()
        )

    def architectures(self) -> list[str]:
        named = cast(HasArchitectures, self.fit).architectures if self._has("architectures") else ()
        return [str(one) for one in named] or [self.name]

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults of the arguments that are not in `params`; the repr of a value that is not valid JSON."""
        own = cast(HasDefaults, self.fit).defaults(params) if self._has("defaults") else self.arguments()
        return {
            key: _recordable(value)
            for key, value in own.items()
            if key not in params and value is not REQUIRED
        }

    def check(self, params: Mapping[str, Any]) -> None:
        if self._has("check"):
            cast(ChecksArguments, self.fit).check(dict(params))

    def check_data(self, study: Path, runs: Sequence[Mapping[str, Any]]) -> None:
        if self._has("check_data"):
            cast(ChecksData, self.fit).check_data(study, runs)

    def prepare(self, study: Path) -> None:
        """Let the fit load what all tasks need, before they are forked."""
        if self._has("prepare"):
            cast(Prepares, self.fit).prepare(study)

    def call(self, task: Any) -> Any:
        """Call the fit with this task and return its result.

        A plain function receives those entries of `task.params` that it declares as parameters.
        """
        if self.declares_arguments:
            return self.fit(task)
        rest = self._parameters()[1:]
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in rest):
            return self.fit(task, **task.params)
        declared = {parameter.name for parameter in rest}
        return self.fit(task, **{key: value for key, value in task.params.items() if key in declared})

    @property
    def together(self) -> Callable[[list[Any]], Sequence[Any]] | None:
        """The function that trains several repetitions of one run at once, or None.

        It returns the metrics of each, or the exception with which it failed.
        """
        return cast(TrainsTogether, self.fit).together if self._has("together") else None

    def repetitions_together(self, params: Mapping[str, Any]) -> int | None:
        """How many repetitions of a run with these arguments are trained together, in groups from repetition k·N.

        None: as many as a job holds, if the fit has `together`.
        """
        if self._has("repetitions_together"):
            return cast(TrainsGroups, self.fit).repetitions_together(params)
        return None if self._has("together") else 1

    @property
    def load(self) -> Callable[[Path], Any] | None:
        """The function that loads a finished attempt from its folder, or None."""
        return cast(LoadsTasks, self.fit).load if self._has("load") else None

    @property
    def loaded(self) -> Callable[[Path, Path], Any] | None:
        """The function of folder and study that makes what `neurofit.load` returns, or None."""
        if self._has("loaded"):
            return cast(LoadsForUse, self.fit).loaded
        load = self.load
        return None if load is None else lambda folder, study: load(folder)

    @property
    def predict(self) -> Callable[[Path, Any, Path], PredictedResponses] | None:
        """The function that predicts responses to other images from a finished attempt's folder, or None."""
        return cast(Predicts, self.fit).predict if self._has("predict") else None

    @property
    def ensemble(self) -> Callable[[list[Path]], Any] | None:
        """The function that loads several finished attempts of one run as one object, or None."""
        return cast(MakesEnsembles, self.fit).ensemble if self._has("ensemble") else None

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views of a finished attempt's model."""
        return tuple(cast(HasViews, self.fit).views) if self._has("views") else ()

    @property
    def view(self) -> Callable[[Path, str, Any], list[dict[str, Any]]] | None:
        """The function that makes the panels of one view, or None."""
        return cast(HasViews, self.fit).view if self._has("view") else None

    def _has(self, name: str) -> bool:
        return getattr(self.fit, name, None) is not None

    def _parameters(self) -> list[inspect.Parameter]:
        try:
            return list(inspect.signature(self.fit).parameters.values())
        except (TypeError, ValueError):
            raise GridError(
                f"The parameters of the fit {short(self.fit)} cannot be determined. "
                "Wrap it in a function: def fit(task)."
            ) from None


def call(fit: Callable[..., Any], task: Any) -> Any:
    """Call a fit with a task and return its result."""
    return FitAdapter(fit).call(task)


def _recordable(value: Any) -> Any:
    try:
        return plain(value, "a default")
    except GridError:
        return repr(value)
