"""Regressions on fixed features, in NumPy: what a network has to beat.

`features` computes features from images, `ridge` is the regression, and `linear` is the `fit` of an
experiment that uses both. Names load on first use.
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
