"""Regressions on fixed features, in NumPy: what a network has to beat.

`features` names what is computed from the images, `gabor` is the bank of Gabor energies, `ridge` the regression, and
`linear` the `fit` of an experiment that puts them together. Importing this costs a job script nothing.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "Block": "features",
    "LinearFit": "linear",
    "Regression": "linear",
    "GaborBank": "gabor",
    "gabor_energy": "features",
    "gabor_wavelets": "features",
    "pixels": "features",
    "pooled_fve": "authors",
    "Ridge": "ridge",
    "ridge_path": "ridge",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit.models.baselines' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"neurofit.models.baselines.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
