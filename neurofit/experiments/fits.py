"""A user's fit as an object with known types: the only place that looks for a fit's optional attributes.

`neurofit/protocols.py` has their types. A plain function declares its arguments as its parameters after the
task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid.params import plain, short

REQUIRED = inspect.Parameter.empty  # stands for the default of an argument that has none
_ANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


@dataclass(frozen=True)
class FitAdapter:
    """A fit, with an answer for every optional attribute that it does not have.

    Parameters
    ----------
    fit : callable
        What the user gave.

    Raises
    ------
    GridError
        The fit cannot be called with a task.
    """

    fit: Callable[..., Any]

    def __post_init__(self) -> None:
        if isinstance(self.fit, type):
            raise GridError(
                f"fit={self.fit.__name__} is a class. Give an instance, {self.fit.__name__}(…), or a function."
            )
        if not callable(self.fit):
            raise GridError(
                f"fit={short(self.fit)} is not a function. Give a function fit(task) that returns a dict of numbers."
            )
        if not self.declares_arguments and not self._parameters():
            raise GridError(
                f"The fit '{self.name}' takes no task. Write def {self.name}(task) and return numbers."
            )

    @property
    def name(self) -> str:
        inner = getattr(self.fit, "func", self.fit)  # functools.partial
        return str(getattr(inner, "__name__", type(inner).__name__))

    @property
    def declares_arguments(self) -> bool:
        """Whether the fit has `arguments()`; otherwise its parameters after the task are its arguments."""
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
        """What else makes the fit what it is, as JSON."""
        settings = self._method("settings")
        found: dict[str, Any] = plain(
            dict(settings()) if settings else {"fit": self.name}, "the fit's settings"
        )
        return found

    def architectures(self) -> list[str]:
        return [str(one) for one in getattr(self.fit, "architectures", ())] or [self.name]

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that apply because `params` leaves them out; as their repr, if JSON cannot hold them."""
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
        """Let the fit load, before tasks are forked, what all of them need."""
        if (prepare := self._method("prepare")) is not None:
            prepare(study)

    def call(self, task: Any) -> Any:
        """What the fit returns for this task.

        A function gets those of `task.params` that it declares as arguments.
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
        """What trains several repetitions of one run at once, if the fit can."""
        found: Callable[[list[Any]], Sequence[Any]] | None = self._method("together")
        return found

    @property
    def load(self) -> Callable[[Path], Any] | None:
        """What loads a finished attempt from its folder, if the fit can."""
        found: Callable[[Path], Any] | None = self._method("load")
        return found

    @property
    def ensemble(self) -> Callable[[list[Path]], Any] | None:
        """What loads several finished attempts of one run as one object, if the fit can."""
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
                f"Python does not know the parameters of the fit {short(self.fit)}. "
                "Wrap it in a function: def fit(task)."
            ) from None


def call(fit: Callable[..., Any], task: Any) -> Any:
    """What a fit returns for this task."""
    return FitAdapter(fit).call(task)


def _recordable(value: Any) -> Any:
    try:
        return plain(value, "a default")
    except GridError:
        return repr(value)
