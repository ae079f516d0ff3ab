"""What the experiments half asks of a fit, and what it takes for an answer where the fit has none.

The table of attributes is in `docs/architecture.md`. A plain function declares its arguments as its
parameters after the task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid.params import plain, short

REQUIRED = inspect.Parameter.empty  # stands for the default of an argument that has none
_ANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def must_be_fit(fit: Any) -> None:
    """
    Raises
    ------
    GridError : it cannot be called with a task
    """
    if isinstance(fit, type):
        raise GridError(
            f"fit={fit.__name__} is a class. Give an instance of it, {fit.__name__}(…), or a function."
        )
    if not callable(fit):
        raise GridError(
            f"fit={short(fit)} is no function. Give a function fit(task) that returns a dict of numbers."
        )
    if not hasattr(fit, "arguments") and not _parameters(fit):
        raise GridError(
            f"The fit '{name(fit)}' takes no task. Write def {name(fit)}(task) and return numbers."
        )


def name(fit: Callable) -> str:
    inner = getattr(fit, "func", fit)  # functools.partial
    return getattr(inner, "__name__", type(inner).__name__)


def arguments(fit: Callable) -> dict[str, Any]:
    """Every declared argument, with its default or REQUIRED."""
    if hasattr(fit, "arguments"):
        return dict(fit.arguments())
    return {
        parameter.name: parameter.default for parameter in _parameters(fit)[1:] if parameter.kind not in _ANY
    }


def accepts_any(fit: Callable) -> bool:
    """A function that takes only a task reads `task.params` itself; so may one with `**anything`."""
    if hasattr(fit, "arguments"):
        return False
    rest = _parameters(fit)[1:]
    return not rest or any(parameter.kind is parameter.VAR_KEYWORD for parameter in rest)


def settings(fit: Callable) -> dict[str, Any]:
    found = fit.settings() if hasattr(fit, "settings") else {"fit": name(fit)}
    return plain(dict(found), "the fit's settings")


def architectures(fit: Callable) -> list[str]:
    return [str(one) for one in getattr(fit, "architectures", ())] or [name(fit)]


def defaults(fit: Callable, params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that apply because `params` leaves them out; as their repr, where JSON cannot carry
    them.
    """
    found = fit.defaults(params) if hasattr(fit, "defaults") else arguments(fit)
    return {
        key: _recordable(value) for key, value in found.items() if key not in params and value is not REQUIRED
    }


def check(fit: Callable, params: Mapping[str, Any]) -> None:
    if hasattr(fit, "check"):
        fit.check(dict(params))


def call(fit: Callable, task: Any) -> Any:
    """What the fit returns for this task; a function gets those of `task.params` that it declares as
    arguments.
    """
    if hasattr(fit, "arguments"):
        return fit(task)
    rest = _parameters(fit)[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in rest):
        return fit(task, **task.params)
    declared = {parameter.name for parameter in rest}
    return fit(task, **{key: value for key, value in task.params.items() if key in declared})


def _recordable(value: Any) -> Any:
    try:
        return plain(value, "a default")
    except GridError:
        return repr(value)


def _parameters(fit: Callable) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(fit).parameters.values())
    except (TypeError, ValueError):
        raise GridError(
            f"Python does not know the parameters of the fit {short(fit)}. "
            "Wrap it in a function: def fit(task)."
        ) from None
