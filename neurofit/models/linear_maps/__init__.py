"""Linear maps from wide features to all neurons at once, with NumPy and SciPy alone.

`blocks` reads features, `gram` computes their inner products in one pass, `maps` fits to these with what
`recipe` asks for (`paths`: the arithmetic; `folds`: the cross-validation; `forecast`: the memory), and
`saved` keeps a map as weights; `fit` is the `fit` of an experiment. Names load on first use.
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
