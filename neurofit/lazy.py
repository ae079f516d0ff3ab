"""Public names of a package that load on first use (PEP 562), so that importing the package costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lazy_loader

from neurofit.errors import MissingExtra, install, missing_extra


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, from the imports in the `.pyi` beside its `__init__.py`.

    Parameters
    ----------
    package : str
        Its `__name__`.
    file : str
        Its `__file__`.

    Raises
    ------
    MissingExtra
        By the `__getattr__`: a public name needs a library that is not installed.
    """
    load, names, public = lazy_loader.attach_stub(package, file)

    def attribute(name: str) -> Any:
        try:
            return load(name)
        except ModuleNotFoundError as error:
            extra = missing_extra(error)
            if extra is None:
                raise
            raise MissingExtra(
                f"{package}.{name} needs {error.name}, which is not installed: {install(extra)}.",
                name=error.name,
            ) from error

    return attribute, names, public
