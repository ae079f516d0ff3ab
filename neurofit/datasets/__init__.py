"""Data sets: recordings and simulations as one kind of object, and their preparation for a model.

Modules: `dataset` (what a data set is), `catalogue` (what can be loaded), `recordings` (how files are read),
`importer` (how files get into data/), `splits`, `normalisation`, `merging`, and the built-in `simulation`
with its `stimuli`. Names load on first use, so that importing this package costs nothing.
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
