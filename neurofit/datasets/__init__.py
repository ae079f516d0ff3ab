"""Data sets: recordings and simulations as one kind of object, and their preparation for a model.

Modules: `dataset` (what a data set is), `catalogue` (what can be loaded), `recordings` (how files are read),
`importer` (how files get into data/), `splits`, `normalisation`, `merging`, and the built-in `simulation`
with its `stimuli`. Images for networks are a `stimulus_set`; `pixels` says what their values mean. Names
load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
