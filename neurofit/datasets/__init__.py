"""On what: recordings and simulations as one kind of object, and what is done to them before a model sees them.

A page per question: what a data set is (`dataset`), what can be loaded (`catalogue`), how files are read (`recordings`)
and put in their place (`intake`), splits, normalisation, merging, and the built-in `simulation` with its `stimuli`.
Names load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "AXES": "dataset",
    "Dataset": "dataset",
    "load": "catalogue",
    "known": "catalogue",
    "Known": "catalogue",
    "add": "intake",
    "Split": "splits",
    "Parts": "splits",
    "split": "splits",
    "standardise": "normalisation",
    "standardise_like": "normalisation",
    "join": "merging",
    "stack": "merging",
    "simulate": "simulation",
    "planted_hsm": "simulation",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit.datasets' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"neurofit.datasets.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
