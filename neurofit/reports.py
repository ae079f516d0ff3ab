"""The name of `neurofit.plotting` in version 0.1, kept so that `nf.reports.draw_curves` still works."""

from __future__ import annotations

from neurofit import plotting

__all__ = dir(plotting)


def __getattr__(name: str) -> object:
    return getattr(plotting, name)


def __dir__() -> list[str]:
    return __all__
