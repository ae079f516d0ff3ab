"""Scores: one value per neuron, and of a population. docs/scores.md says which score is for what.

`measures`: predictions against responses; `trials`: repeated trials and their variances; `ceilings`: how well
responses could be predicted; `corrected`: predictions against trials, corrected for noise; `similarity`: of
representations; `summary`: one number for many neurons. Only NumPy and SciPy. Names load on first use, so
that importing this package costs nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
