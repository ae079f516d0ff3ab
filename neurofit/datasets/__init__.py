"""On what: recordings and simulations as one kind of object, and what is done to them before a model sees
them.

A page per question: what a data set is (`dataset`), what can be loaded (`catalogue`), how files are read
(`recordings`) and put in their place (`intake`), splits, normalisation, merging, and the built-in
`simulation` with its `stimuli`. Names load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

_WHERE = {
    "AXES": "dataset",
    "Dataset": "dataset",
    "load": "catalogue",
    "known": "catalogue",
    "Known": "catalogue",
    "add": "importer",
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
__getattr__, __dir__, __all__ = attach(__name__, _WHERE)
