"""Public names of a package that load on first use (PEP 562), so that importing the package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from neurofit.errors import MissingExtra, install, missing_extra


def attach(
    package: str, where: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`.

    `where`: name → the module below the package that has it.
    """
    modules = frozenset(modules)
    public = sorted([*where, *modules])

    def load(name: str) -> Any:
        if name in modules:
            return _imported(f"{package}.{name}", f"{package}.{name}")
        if name not in where:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(_imported(f"{package}.{where[name]}", f"{package}.{name}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: public, public


def _imported(module: str, public_name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        extra = missing_extra(error)
        if extra is None:
            raise
        raise MissingExtra(
            f"{public_name} needs {error.name}, which is not installed: {install(extra)}.", name=error.name
        ) from error
