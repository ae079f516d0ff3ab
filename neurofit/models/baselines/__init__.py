"""Regressions on fixed features, in NumPy: what a network has to beat.

`features` computes features from images, `ridge` is the regression, and `linear` is the `fit` of an
experiment that uses both. Names load on first use.
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
