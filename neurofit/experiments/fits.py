"""A user's fit as an object with known types: the only place that looks for a fit's optional attributes.

`neurofit/protocols.py` defines their types. The arguments of a plain function are its parameters after the task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid.params import plain, short
from neurofit.protocols import PredictedResponses

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
        if (declared := self._method("arguments")) is not None:
            return dict(declared())
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
        settings = self._method("settings")
        found: dict[str, Any] = plain(
            dict(settings()) if settings else {"fit": self.name}, "the fit's settings"
        )
        return found

    def architectures(self) -> list[str]:
        return [str(one) for one in getattr(self.fit, "architectures", ())] or [self.name]

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults of the arguments that are not in `params`; the repr of a value that is not valid JSON."""
        defaults = self._method("defaults")
        found = defaults(params) if defaults else self.arguments()
        return {
            key: _recordable(value)
            for key, value in found.items()
            if key not in params and value is not REQUIRED
        }

    def check(self, params: Mapping[str, Any]) -> None:
        if (check := self._method("check")) is not None:
            check(dict(params))

    def prepare(self, study: Path) -> None:
        """Let the fit load what all tasks need, before they are forked."""
        if (prepare := self._method("prepare")) is not None:
            prepare(study)

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
        """The function that trains several repetitions of one run at once, or None."""
        found: Callable[[list[Any]], Sequence[Any]] | None = self._method("together")
        return found

    @property
    def load(self) -> Callable[[Path], Any] | None:
        """The function that loads a finished attempt from its folder, or None."""
        found: Callable[[Path], Any] | None = self._method("load")
        return found

    @property
    def predict(self) -> Callable[[Path, Any, Path], PredictedResponses] | None:
        """The function that predicts responses to other images from a finished attempt's folder, or None."""
        found: Callable[[Path, Any, Path], PredictedResponses] | None = self._method("predict")
        return found

    @property
    def ensemble(self) -> Callable[[list[Path]], Any] | None:
        """The function that loads several finished attempts of one run as one object, or None."""
        found: Callable[[list[Path]], Any] | None = self._method("ensemble")
        return found

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views of a finished attempt's model."""
        return tuple(getattr(self.fit, "views", ()))

    @property
    def view(self) -> Callable[[Path, str, Any], list[dict[str, Any]]] | None:
        found: Callable[[Path, str, Any], list[dict[str, Any]]] | None = self._method("view")
        return found

    def _method(self, name: str) -> Any:
        return getattr(self.fit, name, None)

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
