"""Regressions on fixed features, in NumPy: what a network has to beat.

`features` names what is computed from the images, `gabor` is the bank of Gabor energies, `ridge` the
regression, and `linear` the `fit` of an experiment that puts them together. Importing this costs a job script
nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

_WHERE = {
    "Block": "features",
    "LinearFit": "linear",
    "Regression": "linear",
    "GaborBank": "features",
    "gabor_energy": "features",
    "gabor_wavelets": "features",
    "pixels": "features",
    "pooled_fve": "authors",
    "Ridge": "ridge",
    "ridge_path": "ridge",
}
__getattr__, __dir__, __all__ = attach(__name__, _WHERE)
